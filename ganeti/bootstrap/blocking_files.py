# SPDX-License-Identifier: BSD-2-Clause
"""Access to files of this host for blocking code, and checks before a cluster is set up."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from typing import ParamSpec, TypeVar

from ganeti.bootstrap.foreign_folder import explain_foreign, is_foreign
from ganeti.errors import Code, Refused
from ganeti.paths import Paths
from ganeti.system.files import LocalFiles

P = ParamSpec("P")
T = TypeVar("T")


def check_no_cluster(paths: Paths) -> None:
    """Check that this host has no cluster configuration.

    :raises Refused: it has one.
    """
    if is_foreign(paths):
        raise Refused(explain_foreign(paths), Code.EXISTS)
    if os.path.exists(paths.config_file):
        raise Refused(
            f"this host has a cluster configuration already ({paths.config_file}); to create a new"
            " cluster, destroy it first (gnt-cluster destroy)",
            Code.EXISTS,
        )


def check_no_membership(paths: Paths, what: str) -> None:
    """Check that this host has no node certificate; ``what`` is the purpose, for the message.

    :raises Refused: it has one.
    """
    if os.path.exists(paths.node_certificate):
        raise Refused(
            f"this node is already part of a cluster ({paths.node_certificate} exists); to {what},"
            " remove it from its cluster first (gnt-node remove); to join the same cluster again,"
            " use --rejoin with --join",
            Code.EXISTS,
        )


async def _call_directly(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    return function(*args, **kwargs)


def read_ssconf(paths: Paths, key: str) -> str:
    """Return the ssconf value ``key`` on this node."""
    return local_files().read(f"{paths.data}/ssconf_{key}").decode().rstrip("\n")


def write_ssconf(paths: Paths, values: Mapping[str, str]) -> None:
    """Write ssconf values on this node."""
    write(
        {
            f"{paths.data}/ssconf_{key}": (f"{text}\n".encode() if text else b"", 0o444)
            for key, text in values.items()
        }
    )


def local_files() -> LocalFiles:
    """Return the files of this host, for blocking callers."""
    return LocalFiles(_call_directly)


def at_once(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine that never waits, because its blocking calls run directly."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("a coroutine with blocking file access waited")


def write(contents: Mapping[str, tuple[bytes, int]]) -> None:
    """Replace files, each with its content and mode; create their folders."""
    files = local_files()
    for path, (content, mode) in contents.items():
        at_once(files.make_folder(os.path.dirname(path)))
        at_once(files.replace(path, content, mode=mode))
