# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-node add``: invite a node, wait until it has joined, and add it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.bootstrap.blocking_files import read_ssconf
from ganeti.bootstrap.join_cluster import create_token
from ganeti.cli.addresses import answers, require_host_name, resolve_full_name, resolved
from ganeti.cli.command import Arguments
from ganeti.cli.declared_options import build_opcode
from ganeti.cli.job_polling import carry_out
from ganeti.cli.output import objects
from ganeti.cli.session import FAILURE, NODE_SETUP, ExitTool, Session
from ganeti.luxi.methods import Query
from ganeti.paths import NODED_PORT

if TYPE_CHECKING:
    pass


JOIN_TIMEOUT = 3600
"""How long to wait for a new node, in seconds: its token is valid for as long."""


PAUSE = 0.5


def add(session: Session, arguments: Arguments) -> int:
    """Invite a node, wait until it has joined, and add it to the cluster."""
    arguments = _expand_name(session, arguments)
    name = arguments["node_name"]
    require_host_name(name)
    address = arguments.get("primary_ip") or _find_address(session, arguments)
    port = arguments.get("port", NODED_PORT)
    if arguments.get("token_only"):
        session.print_line(_issue_token(session, name, address))
        return 0
    if not answers(address, port):
        if arguments.get("joined"):
            raise ExitTool(
                NODE_SETUP,
                f"no node daemon answers at {address} port {port}; start ganeti-noded there",
            )
        session.print_line(f"Run this on {name} as root within an hour:")
        session.print_line()
        session.print_line(
            f"  {_join_command(session, name, address, bool(arguments.get('readd')))}"
        )
        session.print_line()
        session.show(f"Waiting for its node daemon at {address} port {port} (Ctrl-C stops) ...")
        _wait_for_daemon(session, address, port)
        session.print_line(" it answers.")
    opcode = build_opcode(arguments.plus({"primary_ip": address}))
    return carry_out(session, arguments, opcode)


def _expand_name(session: Session, arguments: Arguments) -> Arguments:
    """Return the arguments with the fully qualified name of the new node, for which its token is
    issued."""
    name = arguments["node_name"]
    # Nodes of a virtual cluster have names that need not resolve.
    if "." in name or session.paths.root or arguments.get("readd"):
        return arguments
    full = resolve_full_name(name)
    if full != name:
        session.print_status(f"Note: using the full name {full} for {name}")
    return arguments.plus({"node_name": full})


def _find_address(session: Session, arguments: Arguments) -> str:
    """Return the address to use if none was given: the recorded one, or that of the node's name."""
    name = arguments["node_name"]
    if arguments.get("readd"):
        wanted = ["==", "name", name]
        found = objects(session.ask(Query(what="node", fields=("pip",), qfilter=wanted)))
        if not found:
            raise ExitTool(
                FAILURE,
                f"unknown node {name}; to add it as a new node, omit --readd",
            )
        return str(found[0]["pip"])
    family = int(read_ssconf(session.paths, "primary_ip_family"))
    return resolved(name, "--primary-ip", family, loopback=bool(session.paths.root))


def _issue_token(session: Session, name: str, address: str) -> str:
    return create_token(session.paths, node=name, addresses=[address])


def _join_command(session: Session, name: str, address: str, again: bool) -> str:
    below = f"GANETI_ROOTDIR=FOLDER GANETI_HOSTNAME={name} " if session.paths.root else ""
    option = " --rejoin" if again else ""
    # Not as an argument: the arguments of a process are visible to all users of its host.
    return f"echo {_issue_token(session, name, address)} | {below}ganeti-noded --join -{option}"


def _wait_for_daemon(session: Session, address: str, port: int) -> None:
    until = session.clock() + JOIN_TIMEOUT
    while not answers(address, port):
        if session.clock() > until:
            session.print_line()
            raise ExitTool(
                NODE_SETUP, f"no node daemon answered at {address} port {port} within the hour"
            )
        session.sleep(PAUSE)
