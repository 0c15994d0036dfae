# SPDX-License-Identifier: BSD-2-Clause
"""Crowds at the remote API: its memory and open files stay bounded, and others are served."""

from __future__ import annotations

import base64
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ganeti.luxi.async_client import MAX_CONNECTIONS
from ganeti.luxi.methods import CancelJob, QueryJobs, SubmitJob
from ganeti.opcodes.test import Delay
from tests.bench.loads import Client
from tests.system.running import SharedCluster, eventually, run
from tools.quickstart.founding import RAPI_USER
from tools.quickstart.processes import end

FILES = 300
"""How many files the daemon may have open: a hundred for itself, and as many clients."""

CROWD = 95
"""So many can be served at once, and not so many with a second file for each."""

JOBS = 1500
LONG = "word " * 1200
"""The comment of a job: makes the list of all of them some nine megabytes."""


class LimitTests(SharedCluster):
    """One cluster, whose remote API may have few files open."""

    def setUp(self) -> None:
        super().setUp()
        self.start_limited()
        pids = [self.running.daemon(kind).process() for kind in ("rapi", "masterd")]
        self.pids = [process.pid for process in pids if process is not None]
        cluster = self.running.cluster
        password = cluster.password_file.read_text().strip()
        self.login = base64.b64encode(f"{RAPI_USER}:{password}".encode()).decode()
        place = urlsplit(cluster.rapi)
        self.at = place.hostname or "", place.port or 0
        self.assert_serves()
        self.before = self.files()

    def start_limited(self) -> None:
        """Start the daemon anew, with a log of its own."""
        cluster = self.running.cluster
        rapi = self.running.daemon("rapi")
        if (process := rapi.process()) is not None:
            end([process], 20)
            os.unlink(rapi.log)
        limited = f'ulimit -n {FILES}; exec "$0" -m ganeti.daemon.rapi'
        done = run(
            ["sh", "-c", limited, sys.executable],
            environment=cluster.environment(cluster.master),
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def files(self) -> list[int]:
        """How many files the daemon and the master have open."""
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids]

    def assert_serves(self) -> None:
        self.assertEqual(self.running.curl("GET", "/2/info")[0], 200)

    def assert_let_go(self) -> None:
        """What was opened for others is closed, but for the lines to the master that are kept."""
        most = [count + MAX_CONNECTIONS for count in self.before]
        eventually(lambda: all(now <= then for now, then in zip(self.files(), most, strict=True)))

    def asking(self, path: str, body: str = "") -> bytes:
        lines = (
            f"GET {path} HTTP/1.1",
            "Host: x",
            f"Authorization: Basic {self.login}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "",
            body,
        )
        return "\r\n".join(lines).encode()

    @contextmanager
    def crowd(
        self, count: int, sent: bytes, *, buffer: int | None = None
    ) -> Iterator[list[Client]]:
        """Clients who have sent a request, and stay until the block ends."""
        clients: list[Client] = []
        try:
            for _ in range(count):
                clients.append(Client(*self.at, buffer=buffer))
                clients[-1].send(sent)
            yield clients
        finally:
            for client in clients:
                client.close()

    @contextmanager
    def a_running_job(self) -> Iterator[tuple[int, Callable[[], object]]]:
        """The number of a job that runs until the block ends, or the function is called."""
        job = self.running.ask(SubmitJob(ops=(Delay(duration=600),)))

        def status() -> str:
            [row] = self.running.ask(QueryJobs(ids=(job,), fields=("status",)))
            return str(row and row[0])

        def cancel() -> object:
            return self.running.ask(CancelJob(job_id=job))

        eventually(lambda: status() == "running")
        try:
            yield job, cancel
        finally:
            cancel()
            eventually(lambda: status() == "canceled")

    def waiting(self, job: int) -> bytes:
        return self.asking(f"/2/jobs/{job}/wait", '{"previous_job_info": ["running"]}')

    def test_more_who_rest_than_there_are_files(self) -> None:
        with self.crowd(2 * FILES, self.asking("/version")):
            self.assert_serves()
            self.assertLessEqual(self.files()[0], FILES)
        self.assert_let_go()
        log = Path(self.running.daemon("rapi").log).read_text()
        self.assertEqual(log.count("closing an idle one"), 1)
        self.assertNotIn("Too many open files", log)

    def test_more_who_do_not_shake_hands_than_there_are_files(self) -> None:
        with ExitStack() as strangers:
            for _ in range(2 * FILES):
                strangers.enter_context(socket.create_connection(self.at))
            self.assert_serves()
            self.assertLess(self.files()[0], FILES)
        self.assert_let_go()
        log = Path(self.running.daemon("rapi").log).read_text()
        self.assertEqual(log.count("in the TLS handshake"), 1)

    def test_more_who_wait_for_a_job_than_can_at_once(self) -> None:
        with (
            self.a_running_job() as (job, cancel),
            self.crowd(CROWD, self.waiting(job)) as clients,
        ):
            self.assert_serves()
            cancel()
            self.assertEqual({client.status() for client in clients}, {200})
        self.assert_let_go()

    def test_nothing_is_left_of_those_who_abort(self) -> None:
        with self.a_running_job() as (job, _):
            for request in (self.waiting(job), self.asking("/2/jobs?bulk=1")) * 100:
                client = Client(*self.at)
                client.send(request)
                client.abort()
            self.assert_serves()
            self.assert_let_go()

    def test_answers_that_nobody_reads_are_bounded(self) -> None:
        self.running.perform(*[Delay(duration=0, comment=LONG) for _ in range(JOBS)])
        before = self.resident()
        with self.crowd(CROWD, self.asking("/2/jobs?bulk=1"), buffer=4096) as clients:
            # The oldest have to go when there are too many, so the last hears something.
            eventually(lambda: not clients[-1].quiet())
            self.assert_serves()
            self.assertLess(self.resident() - before, CROWD * JOBS * len(LONG) / 2)
        self.assert_let_go()

    def resident(self) -> int:
        """How many bytes of memory the daemon has."""
        pages = int(Path(f"/proc/{self.pids[0]}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
