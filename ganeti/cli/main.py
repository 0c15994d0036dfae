# SPDX-License-Identifier: BSD-2-Clause
"""A tool as a program: the real terminal, the real master, and an exit code."""

from __future__ import annotations

import os
import sys
import time
from typing import NoReturn

from ganeti.cli.command import Tool, run
from ganeti.cli.session import FAILURE, NOT_IN_CLUSTER, NOT_MASTER, Asks, Ended, Session
from ganeti.paths import Paths, name_of_this_node, of_this_node

_SOCKETS = ("master", "query")


def main(tool: Tool) -> NoReturn:
    """Do what the command line says, and end the process."""
    try:
        code = run(tool, sys.argv[1:], terminal(of_this_node()))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough; nothing may be written at the end any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILURE
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; a job that was submitted goes on: see gnt-job list\n")
        code = FAILURE
    sys.exit(code)


def terminal(paths: Paths) -> Session:
    """The session of this process with the master of the node that ``paths`` are of."""
    return Session(
        connect=lambda: connected(paths),
        out=sys.stdout,
        err=sys.stderr,
        answer=input if sys.stdin is not None and sys.stdin.isatty() else None,
        paths=paths,
        host=name_of_this_node,
        environment=os.environ,
        clock=time.time,
        sleep=time.sleep,
    )


def connected(paths: Paths) -> Asks:
    """A client of the master on this node.

    :raises Ended: there is none here; says where it is, or how there could be one.
    """
    from ganeti.luxi.client import Client

    forced = os.environ.get("FORCE_LUXI_SOCKET", "")
    if forced and forced not in _SOCKETS:
        return Client(forced)
    path = paths.master_socket if forced == "master" else paths.query_socket
    if not os.path.exists(path):
        _explain(paths)
    return Client(path)


def _explain(paths: Paths) -> None:
    """Say why there is no master here, if that is for another reason than that it is stopped.

    :raises Ended: with the exit code that scripts know.
    """
    if not os.path.exists(paths.node_certificate) and not os.path.exists(paths.config_file):
        where = f" below {paths.root}" if paths.root else ""
        raise Ended(
            NOT_IN_CLUSTER,
            f"this node is not part of a cluster{where}; gnt-cluster init makes one, and gnt-node"
            " add on the master of another one takes this node in",
        )
    master = master_name(paths)
    if master and master != name_of_this_node():
        raise Ended(NOT_MASTER, f"this node is not the master; run this on {master}")


def master_name(paths: Paths) -> str:
    """The name of the master as this node knows it; empty if it does not."""
    try:
        with open(f"{paths.data}/ssconf_master_node", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""
