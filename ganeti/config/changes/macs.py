# SPDX-License-Identifier: BSD-2-Clause
"""Hardware addresses of network cards."""

from __future__ import annotations

import re
from collections.abc import Collection
from random import Random

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Refused

_MAC = re.compile(r"\A[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_ATTEMPTS = 64


def mac_checked(text: str) -> str:
    """The address that ``text`` writes, in lower case.

    :raises Invalid: it is none, or is one for groups of hosts.
    """
    mac = text.strip().lower()
    if not _MAC.match(mac):
        raise Invalid(f"'{text}' is no MAC address; write six bytes like aa:00:00:12:34:56")
    if int(mac[:2], 16) & 1:
        raise Invalid(f"{mac} is a multicast address; the first byte of a card's must be even")
    return mac


def new_mac(
    state: ClusterState, random: Random, *, prefix: str = "", besides: Collection[str] = ()
) -> str:
    """An address that no card has, nor is in ``besides``, below the cluster's or given prefix.

    :raises Refused: none was found.
    """
    start = (prefix or state.cluster.mac_prefix).lower()
    for _ in range(_ATTEMPTS):
        number = random.getrandbits(24)
        mac = f"{start}:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        if mac not in state.macs and mac not in besides:
            return mac
    raise Refused(
        f"found no free MAC address that begins with {start}; give the cluster another mac_prefix",
        Code.RESOURCES,
    )
