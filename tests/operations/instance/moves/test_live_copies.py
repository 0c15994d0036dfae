# SPDX-License-Identifier: BSD-2-Clause
"""A running instance moves with its disks, and is whole on one node whatever breaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.errors import GanetiError, JobCanceled
from ganeti.hypervisor.interfaces import MigrationPhase, MigrationProgress
from ganeti.model.disk import DiskMode, Template
from ganeti.model.instance import AdminState
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.moves.live_copies import CATCH_UP_TIMEOUT, STALL_TIMEOUT
from ganeti.rpc.node_client import UnknownThere
from ganeti.rpc.wire import CallRequest
from ganeti.testing.builders import a_cluster, a_disk, an_instance, uuid_of
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")
MIB = 1 << 20
CALLS = (
    "migration_info",
    "migration_features",
    "blockdev_create",
    "accept_instance",
    "migration_disks_receive",
    "migration_disks_copy",
    "migration_disks_status",
    "instance_migrate",
    "instance_get_migration_status",
    "instance_finalize_migration_dst",
    "instance_finalize_migration_src",
    "blockdev_remove",
)


def copying(*transferred: int, total: int = 64 * MIB) -> Iterator[MigrationProgress]:
    """A copy that is so far, one time after the other, and follows the guest then."""
    for each in transferred:
        yield MigrationProgress(phase=MigrationPhase.ACTIVE, transferred=each, total=total)


class LiveCopyCase(SynchronousTestCase):
    def whole(self, mode: DiskMode = DiskMode.READ_WRITE, **over: Any) -> WholeCluster:
        """Three nodes, and a running instance with two disks on the first."""
        disks = [
            a_disk(f"web1/{n}", Template.PLAIN, size=64 * (n + 1), mode=mode) for n in range(2)
        ]
        built = an_instance("web1", disks=disks, **over)
        whole = WholeCluster(a_cluster(nodes=NODES, instances=[built]))
        self.successResultOf(Deferred.fromCoroutine(whole.make_disks("web1")))
        if built.instance.admin_state is AdminState.UP:
            self.successResultOf(Deferred.fromCoroutine(whole.start("web1")))
        self.before = self.stored(whole)
        return whole

    def stored(self, whole: WholeCluster) -> dict[str, set[str]]:
        """The disks that there are, by node."""
        return {name: set(volumes.held) for name, volumes in whole.volumes.items()}

    def migrate(self, whole: WholeCluster, **fields: Any) -> Any:
        given = {"instance_name": "web1", **({} if fields else {"target_node": "node2"}), **fields}
        return whole.do("OP_INSTANCE_MIGRATE", **given)

    def refusal(self, whole: WholeCluster, **fields: Any) -> str:
        return str(self.failureResultOf(self.migrate(whole, **fields), GanetiError).value)

    def nothing_has_moved(self, whole: WholeCluster) -> None:
        self.assertEqual(whole.where("web1"), ["node1"])
        self.assertEqual(self.stored(whole), self.before)
        self.assertEqual(whole.state.instance("web1").primary_node, uuid_of("node", "node1"))
        self.assertEqual([whole.guests[name].held() for name in NODES], [frozenset()] * 3)
        self.assertEqual(whole.guests["node1"].copied, {})


class WellTests(LiveCopyCase):
    def test_the_guest_goes_on_there_with_new_disks_and_the_old_ones_are_removed(self) -> None:
        whole = self.whole()
        result = self.successResultOf(self.migrate(whole))
        self.assertEqual((result["node"], whole.where("web1")), ("node2", ["node2"]))
        disks = whole.state.get_disks(whole.state.instance("web1"))
        names = {"/".join(disk.logical_id) for disk in disks}
        self.assertEqual(self.stored(whole), {"node1": set(), "node2": names, "node3": set()})
        paths = tuple(f"/memory/{'/'.join(disk.logical_id)}" for disk in disks)
        self.assertEqual(whole.guests["node2"].disks["web1"], paths)
        self.assertEqual(list(verify(whole.state)), [])

    def test_its_memory_is_sent_when_its_disks_are_copied(self) -> None:
        whole = self.whole()
        self.successResultOf(self.migrate(whole))
        steps = [what for what, _ in whole.guests["node1"].asked]
        self.assertEqual(steps, ["start", "copy disks", "copying", "migrate", "finish_outgoing"])
        steps = [what for what, _ in whole.guests["node2"].asked]
        # The first one removes what an earlier migration may have left.
        self.assertEqual(steps, ["finish_incoming", "accept", "receive disks", "finish_incoming"])

    def test_without_a_target_a_node_with_space_is_chosen(self) -> None:
        whole = self.whole()
        self.successResultOf(self.migrate(whole, live=True))
        self.assertIn(whole.where("web1"), (["node2"], ["node3"]))

    def test_it_can_go_back_and_forth(self) -> None:
        whole = self.whole()
        for target in ("node2", "node1", "node3", "node1"):
            self.successResultOf(self.migrate(whole, target_node=target))
            self.assertEqual(whole.where("web1"), [target])
            self.assertEqual(sum(map(len, self.stored(whole).values())), 2)

    def test_the_job_says_how_far_it_is_and_when_it_will_be_done(self) -> None:
        whole = self.whole()
        steps = [n * MIB for n in range(0, 64, 4)]
        whole.guests["node1"].copies = lambda: copying(*steps)
        self.successResultOf(self.migrate(whole))
        old = whole.said.partition("once the instance runs: ")[2].splitlines()[0]
        self.assertEqual(set(old.split(", ")), self.before["node1"])
        self.assertIn("copying the disks of web1 from node1 to node2", whole.said)
        self.assertRegex(whole.said, r"\d+ of 64 MiB at \d+\.\d MiB/s: \d+\.\d% done, \d+ s left")

    def test_both_nodes_know_the_same_secret_and_each_migration_has_another(self) -> None:
        whole = self.whole()
        secrets = set()
        for here, there in (("node1", "node2"), ("node2", "node1")):
            self.successResultOf(self.migrate(whole, target_node=there))
            secret = whole.guests[there].secrets["web1"]
            self.assertEqual(whole.guests[here].secrets["web1"], secret)
            secrets.add(secret)
        self.assertEqual((len(secrets), "" in secrets), (2, False))


class RefusalTests(LiveCopyCase):
    def test_a_stopped_instance_is_moved_by_another_command(self) -> None:
        whole = self.whole(admin_state=AdminState.DOWN)
        self.assertIn("gnt-instance move -n NODE web1", self.refusal(whole))

    def test_read_only_disks_are_refused_before_anything_is_copied(self) -> None:
        whole = self.whole(DiskMode.READ_ONLY)
        self.assertIn("runs with read-only disks (disk/0, disk/1)", self.refusal(whole))
        self.nothing_has_moved(whole)

    def test_a_node_of_an_earlier_release_is_refused(self) -> None:
        whole = self.whole()

        async def forget_call(
            request: CallRequest, answer: Callable[[], Awaitable[bytes]]
        ) -> bytes:
            if request.name == "migration_features":
                raise UnknownThere("unknown call")
            return await answer()

        whole.network.misbehave("node2", forget_call)
        self.assertIn("node node2 has an earlier release", self.refusal(whole))
        self.nothing_has_moved(whole)


class BrokenTests(LiveCopyCase):
    def test_a_copy_that_breaks_leaves_all_as_it_was(self) -> None:
        whole = self.whole()
        broken = MigrationProgress(phase=MigrationPhase.FAILED, message="No space left on device")
        whole.guests["node1"].copies = lambda: iter([broken])
        error = self.refusal(whole)
        self.assertIn("failed: No space left on device; it is still running on node1", error)
        self.nothing_has_moved(whole)

    def test_a_copy_that_stands_still_is_given_up(self) -> None:
        whole = self.whole()
        whole.guests["node1"].copies = lambda: copying(*([MIB] * 1000))
        error = self.refusal(whole)
        self.assertIn(f"nothing was copied from node1 to node2 for {STALL_TIMEOUT:g} s", error)
        self.nothing_has_moved(whole)

    def test_a_guest_that_writes_faster_than_is_copied_is_given_up(self) -> None:
        whole = self.whole()
        whole.guests["node1"].copies = lambda: (
            MigrationProgress(phase=MigrationPhase.ACTIVE, transferred=n, total=n + MIB)
            for n in range(10_000)
        )
        self.assertIn("kvm:migration_bandwidth=MIB_PER_SECOND", self.refusal(whole))
        self.assertGreaterEqual(whole.clock.seconds(), CATCH_UP_TIMEOUT)
        self.nothing_has_moved(whole)

    def test_a_canceled_job_leaves_all_as_it_was(self) -> None:
        whole = self.whole()

        def cancel_then_copy() -> Iterator[MigrationProgress]:
            whole.memory.progress.cancel()
            yield from copying(MIB, 2 * MIB)

        whole.guests["node1"].copies = cancel_then_copy
        self.failureResultOf(self.migrate(whole), JobCanceled)
        self.nothing_has_moved(whole)

    def test_a_guest_that_does_not_arrive_goes_on_with_its_old_disks(self) -> None:
        whole = self.whole()
        whole.guests["node2"].loses = {"web1"}
        self.assertIn("it is still running on node1", self.refusal(whole))
        self.nothing_has_moved(whole)

    def test_whatever_is_lost_it_never_runs_twice_and_cleanup_settles_it(self) -> None:
        for node in ("node1", "node2"):
            for call in CALLS:
                for lose in ("lose_request", "lose_answer"):
                    with self.subTest(node=node, call=call, lose=lose):
                        self.lose_and_settle(node, call, lose)

    def lose_and_settle(self, node: str, call: str, lose: str) -> None:
        for n in (1, 2):
            self.lose_nth_and_settle(node, call, lose, n)

    def test_a_node_that_does_not_answer_does_not_keep_others_from_being_cleaned_up(self) -> None:
        whole = self.whole()
        whole.network.vanish("node2")
        self.successResultOf(self.migrate(whole, cleanup=True))
        self.assertIn("cannot look for leftovers on node node2", whole.said)
        self.assertEqual(whole.where("web1"), ["node1"])

    def test_another_guest_of_that_name_is_left_alone(self) -> None:
        whole = self.whole()
        guest = make_guest(whole.state, whole.state.instance("web1"))
        self.successResultOf(Deferred.fromCoroutine(whole.guests["node2"].start(guest, [])))
        self.successResultOf(self.migrate(whole, cleanup=True))
        self.assertEqual(sorted(whole.where("web1")), ["node1", "node2"])
        self.assertIn("node node2 runs another guest with the name web1", whole.said)

    def test_a_guest_that_was_lost_on_its_new_node_can_start_there(self) -> None:
        whole = self.whole()
        whole.network.lose_request("node2", 2, call="instance_finalize_migration_dst")
        whole.guests["node1"].breaks_at = "finish_outgoing"
        self.tried(whole)
        whole.guests["node1"].breaks_at = None
        whole.network.behave("node2")
        self.successResultOf(Deferred.fromCoroutine(whole.guests["node2"].kill(["web1"])))
        self.successResultOf(self.migrate(whole, cleanup=True))
        self.successResultOf(Deferred.fromCoroutine(whole.start("web1")))
        self.assertEqual(whole.where("web1"), ["node2"])
        self.assertEqual(whole.guests["node1"].held(), frozenset())

    def lose_nth_and_settle(self, node: str, call: str, lose: str, n: int) -> None:
        whole = self.whole()
        getattr(whole.network, lose)(node, n, call=call)
        told = self.tried(whole)
        state = whole.state
        primary = state.nodes[state.instance("web1").primary_node].name
        runs = whole.where("web1")
        self.assertIn(runs, ([], [primary]))
        if not runs:
            self.assertIn("--cleanup", told)
        # All of its disks are where it is.
        for disk in state.get_disks(state.instance("web1")):
            self.assertIn("/".join(disk.logical_id), whole.volumes[primary].held)
        whole.network.behave(node)
        self.successResultOf(self.migrate(whole, cleanup=True))
        self.assertEqual(whole.where("web1"), [primary])
        self.assertEqual([whole.guests[name].held() for name in NODES], [frozenset()] * 3)
        if primary == "node1":
            self.assertEqual(self.stored(whole), self.before)

    def tried(self, whole: WholeCluster) -> str:
        """What went wrong; nothing if nothing did."""
        told: list[str] = []

        def note(failure: Failure) -> None:
            failure.trap(GanetiError)
            told.append(failure.getErrorMessage())

        Deferred.fromCoroutine(self.migrate(whole)).addErrback(note)
        return "".join(told)
