# SPDX-License-Identifier: BSD-2-Clause
"""The numbers of a host are those that its node daemon tells the master, and a few more."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.guest import Counters, GuestState
from ganeti.node.metrics import collect_host_families, collect_usage_families
from ganeti.node.usage_rings import HOST, MAX_GUESTS
from ganeti.rpc.node import DescribeNode, NodeInfo
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from tests.golden.test_monitoring import SHIPPED, told
from tests.master.test_node_status_cache import FACTS
from tests.metrics.test_family import read


class HostTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder("/proc", 0o755)
        self.facts = replace(
            FACTS,
            guests={
                "a": GuestState(name="a", memory=128, vcpus=1, cpu_time=2.5),
                "b": GuestState(name="b", memory=64, vcpus=1, paused=True),
            },
            problems={"kvm": "no"},
        )

    async def describe(self, call: DescribeNode) -> NodeInfo:
        self.assertEqual(call.hypervisors, ("kvm",))
        return self.facts

    def numbers(self) -> dict[tuple[str, tuple[str, ...]], float]:
        files = MemoryFiles(self.disk)
        return read(*self.successResultOf(collect_host_families(self.describe, ["kvm"], files)))

    def test_guests_memory_and_load_are_told(self) -> None:
        self.disk.put("/proc/loadavg", b"0.25 0.5 1 1/100 7\n", 0o444, 0.0)
        found = self.numbers()
        self.assertEqual(found["ganeti_host_guests", ("running",)], 1)
        self.assertEqual(found["ganeti_host_guests", ("paused",)], 1)
        self.assertEqual(found["ganeti_host_guest_memory_bytes", ()], 192 << 20)
        self.assertEqual(found["ganeti_host_load", ()], 0.25)
        self.assertEqual(found["ganeti_host_problem", ("kvm",)], 1)

    def test_what_the_host_does_not_say_is_left_out(self) -> None:
        self.assertNotIn(("ganeti_host_load", ()), self.numbers())

    def test_every_number_is_documented(self) -> None:
        known = told((SHIPPED.parent / "monitoring.md").read_text())
        self.assertLessEqual(told("\n".join(name for name, _ in self.numbers())), known)


class UsageTests(SynchronousTestCase):
    def numbers(
        self, *, guests: bool, **found: Counters
    ) -> dict[tuple[str, tuple[str, ...]], float]:
        counters = {HOST: Counters(cpu=7.5, memory=64, sent=0), **found}
        return read(*collect_usage_families("node1", counters, guests=guests))

    def test_what_the_host_has_used_is_told_and_what_is_unknown_is_not(self) -> None:
        found = self.numbers(guests=False, web1=Counters(cpu=1.0))
        self.assertEqual(
            found,
            {
                ("ganeti_host_cpu_seconds_total", ("node1",)): 7.5,
                ("ganeti_host_memory_used_bytes", ("node1",)): 64,
                ("ganeti_host_network_sent_bytes_total", ("node1",)): 0,
            },
        )

    def test_guests_are_named_if_that_is_wanted(self) -> None:
        found = self.numbers(guests=True, web1=Counters(cpu=1.0, disk_read=5))
        self.assertEqual(found["ganeti_guest_cpu_seconds_total", ("web1",)], 1)
        self.assertEqual(found["ganeti_guest_disk_read_bytes_total", ("web1",)], 5)

    def test_there_are_never_more_names_than_agreed(self) -> None:
        many = {f"web{number}": Counters(cpu=1.0) for number in range(MAX_GUESTS + 50)}
        found = self.numbers(guests=True, **many)
        named = [labels for name, labels in found if name == "ganeti_guest_cpu_seconds_total"]
        self.assertEqual(len(named), MAX_GUESTS)

    def test_every_number_is_documented(self) -> None:
        whole = Counters(cpu=1.0, memory=1, disk_read=1, disk_written=1, received=1, sent=1)
        families = collect_usage_families("node1", {HOST: whole, "web1": whole}, guests=True)
        known = told((SHIPPED.parent / "monitoring.md").read_text())
        self.assertLessEqual(told("\n".join(name for name, _ in read(*families))), known)
