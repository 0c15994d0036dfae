# SPDX-License-Identifier: BSD-2-Clause
"""Start of the daemons of this node, for blocking callers."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence

from ganeti.bootstrap.units import SYSTEMD, ServiceManager
from ganeti.errors import Code, Failed
from ganeti.paths import Paths
from ganeti.system.pidfile import holder
from ganeti.system.subprocess_modules import module_environment

NODED, MASTERD, RAPI = "ganeti-noded", "ganeti-masterd", "ganeti-rapi"
ETCD = "ganeti-etcd"
"""The member of the state store on this node, if the cluster runs the members."""
WATCHDOG = "ganeti-watchdog"

_MODULES = {
    NODED: "ganeti.daemon.noded",
    MASTERD: "ganeti.daemon.masterd",
    RAPI: "ganeti.daemon.rapi",
    ETCD: "ganeti.daemon.etcd",
    WATCHDOG: "ganeti.daemon.watchdogd",
}
_OPTIONS = {
    NODED: "NODED_ARGS",
    MASTERD: "MASTERD_ARGS",
    RAPI: "RAPI_ARGS",
    WATCHDOG: "WATCHDOG_ARGS",
}
"""The variables with the options of each daemon in ``/etc/default/ganeti``."""

STARTING = 60.0
"""Seconds that a daemon may take to start."""


def runs(paths: Paths, daemon: str) -> bool:
    """Return whether a daemon of this node is running."""
    return holder(f"{paths.run}/{daemon}.pid") is not None


def start(paths: Paths, daemon: str, *options: str, manager: ServiceManager = SYSTEMD) -> None:
    """Start a daemon of this node; it is listening when this returns.

    Its default options are in ``/etc/default/ganeti``; ``options`` are added to them. Without any,
    the service manager starts it, if it has a unit for it: it then also restarts it, and a
    daemon that a unit of another program has started would end with that unit.

    :raises Failed: the daemon does not start; the message has the reason.
    """
    if not options and manager.manages(paths, daemon):
        manager.start(daemon)
        return
    command = _command(paths, daemon, *options)
    try:
        done = subprocess.run(
            command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=STARTING,
        )
    except subprocess.TimeoutExpired:
        raise _make_late(daemon) from None
    _check_started(daemon, done.returncode, done.stderr)


def start_member(paths: Paths) -> None:
    """Start the member of the state store on this node, as its unit if systemd runs.

    :raises Failed: it does not start; the message has the reason.
    """
    unit = f"{ETCD}.service"
    # With a root folder of its own, a cluster is a trial that systemd knows nothing about.
    if not paths.root and os.path.isdir("/run/systemd/system"):
        # This fails if there is no such unit.
        known = subprocess.run(["systemctl", "--quiet", "cat", unit], capture_output=True)
        if known.returncode == 0:
            done = subprocess.run(["systemctl", "start", unit], capture_output=True, text=True)
            _check_started(ETCD, done.returncode, done.stderr)
            return
    start(paths, ETCD)


class WaitingDaemon:
    """A process that has loaded the modules of a daemon of this node, and becomes it when told.

    It ends with the process that made it.
    """

    def __init__(self, paths: Paths, daemon: str, *options: str) -> None:
        """Start the process, without waiting for it."""
        self._paths = paths
        self._daemon = daemon
        self._command = _command(paths, daemon, *options)
        self._options = options
        self._process = subprocess.Popen(
            [*self._command, "--wait"],
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def outdated(self) -> bool:
        """Return whether the daemon has other options in ``/etc/default/ganeti`` by now."""
        return self._command != _command(self._paths, self._daemon, *self._options)

    def usable(self) -> bool:
        """Return whether the process waits, with the present options."""
        return self._process.poll() is None and not self.outdated()

    def start(self) -> None:
        """Let it become the daemon, which is listening when this returns.

        :raises Failed: the daemon does not start; the message has the reason.
        """
        try:
            _, said = self._process.communicate("start\n", timeout=STARTING)
        except subprocess.TimeoutExpired:
            raise _make_late(self._daemon) from None
        _check_started(self._daemon, self._process.returncode, said)

    def end(self) -> None:
        """End the process unless it has become the daemon."""
        for stream in (self._process.stdin, self._process.stderr):
            if stream is not None and not stream.closed:
                stream.close()
        # At once: while it loads modules, it does not notice that its input was closed.
        self._process.kill()
        self._process.wait()


def _command(paths: Paths, daemon: str, *options: str) -> list[str]:
    usual = usual_options(paths, daemon)
    # With -P, the working directory provides no modules.
    return [sys.executable, "-P", "-m", _MODULES[daemon], *usual, *options]


def _environment() -> dict[str, str]:
    return {**os.environ, **module_environment()}


def _make_late(daemon: str) -> Failed:
    return Failed(f"{daemon} did not start within {STARTING:g} seconds")


def _check_started(daemon: str, code: int, said: str) -> None:
    if code != 0:
        why = said.strip() or f"exit code {code}"
        raise Failed(f"{daemon} does not start: {why}", Code.ENVIRONMENT)


def usual_options(paths: Paths, daemon: str) -> Sequence[str]:
    """Return the options of a daemon in ``/etc/default/ganeti``; the last assignment counts."""
    if daemon not in _OPTIONS:
        return ()
    try:
        with open(f"{paths.root}/etc/default/ganeti", encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return ()
    found = re.findall(rf"^\s*{_OPTIONS[daemon]}=(.*)$", text, re.MULTILINE)
    # Split twice: the file has shell syntax, and the value of the variable is a list of words.
    return shlex.split(" ".join(shlex.split(found[-1], comments=True))) if found else ()
