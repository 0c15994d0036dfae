# SPDX-License-Identifier: BSD-2-Clause
"""A master that was prepared starts in the process that waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.daemons import MASTERD
from ganeti.daemon.node_services.prepared_master import PreparedMaster
from ganeti.errors import NotMaster
from ganeti.paths import NODED_PORT, Paths


class Waiting:
    """A process that waits to become a daemon; what happens to it is recorded."""

    def __init__(self, paths: Paths, daemon: str, *options: str) -> None:
        self.made_for = (daemon, *options)
        self.old = self.dead = False
        self.events: list[str] = []

    def outdated(self) -> bool:
        return self.old

    def usable(self) -> bool:
        return not (self.old or self.dead)

    def start(self) -> None:
        self.events.append("started")

    def end(self) -> None:
        self.events.append("ended")


class PreparedMasterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.processes: list[Waiting] = []
        self.started: list[tuple[str, ...]] = []
        self.taken: Exception | None = None
        self.active = True
        self.master = self.prepared(NODED_PORT)

    def prepared(self, port: int) -> PreparedMaster:
        return PreparedMaster(
            self.in_thread,
            Paths("/trial"),
            "node2",
            port,
            active=lambda: self.active,
            wait=self.wait,  # type: ignore[arg-type]  # what is used of it
            take_role=self.take_role,
        )

    async def in_thread(self, function: Callable[..., None], *args: Any, **named: Any) -> None:
        function(*args, **named)

    def wait(self, paths: Paths, daemon: str, *options: str) -> Waiting:
        self.processes.append(Waiting(paths, daemon, *options))
        return self.processes[-1]

    def take_role(self, paths: Paths, name: str, *, port: int, start: Callable[..., None]) -> None:
        """Become the master: the daemon is started, unless another node was faster."""
        if self.taken is not None:
            raise self.taken
        start(paths, MASTERD)

    def test_one_process_waits_with_the_options_of_a_candidate(self) -> None:
        self.successResultOf(self.master.prepare())
        self.successResultOf(self.master.prepare())
        [process] = self.processes
        self.assertEqual(process.made_for, (MASTERD, "--take-vacant-role"))

    def test_a_port_that_is_not_the_usual_one_is_passed_on(self) -> None:
        self.successResultOf(self.prepared(2811).prepare())
        self.assertIn("--node-port=2811", self.processes[0].made_for)

    def test_the_process_becomes_the_master(self) -> None:
        self.successResultOf(self.master.prepare())
        self.successResultOf(self.master.start())
        self.assertEqual(self.processes[0].events, ["started", "ended"])

    def test_a_process_with_old_options_is_replaced(self) -> None:
        self.successResultOf(self.master.prepare())
        self.processes[0].old = True
        self.successResultOf(self.master.prepare())
        self.assertEqual(self.processes[0].events, ["ended"])
        self.assertEqual(len(self.processes), 2)

    def test_where_another_node_was_faster_the_process_ends(self) -> None:
        self.taken = NotMaster("node3 is the master")
        self.successResultOf(self.master.prepare())
        self.failureResultOf(self.master.start(), NotMaster)
        self.assertEqual(self.processes[0].events, ["ended"])

    def test_no_process_waits_where_no_failover_is_wanted(self) -> None:
        self.successResultOf(self.master.prepare())
        self.active = False
        self.successResultOf(self.master.prepare())
        self.assertEqual(self.processes[0].events, ["ended"])
        self.assertEqual(len(self.processes), 1)
