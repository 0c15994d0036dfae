# SPDX-License-Identifier: BSD-2-Clause
"""The numbers of the master are those of what has happened."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.master.master_metrics import count_guests, count_nodes_without_spare_memory
from ganeti.metrics.family import MetricFamily
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.opcodes.test import Delay
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.cluster import SimulatedCluster
from tests.golden.test_monitoring import SHIPPED, told
from tests.master.test_node_watch import facts
from tests.metrics.test_family import read


class MasterMetricsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)

    def numbers(self) -> dict[tuple[str, tuple[str, ...]], float]:
        answer: Any = self.cluster.wait(self.cluster.master.answers()["QueryMetrics"]())  # type: ignore[arg-type]  # a coroutine
        families = msgspec.json.decode(msgspec.json.encode(answer), type=list[MetricFamily])
        return read(*families)

    def test_jobs_are_counted_by_status_and_timed_by_opcode(self) -> None:
        for _ in range(2):
            self.cluster.submit(Delay(duration=3))
        self.cluster.finish_jobs()
        found = self.numbers()
        self.assertEqual(found["ganeti_jobs", ("success",)], 2)
        self.assertEqual(found["ganeti_jobs", ("queued",)], 0)
        self.assertEqual(found["ganeti_jobs_ended_total", ("success",)], 2)
        self.assertEqual(found["ganeti_opcode_run_seconds_count", ("TEST_DELAY",)], 2)
        self.assertAlmostEqual(found["ganeti_opcode_run_seconds_sum", ("TEST_DELAY",)], 6, 0)

    def test_what_is_archived_or_found_after_a_restart_is_counted_right(self) -> None:
        for _ in range(3):
            self.cluster.submit(Delay(duration=0))
        self.cluster.finish_jobs()
        self.cluster.wait(self.cluster.master.queue.archive(1))
        self.assertEqual(self.numbers()["ganeti_jobs", ("success",)], 2)
        self.cluster.kill_master()
        self.cluster.start_master()
        self.assertEqual(self.numbers()["ganeti_jobs", ("success",)], 2)

    def test_commits_replicas_and_the_term_are_told(self) -> None:
        found = self.numbers()
        names = [host.name for host in self.cluster.hosts]
        self.assertEqual(
            found["ganeti_master_term", (names[0],)], self.cluster.master.quorum.term()
        )
        self.assertEqual(found["ganeti_master_lease", ()], 1)
        self.assertEqual(
            found["ganeti_journal_position", ()], self.cluster.master.journal.last_commit()
        )
        self.assertGreater(found["ganeti_journal_sync_seconds_count", ()], 0)
        self.assertIn(("ganeti_replica_in_sync", (names[1],)), found)

    def test_nodes_are_asked_because_somebody_wants_to_know(self) -> None:
        self.assertNotIn("ganeti_node_guests", {name for name, _ in self.numbers()})
        self.cluster.network.vanish(self.cluster.hosts[2].name)
        self.cluster.pass_time(10)
        found = self.numbers()
        ups = [found["ganeti_node_up", (host.name,)] for host in self.cluster.hosts]
        self.assertEqual(ups, [1, 1, 0])
        self.assertGreater(
            found["ganeti_node_memory_total_bytes", (self.cluster.hosts[0].name,)], 0
        )

    def test_every_number_is_documented(self) -> None:
        self.cluster.submit(Delay(duration=0))
        self.cluster.finish_jobs()
        self.numbers()
        self.cluster.pass_time(10)
        known = told((SHIPPED.parent / "monitoring.md").read_text())
        self.assertLessEqual(told("\n".join(name for name, _ in self.numbers())), known)

    def test_nodes_without_spare_memory_are_counted_when_nodes_have_answered(self) -> None:
        self.assertNotIn(("ganeti_nodes_without_spare_memory", ()), self.numbers())
        self.cluster.pass_time(10)
        self.numbers()
        self.assertEqual(self.numbers()["ganeti_nodes_without_spare_memory", ()], 0)


class Facts:
    """Nodes that have said what the test says."""

    def __init__(self, **guests: list[str]) -> None:
        self._guests = guests

    def facts(self, uuid: str) -> Any:
        return next((facts(*g) for n, g in self._guests.items() if a_node(n).uuid == uuid), None)


class SpareMemoryTests(SynchronousTestCase):
    def test_a_node_must_have_the_memory_of_the_peer_that_needs_most(self) -> None:
        disks = [a_disk("1", Template.DRBD, nodes=("node1", "node2"))]
        free = facts().memory_free
        for memory, short in ((free, 0), (free + 1, 1)):
            web = an_instance("web1", node="node1", disks=disks, beparams={"minmem": memory})
            state = a_cluster(nodes=["node1", "node2"], instances=[web])
            live: Any = Facts(node1=[], node2=[])
            self.assertEqual(count_nodes_without_spare_memory(state, live), short)

    def test_nothing_is_known_before_a_node_has_answered(self) -> None:
        live: Any = Facts()
        self.assertIsNone(count_nodes_without_spare_memory(a_cluster(), live))

    def test_an_invalid_default_does_not_fail_the_other_metrics(self) -> None:
        state = a_cluster(beparams={"default": {"minmem": "much"}})
        live: Any = Facts(node1=[])
        self.assertIsNone(count_nodes_without_spare_memory(state, live))


class GuestCountTests(SynchronousTestCase):
    def test_each_instance_is_counted_as_lists_show_it(self) -> None:
        instances = [
            an_instance("runs", node="node1", admin_state=AdminState.UP),
            an_instance("crashed", node="node1", admin_state=AdminState.UP),
            an_instance("moved", node="node1", admin_state=AdminState.UP),
            an_instance("off", node="node1", admin_state=AdminState.DOWN),
            an_instance("silent", node="node3", admin_state=AdminState.UP),
            an_instance("gone", node="node4", admin_state=AdminState.UP),
        ]
        nodes = [a_node(f"node{n}", offline=n == 4) for n in range(1, 5)]
        state = a_cluster(nodes=nodes, instances=instances)
        live: Any = Facts(node1=["runs"], node2=["moved"])
        self.assertEqual(
            count_guests(state, live),
            {
                "running": 1,
                "ERROR_down": 1,
                "ERROR_wrongnode": 1,
                "ADMIN_down": 1,
                "ERROR_nodedown": 1,
                "ERROR_nodeoffline": 1,
            },
        )
