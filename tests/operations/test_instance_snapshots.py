# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots of instances: made, reverted to and removed, also where a step in the middle fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from ganeti.config.changes.snapshots import list_snapshots_of
from ganeti.errors import Code, Refused, Unreachable
from ganeti.model.guest import Guest
from ganeti.model.instance import AdminState
from ganeti.model.instance_snapshots import MAX_SNAPSHOTS, Snapshot, SnapshotState
from ganeti.model.node import Node
from ganeti.operations.guest_conversion import make_guest
from ganeti.rpc.snapshots import CreateGuestSnapshot, RemoveGuestSnapshot
from ganeti.testing.nodes import MemoryNodes
from tests.operations.disk_images import ImageDisksCase

CREATE, REVERT, REMOVE = (f"OP_INSTANCE_SNAPSHOT_{each}" for each in ("CREATE", "REVERT", "REMOVE"))


class LossyNodes:
    """Nodes that carry out calls for snapshots, and whose answers are lost so many times."""

    def __init__(self, nodes: MemoryNodes, count: int) -> None:
        self._nodes, self._left = nodes, count

    async def ask(self, node: Node, call: Any) -> Any:
        answer = await self._nodes.ask(node, call)
        if isinstance(call, CreateGuestSnapshot | RemoveGuestSnapshot) and self._left:
            self._left -= 1
            raise Unreachable(node.name, "the connection was lost")
        return answer

    async def ask_all(self, nodes: Sequence[Node], call: Any) -> Any:
        return await self._nodes.ask_all(nodes, call)


class SnapshotCase(ImageDisksCase):
    def setUp(self) -> None:
        super().setUp()
        self.create()

    def take(self, name: str = "before") -> None:
        self.do(CREATE, snapshot_name=name)

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        return list_snapshots_of(self.whole.state, self.whole.state.instance("web1"))

    @property
    def stored(self) -> list[list[str]]:
        """The names that each disk has in the storage."""
        program = self.programs["node1"]
        return [list(program.sizes_by_snapshot(self.path(disk))) for disk in self.disks]

    def states(self) -> dict[str, SnapshotState]:
        return {each.name: each.state for each in self.snapshots}

    def running(self) -> bool:
        return "web1" in self.whole.guests["node1"].running()


class CreationTests(SnapshotCase):
    def test_all_disks_have_a_snapshot_that_is_ready(self) -> None:
        self.take()
        [found] = self.snapshots
        self.assertEqual((found.name, found.state), ("before", SnapshotState.READY))
        self.assertEqual([each.size for each in found.disks], [64, 32])
        self.assertEqual(self.stored, [[found.stored_name], [found.stored_name]])
        self.assertIn("whose guest did not run", self.whole.said)

    def test_a_guest_that_runs_keeps_running(self) -> None:
        self.do("OP_INSTANCE_STARTUP")
        self.take()
        self.assertTrue(self.running())
        self.assertTrue(self.snapshots[0].running)
        self.assertIn("as after a power failure", self.whole.said)

    def test_names_are_unique_for_an_instance(self) -> None:
        self.take()
        refused = self.refusal(CREATE, snapshot_name="before")
        assert isinstance(refused, Refused)
        self.assertEqual(refused.code, Code.EXISTS)
        self.assertEqual(len(self.stored[0]), 1)

    def test_a_disk_that_cannot_have_one_is_named_with_those_that_can(self) -> None:
        self.do("OP_INSTANCE_REMOVE")
        self.create(disks=[{"size": 64, "format": "qcow2"}, {"size": 8}])
        said = str(self.refusal(CREATE, snapshot_name="before"))
        self.assertIn("disk/1 (file) cannot have snapshots", said)
        self.assertIn("plain, and of file and sharedfile with format=qcow2, can", said)
        self.assertEqual(self.snapshots, ())

    def test_a_node_whose_driver_has_none_leaves_no_record(self) -> None:
        self.do("OP_INSTANCE_REMOVE")
        # The volumes of this cluster are simulated.
        self.create(disk_template="plain", disks=[{"size": 64}])
        self.assertIn("no driver for snapshots", str(self.refusal(CREATE, snapshot_name="before")))
        self.assertEqual(self.snapshots, ())

    def test_there_are_at_most_so_many(self) -> None:
        for number in range(MAX_SNAPSHOTS):
            self.take(f"s{number}")
        said = str(self.refusal(CREATE, snapshot_name="more"))
        self.assertIn("snapshot remove web1 s0", said)

    def test_if_one_disk_fails_no_disk_has_it_and_there_is_no_record(self) -> None:
        self.programs["node1"].busy.add(self.path(self.disks[1]))
        self.assertIn("disk/1 of web1", str(self.refusal(CREATE, snapshot_name="before")))
        self.assertEqual((self.stored, self.snapshots), ([[], []], ()))
        self.assertNotIn(self.whole.state.instance("web1").uuid, self.whole.state.snapshots)

    def test_what_a_lost_answer_leaves_is_removed(self) -> None:
        self.lose_answers(1)
        self.refusal(CREATE, snapshot_name="before")
        self.assertEqual((self.stored, self.snapshots), ([[], []], ()))

    def test_what_cannot_be_taken_back_keeps_its_record_and_is_named(self) -> None:
        self.lose_answers(2)
        self.refusal(CREATE, snapshot_name="before")
        self.assertEqual(self.states(), {"before": SnapshotState.CREATING})
        self.assertIn("gnt-instance snapshot remove web1 before", self.whole.said)
        self.flushLoggedErrors(Unreachable)
        self.assertIn("is incomplete", str(self.refusal(REVERT, snapshot_name="before")))
        self.do(REMOVE, snapshot_name="before")
        self.assertEqual((self.stored, self.snapshots), ([[], []], ()))

    def lose_answers(self, count: int) -> None:
        """Let the node carry out calls for snapshots, and lose so many of its answers."""
        lossy = LossyNodes(self.whole.network, count)
        self.whole.tools = replace(self.whole.tools, nodes=lossy)


class MemoryTests(SnapshotCase):
    def setUp(self) -> None:
        super().setUp()
        self.do("OP_INSTANCE_REMOVE")
        self.create(hypervisor="kvm", hvparams={"kernel_path": ""})
        self.kvm = self.whole.kvm["node1"]
        disks = self.whole.hosts["node1"].parts.disks

        async def save_disks(guest: Guest, name: str) -> None:
            for disk in guest.disks:
                snapshots = disks.find_snapshots(disk)
                assert snapshots is not None
                await snapshots.create_snapshot(disk, name)

        self.kvm.save_disks = save_disks

    def save(self) -> None:
        self.do("OP_INSTANCE_STARTUP")
        self.do(CREATE, snapshot_name="before", memory=True)

    def admin_state(self) -> AdminState:
        return self.whole.state.instance("web1").admin_state

    def test_a_guest_goes_on_from_its_memory(self) -> None:
        self.save()
        [found] = self.snapshots
        assert found.memory is not None
        self.assertIn("has 2 disks and the memory of the guest", self.whole.said)
        self.kvm.asked.clear()
        self.do(REVERT, snapshot_name="before", restart=True)
        asked = [what for what, _ in self.kvm.asked]
        self.assertEqual(asked[-2:], ["start", "load memory"])
        self.assertIn("stop hard", asked)
        self.assertIs(self.admin_state(), AdminState.UP)

    def test_a_stopped_instance_runs_then(self) -> None:
        self.save()
        self.do("OP_INSTANCE_SHUTDOWN", timeout=0)
        self.do(REVERT, snapshot_name="before")
        self.assertIn("web1", self.kvm.running())
        self.assertIs(self.admin_state(), AdminState.UP)

    def test_its_cards_are_connected_and_filtered_as_they_are_now(self) -> None:
        self.do("OP_INSTANCE_SET_PARAMS", nics=[["add", -1, {}]])
        self.save()
        self.do("OP_INSTANCE_SHUTDOWN", timeout=0)
        now = {"firewall": "deny", "link": "br7", "ip": "198.51.100.7"}
        self.do("OP_INSTANCE_SET_PARAMS", nics=[["modify", 0, now]])
        self.do(REVERT, snapshot_name="before")
        guest = make_guest(self.whole.state, self.whole.state.instance("web1"))
        running = self.settled(self.kvm.running_config(guest))
        self.assertEqual((running.nics[0].link, running.nics[0].ip), ("br7", "198.51.100.7"))
        self.assertEqual(running.nics, guest.nics)

    def test_only_the_disks_are_reverted_if_that_is_asked_for(self) -> None:
        self.save()
        self.do("OP_INSTANCE_SHUTDOWN", timeout=0)
        self.do(REVERT, snapshot_name="before", disks_only=True)
        self.assertNotIn("web1", self.kvm.running())

    def test_a_guest_that_could_not_go_on_is_not_stopped(self) -> None:
        self.save()
        self.kvm.memory_problem = "this node has another QEMU"
        said = str(self.refusal(REVERT, snapshot_name="before", restart=True))
        self.assertIn("cannot be loaded on node node1: this node has another QEMU; use", said)
        self.assertIn("web1", self.kvm.running())

    def test_memory_that_does_not_load_leaves_reverted_disks_and_no_guest(self) -> None:
        self.save()
        self.kvm.unloadable.add("web1")
        said = str(self.refusal(REVERT, snapshot_name="before", restart=True))
        self.assertIn("let it boot: gnt-instance startup web1", said)
        self.assertNotIn("web1", self.kvm.running())
        [record] = self.whole.state.snapshots.values()
        self.assertEqual(record.reverting, "")

    def test_memory_fits_no_instance_with_other_cards(self) -> None:
        self.save()
        self.do("OP_INSTANCE_SHUTDOWN", timeout=0)
        self.do("OP_INSTANCE_SET_PARAMS", nics=[["add", -1, {}]])
        said = str(self.refusal(REVERT, snapshot_name="before"))
        self.assertIn("has other network cards than when snapshot before was made", said)

    def test_what_has_no_memory_to_save_is_refused(self) -> None:
        said = str(self.refusal(CREATE, snapshot_name="before", memory=True))
        self.assertIn("does not run and has no memory", said)
        self.do("OP_INSTANCE_REMOVE")
        self.create()
        said = str(self.refusal(CREATE, snapshot_name="before", memory=True))
        self.assertIn("saves no memory of guests, kvm does", said)


class RevertTests(SnapshotCase):
    def setUp(self) -> None:
        super().setUp()
        self.take()

    def test_the_snapshot_stays_and_can_be_reverted_to_again(self) -> None:
        for _ in range(2):
            self.do(REVERT, snapshot_name="before")
        self.assertEqual(self.states(), {"before": SnapshotState.READY})
        self.assertEqual(self.record().reverting, "")

    def record(self) -> Any:
        return self.whole.state.snapshots[self.whole.state.instance("web1").uuid]

    def test_a_guest_that_runs_is_not_reverted(self) -> None:
        self.do("OP_INSTANCE_STARTUP")
        self.assertIn("use --restart", str(self.refusal(REVERT, snapshot_name="before")))

    def test_with_restart_it_is_stopped_and_started_again(self) -> None:
        self.do("OP_INSTANCE_STARTUP")
        guests = self.whole.guests["node1"]
        guests.asked.clear()
        self.do(REVERT, snapshot_name="before", restart=True)
        self.assertEqual([what for what, _ in guests.asked], ["stop", "start"])

    def test_a_repetition_starts_what_an_interrupted_revert_has_stopped(self) -> None:
        self.do("OP_INSTANCE_STARTUP")
        self.programs["node1"].busy.add(self.path(self.disks[1]))
        self.refusal(REVERT, snapshot_name="before", restart=True)
        self.assertFalse(self.running())
        self.programs["node1"].busy.clear()
        self.do(REVERT, snapshot_name="before", restart=True)
        self.assertTrue(self.running())

    def test_a_stopped_instance_stays_stopped(self) -> None:
        self.do(REVERT, snapshot_name="before", restart=True)
        self.assertFalse(self.running())

    def test_a_guest_that_cannot_be_stopped_is_not_reverted(self) -> None:
        self.do("OP_INSTANCE_STARTUP")
        self.whole.guests["node1"].breaks_at = "stop hard"
        self.whole.guests["node1"].stubborn.add("web1")
        said = str(self.refusal(REVERT, snapshot_name="before", restart=True, shutdown_timeout=0))
        self.assertIn("was not reverted", said)
        self.assertEqual(self.record().reverting, "")

    def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(self) -> None:
        said = str(self.refusal(REVERT, snapshot_name="other"))
        self.assertIn("its snapshots: before", said)

    def test_if_one_disk_fails_the_instance_does_not_start_until_all_are_reverted(self) -> None:
        program, second = self.programs["node1"], self.path(self.disks[1])
        program.busy.add(second)
        said = str(self.refusal(REVERT, snapshot_name="before"))
        self.assertIn("1 of its 2 disks have been", said)
        self.assertIn("gnt-instance snapshot revert web1 before", said)
        for op_id, more in (
            ("OP_INSTANCE_STARTUP", {}),
            ("OP_INSTANCE_REBOOT", {"reboot_type": "hard"}),
            (CREATE, {"snapshot_name": "now"}),
            (REMOVE, {"snapshot_name": "before"}),
            ("OP_BACKUP_EXPORT", {"mode": "local", "target_node": "node1"}),
        ):
            self.assertIn("were not all reverted", str(self.refusal(op_id, **more)), op_id)
        program.busy.clear()
        self.do(REVERT, snapshot_name="before")
        self.do("OP_INSTANCE_STARTUP")
        self.assertTrue(self.running())

    def test_a_snapshot_that_a_disk_lacks_changes_nothing_and_the_guest_starts_again(self) -> None:
        self.do("OP_INSTANCE_STARTUP")
        self.programs["node1"].store_snapshots(self.path(self.disks[1]), {})
        error = self.refusal(REVERT, snapshot_name="before", restart=True)
        self.assertIn("no disk was changed", str(error))
        self.assertTrue(self.running())
        self.assertEqual(self.record().reverting, "")

    def test_a_master_that_is_killed_in_the_middle_leaves_a_mark(self) -> None:
        self.programs["node1"].hangs = True
        reverting = Deferred.fromCoroutine(
            self.whole.do(REVERT, instance_name="web1", snapshot_name="before")
        )
        self.whole.clock.pump([0.1] * 20)
        self.assertNoResult(reverting)
        self.assertNotEqual(self.record().reverting, "")
        self.assertIn("were not all reverted", str(self.refusal("OP_INSTANCE_STARTUP")))


class RemovalTests(SnapshotCase):
    def test_only_the_one_that_is_named_is_removed(self) -> None:
        self.take("one")
        self.take("two")
        self.do(REMOVE, snapshot_name="one")
        [left] = self.snapshots
        self.assertEqual(left.name, "two")
        self.assertEqual(self.stored, [[left.stored_name]] * 2)

    def test_one_that_could_not_be_removed_everywhere_cannot_be_reverted_to(self) -> None:
        self.take()
        self.programs["node1"].busy.add(self.path(self.disks[1]))
        self.refusal(REMOVE, snapshot_name="before")
        self.assertEqual(self.states(), {"before": SnapshotState.REMOVING})
        self.assertIn("is incomplete", str(self.refusal(REVERT, snapshot_name="before")))
        self.programs["node1"].busy.clear()
        self.do(REMOVE, snapshot_name="before")
        self.assertEqual(self.stored, [[], []])

    def test_an_instance_is_removed_with_its_snapshots(self) -> None:
        self.take()
        self.do("OP_INSTANCE_REMOVE")
        self.assertEqual((len(self.whole.state.snapshots), len(self.whole.state.disks)), (0, 0))


class OtherOperationTests(SnapshotCase):
    def setUp(self) -> None:
        super().setUp()
        self.take()

    def test_what_would_lose_snapshots_is_refused_with_the_next_step(self) -> None:
        for op_id, more in (
            ("OP_INSTANCE_GROW_DISK", {"disk": 0, "amount": 8}),
            ("OP_INSTANCE_RECREATE_DISKS", {}),
            ("OP_INSTANCE_MOVE", {"target_node": "node2"}),
            ("OP_INSTANCE_SET_PARAMS", {"disks": [["add", -1, {"size": 8}]]}),
            ("OP_INSTANCE_SET_PARAMS", {"disks": [["remove", 0, {}]]}),
            ("OP_INSTANCE_SET_PARAMS", {"disk_template": "plain"}),
        ):
            said = str(self.refusal(op_id, **more))
            self.assertIn("gnt-instance snapshot remove web1 before", said, f"{op_id} {more}")

    def test_a_renamed_instance_keeps_its_snapshots(self) -> None:
        self.do("OP_INSTANCE_RENAME", new_name="web2", name_check=False, ip_check=False)
        self.do(REVERT, instance_name="web2", snapshot_name="before")

    def test_other_changes_of_disks_are_possible(self) -> None:
        self.do("OP_INSTANCE_SET_PARAMS", disks=[["modify", 0, {"name": "system"}]])
        self.assertEqual(self.disks[0].name, "system")


class VerificationTests(SnapshotCase):
    def verify(self) -> str:
        self.whole.memory.progress.said.clear()
        self.do("OP_CLUSTER_VERIFY_GROUP", group_name="default")
        return "\n".join(line for line in self.whole.said.splitlines() if "snapshot" in line)

    def do(self, op_id: str, **fields: Any) -> Any:
        named = {} if op_id.startswith("OP_CLUSTER") else {"instance_name": "web1"}
        return self.settled(self.whole.do(op_id, **{**named, **fields}))

    def test_snapshots_that_all_disks_have_are_fine(self) -> None:
        self.take()
        self.assertNotIn("before", self.verify())

    def test_one_that_a_disk_lacks_is_reported(self) -> None:
        self.take()
        self.programs["node1"].store_snapshots(self.path(self.disks[1]), {})
        self.assertIn("snapshot before is missing on disk/1", self.verify())

    def test_what_has_no_record_is_reported_if_it_may_be_ours(self) -> None:
        names = {"gnt-lost": 1, "of-a-person": 1}
        self.programs["node1"].store_snapshots(self.path(self.disks[0]), names)
        found = self.verify()
        self.assertIn("disk/0 has snapshots of no record (gnt-lost)", found)

    def test_unfinished_ones_are_reported_with_the_command_that_ends_this(self) -> None:
        self.take()
        self.programs["node1"].busy.add(self.path(self.disks[1]))
        self.refusal(REVERT, snapshot_name="before")
        self.assertIn("gnt-instance snapshot revert web1 before", self.verify())
        self.programs["node1"].busy.clear()
        self.do(REVERT, snapshot_name="before")
        self.programs["node1"].busy.add(self.path(self.disks[1]))
        self.refusal(REMOVE, snapshot_name="before")
        self.assertIn("gnt-instance snapshot remove web1 before", self.verify())
