# SPDX-License-Identifier: BSD-2-Clause
"""Jobs as values: moves, the status of a job, and the form on disk."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.jobs.job import (
    FINAL,
    TRANSITIONS,
    InvalidTransition,
    Job,
    JobEvent,
    JobStatus,
    QueuedOpcode,
    decode,
    encode,
    stamp,
)
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.opcodes.test import Delay

NOW = 1_700_000_000.25
STAMP = (1_700_000_000, 250_000)


def an_op(status: JobStatus = JobStatus.QUEUED) -> QueuedOpcode:
    return QueuedOpcode(input=OpcodeInput.from_opcode(Delay(duration=1.0)), status=status)


def a_job(*statuses: JobStatus) -> Job:
    return Job(id=12, ops=tuple(map(an_op, statuses or (JobStatus.QUEUED,))))


class MoveTests(SynchronousTestCase):
    def test_the_way_of_a_job_that_succeeds(self) -> None:
        job, statuses = a_job(), []
        for event in (JobEvent.PICKED, JobEvent.LOCKED, JobEvent.FINISHED):
            job = job.after(event, NOW, "result")
            statuses.append(job.status.value)
        self.assertEqual(statuses, ["waiting", "running", "success"])
        op = job.ops[0]
        self.assertEqual(
            (op.start_timestamp, op.exec_timestamp, op.end_timestamp, op.result),
            (STAMP, STAMP, STAMP, "result"),
        )
        self.assertEqual((job.start_timestamp, job.end_timestamp), (STAMP, STAMP))

    def test_final_statuses_are_those_without_a_way_out(self) -> None:
        self.assertEqual(FINAL, {JobStatus.CANCELED, JobStatus.SUCCESS, JobStatus.ERROR})

    def test_an_impossible_move_is_refused(self) -> None:
        with self.assertRaisesRegex(
            InvalidTransition, "event not allowed in opcode status queued: succeeded"
        ):
            a_job().after(JobEvent.FINISHED, NOW)
        with self.assertRaisesRegex(InvalidTransition, "job 12 has ended"):
            a_job(JobStatus.SUCCESS).after(JobEvent.CANCEL, NOW)

    def test_what_follows_a_failed_opcode_says_why_it_was_not_started(self) -> None:
        job = a_job(JobStatus.RUNNING, JobStatus.QUEUED).after(
            JobEvent.FAILED, NOW, ["OpExecError", ["x"]]
        )
        self.assertEqual([op.status.value for op in job.ops], ["error", "error"])
        self.assertEqual(
            job.ops[1].result,
            ["OpExecError", ["not started because opcode 1, TEST_DELAY(1.0), failed"]],
        )
        self.assertEqual(job.end_timestamp, STAMP)

    def test_what_follows_a_canceled_opcode_is_canceled(self) -> None:
        job = a_job(JobStatus.CANCELING, JobStatus.QUEUED).after(JobEvent.STOPPED, NOW)
        self.assertEqual([op.status.value for op in job.ops], ["canceled", "canceled"])

    def test_the_next_opcode_moves_once_the_first_has_succeeded(self) -> None:
        job = a_job(JobStatus.SUCCESS, JobStatus.QUEUED).after(JobEvent.PICKED, NOW)
        self.assertEqual([op.status.value for op in job.ops], ["success", "waiting"])

    @given(st.lists(st.sampled_from(JobEvent), max_size=20))
    def test_every_sequence_of_moves_ends_everything_or_nothing(
        self, events: list[JobEvent]
    ) -> None:
        job = a_job(JobStatus.QUEUED, JobStatus.QUEUED)
        for event in events:
            index = job.current
            if index is not None and (job.ops[index].status, event) in TRANSITIONS:
                job = job.after(event, NOW)
        self.assertEqual(job.is_final, job.status in FINAL)
        self.assertEqual(job.is_final, job.end_timestamp is not None)


class StatusTests(SynchronousTestCase):
    def test_the_status_of_a_job_follows_from_its_opcodes(self) -> None:
        s = JobStatus
        for expected, statuses in {
            s.QUEUED: (s.QUEUED, s.QUEUED),
            s.RUNNING: (s.SUCCESS, s.RUNNING, s.QUEUED),
            s.WAITING: (s.SUCCESS, s.WAITING),
            s.CANCELING: (s.SUCCESS, s.CANCELING, s.ERROR),
            s.CANCELED: (s.SUCCESS, s.CANCELED, s.CANCELED),
            s.ERROR: (s.RUNNING, s.ERROR, s.CANCELED),
            s.SUCCESS: (s.SUCCESS, s.SUCCESS),
        }.items():
            self.assertEqual(a_job(*statuses).status, expected)
        self.assertEqual(a_job(s.SUCCESS, s.QUEUED).status, s.QUEUED)

    def test_the_priority_is_that_of_what_is_still_to_be_done(self) -> None:
        job = a_job(JobStatus.RUNNING, JobStatus.QUEUED).with_priority(-5)
        self.assertEqual([op.priority for op in job.ops], [0, -5])
        self.assertEqual((job.priority, a_job(JobStatus.SUCCESS).priority), (-5, 0))


class LogTests(SynchronousTestCase):
    def test_messages_are_numbered_through_the_job(self) -> None:
        job = a_job(JobStatus.SUCCESS, JobStatus.RUNNING)
        job = job.with_message(0, NOW, "message", "one").with_message(1, NOW, "message", "two")
        self.assertEqual(
            job.log_after(None), [(1, STAMP, "message", "one"), (2, STAMP, "message", "two")]
        )
        self.assertEqual(job.log_after(1), [(2, STAMP, "message", "two")])

    def test_a_message_that_is_there_is_not_added_again(self) -> None:
        job = a_job().with_message(0, NOW, "message", "one")
        self.assertIs(job.with_log_entry(0, job.ops[0].log[0]), job)
        self.assertEqual(job.without_logs().with_logs_of(job), job)


class FormTests(SynchronousTestCase):
    def test_the_form_on_disk_is_the_established_one(self) -> None:
        job = a_job(JobStatus.RUNNING).with_message(0, NOW, "message", "hello")
        self.assertEqual(
            msgspec.json.decode(encode(job)),
            {
                "id": 12,
                "ops": [
                    {
                        "input": {
                            "OP_ID": "OP_TEST_DELAY",
                            "priority": 0,
                            "depends": None,
                            "comment": None,
                            "reason": [],
                            "duration": 1.0,
                            "on_master": True,
                            "on_nodes": [],
                            "repeat": 0,
                            "interruptible": False,
                            "no_locks": True,
                        },
                        "status": "running",
                        "result": None,
                        "log": [[1, [1700000000, 250000], "message", "hello"]],
                        "priority": 0,
                        "start_timestamp": None,
                        "exec_timestamp": None,
                        "end_timestamp": None,
                    }
                ],
                "received_timestamp": None,
                "start_timestamp": None,
                "end_timestamp": None,
            },
        )

    def test_what_is_read_is_what_was_written(self) -> None:
        job = a_job(JobStatus.SUCCESS, JobStatus.RUNNING).with_message(1, NOW, "message", "hello")
        self.assertEqual(decode(encode(job)), job)

    def test_a_file_of_an_established_queue_is_read(self) -> None:
        raw = (
            b'{"id": 1, "livelock": "/x", "process_id": 7, "ops": [{"input": {"OP_ID":'
            b' "OP_CLUSTER_VERIFY"}, "status": "success", "result": true, "priority": 0}],'
            b' "received_timestamp": [1, 2], "start_timestamp": null, "end_timestamp": null}'
        )
        job = decode(raw)
        self.assertEqual((job.status, job.received_timestamp), (JobStatus.SUCCESS, (1, 2)))

    def test_an_opcode_that_is_not_understood_is_still_shown(self) -> None:
        raw = b'{"id": 1, "ops": [{"input": {"OP_ID": "OP_OLD_THING"}, "status": "error"}]}'
        self.assertEqual(decode(raw).summary, ("OLD_THING",))

    def test_what_is_not_a_job_is_refused(self) -> None:
        for raw in (b"", b"[]", b'{"id": 1}', b'{"id": 1, "ops": [{"input": 5}]}'):
            self.assertRaises(Invalid, decode, raw)

    @given(st.floats(min_value=0, max_value=4e9))
    def test_a_time_is_whole_seconds_and_microseconds(self, now: float) -> None:
        seconds, micro = stamp(now)
        self.assertTrue(0 <= micro < 1_000_000)
        self.assertAlmostEqual(seconds + micro / 1e6, now, places=5)
