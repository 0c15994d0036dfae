# SPDX-License-Identifier: BSD-2-Clause
"""Processes whose role is vacant, because they have ended."""

from __future__ import annotations

import os
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process.host_clock import read_boot_id
from ganeti.daemon.store.leader_process import has_ended
from ganeti.journal.etcd.leadership import Holder


class HolderTests(SynchronousTestCase):
    def test_a_process_of_an_earlier_boot_has_ended(self) -> None:
        self.assertTrue(has_ended(Holder(master="node1", process=os.getpid(), boot="earlier")))

    def test_a_process_that_runs_has_not_ended(self) -> None:
        self.assertFalse(
            has_ended(Holder(master="node1", process=os.getpid(), boot=read_boot_id()))
        )

    def test_a_process_that_is_gone_has_ended(self) -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        self.assertTrue(has_ended(Holder(master="node1", process=gone.pid, boot=read_boot_id())))

    def test_of_a_number_that_another_user_has_now_nothing_is_known(self) -> None:
        def kill(pid: int, number: int) -> None:
            raise PermissionError

        holder = Holder(master="node1", process=1, boot=read_boot_id())
        self.assertFalse(has_ended(holder, kill))

    def test_of_one_that_does_not_say_where_it_ran_nothing_is_known(self) -> None:
        self.assertFalse(has_ended(Holder(master="node1", process=1)))
