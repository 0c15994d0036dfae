# SPDX-License-Identifier: BSD-2-Clause
"""Workers share a socket with their keeper, are replaced, and go when it goes."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import tempfile
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

import ganeti
from ganeti.daemon.rapi_services import workers
from ganeti.daemon.rapi_services.workers import WorkerProcesses

reactor: Any = installed
OPTIONS = ("--no-ssl", "-p", "1")


def _restore(name: str, value: str | None) -> None:
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value


class StarvingReactor(Clock):
    """Can start no process for the first few attempts."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures
        self.started: list[str] = []

    def spawnProcess(self, protocol: object, program: str, args: list[str], **_: Any) -> object:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self.started.append(args[-1])
        return object()


class StarvingTests(SynchronousTestCase):
    def test_a_worker_that_cannot_be_started_is_started_later(self) -> None:
        starving = StarvingReactor(failures=3)
        WorkerProcesses(starving, "ganeti.daemon.rapi", OPTIONS, 0, 1).startService()
        starving.pump([workers.RESTART_DELAY] * 2)
        self.assertEqual(starving.started, [])
        starving.advance(workers.RESTART_DELAY)
        self.assertEqual((starving.started, starving.getDelayedCalls()), (["1"], []))


class WorkerReactor(Clock):
    """Starts processes in memory, whose standard input says which have been asked to end."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[MemoryProcess] = []

    def spawnProcess(self, protocol: Any, *_: Any, **__: Any) -> MemoryProcess:
        self.processes.append(MemoryProcess(protocol))
        return self.processes[-1]


class MemoryProcess:
    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.asked = False

    def closeStdin(self) -> None:
        self.asked = True


class StopTests(SynchronousTestCase):
    def test_all_workers_are_asked_to_end_at_once_and_waited_for(self) -> None:
        memory = WorkerReactor()
        kept = WorkerProcesses(memory, "ganeti.daemon.rapi", OPTIONS, 0, 3)
        kept.startService()
        stopping = kept.stopService()
        self.assertEqual([each.asked for each in memory.processes], [True, True, True])
        for each in memory.processes:
            self.assertNoResult(stopping)
            each.protocol.processEnded(Failure(ProcessDone(0)))
        self.successResultOf(stopping)


class WorkersTests(TestCase):
    timeout = 120  # against a hang only: the worker loads its modules on a host that may be busy

    def setUp(self) -> None:
        root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, root)
        os.makedirs(f"{root}/var/lib/ganeti")
        tree = os.path.dirname(os.path.dirname(ganeti.__file__))
        for name, value in (("GANETI_ROOTDIR", root), ("PYTHONPATH", tree)):
            self.addCleanup(_restore, name, os.environ.get(name))
            os.environ[name] = value
        self.patch(workers, "RESTART_DELAY", 0.01)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.socket.close)
        self.socket.setblocking(False)

    async def ask(self) -> bytes:
        def ask() -> bytes:
            with socket.create_connection(self.socket.getsockname(), timeout=60) as client:
                client.sendall(b"GET /version HTTP/1.0\r\n\r\n")
                return client.makefile("rb").read()

        return await deferToThread(ask)

    async def test_a_worker_that_is_killed_is_replaced(self) -> None:
        kept = WorkerProcesses(reactor, "ganeti.daemon.rapi", OPTIONS, self.socket.fileno(), 1)
        kept.startService()
        try:
            self.assertIn(b"200 OK", await self.ask())
            (first,) = kept.pids
            os.kill(first, signal.SIGKILL)
            while kept.pids in ([first], []):
                await deferLater(reactor, 0.01)
            self.assertIn(b"200 OK", await self.ask())
        finally:
            pids = kept.pids
            await kept.stopService()
        for pid in pids:
            self.assertRaises(ProcessLookupError, os.kill, pid, 0)
