# SPDX-License-Identifier: BSD-2-Clause
"""The order of names in ``ssconf_*`` files, which master and nodes have to agree on."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

NaturalKey: TypeAlias = tuple[tuple[tuple[int, str], ...], str]


@lru_cache(maxsize=1 << 16)
def natural_sort_key(name: str) -> NaturalKey:
    """Return a sort key that puts node2 before node10, and is different for different names."""
    # Cached: bulk creation sorts the same names again and again.
    parts = re.split(r"(\d+)", name)
    numbered = enumerate(parts)
    return (
        tuple((int(part), "") if number % 2 else (-1, part) for number, part in numbered),
        name,
    )
