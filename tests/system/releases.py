# SPDX-License-Identifier: BSD-2-Clause
"""Copies of the tree that are other releases, and nodes that install them."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from ganeti import __version__
from tests.system.running import RunningCluster
from tools.quickstart.daemons import Daemon
from tools.quickstart.place import TREE


def copy_tree() -> Path:
    """Return a new copy of the tree, which the caller removes."""
    other = Path(tempfile.mkdtemp(prefix="gnt-release-"))
    shutil.copytree(TREE / "ganeti", other / "ganeti", ignore=shutil.ignore_patterns("__pycache__"))
    return other


def change_module(tree: Path, module: str, before: str, after: str) -> None:
    """Replace text of a module in a copy of the tree; the text must be there."""
    path = tree / module
    text = path.read_text()
    assert before in text, f"{module} does not contain {before!r}"
    path.write_text(text.replace(before, after))


def make_release(release: str) -> Path:
    """Return a copy of the tree with another version number."""
    tree = copy_tree()
    change_module(tree, "ganeti/__init__.py", f'"{__version__}"', f'"{release}"')
    return tree


def start_command(daemon: Daemon, tree: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts a daemon from a tree, and its environment."""
    command = daemon.cluster.command(daemon.node, [sys.executable, "-P", "-m", daemon.module])
    return command, {**daemon.cluster.environment(daemon.node), "PYTHONPATH": str(tree)}


def write_upgrade_command(
    running: RunningCluster, number: int, tree: Path, *kinds: str, pause: Path | None = None
) -> None:
    """Write the restricted command *upgrade* of a node, which starts daemons from another tree.

    The daemons are replaced in this order. With ``pause``, a file that must exist, it first renames
    it to ``*.reached``, and waits until that one is gone.
    """
    node = running.cluster.node(number)
    script = Path(node.paths.restricted_commands) / "upgrade"
    script.parent.mkdir(mode=0o755, exist_ok=True)
    steps = [_restart(running.daemon(kind, number), tree) for kind in kinds]
    # In the background and in a session of its own, as a package manager is started.
    lines = [
        "#!/bin/sh",
        "echo installing",
        f"setsid sh -c {shlex.quote('; '.join(steps))} >/dev/null 2>&1 </dev/null &",
    ]
    if pause is not None:
        reached = shlex.quote(f"{pause}.reached")
        wait = f"while [ -e {reached} ]; do sleep 0.1; done"
        lines.insert(2, f"mv {shlex.quote(str(pause))} {reached} && {wait}")
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)


def _restart(daemon: Daemon, tree: Path) -> str:
    """Return the shell commands that replace a daemon; one that does not run is started."""
    command, environment = start_command(daemon, tree)
    settings = [f"{name}={value}" for name, value in environment.items()]
    again = shlex.join(["env", f"PATH={os.environ['PATH']}", *settings, *command])
    pid = f"{daemon.node.paths.run}/{daemon.program}.pid"
    alive = f"[ -s {pid} ] && kill -0 $(cat {pid})"
    return f"kill $(cat {pid}); while {alive}; do sleep 0.1; done; {again}"
