# SPDX-License-Identifier: BSD-2-Clause
"""A cluster of real daemons whose state is in etcd, for tests."""

from __future__ import annotations

import os
import shutil
import signal

from twisted.trial.unittest import SkipTest

from tests.system.masters import MasterTestCase
from tests.system.running import RunningCluster, eventually
from tools.quickstart import store


class EtcdCluster(MasterTestCase):
    """Three nodes, each with a member of etcd."""

    def setUp(self) -> None:
        if shutil.which("etcd") is None:
            raise SkipTest("there is no etcd: install etcd-server")
        self.running = RunningCluster("--state-store", "etcd")
        self.addCleanup(self.end)
        # Candidates get the certificates of the store in the background.
        paths = [self.node(number).paths.store_certificate for number in (2, 3)]
        eventually(lambda: all(map(os.path.exists, paths)))

    def end(self) -> None:
        self.end_masters()
        self.assertEqual(self.running.destroy(), [])

    def kill_member(self, number: int) -> None:
        process = store.process(store.members(self.running.cluster)[number - 1])
        assert process is not None
        process.send(signal.SIGKILL)
        eventually(lambda: not process.alive())
