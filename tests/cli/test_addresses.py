# SPDX-License-Identifier: BSD-2-Clause
"""Names become addresses that other nodes can reach, and names that the hosts have themselves."""

from __future__ import annotations

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.addresses import (
    Lookup,
    find_device,
    find_ipv6_device,
    resolve_full_name,
    resolved,
)
from ganeti.cli.session import ExitTool


def resolver(*addresses: str, canonical: str = "") -> Lookup:
    """A resolver that knows one name; without addresses it knows none."""

    def lookup(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, canonical, (each, 0)) for each in addresses]

    return lookup


class ResolvedTests(SynchronousTestCase):
    def refused(self, *addresses: str) -> str:
        lookup = resolver(*addresses)
        return str(self.assertRaises(ExitTool, resolved, "node1", "--primary-ip", lookup=lookup))

    def test_an_address_that_others_can_reach_is_taken(self) -> None:
        lookup = resolver("127.0.1.1", "192.0.2.1")
        self.assertEqual(resolved("node1", "--primary-ip", lookup=lookup), "192.0.2.1")

    def test_a_loopback_address_alone_is_refused(self) -> None:
        told = self.refused("127.0.1.1")
        self.assertIn("node1 resolves to 127.0.1.1, which other nodes cannot reach", told)
        self.assertIn("/etc/hosts", told)
        lookup = resolver("127.0.1.1")
        self.assertEqual(resolved("n", "--x", loopback=True, lookup=lookup), "127.0.1.1")

    def test_a_name_without_an_address_says_how_to_give_it(self) -> None:
        self.assertIn("give its address with --primary-ip ADDRESS", self.refused())

    def test_a_name_with_an_address_of_the_other_version_only_says_so(self) -> None:
        def lookup(name: str, port: None, family: int, kind: int) -> list[tuple[Any, ...]]:
            return resolver(*(["2001:db8::1"] if family == socket.AF_INET6 else []))()

        with self.assertRaisesRegex(ExitTool, "IPv6 address 2001:db8::1, and no IPv4 .*--prim"):
            resolved("node1", "--primary-ip", lookup=lookup)
        found = resolved("node1", "--primary-ip", socket.AF_INET6, lookup=lookup)
        self.assertEqual(found, "2001:db8::1")


class FullNameTests(SynchronousTestCase):
    def test_a_short_name_gets_its_domain(self) -> None:
        lookup = resolver("192.0.2.2", canonical="node2.example.com")
        self.assertEqual(resolve_full_name("node2", lookup), "node2.example.com")

    def test_another_name_or_none_leaves_it_as_it_is(self) -> None:
        for lookup in (resolver("192.0.2.2", canonical="alias.example.com"), resolver()):
            self.assertEqual(resolve_full_name("node2", lookup), "node2")


class DeviceTests(SynchronousTestCase):
    def test_the_device_of_an_address_is_found(self) -> None:
        [loopback] = [name for _, name in socket.if_nameindex() if name == "lo"]
        self.assertEqual(find_device("127.0.0.1"), loopback)
        self.assertIsNone(find_device("192.0.2.254"))

    def test_the_device_of_an_ipv6_address_is_found(self) -> None:
        table = (
            "20010db8000000000000000000000001 02 40 00 80     eth0\n"
            "00000000000000000000000000000001 01 80 10 80       lo\n"
        )
        self.assertEqual(find_ipv6_device("::1", table), "lo")
        self.assertEqual(find_ipv6_device("2001:db8::1", table), "eth0")
        self.assertIsNone(find_ipv6_device("2001:db8::2", table))
        self.assertIsNone(find_device("2001:db8::2"))
