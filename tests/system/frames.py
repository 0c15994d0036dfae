# SPDX-License-Identifier: BSD-2-Clause
"""Builds frames, and sends and receives them at tap devices, in place of a guest.

As a program, it runs in the network namespace of the devices: it opens those of its arguments,
reads lines of JSON (a device, a frame in hexadecimal digits, the number of devices that have to
get it, and how often it is sent), and answers each with the frames that came out of which devices,
until those have come, and then none for a while.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import struct
import sys
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

EXPERIMENTAL = 0x88B5
"""The type of frames for experiments (IEEE 802): nothing else sends them."""
BROADCAST = "ff:ff:ff:ff:ff:ff"
QUIET = 0.1
"""Seconds without a frame after which no other is waited for."""
TIMEOUT = 20.0
"""How long the expected frames are waited for, in seconds: a switch learns with the first ones."""
MARK = b"hello"
"""What the frames of the tests contain, and no others."""

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def frame(
    source: str,
    content: bytes,
    *,
    kind: int = EXPERIMENTAL,
    vlan: int | None = None,
    to: str = BROADCAST,
) -> bytes:
    """Return an Ethernet frame, with the tag of a VLAN if given."""
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    whole = mac_bytes(to) + mac_bytes(source) + tag + struct.pack("!H", kind) + content
    return whole.ljust(60, b"\0")


def arp(source: str, address: str, *, sender: str = "") -> bytes:
    """Return a request of ARP from an IPv4 address; ``sender`` is the MAC address in it."""
    told = mac_bytes(sender or source) + IPv4Address(address).packed
    request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + told + bytes(10)
    return frame(source, request + MARK, kind=0x0806)


def ipv4(source: str, addresses: tuple[str, str], protocol: int, content: bytes) -> bytes:
    """Return a packet between two addresses."""
    ends = b"".join(IPv4Address(each).packed for each in addresses)
    size = 20 + len(content)
    parts = 0x45, 0, size, 0, 0, 64, protocol
    checked = _checksum(struct.pack("!BBHHHBBH", *parts, 0) + ends)
    head = struct.pack("!BBHHHBBH", *parts, checked) + ends
    return frame(source, head + content, kind=0x0800)


def udp(source: str, addresses: tuple[str, str], ports: tuple[int, int]) -> bytes:
    content = struct.pack("!HHHH", *ports, 8 + len(MARK), 0) + MARK
    return ipv4(source, addresses, 17, content)


SYN, ACK = 0x02, 0x10


def tcp(source: str, addresses: tuple[str, str], ports: tuple[int, int], flags: int) -> bytes:
    content = struct.pack("!HHIIBBHHH", *ports, 1, 1, 0x50, flags, 1024, 0, 0) + MARK
    return ipv4(source, addresses, 6, content)


def icmp6(source: str, addresses: tuple[str, str], kind: int, target: str) -> bytes:
    """Return a message of neighbor discovery about a target address."""
    sender, receiver = (IPv6Address(each).packed for each in addresses)
    content = struct.pack("!BBHI", kind, 0, 0, 0) + IPv6Address(target).packed + MARK
    head = struct.pack("!IHBB", 0x60000000, len(content), 58, 255) + sender + receiver
    return frame(source, head + content, kind=0x86DD)


def dhcp(source: str, kind: int, address: str = "0.0.0.0") -> bytes:
    """Return a message of DHCP: 1 asks for offers, 3 for an address, or the extension of its
    lease; then ``address`` is the one that the client has, which asks the gateway."""
    flags = 0x8000 if address == "0.0.0.0" else 0
    head = struct.pack("!BBBBIHH4s", 1, 1, 6, 0, 7, 0, flags, IPv4Address(address).packed)
    options = bytes((0x63, 0x82, 0x53, 0x63, 53, 1, kind, 55, 4, 1, 3, 12, 6))
    if kind == 3 and address == "0.0.0.0":
        options += bytes((50, 4)) + IPv4Address("192.0.2.7").packed
    content = head + bytes(12) + mac_bytes(source).ljust(16, b"\0") + bytes(192) + options + b"\xff"
    to = "255.255.255.255" if address == "0.0.0.0" else "192.0.2.1"
    packet = struct.pack("!HHHH", 68, 67, 8 + len(content), 0) + content
    return ipv4(source, (address, to), 17, packet)


def router_solicitation(source: str, sender: str = "::") -> bytes:
    """Return the question for routers (RFC 4861, section 4.1)."""
    return _icmp6(source, (sender, "ff02::2"), struct.pack("!BBHI", 133, 0, 0, 0))


def neighbor_advertisement(source: str, address: str, receiver: str, to: str) -> bytes:
    """Return the answer to a question for the MAC address of ``address``."""
    told = IPv6Address(address).packed + bytes((2, 1)) + mac_bytes(source)
    content = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + told
    return mac_bytes(to) + _icmp6(source, (address, receiver), content)[6:]


def _icmp6(source: str, addresses: tuple[str, str], content: bytes) -> bytes:
    """Return a message of ICMPv6 with its checksum, as a kernel wants it."""
    ends = b"".join(IPv6Address(each).packed for each in addresses)
    checked = _checksum(ends + struct.pack("!II", len(content), 58) + content)
    content = content[:2] + struct.pack("!H", checked) + content[4:]
    head = struct.pack("!IHBB", 0x60000000, len(content), 58, 255)
    return frame(source, head + ends + content, kind=0x86DD)


def _checksum(content: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _open_tap(name: str) -> int:
    opened = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(opened, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return opened


def _wait_for_link(name: str) -> None:
    # It is up when a program has opened it and the kernel has told the bridge.
    while Path(f"/sys/class/net/{name}/operstate").read_text().strip() == "down":
        time.sleep(0.02)


def main(names: list[str]) -> None:
    taps = {_open_tap(name): name for name in names}
    descriptors = {name: opened for opened, name in taps.items()}
    for name in names:
        _wait_for_link(name)
    print("ready", flush=True)
    for line in sys.stdin:
        device, content, expected, times = json.loads(line)
        sent = bytes.fromhex(content)
        for _ in range(times):
            os.write(descriptors[device], sent)
        seen: list[tuple[str, bytes]] = []
        end = time.monotonic() + TIMEOUT
        while True:
            ready = select.select(list(taps), [], [], QUIET)[0]
            seen += ((taps[opened], os.read(opened, 65536)) for opened in ready)
            got = {name for name, content in seen if MARK in content}
            if not ready and (len(got) >= expected or time.monotonic() > end):
                break
        print(json.dumps([(name, content.hex()) for name, content in seen]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
