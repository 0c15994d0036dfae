# SPDX-License-Identifier: BSD-2-Clause
"""Announcements of IPv4 addresses that have moved to this host (RFC 5227, section 3)."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address
from struct import pack

BROADCAST = b"\xff" * 6
ETHERTYPE = 0x0806


def build_announcement(hardware: bytes, address: str) -> bytes:
    """Return the Ethernet frame that tells all hosts of a network who has an address now."""
    packed = IPv4Address(address).packed
    header = pack("!6s6sH", BROADCAST, hardware, ETHERTYPE)
    # A request for the own address: Ethernet, IPv4, lengths of 6 and 4, operation 1.
    return header + pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, hardware, packed, bytes(6), packed)


def announce(device: str, address: str) -> None:
    """Tell the network of a device that this host has an address.

    :raises OSError: the device does not exist, or this user may not.
    """
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((device, 0))
        raw.send(build_announcement(raw.getsockname()[4], address))
