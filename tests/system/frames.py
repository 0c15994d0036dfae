# SPDX-License-Identifier: BSD-2-Clause
"""Builds frames, and sends and receives them at tap devices, in place of a guest.

As a program, it runs in the network namespace of the devices: it opens those of its arguments,
reads lines of JSON (a device, a frame in hexadecimal digits, and the number of devices that have to
get it), and answers each with the frames that came out of which devices, until those have come,
and then none for a while.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import struct
import sys
import time
from pathlib import Path

EXPERIMENTAL = 0x88B5
"""The type of frames for experiments (IEEE 802): nothing else sends them."""
BROADCAST = "ff:ff:ff:ff:ff:ff"
QUIET = 0.25
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
        device, content, expected = json.loads(line)
        sent = bytes.fromhex(content)
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
