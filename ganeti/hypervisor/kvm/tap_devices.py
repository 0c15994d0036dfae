# SPDX-License-Identifier: BSD-2-Clause
"""The connection of network cards to the host, by tap devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from ganeti.errors import Code, Failed, Refused
from ganeti.hypervisor.kvm.devices import count_queues, tap
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
        await self.connect_cards(guest.name, guest.nics, kvm)

    async def connect_cards(self, name: str, cards: Sequence[GuestNic], kvm: Kvm) -> None:
        """Create and connect a tap device for each card of the guest ``name``; all or none.

        :raises Refused: as ``connect``.
        """
        if kvm.kvm_net == "user":
            return
        # All are checked first, so that a missing bridge leaves nothing to be undone.
        for card in cards:
            self._check(name, card)
        # A crash may have left devices with these names, which belong to these cards only.
        await self.disconnect(tuple(map(tap, cards)))
        for card in cards:
            try:
                await self._run_all(add_tap(card, count_queues(kvm)), *connect_tap(card))
            except _CommandError as error:
                await self.disconnect(tuple(map(tap, cards)))
                raise Refused(
                    f"network card {card.mac} of {name} cannot be connected ({error}); run the node"
                    " daemon as root, or set the hypervisor parameter kvm_net=user"
                ) from None

    async def reconnect(self, before: GuestNic, card: GuestNic, name: str) -> None:
        """Connect the tap device of a running guest's card elsewhere; the guest keeps the card.

        :raises Refused: it cannot be connected there; it is where it was.
        :raises Failed: nor where it was; it is disconnected.
        """
        # Another name or an address that is not routed changes nothing outside of the
        # configuration.
        if _link(before) == _link(card):
            return
        self._check(name, card)
        try:
            await self._run_all(*release_tap(before), *connect_tap(card))
        except _CommandError as error:
            why = f"network card {card.mac} of {name} cannot be connected to {card.link} ({error})"
            await self._connect_again(before, card, why)
            raise Refused(f"{why}; it is still connected to {before.link}") from None

    async def _connect_again(self, before: GuestNic, card: GuestNic, why: str) -> None:
        """Connect a tap device to where it was, after it could not be connected elsewhere.

        :raises Failed: that cannot be done.
        """
        # Fails if it has not got so far, for example without a route.
        with suppress(_CommandError):
            await self._run_all(*release_tap(card))
        try:
            await self._run_all(*connect_tap(before))
        except _CommandError as error:
            raise Failed(
                f"{why}, and not to {before.link} again ({error}): it is disconnected; correct the"
                " network of this node, and reboot the instance",
                Code.ENVIRONMENT,
            ) from None

    async def _run_all(self, *commands: Sequence[str]) -> None:
        for argv in commands:
            try:
                finished = await self._processes.run(argv, timeout=30)
            except Failed as e:  # it cannot be started, or does not end
                raise _CommandError(f"{' '.join(argv)}: {e}") from None
            if finished.code:
                said = (finished.err or finished.out).decode("utf-8", "replace").strip()
                raise _CommandError(f"{' '.join(argv)}: {said}")

    async def disconnect(self, devices: tuple[str, ...]) -> None:
        """Remove tap devices; missing ones are ignored."""
        for device in devices:
            # ``ip link delete`` fails for a device that does not exist.
            if self._files.stat(f"{_DEVICES}/{device}") is not None:
                await self._processes.run(["ip", "link", "delete", device], timeout=30)

    def _check(self, name: str, card: GuestNic) -> None:
        if obstacle := find_link_problem(card, self._files):
            raise Refused(f"network card {card.mac} of {name}: {obstacle}")


class _CommandError(Exception):
    """A command that failed, with what it said."""


def _link(card: GuestNic) -> tuple[object, ...]:
    """Return what determines where a card is connected."""
    return card.mode, card.link, card.vlan, card.ip if card.mode == "routed" else None


def find_link_problem(card: GuestNic, files: IFiles) -> str:
    """Return why a card cannot be connected to this node's network; empty if it can."""
    if card.mode != "bridged" or files.stat(f"{_DEVICES}/{card.link}/bridge") is not None:
        return ""
    return (
        f"this node has no bridge {card.link}: create it, choose another link, or set the"
        " hypervisor parameter kvm_net=user"
    )


def add_tap(card: GuestNic, queues: int = 1) -> list[str]:
    """Return the command that creates the tap device of a card."""
    add = ["ip", "tuntap", "add", "dev", tap(card), "mode", "tap"]
    # The kernel rejects a second queue of a device that was created without this flag.
    return [*add, "multi_queue"] if queues > 1 else add


def release_tap(card: GuestNic) -> Iterator[list[str]]:
    """Yield the commands that disconnect the tap device of a card from where it is."""
    device = tap(card)
    match card.mode:
        case "bridged":
            yield ["ip", "link", "set", device, "nomaster"]
        case "openvswitch":
            yield ["ovs-vsctl", "--if-exists", "del-port", card.link, device]
        case "routed":
            yield ["ip", "route", "flush", "dev", device, *_table(card)]


def _table(card: GuestNic) -> list[str]:
    # Ganeti's format: the link of a routed card is a routing table.
    return ["table", card.link] if card.link else []


def connect_tap(card: GuestNic) -> Iterator[list[str]]:
    """Yield the commands that connect the tap device of a card."""
    device = tap(card)
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
                # "replace", as the route may have been left by the guest's last start.
                yield ["ip", "route", "replace", card.ip, "dev", device, *_table(card)]
