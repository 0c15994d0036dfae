# SPDX-License-Identifier: BSD-2-Clause
"""What only nodes know becomes events as long as somebody reads them."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ganeti.master.node_events import LINGER
from ganeti.opcodes.instance.lifecycle import ShutdownInstance, StartInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode
from tests.master.test_event_feed import FeedCase

CREATION = {
    "OP_ID": "OP_INSTANCE_CREATE",
    "instance_name": "web1",
    "mode": "create",
    "os_type": "noop",
    "disk_template": "diskless",
    "disks": [],
    "nics": [],
    "name_check": False,
    "ip_check": False,
    "start": True,
}


class NodeEventTests(FeedCase):
    def perform(self, opcode: Opcode) -> None:
        self.cluster.submit(opcode)
        self.cluster.finish_jobs()

    def seen_on_nodes(self) -> list[str]:
        """What was seen on nodes since the last call."""
        self.cluster.pass_time(6)
        return [f"{e['action']} {e['name']}" for e in self.read() if "who" not in e]

    def setUp(self) -> None:
        super().setUp()
        self.cluster.pass_time(1)
        self.perform(read_opcode({**CREATION, "pnode": self.cluster.hosts[1].name}))
        self.assertEqual(self.seen_on_nodes(), ["started web1"])

    def test_guests_that_jobs_start_and_stop_are_told(self) -> None:
        self.perform(ShutdownInstance(instance_name="web1"))
        self.assertEqual(self.seen_on_nodes(), ["stopped web1"])
        self.perform(StartInstance(instance_name="web1"))
        self.assertEqual(self.seen_on_nodes(), ["started web1"])

    def test_a_guest_that_ends_by_itself_has_crashed(self) -> None:
        self.cluster.hosts[1].lose_guests()
        self.cluster.restart_node(self.cluster.hosts[1])
        self.assertEqual(self.seen_on_nodes(), ["crashed web1"])

    def test_a_node_that_goes_and_comes_is_told(self) -> None:
        name = self.cluster.hosts[2].name
        self.cluster.network.vanish(name)
        self.cluster.pass_time(20)
        self.assertEqual(self.seen_on_nodes(), [f"unreachable {name}"])
        self.cluster.network.behave(name)
        self.cluster.pass_time(20)
        self.assertEqual(self.seen_on_nodes(), [f"reachable {name}"])

    def test_ids_of_what_was_seen_follow_the_last_commit(self) -> None:
        self.perform(ShutdownInstance(instance_name="web1"))
        self.seen_on_nodes()
        [stopped] = [event for event in self.seen if event["action"] == "stopped"]
        self.assertRegex(stopped["id"], r"^\d+\.10000\d\d$")
        ids = [event["id"] for event in self.seen]
        self.assertEqual(len(set(ids)), len(ids))

    def test_who_read_before_a_restart_goes_on_after_it(self) -> None:
        self.perform(ShutdownInstance(instance_name="web1"))
        self.seen_on_nodes()
        self.cluster.kill_master()
        self.cluster.start_master()
        self.assertEqual([e["action"] for e in self.read()], ["master-started"])

    def test_nodes_are_left_alone_when_nobody_reads(self) -> None:
        self.cluster.pass_time(LINGER + 10)
        asked: list[object] = []
        live = self.cluster.master.live
        live.observe(lambda uuid, _: asked.append(uuid))
        self.cluster.pass_time(60)
        self.assertEqual(asked, [])
        waiting = Deferred.fromCoroutine(
            self.cluster.master.events.wait_for_events(self.position, 60)
        )
        self.cluster.pass_time(30)
        self.assertGreater(len(asked), 6)
        waiting.cancel()
        self.failureResultOf(waiting)
