# SPDX-License-Identifier: BSD-2-Clause
"""The master in memory answers as told and remembers what it was asked."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.errors import JobLost
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import ArchiveJob, QueryTags, SubmitJob, SubmitManyJobs
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.opcodes.cluster import RedistributeConfig
from ganeti.testing.master import BlockingMemoryMaster, MemoryMaster

TAGS = QueryTags(kind="cluster")
OPS = (RedistributeConfig(),)


class MemoryMasterTests(SynchronousTestCase):
    def test_it_is_a_master(self) -> None:
        verifyObject(IMaster, MemoryMaster())

    def test_answers_are_values_errors_or_functions(self) -> None:
        master = MemoryMaster({QueryTags: lambda request: (request.kind,), ArchiveJob: JobLost()})
        self.assertEqual(self.successResultOf(master.ask(TAGS)), ["cluster"])
        self.assertEqual(bytes(self.successResultOf(master.ask_raw(TAGS))), b'["cluster"]')
        self.failureResultOf(master.ask(ArchiveJob(job_id=1)), JobLost)
        self.assertEqual(master.asked, [TAGS, TAGS, ArchiveJob(job_id=1)])

    def test_jobs_are_numbered_and_kept(self) -> None:
        master = BlockingMemoryMaster()
        self.assertEqual(master.ask(SubmitJob(ops=OPS)), 1)
        self.assertEqual(master.ask(SubmitManyJobs(jobs=(OPS, ()))), [[True, 2], [True, 3]])
        self.assertEqual(master.memory.jobs, {1: OPS, 2: OPS, 3: ()})

    def test_it_can_be_away(self) -> None:
        master = MemoryMaster()
        master.away = True
        self.failureResultOf(master.ask(TAGS), MasterNotRunning)
