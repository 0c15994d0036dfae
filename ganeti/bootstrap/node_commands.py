# SPDX-License-Identifier: BSD-2-Clause
"""Calls to node daemons that only an administrator on the master may make, without a job.

They use the key of the master's node, which only root can read: users of the master's socket and of
the remote API cannot make them.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

from ganeti.bootstrap.node_client import NodeEndpoint, Peers
from ganeti.errors import Code, GanetiError, Refused
from ganeti.paths import Paths
from ganeti.rpc.call import Call
from ganeti.rpc.node import CommandResult, CopyFile, RunCommand
from ganeti.rpc.quorum import DescribeVote

R = TypeVar("R")
CommandAnswer: TypeAlias = CommandResult | GanetiError
"""How a command ended on a node, or why nothing is known of it."""

MAX_CONCURRENT_CALLS = 32
COMMAND_TIMEOUT = 86400.0
"""Seconds; a command may run as long as the administrator waits for it."""
COPY_TIMEOUT = 300.0
MAX_FILE_SIZE = 40 * 1024 * 1024
"""Bytes; the maximum size of a request to a node daemon."""


def run_command(
    paths: Paths, own: NodeEndpoint, endpoints: Sequence[NodeEndpoint], command: str
) -> dict[str, CommandAnswer]:
    """Run a command line on nodes; see :func:`_ask_all`."""
    return _ask_all(paths, own, endpoints, RunCommand(command=command), COMMAND_TIMEOUT)


def copy_file(
    paths: Paths, own: NodeEndpoint, endpoints: Sequence[NodeEndpoint], path: str
) -> dict[str, GanetiError | None]:
    """Copy a file of this node to the same path on others; see :func:`_ask_all`.

    :raises Refused: the file is not below the root folder of this node, or is too large.
    """
    if not path.startswith(f"{paths.root}/"):
        raise Refused(f"{path} is not below the root folder {paths.root} of this node", Code.INPUT)
    with open(path, "rb") as file:
        mode, content = os.fstat(file.fileno()).st_mode & 0o777, file.read(MAX_FILE_SIZE + 1)
    if len(content) > MAX_FILE_SIZE:
        raise Refused(
            f"{path} is larger than {MAX_FILE_SIZE >> 20} MiB; use another tool", Code.INPUT
        )
    encoded = base64.b64encode(content).decode("ascii")
    call = CopyFile(path=path.removeprefix(paths.root), content=encoded, mode=mode)
    return _ask_all(paths, own, endpoints, call, COPY_TIMEOUT)


def _ask_all(
    paths: Paths,
    own: NodeEndpoint,
    endpoints: Sequence[NodeEndpoint],
    call: Call[R],
    timeout: float,
) -> dict[str, R | GanetiError]:
    """Make a call to nodes; return answers and errors by name. ``own`` is the local node daemon.

    The local node is called last if it is one of ``endpoints``: a command may shut it down.

    :raises GanetiError: the local node daemon does not answer.
    :raises OSError: this user cannot read the key of this node.
    """
    peers = Peers(paths, [own, *endpoints])
    # Other nodes answer only in the present term, which the local node daemon knows.
    term = peers.ask(own.name, DescribeVote(), 0).state.term

    def one(name: str) -> R | GanetiError:
        try:
            return peers.ask(name, call, term, timeout=timeout)
        except GanetiError as e:
            return e

    others = [endpoint.name for endpoint in endpoints if endpoint.name != own.name]
    with ThreadPoolExecutor(max_workers=max(1, min(MAX_CONCURRENT_CALLS, len(others)))) as pool:
        answers = dict(zip(others, pool.map(one, others), strict=True))
    if len(others) < len(endpoints):
        answers[own.name] = one(own.name)
    return answers
