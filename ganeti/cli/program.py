# SPDX-License-Identifier: BSD-2-Clause
"""A tool as a program: the real terminal, the real master, and an exit code.

Most of a call's time is spent loading modules, so nothing is imported here that most commands do
not need.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
import time
from typing import NoReturn

from ganeti.cli.command import Tool
from ganeti.cli.dispatch import run
from ganeti.cli.session import FAILURE, NOT_IN_CLUSTER, NOT_MASTER, ExitTool, IMasterClient, Session
from ganeti.paths import Paths, local_node_name, local_paths

_SOCKETS = ("master", "query")


def main(name: str) -> NoReturn:
    """Run the tool of this name with the command line, and exit."""
    # A call ends before a garbage collection would pay; without collections it is a tenth faster.
    gc.disable()
    run_tool(getattr(importlib.import_module(f"ganeti.cli.{name}.commands"), name.upper()))


def run_as_called() -> NoReturn:
    """Run the tool that this program is called like, such as ``gnt-instance``, and exit."""
    main(os.path.basename(sys.argv[0]).replace("-", "_"))


def run_tool(tool: Tool) -> NoReturn:
    """Run ``tool`` with the command line, and exit."""
    _reopen_closed_streams()
    _escape_unencodable()
    try:
        code = run(tool, sys.argv[1:], terminal(local_paths()))
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        # The reader of the output, such as head(1), has closed it.
        code = FAILURE
    except OSError as e:
        # The buffered output is written only now.
        sys.stderr.write(f"Error: the output cannot be written: {e.strerror}\n")
        code = FAILURE
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; a submitted job continues: see gnt-job list\n")
        sys.stderr.flush()
        code = FAILURE
    # All output is flushed; skip the teardown of modules, which takes time.
    os._exit(code)


def _reopen_closed_streams() -> None:
    """Open ``/dev/null`` for closed standard streams, so that no other file gets their
    descriptors."""
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)
        sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _escape_unencodable() -> None:
    """Write characters that the locale of the terminal cannot encode as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def terminal(paths: Paths) -> Session:
    """Return the session of this process with the master on the node that ``paths`` belong to."""
    seated = sys.stdin is not None and sys.stdin.isatty()
    return Session(
        connect=lambda: connected(paths),
        out=sys.stdout,
        err=sys.stderr,
        answer=input if seated else None,
        paths=paths,
        host=local_node_name,
        environment=os.environ,
        clock=time.time,
        sleep=time.sleep,
        secret=_ask_for_secret if seated else None,
        stdin=sys.stdin,
    )


def _ask_for_secret(prompt: str) -> str:
    from getpass import getpass

    return getpass(prompt)


def connected(paths: Paths) -> IMasterClient:
    """Return a client of the master on this node.

    :raises ExitTool: if this node is not the master; the message says where to run the command.
    """
    from ganeti.luxi.client import LuxiClient

    forced = os.environ.get("FORCE_LUXI_SOCKET", "")
    if forced and forced not in _SOCKETS:
        return LuxiClient(forced)
    path = paths.master_socket if forced == "master" else paths.query_socket
    if _is_missing(path) or _is_abandoned(path, paths):
        _explain_missing_master(paths)
    return LuxiClient(path)


def _explain_missing_master(paths: Paths) -> None:
    """Explain why there is no master socket, unless the master daemon is merely stopped.

    :raises ExitTool: with the exit code that scripts know.
    """
    if _is_missing(paths.node_certificate) and _is_missing(paths.config_file):
        where = f" in {paths.root}" if paths.root else ""
        raise ExitTool(
            NOT_IN_CLUSTER,
            f"this node is not part of a cluster{where}; use gnt-cluster init to create one, or"
            " gnt-node add on the master of another one to add this node",
        )
    master = read_master_name(paths)
    if master and master != local_node_name():
        raise ExitTool(NOT_MASTER, f"this node is not the master; run this on {master}")


def _is_abandoned(path: str, paths: Paths) -> bool:
    """Return whether the socket is what a master daemon has left that was killed on this node."""
    try:
        if read_master_name(paths) in ("", local_node_name()):
            return False
    except ExitTool:
        return False
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _is_missing(path: str) -> bool:
    """Return whether the file is missing; false if this user may not look into its directory."""
    try:
        os.stat(path)
    except PermissionError:
        return False
    except OSError:
        return True
    return False


def read_master_name(paths: Paths) -> str:
    """Return the name of the master as this node knows it; empty if unknown.

    :raises ExitTool: if this user may not read it.
    """
    path = f"{paths.data}/ssconf_master_node"
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except PermissionError:
        raise ExitTool(FAILURE, f"permission denied for {path}; run this as root") from None
    except OSError:
        return ""
