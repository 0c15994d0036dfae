# SPDX-License-Identifier: BSD-2-Clause
"""Daemons that can open no file nor connection for a while go on where they were."""

from __future__ import annotations

import re
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ganeti.luxi.methods import QueryJobs, SubmitJob
from ganeti.luxi.unreachable import NoAnswer
from ganeti.opcodes.test import Delay
from ganeti.paths import NODED_PORT
from tests.system.running import TIMEOUT, SharedCluster, eventually
from tools.quickstart.daemons import Daemon

CROWD = 10
"""Connections beyond those that a daemon has descriptors for."""

REFUSED = "[Errno 24] Too many open files"


def descriptors(daemon: Daemon) -> list[int]:
    """The descriptors that a daemon has open."""
    process = daemon.process()
    assert process is not None
    return [int(entry.name) for entry in Path(f"/proc/{process.pid}/fd").iterdir()]


@contextmanager
def limited(daemon: Daemon, limit: int) -> Iterator[None]:
    """Let a daemon open no descriptor of this number and above until the block ends."""
    process = daemon.process()
    assert process is not None
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)


def connected(place: Any) -> socket.socket:
    """A connection to a daemon at a path, or at a host and port."""
    client = socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET)
    client.connect(place)
    return client


class StarvationTests(SharedCluster):
    """One cluster, whose daemons must be the same processes after each test."""

    def setUp(self) -> None:
        super().setUp()
        self.daemons = [self.running.daemon(kind) for kind in ("masterd", "noded", "rapi")]
        self.before = [daemon.process() for daemon in self.daemons]
        self.said = {daemon.kind: Path(daemon.log).stat().st_size for daemon in self.daemons}

    def assert_goes_on(self) -> None:
        self.assertEqual([daemon.process() for daemon in self.daemons], self.before)
        self.running.perform(Delay(duration=0.0, on_nodes=("node1.trial", "node2.trial")))
        self.assertEqual(self.running.curl("GET", "/2/info")[0], 200)
        # A task logs equal errors once: the next test is to find it working again.
        eventually(self._tasks_work_again)

    def _tasks_work_again(self) -> bool:
        said = re.findall(
            r"(?:ERROR|INFO) (.+) (failed; retrying|works again)", self.log_of("masterd")
        )
        # The last that each task said.
        return "failed; retrying" not in dict(said).values()

    def log_of(self, kind: str) -> str:
        """What a daemon has logged since the test began."""
        return Path(self.running.daemon(kind).log).read_bytes()[self.said[kind] :].decode()

    def test_a_master_that_can_open_nothing_goes_on(self) -> None:
        with limited(self.running.daemon("masterd"), 0):
            # It looks at its files once a second.
            eventually(lambda: f"files failed; retrying: {REFUSED}" in self.log_of("masterd"))
        eventually(lambda: "works again" in self.log_of("masterd"))
        self.assert_goes_on()

    def test_a_job_of_a_starving_master_ends(self) -> None:
        with self.running.client() as client:
            client.ask(QueryJobs(ids=None, fields=("id",)))
            with limited(self.running.daemon("masterd"), 0):
                number = client.ask(SubmitJob(ops=(Delay(duration=0.0),)))
        status = ("success", "error")
        fields = QueryJobs(ids=(number,), fields=("status",))
        eventually(lambda: self.running.ask(fields)[0][0] in status)  # type: ignore[index]
        self.assert_goes_on()

    def test_crowds_at_starving_daemons_do_not_end_them(self) -> None:
        cluster = self.running.cluster
        rapi = urlsplit(cluster.rapi)
        places: list[Any] = [
            cluster.master.paths.master_socket,
            (cluster.master.address, NODED_PORT),
            (rapi.hostname, rapi.port),
        ]
        with ExitStack() as stack:
            for daemon, place in zip(self.daemons, places, strict=True):
                limit = max(descriptors(daemon)) + 1
                stack.enter_context(limited(daemon, limit))
                for _ in range(limit - len(descriptors(daemon)) + CROWD):
                    client = stack.enter_context(connected(place))
                client.settimeout(TIMEOUT)
                # It is closed at once: there is no descriptor to serve it with.
                self.assertEqual(client.recv(1), b"", daemon.kind)

            def refused() -> bool:
                # The master may have closed a connection of its own since: take its place.
                stack.enter_context(connected(cluster.master.paths.master_socket))
                try:
                    self.running.ask(QueryJobs(ids=None, fields=("id",)))
                except NoAnswer:
                    return True
                return False

            eventually(refused)
        self.assert_goes_on()
        for daemon in self.daemons:
            self.assertLess(self.log_of(daemon.kind).count("EMFILE recovery"), CROWD, daemon.kind)
