# SPDX-License-Identifier: BSD-2-Clause
"""Descriptors that are opened for other processes."""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from zope.interface import implementer

from ganeti.system.interfaces import FileAccess, IDescriptors
from ganeti.system.threads import InThread

_FLAGS = {
    FileAccess.READ: os.O_RDONLY,
    FileAccess.READ_WRITE: os.O_RDWR,
    FileAccess.EMPTY: os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
}

_TUN = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
"""The ioctl that attaches a descriptor to a device, by a ``struct ifreq`` (linux/if_tun.h)."""
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR, _IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100
_IFREQ = struct.Struct("16sH22x")


@implementer(IDescriptors)
class LocalDescriptors:
    """Descriptors of this host's files and devices."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread

    async def open_file(self, path: str, access: FileAccess) -> int:
        # In a thread: the device of a disk may hang.
        return await self._in_thread(os.open, path, _FLAGS[access] | os.O_CLOEXEC, 0o600)

    async def listen_unix(self, path: str) -> int:
        return await self._in_thread(_listen_unix, path)

    async def open_tap(self, name: str, *, multi_queue: bool, vnet_hdr: bool) -> int:
        return await self._in_thread(_open_tap, name, multi_queue, vnet_hdr)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)


def _listen_unix(path: str) -> int:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        os.chmod(path, 0o600)
        listening.listen()
        return listening.detach()


def _open_tap(name: str, multi_queue: bool, vnet_hdr: bool) -> int:
    # Otherwise the kernel would create it.
    os.stat(f"/sys/class/net/{name}")
    # The flags that QEMU uses for a device that it opens itself.
    flags = _IFF_TAP | _IFF_NO_PI | (_IFF_MULTI_QUEUE if multi_queue else 0)
    flags |= _IFF_VNET_HDR if vnet_hdr else 0
    descriptor = os.open(_TUN, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, _IFREQ.pack(name.encode(), flags))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
