# SPDX-License-Identifier: BSD-2-Clause
"""Start of the daemons of this node, for blocking callers."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence

from ganeti.errors import Code, Failed
from ganeti.paths import Paths
from ganeti.system.pidfile import holder
from ganeti.system.subprocess_modules import module_environment

NODED, MASTERD, RAPI = "ganeti-noded", "ganeti-masterd", "ganeti-rapi"

_MODULES = {
    NODED: "ganeti.daemon.noded",
    MASTERD: "ganeti.daemon.masterd",
    RAPI: "ganeti.daemon.rapi",
}
_OPTIONS = {NODED: "NODED_ARGS", MASTERD: "MASTERD_ARGS", RAPI: "RAPI_ARGS"}
"""The variables with the options of each daemon in ``/etc/default/ganeti``."""

STARTING = 60.0
"""Seconds that a daemon may take to start."""


def runs(paths: Paths, daemon: str) -> bool:
    """Return whether a daemon of this node is running."""
    return holder(f"{paths.run}/{daemon}.pid") is not None


def start(paths: Paths, daemon: str, *options: str) -> None:
    """Start a daemon of this node; it is listening when this returns.

    Its default options are in ``/etc/default/ganeti``; ``options`` are added to them.

    :raises Failed: the daemon does not start; the message has the reason.
    """
    command = [
        sys.executable,
        "-P",
        "-m",
        _MODULES[daemon],
        *usual_options(paths, daemon),
        *options,
    ]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **module_environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=STARTING,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{daemon} did not start within {STARTING:g} seconds") from None
    if done.returncode != 0:
        why = done.stderr.strip() or f"exit code {done.returncode}"
        raise Failed(f"{daemon} does not start: {why}", Code.ENVIRONMENT)


def usual_options(paths: Paths, daemon: str) -> Sequence[str]:
    """Return the options of a daemon in ``/etc/default/ganeti``; the last assignment counts."""
    try:
        with open(f"{paths.root}/etc/default/ganeti", encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return ()
    found = re.findall(rf"^\s*{_OPTIONS[daemon]}=(.*)$", text, re.MULTILINE)
    # Split twice: the file has shell syntax, and the value of the variable is a list of words.
    return shlex.split(" ".join(shlex.split(found[-1], comments=True))) if found else ()
