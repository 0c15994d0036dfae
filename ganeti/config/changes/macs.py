# SPDX-License-Identifier: BSD-2-Clause
"""MAC addresses of network cards."""

from __future__ import annotations

import re
from collections.abc import Collection
from random import Random

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Refused

_MAC = re.compile(r"\A[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_ATTEMPTS = 64


def parse_mac(text: str) -> str:
    """Return the MAC address ``text`` in lower case.

    :raises Invalid: it is not a MAC address, or it is a multicast address.
    """
    mac = text.strip().lower()
    if not _MAC.match(mac):
        raise Invalid(f"'{text}' is not a MAC address; give six bytes like aa:00:00:12:34:56")
    # IEEE 802: the lowest bit of the first byte marks group addresses.
    if int(mac[:2], 16) & 1:
        raise Invalid(f"{mac} is a multicast address; the first byte of a card's must be even")
    return mac


def generate_mac(
    state: ClusterState, random: Random, *, prefix: str = "", besides: Collection[str] = ()
) -> str:
    """Return a random unused MAC address that is not in ``besides``.

    ``prefix`` are its first three bytes, by default the cluster's.

    :raises Refused: no unused address was found.
    """
    start = (prefix or state.cluster.mac_prefix).lower()
    # A prefix has 16 million addresses, so that a few attempts nearly always find a free one.
    for _ in range(_ATTEMPTS):
        number = random.getrandbits(24)
        mac = f"{start}:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        if mac not in state.macs and mac not in besides:
            return mac
    raise Refused(
        f"no free MAC address found with prefix {start}; change the cluster's mac_prefix",
        Code.RESOURCES,
    )


def mac_in_use(mac: str, owner: str) -> Refused:
    """Return the error for a MAC address that the instance ``owner`` already uses."""
    return Refused(
        f"MAC address {mac} is in use by instance {owner}; choose another one", Code.NOT_UNIQUE
    )
