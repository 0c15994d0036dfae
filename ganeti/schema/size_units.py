# SPDX-License-Identifier: BSD-2-Clause
"""Sizes with units, as users write them."""

from __future__ import annotations

import math
import re

from ganeti.errors import Invalid
from ganeti.schema.types import MAX_INTEGER

_SIZE = re.compile(r"\A\s*(\d+(?:\.\d*)?|\.\d+)\s*([mgt])?(?:i?b)?\s*\Z", re.IGNORECASE | re.ASCII)
_FACTORS = {"m": 1, "g": 1024, "t": 1024 * 1024}


def mebibytes(text: str) -> int:
    """Return ``text`` in MiB, rounded up: a number with the unit m, g, t or none (m).

    :raises Invalid: the text is not a size.
    """
    found = _SIZE.match(text)
    if found is None:
        raise Invalid(f"'{text}' is not a size; use a number with m, g or t, such as 512m or 1.5g")
    size = float(found[1]) * _FACTORS[(found[2] or "m").lower()]
    if size > MAX_INTEGER:
        raise Invalid(f"a size may be at most {MAX_INTEGER} MiB")
    return math.ceil(size)
