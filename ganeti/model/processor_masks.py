# SPDX-License-Identifier: BSD-2-Clause
"""The masks of processors in ``cpu_mask``: one, or one for each virtual processor."""

from __future__ import annotations

from ganeti.errors import Code, Refused


def has_mask_for_each(masks: str) -> bool:
    """Return whether each virtual processor has a mask of its own."""
    return ":" in masks


def require_mask_for_each(masks: str, vcpus: int, name: str) -> None:
    """Check that there are as many masks as virtual processors, if each has its own.

    :raises Refused: there are more or less.
    """
    count = len(masks.split(":"))
    if has_mask_for_each(masks) and count != vcpus:
        raise Refused(
            f"cpu_mask has {count} masks, but instance {name} has {vcpus} virtual processors; set"
            " one for each, separated by colons, or one mask for all",
            Code.INPUT,
        )
