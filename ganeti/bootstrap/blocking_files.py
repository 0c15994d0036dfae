# SPDX-License-Identifier: BSD-2-Clause
"""Files written on the spot by blocking code, and what there must not be before."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ParamSpec, TypeVar

from ganeti.errors import Code, Refused
from ganeti.paths import Paths
from ganeti.system.files import LocalFiles

P = ParamSpec("P")
T = TypeVar("T")


def refuse_a_master(paths: Paths) -> None:
    """:raises Refused: there is a configuration on this host."""
    if os.path.exists(paths.config_file):
        raise Refused(
            f"there is a cluster here already: {paths.config_file} is there; to make a new one,"
            " destroy it first (gnt-cluster destroy)",
            Code.EXISTS,
        )


def refuse_a_member(paths: Paths, what: str) -> None:
    """:raises Refused: this host has a certificate, and so cannot do ``what``."""
    if os.path.exists(paths.node_certificate):
        raise Refused(
            f"this node is part of a cluster already: {paths.node_certificate} is there; to {what},"
            " remove it from its cluster first (gnt-node remove); to join the same one again, use"
            " --rejoin with --join",
            Code.EXISTS,
        )


async def _here(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    return function(*args, **kwargs)


def ssconf_of(paths: Paths, key: str) -> str:
    """What this node was told of its cluster under ``key``."""
    return local_files().read(f"{paths.data}/ssconf_{key}").decode().rstrip("\n")


def write_ssconf(paths: Paths, values: Mapping[str, str]) -> None:
    """Note what this node knows of its cluster."""
    write(
        {
            f"{paths.data}/ssconf_{key}": (f"{text}\n".encode() if text else b"", 0o444)
            for key, text in values.items()
        }
    )


def local_files() -> LocalFiles:
    """The files of this host, for callers that block."""
    return LocalFiles(_here)


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of work that never has to wait, because what blocks is done on the spot."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("files that are written on the spot waited for something")


def write(contents: Mapping[str, tuple[bytes, int]]) -> None:
    """Replace files, each with its content and mode; makes the folders they are in."""
    files = local_files()
    for path, (content, mode) in contents.items():
        at_once(files.make_folder(os.path.dirname(path)))
        at_once(files.replace(path, content, mode=mode))
