# SPDX-License-Identifier: BSD-2-Clause
"""A plan is explained in sentences, and nothing is changed by that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.locking.waiting import LockWaiter
from ganeti.model.disk import Template
from ganeti.opcodes.registry import OPCODES, read_opcode
from ganeti.operations.explain import _IRREVERSIBLE, Explanation, LockNeed
from ganeti.operations.perform import Performer
from ganeti.operations.registry import OPERATIONS
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from tests.operations.whole import WholeCluster


class ExplainTests(SynchronousTestCase):
    def setUp(self) -> None:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"), size=16)
        state = a_cluster(
            nodes=["node1", "node2", a_node("node3", offline=True)],
            instances=[an_instance("web1", disks=[disk])],
        )
        self.whole = WholeCluster(state)
        self.before = self.whole.memory.config.state()
        self.performer = Performer(
            lambda: OPERATIONS,
            self.whole.memory.config,
            LockWaiter(Clock()),
            lambda configuration, progress: self.whole.tools,
        )

    def explain(self, op_id: str, **parameters: Any) -> Explanation:
        opcode = read_opcode({"OP_ID": op_id, **parameters})
        found: Explanation = self.successResultOf(self.performer.explain(opcode))
        return found

    def test_a_removal_says_what_is_lost_and_what_is_locked(self) -> None:
        found = self.explain("OP_INSTANCE_REMOVE", instance_name="web1")
        self.assertEqual(found.steps[-1], "Remove instance web1 from the configuration.")
        self.assertIn("disks of the instance are deleted", found.irreversible or "")
        self.assertIn(LockNeed("instance web1", "exclusive"), found.locks)
        self.assertEqual((found.asked, found.nodes), (("node1", "node2"), ("node1", "node2")))

    def test_nothing_is_changed(self) -> None:
        self.explain("OP_INSTANCE_REMOVE", instance_name="web1")
        self.explain("OP_INSTANCE_STARTUP", instance_name="web1")
        self.assertIs(self.whole.memory.config.state(), self.before)
        self.assertEqual(self.whole.guests["node1"].running(), {})

    def test_a_refusal_says_what_the_job_would_say(self) -> None:
        failing = self.performer.explain(
            read_opcode({"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "web1"})
        )
        self.assertIn("is not running", str(self.failureResultOf(failing, Refused).value))

    def test_a_failover_names_both_nodes(self) -> None:
        found = self.explain("OP_INSTANCE_FAILOVER", instance_name="web1", ignore_consistency=True)
        self.assertIn("Make node2 the primary node of instance web1.", found.steps)

    def test_tags_are_named(self) -> None:
        found = self.explain("OP_TAGS_SET", kind="instance", name="web1", tags=["blue"])
        self.assertEqual(found.steps, ("Add the tags blue (instance web1).",))
        self.assertIsNone(found.irreversible)

    def test_an_opcode_without_steps_of_its_own_says_what_it_is_declared_to_do(self) -> None:
        found = self.explain("OP_CLUSTER_REDIST_CONF")
        declared = (OPCODES["OP_CLUSTER_REDIST_CONF"].__doc__ or "").partition("\n")[0]
        self.assertEqual(found.steps, (declared,))

    def steps(self, op_id: str, **parameters: Any) -> tuple[str, ...]:
        return self.explain(op_id, **{"instance_name": "web1", **parameters}).steps

    def start(self) -> None:
        """Start the instance, and let its disks become the same."""
        self.successResultOf(self.whole.make_disks("web1"))
        self.successResultOf(self.whole.start("web1"))
        self.whole.clock.advance(60)

    def test_a_start_names_the_node_and_the_memory(self) -> None:
        expected = ("Start instance web1 on node node1 with 128 MiB of memory.",)
        self.assertEqual(self.steps("OP_INSTANCE_STARTUP"), expected)

    def test_a_start_on_an_offline_node_is_only_recorded(self) -> None:
        away = an_instance("web3", node="node3")
        self.whole = WholeCluster(self.before.put(away.instance))
        self.performer = replace(self.performer, config=self.whole.memory.config)
        found = self.steps("OP_INSTANCE_STARTUP", instance_name="web3", ignore_offline_nodes=True)
        expected = ("Record that instance web3 should run; node node3 is offline.",)
        self.assertEqual(found, expected)

    def test_only_a_guest_that_runs_is_shut_down(self) -> None:
        record = "Record that instance web1 should be stopped."
        self.assertEqual(self.steps("OP_INSTANCE_SHUTDOWN"), (record,))
        self.start()
        stop = "Shut down instance web1 on node node1."
        self.assertEqual(self.steps("OP_INSTANCE_SHUTDOWN"), (stop, record))
        remove = self.steps("OP_INSTANCE_REMOVE")
        self.assertEqual(remove[:2], (stop, "Delete disk 0 (16 MiB)."))

    def test_a_reboot_loses_memory_only_if_the_guest_runs(self) -> None:
        fields = {"instance_name": "web1", "reboot_type": "hard"}
        for verb, lost in (("Start", None), ("Reboot", "what the guest has in memory is lost")):
            found = self.explain("OP_INSTANCE_REBOOT", **fields)
            self.assertEqual(found.steps, (f"{verb} instance web1 on node node1.",))
            self.assertEqual(found.irreversible, lost)
            if verb == "Start":
                self.start()

    def test_a_failover_loses_memory_only_if_the_guest_is_restarted(self) -> None:
        self.start()
        fields = {"instance_name": "web1"}
        found = self.explain("OP_INSTANCE_FAILOVER", **fields)
        expected = (
            "Shut down instance web1 on node node1.",
            "Make node2 the primary node of instance web1.",
            "Start instance web1 on node node2.",
        )
        self.assertEqual(found.steps, expected)
        self.assertIn("what it has in memory is lost", found.irreversible or "")
        self.successResultOf(self.whole.do("OP_INSTANCE_SHUTDOWN", instance_name="web1"))
        stopped = self.explain("OP_INSTANCE_FAILOVER", **fields)
        self.assertEqual((stopped.steps, stopped.irreversible), (expected[1:2], None))

    def test_a_migration_loses_nothing(self) -> None:
        self.start()
        found = self.explain("OP_INSTANCE_MIGRATE", instance_name="web1")
        expected = ("Migrate instance web1 from node node1 to node node2 while it runs.",)
        self.assertEqual((found.steps, found.irreversible), (expected, None))
        paused = self.steps("OP_INSTANCE_MIGRATE", mode="non-live")
        self.assertTrue(paused[0].endswith("while it is paused."), paused)

    def test_a_cleanup_after_a_migration_is_explained_as_such(self) -> None:
        self.start()
        found = self.explain("OP_INSTANCE_MIGRATE", instance_name="web1", cleanup=True)
        self.assertIn("remove what a migration left behind", found.steps[0])
        self.assertIsNone(found.irreversible)

    def test_a_migration_that_becomes_a_failover_says_why_and_what_is_lost(self) -> None:
        change = {"beparams": {"always_failover": True}}
        self.start()
        self.successResultOf(
            self.whole.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", **change)
        )
        found = self.explain("OP_INSTANCE_MIGRATE", instance_name="web1", allow_failover=True)
        self.assertTrue(found.steps[0].startswith("Fail over in place of a migration: "))
        self.assertIn("Start instance web1 on node node2.", found.steps)
        self.assertIn("what it has in memory is lost", found.irreversible or "")

    def test_a_new_instance_is_locked_by_its_name(self) -> None:
        order = {
            "instance_name": "new1",
            "mode": "create",
            "disk_template": "drbd",
            "disks": [{"size": 64}],
            "nics": [],
            "os_type": "noop",
            "name_check": False,
            "pnode": "node1",
            "snode": "node2",
        }
        found = self.explain("OP_INSTANCE_CREATE", **order)
        expected = (
            "Make disk 0 of instance new1 (64 MiB).",
            "Use node1 as its primary node, and node2 as secondary node.",
            "Install the OS definition noop.",
            "Start instance new1.",
        )
        self.assertEqual((found.steps, found.irreversible), (expected, None))
        names = [need.name for need in found.locks]
        self.assertIn("instance new1", names)
        self.assertEqual(len([name for name in names if name.startswith("instance ")]), 1)

    def test_a_reservation_makes_nothing_and_its_removal_loses_nothing(self) -> None:
        order: dict[str, Any] = {"instance_name": "new1", "name_check": False, "ip_check": False}
        wanted = {
            "mode": "create",
            "disk_template": "file",
            "disks": [{"size": 8}],
            "nics": [],
            "os_type": "noop",
            "pnode": "node1",
        }
        made = {**order, **wanted, "forthcoming": True}
        steps = ("Reserve disk 0 of instance new1 (8 MiB).", "Use node1 as its primary node.")
        self.assertEqual(self.steps("OP_INSTANCE_CREATE", **made), steps)
        self.successResultOf(self.whole.do("OP_INSTANCE_CREATE", **made))
        commit = {**order, "mode": "create", "disks": [], "nics": [], "commit": True}
        created = self.steps("OP_INSTANCE_CREATE", **commit)
        self.assertEqual(created[0], "Make disk 0 of instance new1 (8 MiB).")
        self.assertEqual(created[-1], "Start instance new1.")
        found = self.explain("OP_INSTANCE_REMOVE", instance_name="new1")
        self.assertEqual(
            found.steps, ("Remove the reservation of instance new1, which is on no node.",)
        )
        self.assertIsNone(found.irreversible)

    def test_a_copy_names_the_instance_whose_data_it_gets(self) -> None:
        order = {"instance_name": "web1", "new_name": "web2", "name_check": False}
        steps = self.steps("OP_INSTANCE_CLONE", **order, ip_check=False, start=True)
        self.assertEqual(steps[0], "Make disk 0 of instance web2 (16 MiB).")
        self.assertEqual(steps[-2:], ("Copy the data of instance web1.", "Start instance web2."))

    def test_a_migration_with_disks_says_that_they_are_copied_and_deleted(self) -> None:
        disk = a_disk("disk1", Template.PLAIN, size=16)
        self.whole = WholeCluster(
            a_cluster(nodes=["node1", "node2"], instances=[an_instance("web1", disks=[disk])])
        )
        self.performer = Performer(
            lambda: OPERATIONS,
            self.whole.memory.config,
            LockWaiter(Clock()),
            lambda configuration, progress: self.whole.tools,
        )
        self.successResultOf(self.whole.make_disks("web1"))
        self.successResultOf(self.whole.start("web1"))
        self.assertEqual(
            self.steps("OP_INSTANCE_MIGRATE", instance_name="web1", target_node="node2"),
            (
                "Copy disk/0 (16 MiB) to node node2.",
                "Migrate instance web1 from node node1 to node node2 while it runs.",
                "Delete the disks on node node1.",
            ),
        )

    def test_changes_of_an_instance_are_named_and_only_removed_disks_are_lost(self) -> None:
        found = self.explain("OP_INSTANCE_SET_PARAMS", instance_name="web1", beparams={"vcpus": 2})
        self.assertEqual((found.steps, found.irreversible), (("Set be/vcpus to 2.",), None))
        self.successResultOf(self.whole.do("OP_INSTANCE_SHUTDOWN", instance_name="web1"))
        fields = {"instance_name": "web1", "disks": [["remove", 0, {}]], "ignore_ipolicy": True}
        removed = self.explain("OP_INSTANCE_SET_PARAMS", **fields, force=True)
        self.assertEqual(removed.irreversible, "what is on the disks that are removed is lost")

    def test_changes_of_a_node_are_named(self) -> None:
        found = self.explain("OP_NODE_SET_PARAMS", node_name="node2", drained=True)
        expected = "Change the role of node node2 from master-candidate to drained."
        self.assertEqual(found.steps[0], expected)
        fields = {"node_name": "node2", "ndparams": {"spindle_count": 4}}
        found = self.explain("OP_NODE_SET_PARAMS", **fields)
        self.assertEqual(found.steps, ("Set ndparams of node node2 to {'spindle_count': 4}.",))

    def test_an_evacuation_names_its_jobs_and_what_stays(self) -> None:
        evacuate = {"node_name": "node2", "mode": "secondary-only", "ignore_soft_errors": True}
        [stuck] = self.explain("OP_NODE_EVACUATE", **evacuate).steps
        self.assertTrue(stuck.startswith("Leave web1 on node node2: no node can host"), stuck)
        [nothing] = self.explain("OP_NODE_EVACUATE", node_name="node3", mode="all").steps
        self.assertEqual(nothing, "Do nothing: no instance has to leave node node3.")
        [job] = self.explain("OP_NODE_MIGRATE", node_name="node1").steps
        self.assertTrue(job.startswith("Submit a job: INSTANCE_MIGRATE(web1)"), job)

    def test_locks_of_all_objects_and_of_new_ones_are_named(self) -> None:
        for op_id, fields, name in (
            ("OP_NODE_REMOVE", {"node_name": "node3"}, "all of node"),
            ("OP_GROUP_ADD", {"group_name": "east"}, "nodegroup east"),
            ("OP_NETWORK_ADD", {"network_name": "lan", "network": "10.0.0.0/24"}, "network lan"),
        ):
            self.assertEqual(self.explain(op_id, **fields).locks, (LockNeed(name, "exclusive"),))

    def test_what_cannot_be_undone_is_said_of_opcodes_that_are_carried_out(self) -> None:
        self.assertLessEqual(_IRREVERSIBLE.keys(), OPERATIONS.keys())
