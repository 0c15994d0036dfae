# SPDX-License-Identifier: BSD-2-Clause
"""Starting and stopping the other daemons of this node."""

from __future__ import annotations

import signal

from twisted.internet.task import deferLater

from ganeti.bootstrap.daemons import WATCHDOG, runs
from ganeti.bootstrap.daemons import start as start_daemon
from ganeti.daemon.process.reactor import Reactor
from ganeti.daemon.process.reactor_threads import thread_runner
from ganeti.paths import NODED_PORT, Paths
from ganeti.system.pidfile import holder, signal_holder

ENDING = 20.0
"""How long a daemon may take to stop before it is killed, in seconds; longer than its stop
timeout."""


async def stop_daemons(reactor: Reactor, paths: Paths, *daemons: str) -> bool:
    """Stop daemons of this node in the given order; return whether any of them ran."""
    any_ran = False
    for daemon in daemons:
        path, began = f"{paths.run}/{daemon}.pid", reactor.seconds()
        told = 0
        while holder(path) is not None:
            any_ran = True
            wanted = signal.SIGKILL if reactor.seconds() - began > ENDING else signal.SIGTERM
            if wanted != told and signal_holder(path, wanted):
                told = wanted
            await deferLater(reactor, 0.05)
    return any_ran


async def start_daemons(reactor: Reactor, paths: Paths, port: int, *daemons: str) -> None:
    """Start the daemons of this node that are not running, in the given order."""
    in_thread = thread_runner(reactor)
    for daemon in daemons:
        if not runs(paths, daemon):
            options = [f"--node-port={port}"] if port != NODED_PORT else []
            await in_thread(start_daemon, paths, daemon, *options)


async def start_watchdog(reactor: Reactor, paths: Paths) -> None:
    """Start the watchdog of this host, unless it runs, for example as a service of systemd."""
    if not runs(paths, WATCHDOG):
        await thread_runner(reactor)(start_daemon, paths, WATCHDOG)
