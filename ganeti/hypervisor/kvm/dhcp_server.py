# SPDX-License-Identifier: BSD-2-Clause
"""DHCP and router advertisements of a card: a process of dnsmasq beside the guest.

Each card has a server of its own, in a network namespace with the name of the card's tap device. A
pair of virtual devices leads there. The packet filter of the card sends the guest's requests into
it, and the answers to the guest, before a bridge, a switch or a route sees them. So the node needs
no address in the network, the server hears and answers no other machine, and no other server gets
the requests. The namespace has no other connection. The server keeps nothing: it ends with the tap
device, and can be started again at any time.
"""

from __future__ import annotations

import ipaddress
import signal
from collections.abc import Callable, Iterator

from twisted.internet.defer import DeferredLock

from ganeti.errors import Code, Failed
from ganeti.hypervisor.kvm.devices import tap
from ganeti.hypervisor.kvm.scope import scope_command
from ganeti.model.guest import GuestNic
from ganeti.model.network import ADVERTISEMENT_TAG, DHCP_TAG
from ganeti.system.interfaces import MINIMAL_PATH, IFiles, IProcesses

_PROGRAM = "dnsmasq"
_NAMESPACES = "/run/netns"
_DEVICES = "/sys/class/net"
_DEVICE = "server"
"""The name of the server's end, in its namespace."""
_LEASE = "1h"
_ROUTER, _DNS_SERVER, _HOST_NAME, _DOMAIN_NAME = 3, 6, 12, 15
"""Options of DHCP (RFC 2132); dnsmasq accepts names of options only with a value."""
_INTERVAL = 60
"""Seconds between two advertisements that no guest has asked for."""
_TIMEOUT = 30.0
_TO_BE_CHOSEN = "pool"
"""The address of a card that is checked before the master takes one of the network's pool."""

MISSING = (
    "this node has no program dnsmasq for the tags dhcp and ra of the card's network: install the"
    " package dnsmasq-base"
)


def offers_addresses(card: GuestNic) -> bool:
    """Return whether a card gets its IPv4 address by DHCP."""
    network = card.network
    if network is None or DHCP_TAG not in network.tags:
        return False
    return bool(network.subnet and card.ip and ":" not in card.ip)


def advertises_prefix(card: GuestNic) -> bool:
    """Return whether a card gets advertisements of its network's IPv6 prefix."""
    network = card.network
    return network is not None and ADVERTISEMENT_TAG in network.tags and bool(network.subnet6)


def needs_server(card: GuestNic) -> bool:
    """Return whether a card has a server."""
    return offers_addresses(card) or advertises_prefix(card)


def find_server_problem(card: GuestNic, files: IFiles) -> str:
    """Return why a card cannot have the server that it needs on this node; empty if it can."""
    network = card.network
    if network is None or not needs_server(card):
        return ""
    if not any(files.stat(f"{folder}/{_PROGRAM}") for folder in MINIMAL_PATH.split(":")):
        return MISSING
    try:
        chosen = offers_addresses(card) and card.ip != _TO_BE_CHOSEN
        if chosen and not _is_in(card.ip or "", network.subnet):
            return (
                f"its address {card.ip} is not in {network.subnet} of network {network.name}, so"
                f" that DHCP cannot offer it; give the card another address, or remove the tag"
                f" {DHCP_TAG} of the network"
            )
        if advertises_prefix(card) and ipaddress.ip_network(network.subnet6).prefixlen != 64:
            return (
                f"guests make addresses of prefixes of the length 64 only, and network"
                f" {network.name} has {network.subnet6}; remove the tag {ADVERTISEMENT_TAG} of the"
                " network"
            )
    except ValueError as e:  # a configuration that was edited
        return f"network {network.name} has an invalid address: {e}"
    return ""


def _is_in(address: str, subnet: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(subnet, strict=False)


def outer_device(tap_device: str) -> str:
    """Return the name of the device of the host that leads to the server of a tap device."""
    return f"dhc{tap_device[3:]}"


def server_mac(card: GuestNic) -> str:
    """Return the MAC address of a card's server, which no other device of its guest has."""
    first = "f6" if card.mac.lower().startswith("f2") else "f2"
    return first + card.mac[2:].lower()


def accept_requests(card: GuestNic) -> Iterator[str]:
    """Yield the rules of nftables that pass what a guest sends to its server.

    The extension of a lease is sent to the MAC address of the gateway, whose IPv4 address the
    server has.
    """
    mac, device = server_mac(card), outer_device(tap(card))
    if offers_addresses(card):
        yield f'udp sport 68 udp dport 67 ether daddr set {mac} fwd to "{device}"'
    if advertises_prefix(card):
        # Real routers have to get it, too.
        yield f'icmpv6 type nd-router-solicit dup to "{device}"'
        yield f'ether daddr {mac} icmpv6 type nd-neighbor-advert fwd to "{device}"'


def accept_answers(card: GuestNic) -> Iterator[str]:
    """Yield the rules of nftables that pass what a server sends to its guest; all else is
    dropped."""
    device = tap(card)
    if offers_addresses(card):
        yield f'udp sport 67 udp dport 68 fwd to "{device}"'
    if advertises_prefix(card):
        types = "nd-router-advert, nd-neighbor-solicit"
        yield f'ip6 saddr fe80::/64 icmpv6 type {{ {types} }} fwd to "{device}"'


class DhcpServers:
    """Starts and ends servers; requires root privileges. With ``stamp``, which returns another
    number each time, a server gets a systemd scope."""

    def __init__(
        self, files: IFiles, processes: IProcesses, stamp: Callable[[], int] | None = None
    ) -> None:
        self._files = files
        self._processes = processes
        self._stamp = stamp
        # So that a server is not restored while its card starts, changes or ends.
        self._lock = DeferredLock()

    async def start(self, card: GuestNic, guest: str) -> None:
        """Start the server of a card of the guest with this name; one that was left is ended.

        :raises Failed: it cannot be started; nothing is left of it.
        """
        async with self._lock:
            await self._start(card, guest)

    async def restore(self, card: GuestNic, guest: str) -> bool:
        """Start the server of a card again if it has ended; return whether it had.

        A card without a tap device has none, as it is about to start, or to end.

        :raises Failed: as ``start``.
        """
        async with self._lock:
            return await self._restore(card, guest)

    async def end(self, device: str) -> None:
        """End the server of a tap device, if it has one.

        :raises Failed: its namespace cannot be removed.
        """
        async with self._lock:
            await self._end(device)

    async def _restore(self, card: GuestNic, guest: str) -> bool:
        device = tap(card)
        if self._files.stat(f"{_DEVICES}/{device}") is None:
            return False
        exists = self._files.stat(f"{_NAMESPACES}/{device}") is not None
        if exists and await self._list_processes(device):
            return False
        await self._start(card, guest)
        return True

    async def _start(self, card: GuestNic, guest: str) -> None:
        device = tap(card)
        await self._end(device)
        try:
            for argv in _create_namespace(card):
                await self._run(*argv)
            scope = [] if self._stamp is None else scope_command(f"{guest}-dhcp", self._stamp())
            inside = ("nsenter", f"--net={_NAMESPACES}/{device}")
            await self._run(*scope, *inside, _PROGRAM, *server_options(card, guest))
        except BaseException:
            await self._end(device)
            raise

    async def _end(self, device: str) -> None:
        if self._files.stat(f"{_NAMESPACES}/{device}") is not None:
            for pid in await self._list_processes(device):
                self._processes.kill(pid, signal.SIGKILL)
            await self._run("ip", "netns", "delete", device)
        outer = outer_device(device)
        # The kernel removes it with the namespace, but not at once. It may be gone by now.
        if self._files.stat(f"{_DEVICES}/{outer}") is not None:
            await self._processes.run(["ip", "link", "delete", outer], timeout=_TIMEOUT)

    async def _list_processes(self, device: str) -> list[int]:
        # The kernel tells them, and not a file that a server could have written. It fails for a
        # name whose namespace is gone.
        listed = await self._processes.run(["ip", "netns", "pids", device], timeout=_TIMEOUT)
        return [int(each) for each in listed.out.split()]

    async def _run(self, *argv: str) -> None:
        finished = await self._processes.run(argv, timeout=_TIMEOUT)
        if finished.code:
            said = (finished.err or finished.out).decode("utf-8", "replace").strip()
            raise Failed(f"{' '.join(argv)}: {said}", Code.ENVIRONMENT)


def _create_namespace(card: GuestNic) -> Iterator[list[str]]:
    """Yield the commands that create the namespace of a server with its devices and addresses."""
    device, mac = tap(card), server_mac(card)
    outer = outer_device(device)
    inside = ["ip", "-netns", device]
    yield ["ip", "netns", "add", device]
    yield [
        *("ip", "link", "add", outer, "type", "veth"),
        *("peer", "name", _DEVICE, "netns", device),
    ]
    # The host has no address of IPv6 there.
    yield ["ip", "link", "set", outer, "addrgenmode", "none", "up"]
    yield [*inside, "link", "set", _DEVICE, "address", mac, "addrgenmode", "none", "up"]
    # Routers advertise from such an address only (RFC 4861, section 4.2). It is used at once, as
    # no other device has it.
    for address in _list_addresses(card):
        add = [*inside, "address", "add", address, "dev", _DEVICE]
        yield [*add, "nodad"] if ":" in address else add
    if offers_addresses(card):
        # It cannot ask for it, as nothing but answers gets to the guest.
        yield [
            *(*inside, "neighbor", "replace", card.ip or "", "lladdr", card.mac),
            *("dev", _DEVICE, "nud", "permanent"),
        ]


def _list_addresses(card: GuestNic) -> Iterator[str]:
    network = card.network
    if network is None:
        return
    if offers_addresses(card):
        length = ipaddress.ip_network(network.subnet, strict=False).prefixlen
        yield f"{_server_address(card)}/{length}"
    if advertises_prefix(card):
        mac = bytes.fromhex(server_mac(card).replace(":", ""))
        identifier = bytes([mac[0] ^ 2, *mac[1:3], 0xFF, 0xFE, *mac[3:]])
        for prefix in ("fe80::/64", network.subnet6):
            subnet = ipaddress.IPv6Network(prefix, strict=False)
            yield f"{subnet[int.from_bytes(identifier)]}/64"


def _server_address(card: GuestNic) -> str:
    """Return the IPv4 address of the server: that of the gateway, or another one of the subnet.

    It is never seen outside of the namespace, but in the answers of DHCP.
    """
    assert card.network is not None
    subnet = ipaddress.IPv4Network(card.network.subnet, strict=False)
    if card.network.gateway and ipaddress.IPv4Address(card.network.gateway) in subnet:
        return card.network.gateway
    return str(next(each for each in (subnet[-2], subnet[1]) if str(each) != card.ip))


def server_options(card: GuestNic, guest: str) -> Iterator[str]:
    """Yield the options of a card's server (dnsmasq(8)); ``guest`` is the name of the instance."""
    network = card.network
    if network is None:
        return
    # No files of the host, no DNS, no leases on disk: the configuration is the record of them.
    yield from ("--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--port=0")
    yield from ("--leasefile-ro", "--pid-file", "--user=nobody", f"--interface={_DEVICE}")
    yield from ("--quiet-dhcp", "--quiet-dhcp6", "--quiet-ra")
    if offers_addresses(card):
        subnet = ipaddress.IPv4Network(network.subnet, strict=False)
        yield from ("--dhcp-authoritative", "--no-ping", "--dhcp-ignore=tag:!known")
        yield f"--dhcp-range={subnet.network_address},static,{subnet.netmask},{_LEASE}"
        yield f"--dhcp-host={card.mac},{card.ip}"
        host, _, domain = guest.partition(".")
        yield f"--dhcp-option={_HOST_NAME},{host}"
        if domain:
            yield f"--dhcp-option={_DOMAIN_NAME},{domain}"
        # Without a value, an option is not sent; the default is the server itself.
        router = f",{network.gateway}" if network.gateway else ""
        yield from (f"--dhcp-option={_ROUTER}{router}", f"--dhcp-option={_DNS_SERVER}")
    if advertises_prefix(card):
        prefix = ipaddress.IPv6Network(network.subnet6, strict=False)
        yield from ("--enable-ra", f"--dhcp-range={prefix.network_address},ra-only,64")
        # A lifetime of 0: it is no router itself (RFC 4861, section 4.2).
        yield f"--ra-param={_DEVICE},{_INTERVAL},0"
