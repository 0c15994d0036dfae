# SPDX-License-Identifier: BSD-2-Clause
"""The packet filter of a network card, in the language of nftables.

It is a table of the family ``netdev`` for each tap device, whose hooks see all that the guest sends
and receives: on bridges, at Open vSwitch, and with routes. There, the kernel tracks no connections.
So segments of TCP that open none pass, and answers to UDP that the guest has sent within
``UDP_TIMEOUT`` seconds. Nothing of this is lost by a migration but the latter.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from ganeti.hypervisor.kvm.devices import tap
from ganeti.hypervisor.kvm.dhcp_server import (
    accept_answers,
    accept_requests,
    needs_server,
    outer_device,
)
from ganeti.model.guest import GuestNic
from ganeti.model.traffic_rules import NO_RULES, AllowRule, parse_firewall

UDP_TIMEOUT = 180
_MAX_FLOWS = 65536
"""How many partners of UDP are remembered for a card; others are not answered."""
_BYTES_PER_MBIT = 125_000
_MIN_BURST = 256 * 1024
"""In bytes: what a guest sends at once can be a packet of 64 KiB, which its card divides."""

_LINK_LOCAL = ipaddress.IPv6Network("fe80::/64")

_ICMP_REPLIES = "echo-reply, destination-unreachable, time-exceeded, parameter-problem"
_ICMP6_REPLIES = (
    "echo-reply, destination-unreachable, packet-too-big, time-exceeded, parameter-problem,"
    " nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, mld-listener-query"
)
"""Without them, a guest with IPv6 finds neither its neighbors nor its routers (RFC 4890)."""


def delete_filters(devices: Sequence[str]) -> bytes:
    """Return the input of ``nft`` that removes the tables of devices, also where there are none."""
    lines = [f"add table netdev {each}\ndelete table netdev {each}\n" for each in devices]
    return "".join(lines).encode()


def needs_filter(card: GuestNic) -> bool:
    """Return whether a card has a packet filter: for its rules, or to connect its server."""
    return card.rules is not None or needs_server(card)


def build_filter(card: GuestNic) -> bytes:
    """Return the input of ``nft`` that replaces the table of a card in one transaction.

    :raises ValueError: the rules of the card are invalid, as only an edited configuration has them.
    """
    device, rules = tap(card), card.rules or NO_RULES
    if not needs_filter(card):
        return delete_filters([device])
    lines: list[str] = []
    sends, receives = list(_limit(rules.bandwidth_out)), list(_limit(rules.bandwidth_in))
    if rules.anti_spoofing:
        sources = list(_check_source(card))
        lines += ["chain check_source {", *sources, "drop", "}"]
        sends.append("jump check_source")
    sends += accept_requests(card)
    policy = "accept"
    if rules.firewall:
        policy = "drop"
        lines += [*_flow_set("udp4", "ipv4_addr"), *_flow_set("udp6", "ipv6_addr")]
        sends.append("update @udp4 { ip daddr . udp dport . udp sport }")
        sends.append("update @udp6 { ip6 daddr . udp dport . udp sport }")
        receives += _accept_replies()
        receives += (line for each in parse_firewall(rules.firewall) for line in _accept(each))
    lines += _hook("from_guest", "ingress", device, "accept", sends)
    lines += _hook("to_guest", "egress", device, policy, receives)
    if needs_server(card):
        outer = outer_device(device)
        lines += _hook("from_server", "ingress", outer, "drop", list(accept_answers(card)))
    table = "\n".join([f"table netdev {device} {{", *lines, "}"])
    return delete_filters([device]) + f"{table}\n".encode()


def _hook(name: str, hook: str, device: str, policy: str, lines: Sequence[str]) -> Iterator[str]:
    yield f"chain {name} {{"
    yield f'type filter hook {hook} device "{device}" priority 0; policy {policy};'
    yield from lines
    yield "}"


def _limit(bandwidth: int) -> Iterator[str]:
    """Yield the rule that drops what exceeds a bandwidth in Mbit/s; 0 is no limit."""
    if bandwidth:
        rate = bandwidth * _BYTES_PER_MBIT
        burst = max(_MIN_BURST, rate // 10)
        yield f"limit rate over {rate} bytes/second burst {burst} bytes drop"


def _check_source(card: GuestNic) -> Iterator[str]:
    """Yield the rules that return if a packet is from this card's addresses."""
    address = None if card.ip is None else ipaddress.ip_address(card.ip)
    yield f"ether saddr != {card.mac} drop"
    # Only the network's own servers and routers tell others their addresses and routes.
    yield "udp sport { 67, 547 } drop"
    yield "icmpv6 type nd-router-advert drop"
    yield f"arp saddr ether != {card.mac} drop"
    if address is None:
        yield "meta protocol { arp, ip } return"
    elif address.version == 4:
        # 0.0.0.0 asks whether an address is in use (RFC 5227), and for one (RFC 2131).
        yield f"arp saddr ip {{ 0.0.0.0, {address} }} return"
        yield f"ip saddr {address} return"
        yield "ip saddr 0.0.0.0 udp sport 68 udp dport 67 return"
    allowed = list(_list_addresses6(card))
    if isinstance(address, ipaddress.IPv6Address):
        allowed.append(address)
    addresses = ", ".join(map(str, dict.fromkeys(allowed)))
    for each in dict.fromkeys(allowed):
        # The target address of an advertisement (RFC 4861, section 4.4).
        yield (
            f"ip6 saddr {{ {addresses} }} icmpv6 type nd-neighbor-advert"
            f" @th,64,128 {int(each):#034x} return"
        )
    yield "icmpv6 type nd-neighbor-advert drop"
    yield f"ip6 saddr {{ {addresses} }} return"
    # Before it has an address (RFC 4862, section 5.4.2).
    unspecified = "nd-neighbor-solicit, nd-router-solicit, mld2-listener-report"
    yield f"ip6 saddr :: icmpv6 type {{ {unspecified} }} return"


def _list_addresses6(card: GuestNic) -> Iterator[ipaddress.IPv6Address]:
    """Yield the addresses that a guest forms from its MAC address (RFC 4291, appendix A)."""
    networks = [_LINK_LOCAL]
    if card.network is not None and card.network.subnet6:
        networks.append(ipaddress.IPv6Network(card.network.subnet6, strict=False))
    mac = bytes.fromhex(card.mac.replace(":", ""))
    identifier = bytes([mac[0] ^ 2, *mac[1:3], 0xFF, 0xFE, *mac[3:]])
    for network in networks:
        if network.prefixlen == 64:
            yield network[int.from_bytes(identifier)]


def _flow_set(name: str, address: str) -> Iterator[str]:
    yield f"set {name} {{"
    yield f"type {address} . inet_service . inet_service; flags dynamic,timeout;"
    yield f"timeout {UDP_TIMEOUT}s; size {_MAX_FLOWS};"
    yield "}"


def _accept_replies() -> Iterator[str]:
    yield "meta protocol arp accept"
    yield f"icmp type {{ {_ICMP_REPLIES} }} accept"
    yield f"icmpv6 type {{ {_ICMP6_REPLIES} }} accept"
    yield "tcp flags & (syn | ack) != syn accept"
    yield "ip saddr . udp sport . udp dport @udp4 accept"
    yield "ip6 saddr . udp sport . udp dport @udp6 accept"
    # The answers of DHCP come from another address than the requests were sent to.
    yield "udp sport 67 udp dport 68 accept"
    yield "udp sport 547 udp dport 546 accept"
    # Without the first fragment, which has the ports, they are useless.
    yield "ip frag-off & 0x1fff != 0 accept"
    yield "frag frag-off != 0 accept"


def _accept(rule: AllowRule) -> Iterator[str]:
    if rule.source is None:
        families = {"icmp": "", "icmpv6": ""}
    elif rule.source.version == 4:
        families = {"icmp": f"ip saddr {rule.source} "}
    else:
        families = {"icmpv6": f"ip6 saddr {rule.source} "}
    if rule.protocol == "icmp":
        for name, source in families.items():
            yield f"{source}{name} type echo-request accept"
        return
    [source, *_] = families.values()
    if rule.ports is None:
        yield f"{source}meta l4proto {rule.protocol} accept"
    else:
        first, last = rule.ports
        yield f"{source}{rule.protocol} dport {first}-{last} accept"
