# SPDX-License-Identifier: BSD-2-Clause
"""The options that every daemon has, and where it listens."""

from __future__ import annotations

import os
import socket
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping

from ganeti import __version__
from ganeti.errors import Code, Refused
from ganeti.paths import Paths

EVERYWHERE = "0.0.0.0"


def parser(program: str, what: str) -> ArgumentParser:
    """The options that all daemons share; ``what`` is a sentence on what the daemon does."""
    options = ArgumentParser(prog=program, description=what)
    options.add_argument("--version", action="version", version=f"{program} {__version__}")
    options.add_argument(
        "-f", "--foreground", action="store_true", help="stay in the foreground; log here too"
    )
    options.add_argument("-d", "--debug", action="store_true", help="log every detail")
    return options


def add_address(options: ArgumentParser, port: int) -> None:
    """The options of daemons that listen on the network."""
    options.add_argument("-p", "--port", type=port_number, default=port, help=f"default: {port}")
    options.add_argument(
        "-b", "--bind", metavar="ADDRESS", help="default: the address of this node's name"
    )


def address_of(name: str, paths: Paths, environment: Mapping[str, str] = os.environ) -> str:
    """Where a daemon of the node ``name`` listens if it was not told.

    The file ``bind`` among the node's data says so; or else the cluster's own list of addresses;
    or else the resolver. A host that is one node, and in no list, listens everywhere.

    :raises Refused: the name has no address.
    """
    written = _read(f"{paths.data}/bind").strip()
    if written:
        return written
    if known := known_address(name, paths):
        return known
    if "GANETI_HOSTNAME" not in environment:
        return EVERYWHERE
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        raise Refused(
            f"the name of this node, {name}, has no address: give one with -b, or write it to"
            f" {paths.data}/bind",
            Code.RESOLVER,
        ) from None


def known_address(name: str, paths: Paths) -> str | None:
    """The address of a node in the cluster's own list; None for one that is not there."""
    for line in _read(f"{paths.data}/ssconf_node_primary_ips").splitlines():
        node, _, address = line.partition(" ")
        if node == name:
            return address
    return None


def port_number(text: str) -> int:
    """Return the port that an option names."""
    port = int(text)
    if not 0 <= port <= 65535:
        raise ArgumentTypeError(f"{port} is no port")
    return port


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""
