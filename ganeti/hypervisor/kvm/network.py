# SPDX-License-Identifier: BSD-2-Clause
"""The connection of network cards to the host, by tap devices."""

from __future__ import annotations

from collections.abc import Iterator

from ganeti.errors import Refused
from ganeti.hypervisor.kvm.devices import tap
from ganeti.model.guest import Guest, GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.system.interfaces import IFiles, IProcesses

_DEVICES = "/sys/class/net"


class Taps:
    """Creates and removes the tap devices of guests; requires root privileges."""

    def __init__(self, files: IFiles, processes: IProcesses) -> None:
        self._files = files
        self._processes = processes

    async def connect(self, guest: Guest, kvm: Kvm) -> None:
        """Create and connect a tap device for each card of ``guest``; all of them or none.

        :raises Refused: if the link of a card does not exist, or privileges are missing.
        """
        if kvm.kvm_net == "user":
            return
        for card in guest.nics:
            self._check(guest, card)
        await self.disconnect(tuple(map(tap, guest.nics)))
        for card in guest.nics:
            for argv in ups(card, kvm.virtio_net_queues):
                finished = await self._processes.run(argv, timeout=30)
                if finished.code:
                    await self.disconnect(tuple(map(tap, guest.nics)))
                    said = (finished.err or finished.out).decode("utf-8", "replace").strip()
                    raise Refused(
                        f"network card {card.mac} of {guest.name} cannot be connected"
                        f" ({' '.join(argv)}: {said}); run the node daemon as root, or set the"
                        " hypervisor parameter kvm_net=user"
                    )

    async def disconnect(self, devices: tuple[str, ...]) -> None:
        """Remove tap devices; missing ones are ignored."""
        for device in devices:
            if self._files.stat(f"{_DEVICES}/{device}") is not None:
                await self._processes.run(["ip", "link", "delete", device], timeout=30)

    def _check(self, guest: Guest, card: GuestNic) -> None:
        if obstacle := find_link_problem(card, self._files):
            raise Refused(f"network card {card.mac} of {guest.name}: {obstacle}")


def find_link_problem(card: GuestNic, files: IFiles) -> str:
    """Return why a card cannot be connected to this node's network; empty if it can."""
    if card.mode != "bridged" or files.stat(f"{_DEVICES}/{card.link}/bridge") is not None:
        return ""
    return (
        f"this node has no bridge {card.link}: create it, choose another link, or set the"
        " hypervisor parameter kvm_net=user"
    )


def ups(card: GuestNic, queues: int = 1) -> Iterator[list[str]]:
    """Yield the commands that create and connect the tap device of a card."""
    device = tap(card)
    add = ["ip", "tuntap", "add", "dev", device, "mode", "tap"]
    yield [*add, "multi_queue"] if queues > 1 else add
    match card.mode:
        case "bridged":
            yield ["ip", "link", "set", device, "master", card.link, "up"]
        case "openvswitch":
            yield ["ip", "link", "set", device, "up"]
            port = ["ovs-vsctl", "--may-exist", "add-port", card.link, device]
            # The VLAN format of Ganeti: .5 is an access tag, :5:6 are the tags of a trunk.
            if card.vlan.startswith("."):
                port.append(f"tag={card.vlan[1:]}")
            elif card.vlan.startswith(":"):
                port.append(f"trunks={card.vlan[1:].replace(':', ',')}")
            yield port
        case "routed":
            yield ["ip", "link", "set", device, "up"]
            if card.ip:
                table = ["table", card.link] if card.link else []
                yield ["ip", "route", "replace", card.ip, "dev", device, *table]
