# SPDX-License-Identifier: BSD-2-Clause
"""What a network card may send and receive, as its parameters say."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line

ANTI_SPOOFING_TAG = "anti-spoofing"
"""The tag of a network whose cards all have ``anti_spoofing``."""

DENY = "deny"
"""The rules of a firewall that allow nothing."""
_WORD = re.compile(
    r"(?P<protocol>icmp|tcp|udp)"
    r"(:(?P<first>\d{1,5})(-(?P<last>\d{1,5}))?)?"
    r"(@(?P<source>[0-9a-fA-F:.]+(/\d{1,3})?))?"
)
MAX_RULES = 100
MAX_PORT = 65535


class TrafficRules(Record, omit_defaults=True):
    """The rules of a card; bandwidths are in Mbit/s as the guest sees them, 0 is no limit.

    ``firewall`` has what others may send to the guest, see ``parse_firewall``; empty is anything.
    """

    anti_spoofing: bool = False
    firewall: Line = ""
    bandwidth_in: Integer = 0
    bandwidth_out: Integer = 0

    def __bool__(self) -> bool:
        return self != NO_RULES


NO_RULES = TrafficRules()


@dataclass(frozen=True)
class AllowRule:
    """What others may send to a guest: ``ports`` are the first and the last, ``source`` is an IP
    network; None is any."""

    protocol: str
    ports: tuple[int, int] | None = None
    source: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None


def parse_firewall(text: str) -> tuple[AllowRule, ...]:
    """Return what is allowed by words such as ``tcp:22``, ``udp:5000-5100@192.0.2.0/24``, ``icmp``.

    :raises ValueError: a word is no rule; with the reason.
    """
    words = text.split()
    if words == [DENY]:
        return ()
    if len(words) > MAX_RULES:
        raise ValueError(f"has more than {MAX_RULES} rules; allow ranges of ports or networks")
    return tuple(_parse_words(words))


def _parse_words(words: list[str]) -> Iterator[AllowRule]:
    for word in words:
        found = _WORD.fullmatch(word)
        if found is None or (found["protocol"] == "icmp" and found["first"]):
            raise ValueError(
                f"{word} is no rule: use words such as tcp:22, udp:5000-5100@192.0.2.0/24 or icmp,"
                f" separated by spaces, or {DENY} to allow nothing"
            )
        ports = None
        if found["first"]:
            ports = (int(found["first"]), int(found["last"] or found["first"]))
            if not 0 < ports[0] <= ports[1] <= MAX_PORT:
                raise ValueError(f"{word} has no range of ports from 1 to {MAX_PORT}")
        source = None
        if found["source"]:
            try:
                source = ipaddress.ip_network(found["source"])
            except ValueError as e:
                raise ValueError(f"{word}: {e}") from None
        yield AllowRule(found["protocol"], ports, source)
