# SPDX-License-Identifier: BSD-2-Clause
"""The VLANs of a network card, as the parameter ``vlan`` has them."""

from __future__ import annotations

from dataclasses import dataclass

MAX_VLAN = 4094
"""The largest VLAN ID; 0 and 4095 are reserved (IEEE 802.1Q)."""


@dataclass(frozen=True)
class Vlans:
    """The VLANs of a card: one whose frames the guest sees untagged, and those that it sees tagged.

    Without any, the card is connected as the bridge or switch connects ports by default.
    """

    untagged: int | None = None
    tagged: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return self.untagged is not None or bool(self.tagged)


def parse_vlans(text: str) -> Vlans:
    """Return the VLANs of ``.10`` or ``10`` (untagged), ``:20:30`` (tagged), ``.10:20`` (both).

    :raises ValueError: it is none of these, or names no VLAN, or one twice; with the reason.
    """
    first, *rest = text.removeprefix(".").split(":")
    try:
        untagged = int(first) if first else None
        tagged = tuple(map(int, rest))
    except ValueError:
        raise ValueError(
            "must be like .10 (untagged), .10:20 (hybrid), or :10:20 (tagged)"
        ) from None
    found = [*([] if untagged is None else [untagged]), *tagged]
    if wrong := [each for each in found if not 0 < each <= MAX_VLAN]:
        raise ValueError(f"{wrong[0]} is not a VLAN ID; use 1 to {MAX_VLAN}")
    if twice := [each for each in found if found.count(each) > 1]:
        raise ValueError(f"VLAN {twice[0]} occurs twice: a card has it tagged or untagged")
    return Vlans(untagged, tagged)
