# SPDX-License-Identifier: BSD-2-Clause
"""DHCP servers of cards; tests/system/test_guest_dhcp.py has what guests get from them."""

from __future__ import annotations

import signal
from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.hypervisor.kvm.dhcp_server import (
    DhcpServers,
    advertises_prefix,
    find_server_problem,
    needs_server,
    offers_addresses,
    server_mac,
    server_options,
)
from ganeti.model.guest import GuestNetwork, GuestNic
from ganeti.schema.records import replace
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Ran, Script

NETWORK = GuestNetwork(
    name="office",
    uuid="u",
    tags=("dhcp",),
    subnet="192.0.2.0/24",
    gateway="192.0.2.1",
    subnet6="2001:db8:7::/64",
)
CARD = GuestNic(
    uuid="0123456789ab-cdef",
    mac="aa:00:10:00:00:01",
    mode="bridged",
    link="br0",
    ip="192.0.2.7",
    network=NETWORK,
)
TAP, OUTER = "gnt0123456789ab", "dhc0123456789ab"
NAMESPACE = f"/run/netns/{TAP}"


def with_tags(*tags: str) -> GuestNic:
    return replace(CARD, network=replace(NETWORK, tags=tags))


class NeedTests(SynchronousTestCase):
    """A card needs a server if a tag of its network says so, and there is something to offer."""

    def test_the_tags_are_separate(self) -> None:
        for tags, offers, advertises in (
            ((), False, False),
            (("dhcp",), True, False),
            (("ra",), False, True),
            (("ra", "dhcp"), True, True),
        ):
            card = with_tags(*tags)
            self.assertEqual(
                (offers_addresses(card), advertises_prefix(card)), (offers, advertises)
            )

    def test_without_an_address_or_a_network_there_is_nothing_to_offer(self) -> None:
        for card in (
            replace(CARD, ip=None),
            replace(CARD, ip="2001:db8:7::1"),
            replace(CARD, network=None),
            replace(CARD, network=replace(NETWORK, tags=("ra",), subnet6="")),
        ):
            self.assertFalse(needs_server(card))


class ProblemTests(SynchronousTestCase):
    def problem(self, card: GuestNic, *, program: bool = True) -> str:
        disk = MemoryDisk()
        if program:
            disk.put("/usr/sbin/dnsmasq", b"", 0o755, 0)
        return find_server_problem(card, MemoryFiles(disk))

    def test_a_card_with_all_it_needs_has_none(self) -> None:
        self.assertEqual(self.problem(with_tags("dhcp", "ra")), "")

    def test_an_address_that_is_not_chosen_yet_is_none(self) -> None:
        self.assertEqual(self.problem(replace(CARD, ip="pool")), "")

    def test_a_node_without_the_program_is_told_what_to_install(self) -> None:
        self.assertIn("install the package dnsmasq-base", self.problem(CARD, program=False))
        self.assertEqual(self.problem(with_tags(), program=False), "")

    def test_what_cannot_be_offered_is_refused(self) -> None:
        wide = replace(NETWORK, tags=("ra",), subnet6="2001:db8::/56")
        self.assertIn("not in 192.0.2.0/24", self.problem(replace(CARD, ip="198.51.100.7")))
        self.assertIn("length 64 only", self.problem(replace(CARD, network=wide)))

    def test_a_network_that_was_edited_is_refused(self) -> None:
        card = replace(CARD, network=replace(NETWORK, subnet="office"))
        self.assertIn("network office has an invalid address", self.problem(card))


class OptionTests(SynchronousTestCase):
    def options(self, card: GuestNic, guest: str = "web1.example.com") -> list[str]:
        return list(server_options(card, guest))

    def test_the_guest_gets_its_address_gateway_and_name(self) -> None:
        found = self.options(CARD)
        for expected in (
            "--dhcp-range=192.0.2.0,static,255.255.255.0,1h",
            "--dhcp-host=aa:00:10:00:00:01,192.0.2.7",
            "--dhcp-ignore=tag:!known",
            "--dhcp-option=3,192.0.2.1",
            "--dhcp-option=12,web1",
            "--dhcp-option=15,example.com",
        ):
            self.assertIn(expected, found)
        self.assertNotIn("--enable-ra", found)

    def test_without_a_gateway_or_a_domain_there_are_no_such_options(self) -> None:
        card = replace(CARD, network=replace(NETWORK, gateway=""))
        found = self.options(card, "web1")
        self.assertIn("--dhcp-option=3", found)
        self.assertEqual([each for each in found if "option=15" in each], [])

    def test_a_prefix_is_advertised_by_no_router(self) -> None:
        found = self.options(with_tags("ra"))
        self.assertIn("--dhcp-range=2001:db8:7::,ra-only,64", found)
        self.assertIn("--ra-param=server,60,0", found)
        self.assertEqual([each for each in found if "dhcp-host" in each], [])

    def test_it_keeps_neither_files_nor_powers(self) -> None:
        found = self.options(CARD)
        for expected in ("--conf-file=/dev/null", "--leasefile-ro", "--user=nobody", "--port=0"):
            self.assertIn(expected, found)

    def test_it_never_has_the_address_of_its_card(self) -> None:
        found = [
            server_mac(replace(CARD, mac=mac)) for mac in ("AA:00:10:00:00:01", "f2:0:0:0:0:1")
        ]
        self.assertEqual(found, ["f2:00:10:00:00:01", "f6:0:0:0:0:1"])


class ServerTests(SynchronousTestCase):
    """The node has namespaces as the commands create and delete them."""

    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder(f"/sys/class/net/{TAP}", 0o755)
        self.pids = b""
        self.processes = MemoryProcesses(Clock(), {"ip": self.ip, "nsenter": self.nsenter})
        self.dnsmasq = Script()
        self.servers = self.make()

    def make(self, stamp: Callable[[], int] | None = None) -> DhcpServers:
        return DhcpServers(MemoryFiles(self.disk), self.processes, stamp)

    def ip(self, ran: Ran) -> Script:
        match ran.argv[1:]:
            case ("netns", "add", name):
                self.disk.put(f"/run/netns/{name}", b"", 0o644, 0)
            case ("netns", "delete", name):
                self.successResultOf(MemoryFiles(self.disk).remove(f"/run/netns/{name}"))
                self.pids = b""
            case ("netns", "pids", _):
                return Script(out=self.pids)
        return Script()

    def nsenter(self, ran: Ran) -> Script:
        if not self.dnsmasq.code:
            self.pids = b"42\n"
            self.processes.alive[42] = ran
        return self.dnsmasq

    def commands(self) -> list[str]:
        return [" ".join(ran.argv) for ran in self.processes.ran]

    def exists(self) -> bool:
        return MemoryFiles(self.disk).stat(NAMESPACE) is not None

    def test_it_runs_in_a_namespace_of_its_own_with_the_address_of_the_gateway(self) -> None:
        self.successResultOf(self.servers.start(CARD, "web1"))
        inside = f"ip -netns {TAP}"
        expected = [
            f"ip netns add {TAP}",
            f"ip link add {OUTER} type veth peer name server netns {TAP}",
            f"ip link set {OUTER} addrgenmode none up",
            f"{inside} link set server address f2:00:10:00:00:01 addrgenmode none up",
            f"{inside} address add 192.0.2.1/24 dev server",
            f"{inside} neighbor replace 192.0.2.7 lladdr {CARD.mac} dev server nud permanent",
        ]
        self.assertEqual(self.commands()[:-1], expected)
        self.assertTrue(self.commands()[-1].startswith(f"nsenter --net={NAMESPACE} dnsmasq --conf"))

    def test_without_a_gateway_it_has_an_address_that_is_not_its_guests(self) -> None:
        for ip, other in (("192.0.2.7", "192.0.2.254"), ("192.0.2.254", "192.0.2.1")):
            card = replace(CARD, ip=ip, network=replace(NETWORK, gateway=""))
            self.successResultOf(self.servers.start(card, "web1"))
            added = f"ip -netns {TAP} address add {other}/24 dev server"
            self.assertIn(added, self.commands())

    def test_it_advertises_from_a_link_local_address(self) -> None:
        self.successResultOf(self.servers.start(with_tags("ra"), "web1"))
        added = [each.split()[5] for each in self.commands() if "address add" in each]
        self.assertEqual(added, ["fe80::f000:10ff:fe00:1/64", "2001:db8:7:0:f000:10ff:fe00:1/64"])

    def test_it_gets_a_scope_where_guests_have_one(self) -> None:
        self.processes.programs["systemd-run"] = Script()
        self.successResultOf(self.make(lambda: 7).start(CARD, "web1"))
        self.assertIn("--unit=ganeti-guest-web1-dhcp-7", self.processes.ran[-1].argv)

    def test_one_that_cannot_be_started_leaves_nothing(self) -> None:
        self.dnsmasq = Script(code=1, err=b"dnsmasq: bad option\n")
        failure = self.failureResultOf(self.servers.start(CARD, "web1"), Failed)
        self.assertIn("dnsmasq: bad option", str(failure.value))
        self.assertFalse(self.exists())

    def test_its_end_kills_what_runs_in_the_namespace(self) -> None:
        self.successResultOf(self.servers.start(CARD, "web1"))
        self.disk.add_folder(f"/sys/class/net/{OUTER}", 0o755)
        self.successResultOf(self.servers.end(TAP))
        self.assertEqual(self.processes.killed, [(42, signal.SIGKILL)])
        self.assertFalse(self.exists())
        self.assertEqual(self.commands()[-1], f"ip link delete {OUTER}")

    def test_the_end_of_none_asks_nothing(self) -> None:
        self.successResultOf(self.servers.end(TAP))
        self.assertEqual(self.commands(), [])

    def test_one_that_has_ended_is_started_again_and_no_other(self) -> None:
        self.successResultOf(self.servers.start(CARD, "web1"))
        self.assertFalse(self.successResultOf(self.servers.restore(CARD, "web1")))
        self.pids = b""
        self.assertTrue(self.successResultOf(self.servers.restore(CARD, "web1")))
        self.assertEqual(self.commands()[-1].split()[0], "nsenter")

    def test_a_card_without_a_device_is_not_served(self) -> None:
        card = replace(CARD, uuid="fedc")
        self.assertFalse(self.successResultOf(self.servers.restore(card, "web1")))
        self.assertEqual(self.commands(), [])
