# SPDX-License-Identifier: BSD-2-Clause
"""What a node says of itself."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.model.guest import GuestState
from ganeti.node.node_info import HostMemory, NodeInfoAnswers, Processors, memory, processors
from ganeti.node.status_reports import differs
from ganeti.rpc.node import DescribeNode, NodeInfo, StorageSpace
from ganeti.schema.records import replace
from ganeti.storage.interfaces import StorageUnit
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.storage import MemoryUnits

MEMINFO = """\
MemTotal:       16384000 kB
MemFree:         1024000 kB
MemAvailable:   10240000 kB
Buffers:            2048 kB
Cached:         2048000 kB
SwapCached:            0 kB
"""
CPUINFO = "".join(
    f"processor\t: {n}\nmodel name\t: processor: fast\nphysical id\t: {n // 2}\n\n"
    for n in range(4)
)


class Running:
    """A hypervisor that says what runs, or why it cannot."""

    def __init__(self, *guests: GuestState, trouble: str = "") -> None:
        self._guests = {guest.name: guest for guest in guests}
        self._trouble = trouble

    def running(self) -> Mapping[str, GuestState]:
        if self._trouble:
            raise Failed(self._trouble)
        return self._guests


def facts(**hypervisors: Running) -> NodeInfoAnswers:
    disk = MemoryDisk()
    for path, text in {
        "/proc/meminfo": MEMINFO,
        "/proc/cpuinfo": CPUINFO,
        "/proc/sys/kernel/random/boot_id": "b00t\n",
        "/sys/devices/system/node/node0/cpulist": "0-3\n",
        "/sys/devices/system/node/online": "0\n",
    }.items():
        disk.add_folder(posixpath.dirname(path), 0o755)
        disk.put(path, text.encode(), 0o444, 0.0)
    return NodeInfoAnswers(
        MemoryFiles(disk),
        hypervisors,
        {"file": MemoryUnits(StorageUnit(name="/disks", size=5120, free=3072, used=2048))},
    )


class DescribeTests(SynchronousTestCase):
    def describe(self, facts: NodeInfoAnswers, call: DescribeNode) -> NodeInfo:
        return self.successResultOf(Deferred.fromCoroutine(facts.describe(call)))

    def test_a_host_that_waits_for_migrations_says_so(self) -> None:
        disk = MemoryDisk()
        answers = NodeInfoAnswers(MemoryFiles(disk), {}, {}, stop_marker="/run/host-stops")
        for there in (False, True):
            if there:
                disk.put("/run/host-stops", b"", 0o644, 0.0)
            found = self.describe(answers, DescribeNode(hypervisors=()))
            self.assertEqual(found.host_stops, there)
        self.assertTrue(differs(replace(found, host_stops=False), found))

    def test_of_some_guests_only_these_are_described(self) -> None:
        web1, db = (GuestState(name=name, memory=1000, vcpus=1) for name in ("web1", "db"))
        call = DescribeNode(hypervisors=("kvm",), only=("db", "gone"))
        found = self.describe(facts(kvm=Running(web1, db)), call)
        self.assertEqual((found.guests, found.memory_node), ({"db": db}, 4000))

    def test_a_node_says_what_it_has_and_what_runs(self) -> None:
        web1 = GuestState(name="web1", memory=1000, vcpus=1)
        call = DescribeNode(hypervisors=("kvm",), storage=(("file", "/disks"),))
        self.assertEqual(
            self.describe(facts(kvm=Running(web1)), call),
            NodeInfo(
                memory_total=16000,
                memory_free=10000,
                memory_node=5000,
                cpus=4,
                cpu_nodes=1,
                cpu_sockets=2,
                cpus_node=1,
                boot_id="b00t",
                guests={"web1": web1},
                storage=(StorageSpace(kind="file", name="/disks", size=5120, free=3072),),
                problems={},
            ),
        )

    def test_guests_on_paper_take_memory_on_paper(self) -> None:
        web1 = GuestState(name="web1", memory=1000, vcpus=1)
        found = self.describe(facts(fake=Running(web1)), DescribeNode(hypervisors=("fake",)))
        self.assertEqual((found.memory_free, found.memory_node), (9000, 6000))

    def test_what_cannot_answer_is_a_problem_and_the_rest_is_answered(self) -> None:
        call = DescribeNode(
            hypervisors=("kvm", "xen"), storage=(("file", "/gone"), ("lvm-vg", "vg0"))
        )
        found = self.describe(facts(kvm=Running(trouble="no QEMU")), call)
        self.assertEqual(
            (found.cpus, sorted(found.problems)), (4, ["file:/gone", "kvm", "lvm-vg:vg0", "xen"])
        )


class ParserTests(SynchronousTestCase):
    def test_an_old_kernel_does_not_say_what_is_available(self) -> None:
        old = "\n".join(line for line in MEMINFO.splitlines() if "Available" not in line)
        self.assertEqual(memory(old), HostMemory(16000, 1000 + 2 + 2000))

    def test_a_host_without_sockets_has_one(self) -> None:
        self.assertEqual(processors("processor : 0\n", 0), Processors(1, 1, 1))

    @given(st.text())
    def test_any_text_is_read(self, text: str) -> None:
        memory(text)
        processors(text, 0)
