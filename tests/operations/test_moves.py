# SPDX-License-Identifier: BSD-2-Clause
"""Instances move between nodes, and run in one place whatever breaks on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, GanetiError, Refused
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.rpc.call import Call
from ganeti.rpc.instances import FinalizeMigrationDst, MigrationStatus
from ganeti.rpc.node_client import TransportError
from ganeti.rpc.wire import CallRequest
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")

CALLS = (
    "migration_info",
    "hypervisor_validate_params",
    "accept_instance",
    "instance_migrate",
    "instance_get_migration_status",
    "instance_finalize_migration_dst",
    "instance_finalize_migration_src",
)


def diskless(**over: Any) -> ClusterState:
    return a_cluster(nodes=NODES, instances=[an_instance("web1", **over)])


class MoveTests(SynchronousTestCase):
    def whole(self, state: ClusterState | None = None) -> WholeCluster:
        whole = WholeCluster(diskless() if state is None else state)
        for instance in whole.state.instances.values():
            if instance.admin_state is AdminState.UP:
                self.successResultOf(whole.start(instance.name))
        return whole

    def do(self, whole: WholeCluster, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(whole.do(op_id, instance_name="web1", **fields))

    def refusal(self, whole: WholeCluster, op_id: str, **fields: Any) -> GanetiError:
        failure = self.failureResultOf(
            whole.do(op_id, instance_name="web1", **fields), Refused, Failed
        )
        error = failure.value
        assert isinstance(error, GanetiError)
        return error

    def tried(self, whole: WholeCluster, op_id: str, **fields: Any) -> str:
        """What went wrong; nothing if nothing did."""
        told: list[str] = []

        def note(failure: Failure) -> None:
            failure.trap(GanetiError)
            told.append(failure.getErrorMessage())

        Deferred.fromCoroutine(whole.do(op_id, instance_name="web1", **fields)).addErrback(note)
        return "".join(told)

    def primary(self, whole: WholeCluster) -> str:
        state = whole.state
        return state.nodes[state.instance("web1").primary_node].name


class FailoverTests(MoveTests):
    def test_the_instance_is_stopped_here_and_started_there(self) -> None:
        whole = self.whole()
        self.do(whole, "OP_INSTANCE_FAILOVER", target_node="node3")
        self.assertEqual((self.primary(whole), whole.where("web1")), ("node3", ["node3"]))

    def test_without_a_target_the_roomiest_node_is_taken(self) -> None:
        whole = self.whole()
        self.do(whole, "OP_INSTANCE_FAILOVER")
        self.assertEqual(whole.where("web1"), ["node2"])

    def test_a_stopped_instance_only_changes_its_node(self) -> None:
        whole = self.whole(diskless(admin_state=AdminState.DOWN))
        self.do(whole, "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertEqual((self.primary(whole), whole.where("web1")), ("node2", []))

    def test_an_offline_node_is_taken_to_be_dead(self) -> None:
        nodes = [a_node("node2"), a_node("node1", offline=True)]
        whole = WholeCluster(a_cluster(nodes=nodes, instances=["web1"]))
        self.do(whole, "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertEqual(whole.where("web1"), ["node2"])

    def test_a_silent_node_may_still_run_it(self) -> None:
        whole = self.whole()
        whole.network.vanish("node1")
        error = self.refusal(whole, "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertIn("gnt-node modify --offline=yes node1", str(error))
        self.assertEqual(whole.where("web1"), ["node1"])

    def test_a_start_that_fails_says_where_it_is(self) -> None:
        whole = self.whole()
        whole.network.lose_request("node2", call="instance_start")
        error = self.refusal(whole, "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertIn("was moved to node2 but cannot be started", str(error))
        self.assertEqual((self.primary(whole), whole.where("web1")), ("node2", []))

    def test_a_target_that_does_not_answer_leaves_it_where_it_was(self) -> None:
        whole = self.whole()
        whole.network.lose_request("node2", call="instance_finalize_migration_dst")
        self.refusal(whole, "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertEqual((self.primary(whole), whole.where("web1")), ("node1", ["node1"]))

    def test_files_on_one_node_do_not_move(self) -> None:
        state = a_cluster(nodes=NODES, instances=[an_instance("web1", disks=[a_disk("web1/0")])])
        error = self.refusal(WholeCluster(state), "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertIn("only on node node1", str(error))
        self.assertEqual(error.arguments()[1], Code.STATE)


class MigrateTests(MoveTests):
    def test_the_guest_goes_on_there(self) -> None:
        whole = self.whole()
        result = self.do(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
        self.assertEqual(result, {"node": "node2", "downtime_ms": 0})
        self.assertEqual((self.primary(whole), whole.where("web1")), ("node2", ["node2"]))
        self.assertIn("downtime: at most 0 ms", whole.said)

    def test_removing_it_drops_what_a_move_has_left_behind(self) -> None:
        whole = self.whole()
        whole.guests["node1"].breaks_at = "finish_outgoing"
        self.do(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
        self.assertEqual(whole.guests["node1"].held(), {"web1"})
        whole.guests["node1"].breaks_at = None
        self.do(whole, "OP_INSTANCE_REMOVE")
        self.assertEqual((whole.guests["node1"].held(), whole.where("web1")), (frozenset(), []))

    def test_a_guest_moves_with_what_it_was_started_with(self) -> None:
        whole = self.whole()
        bigger = {"maxmem": 256, "minmem": 256, "vcpus": 2}
        self.do(whole, "OP_INSTANCE_SET_PARAMS", beparams=bigger)
        for node in ("node2", "node3"):
            self.do(whole, "OP_INSTANCE_MIGRATE", target_node=node)
            state = whole.guests[node].running()["web1"]
            self.assertEqual((state.memory, state.vcpus), (128, 1))
        self.assertIn("changes that take effect at its next start: be/maxmem, be/vcpus", whole.said)
        self.do(whole, "OP_INSTANCE_REBOOT", reboot_type="hard")
        state = whole.guests["node3"].running()["web1"]
        self.assertEqual((state.memory, state.vcpus), (256, 2))

    def test_a_node_that_cannot_run_what_runs_is_refused_before_anything_is_done(self) -> None:
        whole = self.whole()
        why = "QEMU 7.2.0 has no machine type pc-i440fx-10.0"
        whole.guests["node2"].objections["machine_version"] = why
        error = self.refusal(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
        self.assertIn(f"web1 cannot run: node2: machine_version: {why}", str(error))
        self.assertIn("was started with this setting", str(error))
        self.assertIn("gnt-instance failover web1", str(error))
        self.assertEqual((whole.guests["node2"].asked, whole.where("web1")), ([], ["node1"]))

    def test_an_older_hypervisor_takes_a_guest_only_if_it_is_told_to(self) -> None:
        whole = self.whole()
        whole.guests["node1"].program_version = "10.0.2"
        whole.guests["node2"].program_version = "7.2.22"
        error = self.refusal(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
        self.assertIn("web1 cannot run: node2: version: older than 10.0.2", str(error))
        self.assertEqual((whole.guests["node2"].asked, whole.where("web1")), ([], ["node1"]))
        self.do(whole, "OP_INSTANCE_MIGRATE", target_node="node2", ignore_hvversions=True)
        self.assertEqual(whole.where("web1"), ["node2"])
        # Back to the newer one needs no leave.
        self.do(whole, "OP_INSTANCE_MIGRATE", target_node="node1")
        self.assertEqual(whole.where("web1"), ["node1"])

    def test_a_node_has_room_if_it_has_room_for_what_runs(self) -> None:
        whole = self.whole()
        self.do(whole, "OP_INSTANCE_SET_PARAMS", beparams={"maxmem": 64, "minmem": 64})
        for host in whole.hosts.values():
            host.disk.put("/proc/meminfo", b"MemAvailable: 102400 kB\n", 0o444, 0.0)
        error = self.refusal(whole, "OP_INSTANCE_MIGRATE", allow_runtime_changes=False)
        self.assertIn("has 100 MiB of free memory, but 128 MiB are required", str(error))

    def with_little_memory(self, free: int) -> WholeCluster:
        """A guest that may be reduced to 64 MiB, on nodes with ``free`` MiB."""
        whole = self.whole(diskless(beparams={"minmem": 64}))
        for host in whole.hosts.values():
            host.disk.put("/proc/meminfo", b"MemAvailable: %d kB\n" % (free << 10), 0o444, 0.0)
        return whole

    def test_a_guest_is_reduced_to_the_memory_that_its_target_has(self) -> None:
        for target in ("node2", None):
            whole = self.with_little_memory(100)
            self.do(whole, "OP_INSTANCE_MIGRATE", target_node=target)
            node = self.primary(whole)
            self.assertEqual(whole.guests[node].running()["web1"].memory, 100)
            self.assertIn("reduced from 128 to 100 MiB", whole.said)

    def test_a_guest_is_not_reduced_below_its_minimum_or_if_that_is_not_allowed(self) -> None:
        for free, allowed, reason in (
            (63, True, "63 MiB of free memory.* cannot have less than 64 MiB"),
            (100, False, "100 MiB of free memory, but instance web1 uses 128 MiB; free"),
        ):
            whole = self.with_little_memory(free)
            error = self.refusal(
                whole, "OP_INSTANCE_MIGRATE", target_node="node2", allow_runtime_changes=allowed
            )
            self.assertRegex(str(error), reason)
            self.assertEqual(whole.guests["node1"].running()["web1"].memory, 128)

    def test_a_guest_that_is_not_migrated_gets_its_memory_back(self) -> None:
        whole = self.with_little_memory(100)
        whole.guests["node2"].breaks_at = "accept"
        self.refusal(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
        self.assertEqual(whole.guests["node1"].asked.count(("set memory", "web1")), 2)
        self.assertEqual(whole.guests["node1"].running()["web1"].memory, 128)

    def test_a_guest_that_keeps_its_memory_stays(self) -> None:
        whole = self.with_little_memory(100)
        whole.guests["node1"].stubborn.add("web1")
        error = self.refusal(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
        self.assertIn("does not change its memory", str(error))
        self.assertEqual((self.primary(whole), whole.where("web1")), ("node1", ["node1"]))

    def test_a_node_daemon_that_restarts_for_a_minute_does_not_end_a_migration(self) -> None:
        for call in (MigrationStatus, FinalizeMigrationDst):
            whole = self.whole()
            down = self.down_after_sending(whole, call)
            self.do(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
            self.assertEqual((self.primary(whole), whole.where("web1")), ("node2", ["node2"]))
            self.assertEqual(len(down), 60, call)

    def down_after_sending(self, whole: WholeCluster, call: type[Call[Any]]) -> list[str]:
        """Both daemons are down for calls of a kind, for a minute once the guest is being sent."""
        down: list[str] = []

        async def answer_later(
            request: CallRequest, answer: Callable[[], Awaitable[bytes]]
        ) -> bytes:
            sending = ("node1", "instance_migrate") in whole.network.asked
            if request.name == call.wire and sending and len(down) < 60:
                down.append(request.name)
                raise TransportError("connection refused")
            return await answer()

        for node in ("node1", "node2"):
            whole.network.misbehave(node, answer_later)
        return down

    def test_what_the_receiver_says_is_in_the_error(self) -> None:
        for breaks, loses in (("sending", ()), (None, ("web1",))):
            whole = self.whole()
            whole.guests["node1"].breaks_at = breaks
            whole.guests["node2"].loses = set(loses)
            whole.guests["node2"].complaint = "Size mismatch: pc.ram"
            error = self.refusal(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
            self.assertIn("log of node2: Size mismatch: pc.ram; it is still", str(error))
            self.assertEqual((self.primary(whole), whole.where("web1")), ("node1", ["node1"]))

    def test_one_that_does_not_run_is_refused_unless_a_failover_will_do(self) -> None:
        whole = self.whole(diskless(admin_state=AdminState.DOWN))
        error = self.refusal(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
        self.assertEqual(error.arguments()[1], Code.STATE)
        self.do(whole, "OP_INSTANCE_MIGRATE", target_node="node2", allow_failover=True)
        self.assertEqual(self.primary(whole), "node2")

    def test_one_that_always_fails_over_does_so(self) -> None:
        whole = self.whole(diskless(beparams={"always_failover": True}))
        self.do(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
        self.assertEqual((self.primary(whole), whole.where("web1")), ("node2", ["node2"]))
        self.assertIn(
            "failing over instance web1 instead of migrating it: its parameter always_failover",
            whole.said,
        )

    def test_mode_and_live_exclude_each_other(self) -> None:
        both = {"mode": "live", "live": True}
        error = self.refusal(self.whole(), "OP_INSTANCE_MIGRATE", **both)
        self.assertEqual(error.arguments()[1], Code.INPUT)

    def test_whatever_is_lost_it_never_runs_twice_and_cleanup_settles_it(self) -> None:
        for node in ("node1", "node2"):
            for call in CALLS:
                for lose in ("lose_request", "lose_answer"):
                    with self.subTest(node=node, call=call, lose=lose):
                        self.lose_and_settle(node, call, lose)

    def lose_and_settle(self, node: str, call: str, lose: str) -> None:
        whole = self.whole()
        for n in (1, 2):
            whole = self.whole()
            getattr(whole.network, lose)(node, n, call=call)
            told = self.tried(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
            runs = whole.where("web1")
            self.assertIn(runs, ([], [self.primary(whole)]))
            whole.network.behave(node)
            if not runs:
                self.assertIn("--cleanup", told)
            self.do(whole, "OP_INSTANCE_MIGRATE", cleanup=True)
            self.assertEqual(whole.where("web1"), [self.primary(whole)])

    def test_a_silent_node_that_is_not_offline_is_an_internal_error(self) -> None:
        whole = self.whole()
        whole.network.vanish("node2")
        error = self.refusal(whole, "OP_INSTANCE_MIGRATE", target_node="node2")
        self.assertEqual(error.arguments()[1], Code.INTERNAL)

    def test_two_that_run_are_for_a_person_to_decide(self) -> None:
        whole = self.whole()
        self.successResultOf(whole.start_on("node2", "web1"))
        error = self.refusal(whole, "OP_INSTANCE_MIGRATE", cleanup=True)
        self.assertIn("is running on node1 and on node2", str(error))


class MirroredMoveTests(MoveTests):
    def mirrored(self) -> WholeCluster:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        state = a_cluster(nodes=NODES, instances=[an_instance("web1", disks=[disk])])
        whole = WholeCluster(state)
        self.successResultOf(whole.make_disks("web1"))
        self.successResultOf(whole.start("web1"))
        whole.clock.advance(1000)
        return whole

    def writers(self, whole: WholeCluster) -> list[str]:
        return sorted(ip for (ip, _), copy in whole.copies.all_copies().items() if copy.writable)

    def test_both_write_only_while_it_moves(self) -> None:
        whole = self.mirrored()
        self.do(whole, "OP_INSTANCE_MIGRATE")
        self.assertEqual((self.primary(whole), whole.where("web1")), ("node2", ["node2"]))
        self.assertEqual(self.writers(whole), ["192.0.2.2"])
        self.assertFalse(any(copy.both for copy in whole.copies.all_copies().values()))

    def test_what_broke_off_leaves_one_writer(self) -> None:
        whole = self.mirrored()
        whole.network.lose_request("node2", call="accept_instance")
        error = self.refusal(whole, "OP_INSTANCE_MIGRATE")
        self.assertIn("it is still running on node1", str(error))
        self.assertEqual(self.writers(whole), ["192.0.2.1"])

    def test_it_moves_only_to_its_secondary(self) -> None:
        error = self.refusal(self.mirrored(), "OP_INSTANCE_MIGRATE", target_node="node3")
        self.assertIn("gnt-instance replace-disks -n node3 web1", str(error))

    def test_a_failover_takes_the_other_copy(self) -> None:
        whole = self.mirrored()
        self.do(whole, "OP_INSTANCE_FAILOVER")
        self.assertEqual((self.primary(whole), whole.where("web1")), ("node2", ["node2"]))
        self.assertEqual(self.writers(whole), ["192.0.2.2"])

    def test_a_copy_that_is_behind_refuses_a_failover_unless_told_otherwise(self) -> None:
        whole = self.mirrored()
        whole.copies.cut_link("192.0.2.1", "192.0.2.2")
        whole.copies.write(("192.0.2.1", 11000), 100)
        whole.copies.repair_link("192.0.2.1", "192.0.2.2")
        error = self.refusal(whole, "OP_INSTANCE_FAILOVER")
        self.assertIn("disk/0 is syncing", str(error))
        self.assertEqual(whole.where("web1"), ["node1"])

    def test_disks_are_deactivated_only_when_nobody_uses_them(self) -> None:
        whole = self.mirrored()
        self.assertIn(
            "is running on node node1", str(self.refusal(whole, "OP_INSTANCE_DEACTIVATE_DISKS"))
        )
        self.do(whole, "OP_INSTANCE_SHUTDOWN")
        rows = self.do(whole, "OP_INSTANCE_ACTIVATE_DISKS")
        self.assertEqual(rows, [("node1", "disk/0", "/memory/mirror/0")])
        self.do(whole, "OP_INSTANCE_DEACTIVATE_DISKS")
        self.assertFalse(whole.state.instance("web1").disks_active)
