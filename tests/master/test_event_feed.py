# SPDX-License-Identifier: BSD-2-Clause
"""Events are served without gaps or duplicates, whatever happens to the master."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid, Refused
from ganeti.events.event import EventFilter
from ganeti.events.stream_position import StreamPosition
from ganeti.master.event_feed import MAX_WAIT, EventFeed
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.opcodes.test import Delay
from ganeti.testing.cluster import SimulatedCluster


class FeedCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)
        for host in self.cluster.hosts:
            host.segment_size = 1 << 20  # as a cluster has it, a checkpoint lets nothing go
        self.cluster.reopened()
        self.seen: list[dict[str, Any]] = []
        self.position = self.ask()["position"]

    def ask(self, since: str | None = None, timeout: float = 0, **selection: Any) -> Any:
        return self.cluster.wait(self.asking(since, timeout, **selection))

    def asking(self, since: str | None, timeout: float, **selection: Any) -> Deferred[Any]:
        wait = self.cluster.master.answers()["WaitForEvents"]
        asking: Deferred[Any] = Deferred.fromCoroutine(wait(since, timeout, **selection))  # type: ignore[arg-type]  # a coroutine
        return asking.addCallback(msgspec.json.decode)

    def read(self) -> list[dict[str, Any]]:
        """Everything that is new, in as many requests as it takes."""
        new: list[dict[str, Any]] = []
        while True:
            answer = self.ask(self.position)
            self.assertFalse(answer["reset"])
            self.position = answer["position"]
            if not answer["events"]:
                self.seen += new
                return new
            new += answer["events"]

    def run_job(self, **fields: Any) -> None:
        self.cluster.submit(Delay(duration=1, **fields))
        self.cluster.finish_jobs()

    def statuses(self) -> list[tuple[str, str]]:
        jobs = [e for e in self.seen if e["kind"] == "job" and e["action"] != "message"]
        return [(e["name"], e["value"]["status"]) for e in jobs]


class FeedTests(FeedCase):
    def test_the_life_of_a_job_is_told_in_order(self) -> None:
        self.run_job()
        self.read()
        expected = [("1", s) for s in ("queued", "running", "success")]
        self.assertEqual(self.statuses(), expected)

    def test_who_waits_is_answered_as_soon_as_something_happens(self) -> None:
        asking = self.asking(self.position, 60)
        self.assertNoResult(asking)
        self.cluster.submit(Delay(duration=5))
        self.cluster.pass_time(1)
        answer = self.successResultOf(asking)
        self.assertEqual(answer["events"][0]["value"]["status"], "queued")

    def test_without_an_event_the_answer_comes_when_the_time_is_up(self) -> None:
        asking = self.asking(self.position, 1000)
        self.cluster.pass_time(MAX_WAIT - 1)
        self.assertNoResult(asking)
        self.cluster.pass_time(2)
        expected = {"events": [], "position": self.position, "reset": False}
        self.assertEqual(self.successResultOf(asking), expected)
        self.assertEqual(self.cluster.master.events.readers, 0)

    def test_only_what_was_selected_is_answered_and_the_position_moves_on(self) -> None:
        self.cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("blue",)))
        self.cluster.finish_jobs()
        answer = self.ask(self.position, kinds=["cluster"], tags=["blue"])
        self.assertEqual([event["kind"] for event in answer["events"]], ["cluster"])
        later = self.ask(answer["position"], kinds=["cluster"])
        self.assertEqual(later["events"], [])

    def test_a_selection_that_matches_nothing_waits(self) -> None:
        asking = self.asking(self.position, 60, names=["web9"])
        self.run_job()
        self.assertNoResult(asking)
        self.cluster.pass_time(60)
        self.assertEqual(self.successResultOf(asking)["position"], self.ask()["position"])

    def test_what_is_no_position_is_refused(self) -> None:
        self.assertRaisesRegex(Invalid, "such as", self.ask, "yesterday")
        self.assertRaisesRegex(Invalid, "known kinds", self.ask, kinds=["vm"])

    def test_a_position_that_was_never_reached_is_reset(self) -> None:
        answer = self.ask("999999.1")
        self.assertTrue(answer["reset"])
        self.assertEqual(answer["position"], self.position)


class RestartTests(FeedCase):
    def test_a_killed_master_leaves_no_gap_and_repeats_nothing(self) -> None:
        self.run_job()
        self.read()
        self.run_job()
        self.cluster.kill_master()
        self.cluster.start_master()
        self.run_job()
        self.read()
        statuses = ("queued", "running", "success")
        self.assertEqual(self.statuses(), [(n, s) for n in "123" for s in statuses])
        ids = [event["id"] for event in self.seen]
        self.assertEqual(len(set(ids)), len(ids))
        [started] = [e for e in self.seen if e["action"] == "master-started"]
        self.assertEqual(started["name"], self.cluster.hosts[0].name)

    def test_events_go_on_with_another_master(self) -> None:
        self.run_job()
        self.read()
        self.run_job()
        self.cluster.fail_over(self.cluster.hosts[1])
        self.run_job()
        self.read()
        statuses = ("queued", "running", "success")
        self.assertEqual(self.statuses(), [(n, s) for n in "123" for s in statuses])

    def test_a_reader_in_the_middle_of_a_commit_gets_the_rest_of_it(self) -> None:
        self.cluster.submit(*[Delay(duration=0) for _ in range(3)])
        self.cluster.finish_jobs()
        first, *rest = self.read()
        self.cluster.kill_master()
        self.cluster.start_master()
        self.position = first["id"]
        self.assertEqual(self.read()[: len(rest)], rest)

    def test_nothing_is_told_before_the_term_has_begun(self) -> None:
        self.cluster.kill_master()
        for host in self.cluster.hosts[1:]:
            self.cluster.network.vanish(host.name)
        self.cluster.launch_master(self.cluster.hosts[0])
        process = self.cluster.processes[-1]
        asking = Deferred.fromCoroutine(process.master.events.wait_for_events(self.position, 3))
        self.cluster.pass_time(2)
        self.assertNoResult(asking)
        self.cluster.pass_time(2)
        self.failureResultOf(asking, Refused)

    def test_what_a_checkpoint_has_let_go_is_reset(self) -> None:
        self.cluster.hosts[0].segment_size = 2 << 10
        self.cluster.reopened()
        for _ in range(20):
            self.run_job()
            self.cluster.pass_time(15)
        self.cluster.reopened()
        answer = self.ask(self.position)
        self.assertTrue(answer["reset"])
        self.position = answer["position"]
        self.assertEqual(self.read(), [])


class ReaderTests(FeedCase):
    """Readers in the master are served from the journal where memory does not reach back."""

    def setUp(self) -> None:
        super().setUp()
        master = self.cluster.master
        self.feed = EventFeed(
            master.journal,
            master.config.state,
            self.cluster.clock,
            self.cluster.clock.seconds,
            max_bytes=1,
        )
        self.addCleanup(self.feed.stop)
        self.feed.start("node1")
        self.begun = self.feed.newest_position

    def read_all(self, **selection: Any) -> list[str]:
        found: list[str] = []
        cursor = self.begun
        while cursor < self.feed.newest_position:
            batch = self.cluster.wait(self.feed.read(cursor, EventFilter.of(**selection)))
            self.assertFalse(batch.reset)
            found += [str(event.cursor) for event in batch.events]
            cursor = batch.position
        return found

    def test_a_reader_that_is_far_behind_gets_everything(self) -> None:
        for _ in range(40):
            self.run_job()
        expected = [event["id"] for event in self.read()]
        self.assertEqual(self.read_all(), expected)

    def test_only_what_is_selected_is_returned(self) -> None:
        for _ in range(10):
            self.run_job()
        self.assertEqual(self.read_all(kinds=["network"]), [])

    def test_a_reader_that_waits_is_answered_by_the_next_event(self) -> None:
        reading = Deferred.fromCoroutine(self.feed.read(self.feed.newest_position, EventFilter()))
        self.assertNoResult(reading)
        self.run_job()
        self.assertEqual(self.successResultOf(reading).events[0].kind, "job")

    def test_one_that_does_not_wait_is_answered_at_once(self) -> None:
        reading = Deferred.fromCoroutine(
            self.feed.read(self.feed.newest_position, EventFilter(), wait=False)
        )
        self.assertEqual(list(self.successResultOf(reading).events), [])

    def test_a_position_that_was_never_reached_is_reset(self) -> None:
        reading = self.feed.read(StreamPosition(999_999), EventFilter())
        self.assertTrue(self.cluster.wait(reading).reset)
