# SPDX-License-Identifier: BSD-2-Clause
"""The connection of network cards to the host, by tap devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from ganeti.errors import Code, Failed, Refused
from ganeti.hypervisor.kvm.devices import count_queues, tap
from ganeti.hypervisor.kvm.dhcp_server import DhcpServers, find_server_problem, needs_server
from ganeti.hypervisor.kvm.packet_filter import build_filter, delete_filters, needs_filter
from ganeti.hypervisor.kvm.route_guard import find_route_problem
from ganeti.model.guest import Guest, GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.vlans import MAX_VLAN, parse_vlans
from ganeti.system.interfaces import MINIMAL_PATH, IFiles, IProcesses

_DEVICES = "/sys/class/net"

_OVS_SOCKET = "/run/openvswitch/db.sock"
"""Where Open vSwitch listens, if this node has it."""
_OVS = ("ovs-vsctl", "--timeout=20")
"""Without a time-out, it waits for a switch daemon that is not running."""


class Taps:
    """Creates and removes the tap devices of guests; requires root privileges.

    ``stamp`` is for the scopes of DHCP servers, see ``DhcpServers``."""

    def __init__(
        self, files: IFiles, processes: IProcesses, stamp: Callable[[], int] | None = None
    ) -> None:
        self._files = files
        self._processes = processes
        self._servers = DhcpServers(files, processes, stamp)

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
            await self._check(name, card)
        # A crash may have left devices with these names, which belong to these cards only.
        await self.disconnect(tuple(map(tap, cards)))
        for card in cards:
            try:
                await self._run_all(*add_tap(card, count_queues(kvm)))
                if needs_server(card):
                    await self._serve(card, name)
                if needs_filter(card):
                    # Before it is connected: nothing passes without it.
                    await self._filter(card)
                await self._run_all(*self._connect(card))
            except _CommandError as error:
                await self.disconnect(tuple(map(tap, cards)))
                raise Refused(
                    f"network card {card.mac} of {name} cannot be connected ({error});"
                    f" {_remedy(card)}"
                ) from None

    async def reconnect(self, before: GuestNic, card: GuestNic, name: str) -> None:
        """Connect the tap device of a running guest's card elsewhere; the guest keeps the card.

        :raises Refused: it cannot be connected there; it is where it was.
        :raises Failed: nor where it was; it is disconnected.
        """
        # Another name or an address that is not routed changes nothing outside of the
        # configuration.
        if _traffic(before) == _traffic(card) and _link(before) == _link(card):
            return
        await self._check(name, card)
        try:
            await self._change_traffic(before, card, name)
        except _CommandError as error:
            with suppress(_CommandError):
                await self._change_traffic(card, before, name)
            raise Refused(
                f"the traffic of network card {card.mac} of {name} cannot be filtered ({error}); it"
                " is as it was"
            ) from None
        if _link(before) == _link(card):
            return
        try:
            await self._run_all(*release_tap(before), *self._connect(card))
        except _CommandError as error:
            why = f"network card {card.mac} of {name} cannot be connected to {card.link} ({error})"
            await self._connect_again(before, card, name, why)
            raise Refused(f"{why}; it is still connected to {before.link}") from None

    async def _change_traffic(self, before: GuestNic, card: GuestNic, name: str) -> None:
        """Replace the DHCP server and the packet filter of a card, as far as they differ."""
        if _served(before) != _served(card):
            await self._serve(card, name)
        if _traffic(before) != _traffic(card):
            await self._filter(card)

    async def _serve(self, card: GuestNic, name: str) -> None:
        """Start the DHCP server of a card, or end it if the card needs none."""
        try:
            if needs_server(card):
                await self._servers.start(card, name)
            else:
                await self._servers.end(tap(card))
        except Failed as e:
            raise _CommandError(str(e)) from None

    async def _connect_again(self, before: GuestNic, card: GuestNic, name: str, why: str) -> None:
        """Connect a tap device to where it was, after it could not be connected elsewhere.

        :raises Failed: that cannot be done.
        """
        # Fails if it has not got so far, for example without a route.
        with suppress(_CommandError):
            await self._run_all(*release_tap(card))
        try:
            await self._change_traffic(card, before, name)
            await self._run_all(*self._connect(before))
        except _CommandError as error:
            raise Failed(
                f"{why}, and not to {before.link} again ({error}): it is disconnected; correct the"
                " network of this node, and reboot the instance",
                Code.ENVIRONMENT,
            ) from None

    def _connect(self, card: GuestNic) -> Iterator[list[str]]:
        return connect_tap(card, find_mtu(card, self._files))

    async def _filter(self, card: GuestNic) -> None:
        """Replace the packet filter of a card, or remove it if the card has no rules."""
        if find_nft(self._files):
            try:
                table = build_filter(card)
            except ValueError as e:  # a configuration that was edited
                raise _CommandError(f"its packet filter is invalid: {e}") from None
            await self._run(["nft", "-f", "-"], table)

    async def _run_all(self, *commands: Sequence[str]) -> None:
        for argv in commands:
            await self._run(argv)

    async def _run(self, argv: Sequence[str], stdin: bytes = b"") -> None:
        try:
            finished = await self._processes.run(argv, stdin=stdin, timeout=30)
        except Failed as e:  # it cannot be started, or does not end
            raise _CommandError(f"{' '.join(argv)}: {e}") from None
        if finished.code:
            said = (finished.err or finished.out).decode("utf-8", "replace").strip()
            raise _CommandError(f"{' '.join(argv)}: {said}")

    async def disconnect(self, devices: tuple[str, ...]) -> None:
        """Remove tap devices; missing ones are ignored."""
        if devices and self._files.stat(_OVS_SOCKET) is not None:
            # Its database keeps ports whose devices are gone, also when the host restarts.
            remove = (word for each in devices for word in ("--", "--if-exists", "del-port", each))
            with suppress(Failed):
                await self._processes.run([*_OVS, *remove], timeout=30)
        for device in devices:
            # ``ip link delete`` fails for a device that does not exist.
            if self._files.stat(f"{_DEVICES}/{device}") is not None:
                await self._processes.run(["ip", "link", "delete", device], timeout=30)
            # After the device, without which a server is not restored.
            with suppress(Failed):
                await self._servers.end(device)
        if devices and find_nft(self._files):
            with suppress(Failed):
                await self._processes.run(
                    ["nft", "-f", "-"], stdin=delete_filters(devices), timeout=30
                )

    async def _check(self, name: str, card: GuestNic) -> None:
        obstacle = find_link_problem(card, self._files)
        if obstacle := obstacle or await self.find_network_problem(card):
            raise Refused(f"network card {card.mac} of {name}: {obstacle}")

    async def restore_filters(self, cards: Sequence[GuestNic]) -> list[GuestNic]:
        """Set the packet filters of cards that have lost theirs; return these cards.

        :raises Failed: they cannot be listed or set.
        """
        if not cards:
            return []
        listed = await self._processes.run(["nft", "list", "tables", "netdev"], timeout=30)
        if listed.code:
            said = listed.err.decode("utf-8", "replace").strip()
            raise Failed(f"nft list tables netdev: {said}", Code.ENVIRONMENT)
        present = set(listed.out.decode().split())
        lost = [
            card
            for card in cards
            # A card without a device is about to start, or to end.
            if tap(card) not in present and self._files.stat(f"{_DEVICES}/{tap(card)}") is not None
        ]
        for card in lost:
            try:
                await self._filter(card)
            except _CommandError as error:
                raise Failed(str(error), Code.ENVIRONMENT) from None
        return lost

    async def restore_servers(self, cards: Sequence[tuple[str, GuestNic]]) -> list[str]:
        """Start the DHCP servers of cards, with the names of their guests, that have ended.

        Return the names, one for each server.

        :raises Failed: one cannot be started.
        """
        restored = []
        for name, card in cards:
            if needs_server(card) and await self._servers.restore(card, name):
                try:
                    # Its devices are new.
                    await self._filter(card)
                except _CommandError as error:
                    raise Failed(str(error), Code.ENVIRONMENT) from None
                restored.append(name)
        return restored

    async def find_network_problem(self, card: GuestNic) -> str:
        """Return why the node's network is wrong for a card whose link exists; empty if it is not.

        ``find_link_problem`` has what can be seen without running programs.
        """
        problem = await self._find_filter_problem(card)
        return problem or await find_route_problem(card, self._processes)

    async def _find_filter_problem(self, card: GuestNic) -> str:
        """Return why the rules of a card at Open vSwitch would have no effect; empty if they have.

        Its datapath outside of the kernel gets the packets of a device before any filter.
        """
        if not needs_filter(card) or card.mode != "openvswitch":
            return ""
        with suppress(_CommandError, Failed):
            argv = [*_OVS, "get", "bridge", card.link, "datapath_type"]
            found = await self._processes.run(argv, timeout=30)
            if b"netdev" in found.out:
                return (
                    f"Open vSwitch bridge {card.link} has datapath_type=netdev, which packet"
                    " filters do not see; use one of the kernel (datapath_type=system), or remove"
                    " anti_spoofing, firewall and bandwidths of the card, and the tags dhcp and ra"
                    " of its network"
                )
        return ""


class _CommandError(Exception):
    """A command that failed, with what it said."""


def _link(card: GuestNic) -> tuple[object, ...]:
    """Return what determines where a card is connected."""
    return card.mode, card.link, card.vlan, card.ip if card.mode == "routed" else None


def _filtered(card: GuestNic) -> tuple[object, ...]:
    """Return what determines the packet filter of a card."""
    return card.rules, *((card.ip, card.network) if card.rules else ())


def _served(card: GuestNic) -> tuple[object, ...]:
    """Return what determines the DHCP server of a card."""
    return (card.ip, card.network) if needs_server(card) else ()


def _traffic(card: GuestNic) -> tuple[object, ...]:
    """Return what determines the traffic of a card, wherever it is connected."""
    return _served(card), _filtered(card)


def find_nft(files: IFiles) -> bool:
    """Return whether this node can filter packets."""
    return any(files.stat(f"{folder}/nft") is not None for folder in MINIMAL_PATH.split(":"))


def _remedy(card: GuestNic) -> str:
    if card.mode == "openvswitch":
        return "check that Open vSwitch is installed and running on this node: ovs-vsctl show"
    return "run the node daemon as root, or set the hypervisor parameter kvm_net=user"


def find_link_problem(card: GuestNic, files: IFiles) -> str:
    """Return why a card cannot be connected to this node's network; empty if it can."""
    try:
        vlans = parse_vlans(card.vlan)
    except ValueError as e:
        return f"its vlan {card.vlan}: {e}; set it again: gnt-instance modify --net N:vlan=..."
    if card.rules is not None and not find_nft(files):
        return (
            "this node has no program nft for its anti_spoofing, firewall or bandwidths: install"
            " the package nftables, or remove them from the card"
        )
    if needs_server(card) and not find_nft(files):
        return (
            "this node has no program nft for the tags dhcp and ra of the card's network: install"
            " the package nftables"
        )
    if problem := find_server_problem(card, files):
        return problem
    folder = f"{_DEVICES}/{card.link}"
    match card.mode:
        case "bridged":
            if files.stat(f"{folder}/bridge") is None:
                return (
                    f"this node has no bridge {card.link}: create it, choose another link, or set"
                    " the hypervisor parameter kvm_net=user"
                )
            if vlans and not _filters_vlans(card.link, files):
                return (
                    f"bridge {card.link} of this node does not separate VLANs, so that vlan="
                    f"{card.vlan} would be ignored; configure it with vlan_filtering and the VLANs"
                    " of its uplink as in doc/networks.md, choose another link, or make the card's"
                    " vlan empty"
                )
        case "openvswitch":
            if files.stat(folder) is None or files.stat(f"{folder}/bridge") is not None:
                return (
                    f"this node has no Open vSwitch bridge {card.link}: create it (ovs-vsctl add-br"
                    f" {card.link}), choose another link, or use mode=bridged"
                )
        case "routed":
            if card.link in _TABLE_OF_THE_KERNEL:
                return (
                    f"routing table {card.link} is the kernel's, with this node's own addresses;"
                    " choose another link, such as 100"
                )
        case other:
            return f"mode {other} is no connection; use bridged, openvswitch or routed"
    return ""


_TABLE_OF_THE_KERNEL = frozenset({"local", "255", "0xff", "all", "0", "unspec", "cache"})


def _filters_vlans(bridge: str, files: IFiles) -> bool:
    try:
        return files.read(f"{_DEVICES}/{bridge}/bridge/vlan_filtering").strip() == b"1"
    except OSError:
        return False  # the kernel has no VLANs


def find_mtu(card: GuestNic, files: IFiles) -> int | None:
    """Return the MTU of a card's bridge or switch in bytes, which its tap device takes over.

    A bridge takes over the lowest MTU of its ports, unless it was given one.
    """
    try:
        return int(files.read(f"{_DEVICES}/{card.link}/mtu")) if card.mode != "routed" else None
    except (OSError, ValueError):
        return None


def add_tap(card: GuestNic, queues: int = 1) -> Iterator[list[str]]:
    """Yield the commands that create the tap device of a card."""
    add = ["ip", "tuntap", "add", "dev", tap(card), "mode", "tap"]
    # The kernel rejects a second queue of a device that was created without this flag.
    yield [*add, "multi_queue"] if queues > 1 else add
    yield ["ip", "link", "set", tap(card), "address", host_mac(card.mac)]


def host_mac(mac: str) -> str:
    """Return the MAC address of the host's end of a card.

    A bridge that was given no address has the lowest of its ports. The node's own address may be on
    this bridge, and would be lost for its peers while they have the former one. So it begins with
    ``fe``, and is never that of the card.
    """
    first = "fa" if mac.lower().startswith("fe") else "fe"
    return first + mac[2:].lower()


def release_tap(card: GuestNic) -> Iterator[list[str]]:
    """Yield the commands that disconnect the tap device of a card from where it is."""
    device = tap(card)
    match card.mode:
        case "bridged":
            # Down, so that nothing passes before it has its VLANs.
            yield ["ip", "link", "set", device, "down", "nomaster"]
        case "openvswitch":
            yield [*_OVS, "--if-exists", "del-port", device]
        case "routed":
            yield ["ip", "route", "flush", "dev", device, *_table(card)]


def _table(card: GuestNic) -> list[str]:
    # Ganeti's format: the link of a routed card is a routing table.
    return ["table", card.link] if card.link else []


def connect_tap(card: GuestNic, mtu: int | None = None) -> Iterator[list[str]]:
    """Yield the commands that connect the tap device of a card, with an MTU in bytes if given."""
    device = tap(card)
    sized = [] if mtu is None else ["mtu", str(mtu)]
    match card.mode:
        case "bridged":
            yield from _connect_to_bridge(card, sized)
        case "openvswitch":
            yield ["ip", "link", "set", device, *sized, "up"]
            # As a new port, in one transaction: one that was left may have other VLANs.
            new = ["--if-exists", "del-port", device, "--", "add-port", card.link, device]
            yield [*_OVS, *new, *_ovs_vlans(card)]
        case "routed":
            yield ["ip", "link", "set", device, "up"]
            if card.ip:
                # "replace", as the route may have been left by the guest's last start.
                yield ["ip", "route", "replace", card.ip, "dev", device, *_table(card)]


def _connect_to_bridge(card: GuestNic, sized: Sequence[str]) -> Iterator[list[str]]:
    device, vlans = tap(card), parse_vlans(card.vlan)
    join = ["ip", "link", "set", device, *sized, "master", card.link]
    if not vlans:
        yield [*join, "up"]
        return
    yield join
    # Its ports are in a default VLAN until they get others.
    yield ["bridge", "vlan", "del", "dev", device, "vid", f"1-{MAX_VLAN}"]
    if vlans.untagged is not None:
        yield [
            *("bridge", "vlan", "add", "dev", device, "vid", str(vlans.untagged)),
            *("pvid", "untagged"),
        ]
    for vlan in vlans.tagged:
        yield ["bridge", "vlan", "add", "dev", device, "vid", str(vlan)]
    yield ["ip", "link", "set", device, "up"]


def _ovs_vlans(card: GuestNic) -> Iterator[str]:
    vlans = parse_vlans(card.vlan)
    if vlans.untagged is not None:
        yield f"tag={vlans.untagged}"
    if vlans.tagged:
        yield f"trunks={','.join(map(str, vlans.tagged))}"
    # A port with both would be an access port, without its tagged VLANs.
    if vlans.untagged is not None and vlans.tagged:
        yield "vlan_mode=native-untagged"
