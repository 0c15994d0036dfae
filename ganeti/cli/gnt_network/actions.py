# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-network`` commands that do more than submit one opcode."""

from __future__ import annotations

from ganeti.cli.command import Arguments, Document
from ganeti.cli.declared_options import build_opcode
from ganeti.cli.gnt_network.info import told
from ganeti.cli.job_polling import submit_and_follow_all
from ganeti.cli.output import objects
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import require_found, show_values
from ganeti.luxi.methods import Query, QueryClusterInfo, QueryGroups
from ganeti.query.list_arguments import build_filter

_INFO = (
    *("name", "uuid", "network", "gateway", "network6", "gateway6", "mac_prefix", "free_count"),
    *("reserved_count", "map", "external_reservations", "group_list", "inst_list", "tags"),
    *("serial_no",),
)


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of networks."""
    names = arguments.get("names", [])
    wanted = build_filter(names)
    networks = objects(session.ask(Query(what="network", fields=_INFO, qfilter=wanted)))
    show_values(session, arguments, networks, [told(each) for each in networks])
    require_found(names, networks, "network", "gnt-network")
    return 0


def submit_per_group(session: Session, arguments: Arguments) -> int:
    """Submit the opcode for each named group, or for all groups that it changes."""
    names = arguments.get("groups") or _select_groups(session, arguments)
    if not names:
        done = (
            "connected to all" if arguments.command.name == "connect" else "disconnected from all"
        )
        session.print_line(f"Network {arguments['network_name']} is already {done} groups.")
        return 0
    jobs = [(name, [build_opcode(arguments.plus({"group_name": name}))]) for name in names]
    return submit_and_follow_all(session, arguments, jobs)


def _select_groups(session: Session, arguments: Arguments) -> list[str]:
    """Return the groups to connect the network to, or to disconnect it from.

    For an unknown network all groups are returned, so that the master reports the error.
    """
    groups = [row[0] for row in session.ask(QueryGroups(names=(), fields=("name",)))]
    wanted = build_filter([arguments["network_name"]])
    found = objects(session.ask(Query(what="network", fields=("group_list",), qfilter=wanted)))
    if not found:
        return groups
    connected = {row[0] for row in found[0]["group_list"]}
    connects = arguments.command.name == "connect"
    return [name for name in groups if (name in connected) is not connects]


def connect(session: Session, arguments: Arguments) -> int:
    """Connect a network to groups, by default with the NIC parameters of the cluster."""
    given = arguments.get("nicparams", {})
    if _ATTACHMENT - given.keys():
        usual = session.ask(QueryClusterInfo())["nicparams"]["default"]
        # Its cards also have packet filters, which are not about attachment.
        given = {**{name: usual[name] for name in _ATTACHMENT if name in usual}, **given}
    return submit_per_group(session, arguments.plus({"nicparams": given}))


_ATTACHMENT = frozenset({"mode", "link", "vlan"})


def attached(arguments: Arguments) -> Document:
    """Return how network cards are attached to a network.

    :raises ExitTool: if a parameter is not about attachment.
    """
    given = arguments["nicparams"]
    if unknown := given.keys() - _ATTACHMENT:
        raise ExitTool(
            FAILURE, f"-N {', '.join(sorted(unknown))}: must be some of mode, link and vlan"
        )
    return {f"network_{name}": value for name, value in given.items()}
