# SPDX-License-Identifier: BSD-2-Clause
"""Events reach receivers in order and without gaps, whatever happens to master and receiver."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.notifications import add_notification
from ganeti.config.writer import ChangeCause
from ganeti.errors import Failed, Refused
from ganeti.events.stream_position import StreamPosition
from ganeti.master.notifications.delivery import HOUR, MAX_RETRY, MAX_UNRECORDED_COMMITS
from ganeti.master.notifications.notifier import RECORD_INTERVAL
from ganeti.model.notifications import Notification
from ganeti.opcodes.notifications import ModifyNotification, RemoveNotification
from ganeti.opcodes.test import Delay
from ganeti.testing.cluster import SimulatedCluster

SECRET = "a secret of enough characters"
BECAUSE = ChangeCause("test", "test")


class NotifierCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)
        for host in self.cluster.hosts:
            host.segment_size = 1 << 20  # as a cluster has it, a checkpoint removes nothing
        self.cluster.reopened()
        self.senders = self.cluster.senders

    def add(self, url: str = "https://hooks.example/", **over: Any) -> None:
        fields: dict[str, Any] = {"secret": SECRET, "kinds": ("job",), **over}
        if url.startswith("mailto"):
            fields["secret"] = ""
        notification = Notification(uuid="chat", url=url, created=1, **fields)
        change = add_notification(notification, str(self.cluster.master.events.newest_position))
        self.cluster.wait(self.cluster.master.config.change(change, because=BECAUSE))

    def run_jobs(self, count: int = 1) -> None:
        for _ in range(count):
            self.cluster.submit(Delay(duration=0))
            self.cluster.pass_time(1)

    def modify(self, **fields: Any) -> None:
        self.cluster.submit(ModifyNotification(notification_name="chat", **fields))
        self.cluster.pass_time(1)

    def row(self) -> dict[str, Any]:
        [row] = self.cluster.wait(self.cluster.master.notifier.query_notifications())
        return row

    def commits(self, why: str = "the progress of notifications") -> int:
        journal = self.cluster.master.journal
        found = journal.replay(journal.base_position())
        return sum(commit.why == why for _, commit in found)

    def statuses(self) -> list[str]:
        """The states of jobs in the requests that were accepted, without repetitions."""
        found: dict[str, str] = {}
        for request, document in zip(self.senders.posts, self.senders.documents(), strict=True):
            if document.get("kind") == "job" and document["action"] != "message":
                value = document["value"]
                found[request.headers["webhook-id"]] = f"{value['id']} {value['status']}"
        return list(found.values())

    def expected(self, jobs: int) -> list[str]:
        words = ("queued", "running", "success")
        return [f"{n} {status}" for n in range(1, jobs + 1) for status in words]


class WebhookTests(NotifierCase):
    def test_each_event_is_one_request_in_order(self) -> None:
        self.add()
        self.run_jobs(2)
        self.assertEqual(self.statuses(), self.expected(2))
        ids = [StreamPosition.parse(each) for each in self.senders.accepted]
        self.assertEqual(ids, sorted(set(ids)))

    def test_only_what_is_selected_is_sent(self) -> None:
        self.add(kinds=("network",))
        self.run_jobs()
        self.assertEqual(self.senders.posts, [])

    def test_a_receiver_that_fails_is_retried_and_nothing_overtakes(self) -> None:
        self.add()
        self.senders.status = 500
        self.run_jobs(2)
        self.cluster.pass_time(60)
        self.assertEqual(
            {each["id"] for each in self.senders.documents()}, {self.senders.documents()[0]["id"]}
        )
        self.assertIn("HTTP status 500", self.row()["error"])
        self.senders.status = 200
        self.cluster.pass_time(MAX_RETRY)
        self.assertEqual(self.statuses(), self.expected(2))
        self.assertEqual((self.row()["error"], self.row()["failing_since"]), ("", None))

    def test_redirects_and_refusals_are_failures(self) -> None:
        self.add()
        for status in (301, 404, 199):
            self.senders.status = status
            self.run_jobs()
            self.cluster.pass_time(MAX_RETRY)
            self.assertEqual(self.senders.accepted, [])
            self.assertIn(f"HTTP status {status}", self.row()["error"])

    def test_a_receiver_that_hangs_does_not_hold_up_others(self) -> None:
        self.add()
        self.senders.hangs = True
        self.run_jobs()
        self.assertEqual(len(self.senders.posts), 1)
        self.assertEqual(self.cluster.master.queue.find_job(1).status.value, "success")  # type: ignore[union-attr]  # it is there

    def test_progress_is_recorded_in_few_commits(self) -> None:
        self.add()
        self.run_jobs(20)
        self.cluster.pass_time(RECORD_INTERVAL + 1)
        self.assertLessEqual(self.commits(), 2)
        before = self.commits()
        self.cluster.pass_time(10 * RECORD_INTERVAL)
        self.assertEqual(self.commits(), before)

    def test_one_that_selects_nothing_is_recorded_rarely(self) -> None:
        self.add(kinds=("network",))
        self.run_jobs(5)
        self.cluster.pass_time(2 * RECORD_INTERVAL)
        self.assertEqual(self.commits(), 0)
        recorded = self.cluster.master.config.state().notification_progress["chat"]
        lag = (
            self.cluster.master.journal.last_commit()
            - StreamPosition.parse(recorded.position).position
        )
        self.assertLess(lag, MAX_UNRECORDED_COMMITS)

    def test_a_removed_one_gets_nothing_more(self) -> None:
        self.add()
        self.senders.status = 500
        self.run_jobs()
        self.cluster.submit(RemoveNotification(notification_name="chat"))
        self.cluster.pass_time(1)
        sent = len(self.senders.posts)
        self.cluster.pass_time(HOUR)
        self.assertEqual(len(self.senders.posts), sent)

    def test_a_disabled_one_continues_where_it_was(self) -> None:
        self.add()
        self.run_jobs()
        self.modify(enabled=False)
        self.run_jobs()
        self.assertEqual(self.row()["enabled"], False)
        self.modify(enabled=True)
        self.cluster.pass_time(5)
        statuses = [each for each in self.statuses() if each.endswith("success")]
        self.assertEqual(statuses[:4], ["1 success", "2 success", "3 success", "4 success"])

    def test_pending_events_can_be_skipped(self) -> None:
        self.add()
        self.senders.status = 500
        self.run_jobs(3)
        self.modify(skip_pending=True)
        self.senders.status = 200
        self.cluster.pass_time(5)
        # Of the job that does it, the end is sent.
        self.assertEqual([s for s in self.statuses() if s.startswith("3")], [])
        self.assertIn("4 success", self.statuses())

    def test_a_test_is_sent_at_once_and_reports_the_failure(self) -> None:
        self.add()
        self.cluster.wait(self.cluster.master.notifier.test("chat"))
        self.assertEqual(self.senders.documents()[-1]["kind"], "test")
        self.senders.status = Failed("connection refused")
        failing = self.cluster.master.notifier.test("chat")
        error = self.assertRaises(Failed, self.cluster.wait, failing)
        self.assertIn("chat could not be delivered: connection refused", str(error))
        self.assertRaises(Refused, self.cluster.wait, self.cluster.master.notifier.test("none"))

    def test_a_test_that_succeeds_lets_the_delivery_try_again(self) -> None:
        self.add()
        self.senders.status = 500
        self.run_jobs()
        self.cluster.pass_time(60)
        self.senders.status = 200
        self.cluster.wait(self.cluster.master.notifier.test("chat"))
        self.cluster.pass_time(1)
        self.assertEqual(self.statuses(), self.expected(1))

    def test_secrets_are_not_shown(self) -> None:
        self.add()
        self.assertNotIn(SECRET, str(self.row()))

    def test_metrics_count_attempts_lag_and_failures(self) -> None:
        self.add()
        self.run_jobs()
        self.senders.status = 500
        self.run_jobs()
        self.cluster.pass_time(30)
        found = {each.name: each.samples for each in self.cluster.master.notifier.families()}
        outcomes = {each.labels: each.value for each in found["ganeti_notification_attempts"]}
        self.assertEqual(outcomes["chat", "accepted"], 3)
        self.assertGreater(outcomes["chat", "failed"], 1)
        self.assertGreater(found["ganeti_notification_lag_commits"][0].value, 0)
        self.assertGreater(found["ganeti_notification_failing_seconds"][0].value, 20)

    def test_nodes_are_polled_for_events_that_are_selected(self) -> None:
        feed = self.cluster.master.events
        self.add(kinds=("instance",))
        self.assertEqual(feed.readers, 1)
        self.modify(kinds=("job",))
        self.assertEqual(feed.readers, 0)


class RestartTests(NotifierCase):
    def test_a_killed_master_sends_again_and_leaves_no_gap(self) -> None:
        self.add()
        self.run_jobs(2)
        self.senders.status = 503
        self.run_jobs()
        self.cluster.kill_master()
        self.cluster.start_master()
        self.senders.status = 200
        self.run_jobs()
        self.cluster.pass_time(MAX_RETRY)
        self.assertEqual(self.statuses(), self.expected(4))

    def test_another_master_continues(self) -> None:
        self.add()
        self.run_jobs()
        self.cluster.fail_over(self.cluster.hosts[1])
        self.run_jobs()
        self.assertEqual(self.statuses(), self.expected(2))

    def test_an_orderly_restart_repeats_nothing(self) -> None:
        self.add()
        self.run_jobs()
        self.cluster.wait(self.cluster.process.stop())
        self.cluster.start_master()
        self.run_jobs()
        self.assertEqual(len(self.senders.accepted), len(set(self.senders.accepted)))
        self.assertEqual(self.statuses(), self.expected(2))

    def test_what_was_sent_before_a_change_is_not_repeated_either(self) -> None:
        self.add()
        self.run_jobs()
        self.modify(note="a change")
        self.modify(kinds=("network",))
        self.cluster.wait(self.cluster.process.stop())
        self.cluster.start_master()
        self.modify(kinds=("job",))
        self.assertEqual(len(self.senders.accepted), len(set(self.senders.accepted)))

    def test_a_failure_is_known_after_a_restart(self) -> None:
        self.add()
        self.senders.status = 500
        self.run_jobs()
        self.cluster.pass_time(RECORD_INTERVAL + 1)
        since = self.row()["failing_since"]
        self.cluster.kill_master()
        self.cluster.start_master()
        self.assertEqual(self.row()["failing_since"], since)

    def test_what_is_no_longer_kept_is_a_reset(self) -> None:
        self.cluster.hosts[0].segment_size = 2 << 10
        self.cluster.reopened()
        self.add()
        self.senders.status = 500
        for _ in range(20):
            self.run_jobs()
            self.cluster.pass_time(15)
        self.cluster.reopened()
        self.senders.status = 200
        self.cluster.pass_time(MAX_RETRY)
        self.assertEqual(self.senders.accepted[0].partition("-")[0], "reset")
        self.run_jobs()
        self.assertEqual(self.statuses()[-1].split()[1], "success")


class MailTests(NotifierCase):
    def test_a_killed_master_loses_no_event_that_was_collected(self) -> None:
        self.add("mailto:root")
        self.run_jobs()
        self.cluster.kill_master()
        self.cluster.start_master()
        self.cluster.pass_time(30)
        self.assertIn("job 1 changed success", self.senders.mails[0].get_content())
