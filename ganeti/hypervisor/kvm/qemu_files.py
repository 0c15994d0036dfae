# SPDX-License-Identifier: BSD-2-Clause
"""Files and devices that the node daemon opens for a running QEMU, which has another user.

QEMU gets descriptors through its monitor: a *set* of them stands for a file, and is named
``/dev/fdset/N`` where a path is expected (``add-fd``); those of network cards have names
(``getfd``). QEMU closes a set that nothing uses when the monitor is disconnected.
"""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.errors import Code, Failed
from ganeti.hypervisor.kvm.devices import netdev_id, tap
from ganeti.hypervisor.kvm.monitor import Monitor
from ganeti.model.guest import GuestNic
from ganeti.system.interfaces import FileAccess, IDescriptors

_VHOST = "/dev/vhost-net"


class CannotOpen(Failed):
    """A file or device cannot be opened for QEMU."""

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(f"{path} cannot be opened for QEMU: {error.strerror}", Code.ENVIRONMENT)


class QemuFiles:
    """Opens files and devices, and passes them on; errors are those of opening them."""

    def __init__(self, descriptors: IDescriptors) -> None:
        self._descriptors = descriptors

    async def pass_file(self, qemu: Monitor, path: str, access: FileAccess) -> str:
        """Return the name by which QEMU can open a file, until the monitor is disconnected.

        :raises CannotOpen: it cannot be opened.
        """
        try:
            descriptor = await self._descriptors.open_file(path, access)
        except OSError as error:
            raise CannotOpen(path, error) from error
        try:
            added = await qemu.pass_descriptor(descriptor, "add-fd", opaque=path)
        finally:
            self._descriptors.close(descriptor)
        return f"/dev/fdset/{added['fdset-id']}"

    async def pass_folder(self, qemu: Monitor, path: str) -> str:
        """Return a path by which QEMU reaches a directory, without access to those above it.

        It is good until the guest runs and the monitor is disconnected, or QEMU ends.

        :raises CannotOpen: it cannot be opened.
        """
        try:
            descriptor = await self._descriptors.open_file(path, FileAccess.READ)
        except OSError as error:
            raise CannotOpen(path, error) from error
        try:
            added = await qemu.pass_descriptor(descriptor, "add-fd", opaque=path)
        finally:
            self._descriptors.close(descriptor)
        return f"/proc/self/fd/{added['fd']}"

    async def pass_listener(self, qemu: Monitor, path: str) -> str:
        """Return the name of a Unix socket at ``path`` that QEMU can accept connections of.

        :raises CannotOpen: it cannot be created.
        """
        name = "ganeti-listener"
        try:
            descriptor = await self._descriptors.listen_unix(path)
        except OSError as error:
            raise CannotOpen(path, error) from error
        await self._pass_named(qemu, descriptor, name)
        return name

    async def pass_tap(
        self, qemu: Monitor, card: GuestNic, *, queues: int, vhost: bool, vnet_hdr: bool
    ) -> dict[str, str]:
        """Return the options by which a connection uses the tap device of a card.

        :raises CannotOpen: it cannot be opened.
        """
        device, name = tap(card), netdev_id(card)
        taps = [f"{name}-tap{index}" for index in range(queues)]
        for each in taps:
            try:
                queue = await self._descriptors.open_tap(
                    device, multi_queue=queues > 1, vnet_hdr=vnet_hdr
                )
            except OSError as error:
                raise CannotOpen(device, error) from error
            await self._pass_named(qemu, queue, each)
        options = {"fds": ":".join(taps)}
        if vhost:
            options["vhostfds"] = ":".join(await self._pass_vhost(qemu, name, queues))
        return options

    async def _pass_vhost(self, qemu: Monitor, name: str, queues: int) -> Sequence[str]:
        names = [f"{name}-vhost{index}" for index in range(queues)]
        for each in names:
            try:
                queue = await self._descriptors.open_file(_VHOST, FileAccess.READ_WRITE)
            except OSError as error:
                raise CannotOpen(_VHOST, error) from error
            await self._pass_named(qemu, queue, each)
        return names

    async def _pass_named(self, qemu: Monitor, descriptor: int, name: str) -> None:
        # A descriptor of this name that an earlier attempt has left is closed by QEMU.
        try:
            await qemu.pass_descriptor(descriptor, "getfd", fdname=name)
        finally:
            self._descriptors.close(descriptor)
