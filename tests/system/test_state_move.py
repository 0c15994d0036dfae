# SPDX-License-Identifier: BSD-2-Clause
"""The state of a running cluster moves to etcd and back, while clients submit jobs."""

from __future__ import annotations

import os
import shutil
import threading
import time

from twisted.trial.unittest import SkipTest

from ganeti.errors import GanetiError
from ganeti.luxi.client import LuxiClient
from ganeti.luxi.methods import QueryJobs, SubmitJob
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.opcodes.test import Delay
from tests.system.etcd_members import RealEtcd
from tests.system.masters import MasterTestCase
from tests.system.running import RunningCluster, eventually

LONGEST_REFUSAL = 3.0
"""Seconds for which no job may be acknowledged, on a busy machine."""


class _Load:
    """A client that submits a job after the other, and what was acknowledged to it when."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._submit)
        self.jobs: list[int] = []
        self.answered: list[float] = []
        self.refused: list[str] = []

    def _submit(self) -> None:
        number = 0
        while not self._over.wait(0.02):
            number += 1
            try:
                with LuxiClient(self._socket) as client:
                    self.jobs.append(client.ask(SubmitJob(ops=(a_tag(f"load-{number}"),))))
                    self.answered.append(time.monotonic())
            except GanetiError as e:
                self.refused.append(str(e))

    def __enter__(self) -> _Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def longest_gap(self) -> float:
        """The longest time between two acknowledgements."""
        pairs = zip(self.answered, self.answered[1:], strict=False)
        return max(after - before for before, after in pairs)


def a_tag(name: str) -> Opcode:
    return AddTags(kind=TagKind.CLUSTER, tags=(name,))


class StateMoveTests(MasterTestCase):
    def setUp(self) -> None:
        if shutil.which("etcd") is None:
            raise SkipTest("there is no etcd: install etcd-server")
        self.etcd = RealEtcd(3, network=77)
        self.addCleanup(self.etcd.stop)
        self.running = RunningCluster()
        self.addCleanup(self.end)

    def end(self) -> None:
        self.end_masters()
        self.assertEqual(self.running.destroy(), [])

    def move(self, store: str) -> str:
        options = [
            *("--etcd-endpoints", ",".join(self.etcd.endpoints)),
            *("--etcd-ca", self.etcd.authority),
            *("--etcd-certificate", self.etcd.certificate),
        ]
        more = options if store == "etcd" and not self.known() else []
        moved = self.running.tool("cluster", "modify", "--state-store", store, *more)
        self.assertEqual((moved.returncode, moved.stderr), (0, ""))
        return moved.stdout

    def known(self) -> bool:
        return os.path.exists(self.running.cluster.master.paths.state_store)

    def store(self, master: int = 1) -> str:
        said = self.tool(master, "info").stdout
        [line] = [line for line in said.splitlines() if "State store" in line]
        return line

    def statuses(self, jobs: list[int], master: int = 1) -> set[str]:
        rows = self.ask(master, QueryJobs(ids=tuple(jobs), fields=("status",)))
        return {str(row[0]) if row else "missing" for row in rows}

    def test_the_state_moves_under_load_and_jobs_go_on(self) -> None:
        long = self.running.ask(SubmitJob(ops=(Delay(duration=5.0),)))
        with _Load(self.running.cluster.master.paths.master_socket) as load:
            eventually(lambda: len(load.jobs) > 20)
            self.assertIn("in etcd now", self.move("etcd"))
            self.assertIn("etcd at https://", self.store())
            self.assertIn("in files now", self.move("file"))
            self.assertIn("files", self.store())
            self.assertIn("in etcd now", self.move("etcd"))
            count = len(load.jobs)
            eventually(lambda: len(load.jobs) > count + 20)
        self.assertEqual(load.refused, [])
        self.assertLess(load.longest_gap(), LONGEST_REFUSAL)
        eventually(lambda: self.statuses([long, *load.jobs]) == {"success"})
        master = self.restart_master()
        self.assertEqual(self.statuses([long, *load.jobs], master), {"success"})
        self.assertIn("etcd at https://", self.store(master))

    def test_a_move_to_an_etcd_without_a_majority_changes_nothing(self) -> None:
        for member in self.etcd.members[1:]:
            self.etcd.kill(member)
        failed = self.running.tool(
            *("cluster", "modify", "--state-store", "etcd"),
            *("--etcd-endpoints", ",".join(self.etcd.endpoints)),
            *("--etcd-ca", self.etcd.authority),
            *("--etcd-certificate", self.etcd.certificate),
        )
        self.assertIn("the state was not moved", failed.stderr)
        self.running.perform(a_tag("after"))
        self.assertEqual(self.restart_master(), 1)
        self.running.perform(a_tag("later"))
        self.assertIn("files", self.store())
