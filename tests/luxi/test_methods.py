# SPDX-License-Identifier: BSD-2-Clause
"""Arguments are read in all the forms that clients write them in."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid, ProtocolError
from ganeti.luxi import methods as luxi
from ganeti.opcodes.instance.lifecycle import ShutdownInstance

STOP = b'{"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": "web1", "reason": []}'
WEB1 = ShutdownInstance(instance_name="web1")


class ReadTests(SynchronousTestCase):
    def test_digits_as_text_are_a_job_id(self) -> None:
        self.assertEqual(luxi.ArchiveJob.read(b'["12"]').arguments(), (12,))
        self.assertEqual(luxi.QueryJobs.read(b'[["1", 2], ["id"]]').arguments(), ((1, 2), ("id",)))

    def test_old_clients_send_a_single_argument_bare(self) -> None:
        self.assertEqual(luxi.CancelJob.read(b'"12"').arguments(), (12, None))
        self.assertEqual(luxi.SetDrainFlag.read(b"true").arguments(), (True,))
        for form in (b'["cluster_name"]', b'[["cluster_name"]]'):
            self.assertEqual(luxi.QueryConfigValues.read(form).fields, ("cluster_name",))

    def test_jobs_come_in_both_forms(self) -> None:
        for form in (b"[%b]", b" [ [%b] ]"):
            self.assertEqual(luxi.SubmitJob.read(form % STOP).ops, (WEB1,))
        for form in (b"[[%b], [%b]]", b"[[[%b], [%b]]]"):
            read = luxi.SubmitManyJobs.read(form % (STOP, STOP))
            self.assertEqual(read.jobs, ((WEB1,), (WEB1,)))
        self.assertEqual(luxi.SubmitManyJobs.read(b"[[]]").jobs, ())
        self.assertEqual(luxi.SubmitManyJobs.read(b"[[[%b]]]" % STOP).jobs, ((WEB1,),))

    def test_all_problems_of_an_opcode_are_told(self) -> None:
        wrong = b'[[{"OP_ID": "OP_INSTANCE_SHUTDOWN", "timeout": -1, "colour": "red"}]]'
        for problem in ("instance_name", "timeout", "colour"):
            self.assertRaisesRegex(Invalid, problem, luxi.SubmitJob.read, wrong)

    def test_wrong_arguments_are_refused_by_name(self) -> None:
        wrong = {
            b'["x", ["id"], null, null, 1]': "job_id",
            b'[1, "id", null, null, 1]': "fields",
            b"[]": "at least length 2",
            b'[1, ["id"], null, null, 1, 2]': "at most length 5",
            b"{}": "array",
        }
        for arguments, problem in wrong.items():
            self.assertRaisesRegex(Invalid, problem, luxi.WaitForJobChange.read, arguments)

    @given(st.binary(max_size=30))
    def test_anything_else_is_refused_and_nothing_worse(self, arguments: bytes) -> None:
        for kind in luxi.METHODS.values():
            try:
                kind.read(arguments)
            except Invalid:
                continue

    def test_the_jobs_of_a_long_request_are_decoded_one_by_one(self) -> None:
        count = luxi.MAX_READ_JOBS + 1
        jobs = luxi.SubmitManyJobs.read(b"[[%b]]" % b",".join([b"[%b]" % STOP] * count)).jobs
        self.assertEqual(list(jobs), [(WEB1,)] * count)
        self.assertEqual(list(jobs[-2:]), [(WEB1,)] * 2)
        wrong = b",".join([*[b"[%b]" % STOP] * count, b'[{"OP_ID":"OP_NOPE"}]'])
        broken = luxi.SubmitManyJobs.read(b"[[%b]]" % wrong).jobs
        self.assertRaisesRegex(luxi.Undecodable, "OP_NOPE", list, broken)

    def test_there_is_no_other_method(self) -> None:
        self.assertRaisesRegex(ProtocolError, "'Nope'", luxi.method, "Nope")

    def test_what_is_written_can_be_read(self) -> None:
        for request in (
            luxi.SubmitManyJobs(jobs=((WEB1,), (WEB1, WEB1))),
            luxi.WaitForJobChange(job_id=3, fields=("status",), prev_job_info=["queued"]),
            luxi.QueryObjects(what="node", fields=("name",), names=None),
        ):
            self.assertEqual(type(request).read(msgspec.json.encode(request)), request)


class ArgumentsTests(SynchronousTestCase):
    def test_questions_under_locks_are_refused(self) -> None:
        locked = luxi.QueryNodes(names=(), fields=("name",), use_locking=True)
        self.assertRaisesRegex(Invalid, "use_locking", locked.arguments)
        free = luxi.QueryNodes(names=(), fields=("name",))
        self.assertEqual(free.arguments(), ((), ("name",)))

    def test_nobody_waits_longer_than_the_limit(self) -> None:
        patient = luxi.WaitForJobChange(job_id=1, fields=(), timeout=600)
        self.assertEqual(patient.arguments(), (1, (), None, None, 89))
