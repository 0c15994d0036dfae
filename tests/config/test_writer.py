# SPDX-License-Identifier: BSD-2-Clause
"""Changes are durable when they are told of, and nothing is half true when they cannot be."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.cluster import update_cluster
from ganeti.config.changes.objects import add, update
from ganeti.config.changes.tags import add_tags
from ganeti.config.replay import apply
from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.config.writer import CancelledAfterCommit, Change, ChangeCause, ConfigWriter
from ganeti.errors import CommitFailed, Invalid, Refused
from ganeti.journal.interfaces import Commit, Position, Put
from ganeti.testing.builders import SINCE, a_cluster, a_node
from ganeti.testing.journal import MemoryJournal

NOW = SINCE + 60
WHY = ChangeCause("tests", "to see")


class SlowJournal(MemoryJournal):
    """Keeps commits when told to, several at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Deferred[None]] = []

    async def append(self, commit: Commit) -> Position:
        await self._turn()
        return await super().append(commit)

    def sync(self, count: int = 100) -> None:
        now, self.waiting = self.waiting[:count], self.waiting[count:]
        for each in now:
            each.callback(None)

    def _turn(self) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self.waiting.append(waiting)
        return waiting


class ConfigTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.start = a_cluster(nodes=["node1", "node2"], instances=["web1"])
        self.journal = MemoryJournal()
        self.config = ConfigWriter(self.start, self.journal, lambda: NOW)

    def change(self, change: Change) -> ClusterState:
        state = self.successResultOf(self.config.change(change, because=WHY))
        assert isinstance(state, ClusterState)
        return state

    def test_what_others_could_not_hold_is_not_kept(self) -> None:
        web = self.start.instance("web1")
        for change in (
            update(web, name="web1\nweb2"),
            update(web, osparams={"url": "x\0"}),
            update(web, hvparams={"kernel_args": ["ro\r"]}),
            update(self.start.node("node2"), ndparams={"ssh_port": 10**30}),
            update_cluster(file_storage_dir="/srv\n/etc"),
        ):
            kept = self.config.change(change, because=WHY)
            self.failureResultOf(kept, Invalid)
        self.assertEqual((self.config.state(), self.journal.last_commit()), (self.start, 0))

    def test_a_change_moves_serial_numbers_and_times_on(self) -> None:
        state = self.change(add_tags(self.start.instance("web1"), ["a"]))
        web = state.instance("web1")
        self.assertEqual((web.tags, web.serial_no, web.mtime, web.ctime), (("a",), 2, NOW, SINCE))
        self.assertEqual((state.serial_no, state.mtime, state.ctime), (2, NOW, SINCE))
        self.assertEqual(state, self.config.state())

    def test_a_new_object_begins_with_the_first_serial_number(self) -> None:
        state = self.change(add(a_node("node3", serial_no=77, ctime=0.0)))
        node = state.node("node3")
        self.assertEqual((node.serial_no, node.ctime, node.mtime), (1, NOW, NOW))

    def test_a_change_of_nothing_costs_no_commit(self) -> None:
        self.change(update_cluster(cluster_name="cluster.example.com"))
        self.assertEqual((self.journal.commits, self.config.state()), ([], self.start))

    def test_what_else_is_to_be_kept_is_in_the_same_commit(self) -> None:
        job = Put(kind="job", key="7", value=b"{}")  # type: ignore[arg-type]  # any bytes do
        change = add_tags(self.start.instance("web1"), ["a"])
        self.successResultOf(self.config.change(change, because=WHY, also=[job]))
        [commit] = self.journal.commits
        self.assertEqual([edit.kind for edit in commit.edits], ["instance", "config", "job"])

    def test_observers_see_each_durable_state_and_its_edits(self) -> None:
        seen: list[tuple[int, tuple[RecordEdit, ...]]] = []
        self.config.observe(lambda state, edits: seen.append((state.serial_no, edits)))
        state = self.change(update(self.start.node("node2"), drained=True))
        node = state.node("node2")
        self.assertEqual(
            seen, [(2, (RecordEdit(RecordKind.NODE, node.uuid, node, a_node("node2")),))]
        )

    def test_what_could_not_be_read_again_is_not_written(self) -> None:
        change = update(self.start.node("node2"), drained="perhaps")
        failed = self.failureResultOf(self.config.change(change, because=WHY), Invalid)
        self.assertIn("drained: must be true or false", str(failed.value))
        self.assertEqual((self.journal.commits, self.config.state()), ([], self.start))

    def test_lists_in_parameters_are_the_same_before_and_after_a_replay(self) -> None:
        state = self.change(update_cluster(ipolicy={"disk-templates": ("plain",)}))
        self.assertEqual(state.cluster.ipolicy, {"disk-templates": ["plain"]})

    def test_several_edits_of_one_object_are_one(self) -> None:
        web = self.start.instance("web1")

        def twice(state: ClusterState) -> ClusterState:
            return add_tags(web, ["b"])(add_tags(web, ["a"])(state))

        self.assertEqual(self.change(twice).instance("web1").serial_no, 2)
        self.assertEqual([len(commit.edits) for commit in self.journal.commits], [2])

    def test_a_name_can_pass_from_a_removed_object_to_a_new_one(self) -> None:
        def replaced(state: ClusterState) -> ClusterState:
            new = a_node("node2", uuid="other")
            return state.remove(state.node("node2")).put(new)

        state = self.change(replaced)
        self.assertEqual(state.node("node2").uuid, "other")
        self.assertEqual(apply(self.start, self.journal.commits[0].edits), state)


class PipelineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.start = a_cluster(instances=["web1"])
        self.journal = SlowJournal()
        self.config = ConfigWriter(self.start, self.journal, lambda: NOW)

    def tag(self, tag: str) -> Deferred[ClusterState]:
        change = add_tags(self.start.instance("web1"), [tag])
        return Deferred.fromCoroutine(self.config.change(change, because=WHY))

    def tags(self) -> tuple[str, ...]:
        return self.config.state().instance("web1").tags

    def test_readers_see_nothing_that_is_not_durable(self) -> None:
        waiting = self.tag("a")
        self.assertNoResult(waiting)
        self.assertEqual(self.config.state(), self.start)
        self.journal.sync()
        self.assertEqual(self.successResultOf(waiting), self.config.state())
        self.assertEqual(self.tags(), ("a",))

    def test_changes_under_way_build_on_each_other(self) -> None:
        waiting = [self.tag("a"), self.tag("b"), self.tag("c")]
        self.journal.sync(2)
        self.assertEqual(self.tags(), ("a", "b"))
        self.journal.sync()
        states = [self.successResultOf(each) for each in waiting]
        self.assertEqual([state.serial_no for state in states], [2, 3, 4])
        self.assertEqual(self.tags(), ("a", "b", "c"))

    def test_a_change_that_finds_itself_made_waits_until_that_is_durable(self) -> None:
        first, second = self.tag("a"), self.tag("a")
        self.assertNoResult(second)
        self.journal.sync()
        self.assertEqual(self.successResultOf(second), self.successResultOf(first))

    def test_all_that_were_built_on_a_lost_change_are_lost_with_it(self) -> None:
        first, second, third = self.tag("a"), self.tag("b"), self.tag("c")
        self.journal.sync(1)
        self.journal.break_down()
        self.journal.sync()
        self.assertEqual(self.successResultOf(first), self.config.state())
        self.failureResultOf(second, CommitFailed)
        self.failureResultOf(third, CommitFailed)
        self.assertEqual(self.tags(), ("a",))

    def test_changes_made_after_a_failure_do_not_build_on_what_was_lost(self) -> None:
        self.journal.break_down()
        lost = [self.tag("a"), self.tag("b")]
        self.journal.sync(1)
        self.failureResultOf(lost[0], CommitFailed)
        self.journal.heal()
        late = self.tag("c")
        self.journal.sync(1)
        self.failureResultOf(lost[1], CommitFailed)
        self.successResultOf(Deferred.fromCoroutine(self.journal.reopen()))
        later = self.tag("d")
        self.journal.sync()
        self.successResultOf(late)
        self.successResultOf(later)
        self.assertEqual(self.tags(), ("c", "d"))

    def test_who_stops_waiting_does_not_take_the_change_back(self) -> None:
        seen: list[int] = []
        self.config.observe(lambda state, edits: seen.append(state.serial_no))
        waiting = self.tag("a")
        waiting.cancel()
        self.assertNoResult(waiting)
        self.journal.sync()
        self.failureResultOf(waiting, CancelledAfterCommit)
        self.assertEqual((self.tags(), seen), (("a",), [2]))

    def test_who_is_cancelled_is_told_of_a_change_that_was_not_made(self) -> None:
        waiting = self.tag("a")
        waiting.cancel()
        self.journal.break_down()
        self.journal.sync()
        self.failureResultOf(waiting, CommitFailed)
        self.assertEqual(self.tags(), ())

    def test_a_refusal_leaves_what_is_under_way_alone(self) -> None:
        waiting = self.tag("a")
        gone = a_node("node9")
        refused = self.config.change(update(gone, drained=True), because=WHY)
        self.failureResultOf(Deferred.fromCoroutine(refused), Refused)
        self.journal.sync()
        self.successResultOf(waiting)
        self.assertEqual(self.tags(), ("a",))
