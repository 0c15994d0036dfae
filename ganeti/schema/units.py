# SPDX-License-Identifier: BSD-2-Clause
"""Sizes as people write them."""

from __future__ import annotations

import math
import re

from ganeti.errors import Invalid
from ganeti.schema.types import MAX_INTEGER

_SIZE = re.compile(r"\A\s*(\d+(?:\.\d*)?|\.\d+)\s*([mgt])?(?:i?b)?\s*\Z", re.IGNORECASE | re.ASCII)
_FACTORS = {"m": 1, "g": 1024, "t": 1024 * 1024}


def mebibytes(text: str) -> int:
    """The MiB that ``text`` means: a number with m, g, t or nothing behind it, rounded up.

    :raises Invalid: it is no such text.
    """
    found = _SIZE.match(text)
    if found is None:
        raise Invalid(f"'{text}' is no size; write a number and m, g or t, such as 512m or 1.5g")
    size = float(found[1]) * _FACTORS[(found[2] or "m").lower()]
    if size > MAX_INTEGER:
        raise Invalid(f"sizes go up to {MAX_INTEGER} MiB")
    return math.ceil(size)
