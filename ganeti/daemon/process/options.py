# SPDX-License-Identifier: BSD-2-Clause
"""The common options of daemons, and the address to listen on."""

from __future__ import annotations

import os
import socket
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping

from ganeti import __version__
from ganeti.errors import Code, Refused
from ganeti.paths import Paths

ALL_ADDRESSES = "0.0.0.0"


def parser(program: str, what: str) -> ArgumentParser:
    """Return a parser with the options of all daemons; ``what`` describes the daemon."""
    options = ArgumentParser(prog=program, description=what)
    options.add_argument("--version", action="version", version=f"{program} {__version__}")
    options.add_argument(
        "-f",
        "--foreground",
        action="store_true",
        help="stay in the foreground, and log to standard error, too",
    )
    options.add_argument("-d", "--debug", action="store_true", help="log debug messages")
    return options


def add_address_options(options: ArgumentParser, port: int) -> None:
    """Add the options of daemons that listen on the network."""
    options.add_argument("-p", "--port", type=parse_port, default=port, help=f"default: {port}")
    options.add_argument(
        "-b", "--bind", metavar="ADDRESS", help="default: the address of this node"
    )


def address_of(name: str, paths: Paths, environment: Mapping[str, str] = os.environ) -> str:
    """Return the default address of a daemon of the node ``name``.

    It is taken from the file ``bind`` in the data directory, the cluster's list of addresses, or
    the resolver. A host that is a single node and in no list listens on all addresses.

    :raises Refused: if the name does not resolve.
    """
    written = _read(f"{paths.data}/bind").strip()
    if written:
        return written
    if known := find_node_address(name, paths):
        return known
    if "GANETI_HOSTNAME" not in environment:
        return ALL_ADDRESSES
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        raise Refused(
            f"the name of this node, {name}, does not resolve: give an address with -b, or write"
            f" it to {paths.data}/bind",
            Code.RESOLVER,
        ) from None


def find_node_address(name: str, paths: Paths) -> str | None:
    """Return the address of a node in the cluster's list; None if it is not there."""
    for line in _read(f"{paths.data}/ssconf_node_primary_ips").splitlines():
        node, _, address = line.partition(" ")
        if node == name:
            return address
    return None


def parse_port(text: str) -> int:
    """Parse a port number."""
    port = int(text)
    if not 0 <= port <= 65535:
        raise ArgumentTypeError(f"{port} is not a valid port")
    return port


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""
