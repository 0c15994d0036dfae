# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-etcd``: runs the member of the state store on this node, a process of etcd.

This program only prepares the process, which then executes etcd. The lock on the pid file stays
with it, so that all that look for a daemon find it.
"""

from __future__ import annotations

import os
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from ganeti import __version__
from ganeti.bootstrap.blocking_files import local_files
from ganeti.bootstrap.daemons import ETCD
from ganeti.bootstrap.etcd_members import PACKAGE, EtcdMember
from ganeti.errors import Code, Failed, GanetiError
from ganeti.node.store_member import read_member
from ganeti.paths import Paths, local_paths
from ganeti.system.pidfile import PidFile

NOT_IN_CLUSTER = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code, unless it has become etcd."""
    parser = ArgumentParser(
        prog=ETCD, description="Run the member of the state store on this node."
    )
    parser.add_argument("--version", action="version", version=f"{ETCD} {__version__}")
    parser.add_argument(
        "-f", "--foreground", action="store_true", help="do not detach; log to standard error"
    )
    options = parser.parse_args(argv)
    paths = local_paths()
    try:
        command = make_command(paths)
        if command is None:
            print(f"{ETCD}: this node has no member of the state store", file=sys.stderr)
            return NOT_IN_CLUSTER
        if options.foreground:
            _become(paths, command)
        return _start(paths, command)
    except (GanetiError, OSError) as e:
        print(f"{ETCD}: {e}", file=sys.stderr)
        return 1


def make_command(paths: Paths) -> list[str] | None:
    """Return the command line of this node's member; None if it has none.

    :raises Failed: its settings are damaged.
    """
    settings = read_member(local_files(), paths.store_member)
    if settings is None:
        return None
    member = EtcdMember(settings.name, settings.address, paths.store_member)
    peers = [EtcdMember(each.name, each.address, "") for each in settings.peers]
    return member.command(peers, new=settings.founds)


def _start(paths: Paths, command: Sequence[str]) -> int:
    """Run etcd in a process of its own; return when it has been executed."""
    reader, writer = os.pipe()  # closed by a successful exec
    if os.fork() == 0:
        os.close(reader)
        os.setsid()
        try:
            _redirect(f"{paths.log}/etcd/member.log")
            _become(paths, command)
        except (GanetiError, OSError) as e:
            os.write(writer, str(e).encode())
        # Not by an exception: this copy of the process must not run what the original does at its
        # end.
        os._exit(1)
    os.close(writer)
    with open(reader, encoding="utf-8", errors="replace") as told:
        why = told.read()
    if why:
        print(f"{ETCD}: {why}", file=sys.stderr)
    return 1 if why else 0


def _redirect(log: str) -> None:
    os.makedirs(os.path.dirname(log), mode=0o755, exist_ok=True)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for descriptor in (1, 2):
        os.dup2(target, descriptor)
    os.chdir("/")


def _become(paths: Paths, command: Sequence[str]) -> None:
    """Execute etcd in this process.

    :raises Failed: etcd is not installed.
    :raises Refused: the member runs already.
    """
    program = shutil.which(command[0])
    if program is None:
        raise Failed(
            f"etcd is not installed on this node: apt-get install {PACKAGE}", Code.ENVIRONMENT
        )
    os.umask(0o077)
    os.makedirs(paths.run, mode=0o755, exist_ok=True)
    PidFile(f"{paths.run}/{ETCD}.pid", ETCD).acquire(inherit=True)
    os.execv(program, list(command))


if __name__ == "__main__":
    sys.exit(main())
