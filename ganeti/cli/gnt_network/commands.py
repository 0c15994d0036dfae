# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-network``: networks with address pools for instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ganeti.cli.command import Arguments, Command, Document, Positional, tool
from ganeti.cli.listing import FORM, Listing, lists, require_found, show_values
from ganeti.cli.options import KEYVAL, LIST, Option
from ganeti.cli.program import run_tool
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.tags import tag_commands

NETWORK = (Positional("network_name", "network"),)
GROUPS = Positional("groups", "group", 0, None)
_RESERVED = Option(("--add-reserved-ips",), "add_reserved_ips", "", LIST, metavar="ADDRESS,…")
_RELEASED = Option(("--remove-reserved-ips",), "remove_reserved_ips", "", LIST, metavar="ADDRESS,…")

_INFO = (
    *("name", "uuid", "network", "gateway", "network6", "gateway6", "mac_prefix", "free_count"),
    *("reserved_count", "map", "external_reservations", "group_list", "inst_list", "tags"),
    *("serial_no",),
)


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of networks."""
    from ganeti.cli.gnt_network.info import told
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query
    from ganeti.query.arguments import build_filter

    names = arguments.get("names", [])
    wanted = build_filter(names)
    networks = objects(session.ask(Query(what="network", fields=_INFO, qfilter=wanted)))
    show_values(session, arguments, networks, [told(each) for each in networks])
    require_found(names, networks, "network", "gnt-network")
    return 0


def _format_connections(groups: Sequence[Sequence[Any]]) -> str:
    """Return the groups that a network is connected to, each with mode, link and vlan."""
    found = (f"{name} ({', '.join(filter(None, how))})" for name, *how in groups)
    return ", ".join(found) or "-"


def submit_per_group(session: Session, arguments: Arguments) -> int:
    """Submit the opcode for each named group, or for all groups that it changes."""
    from ganeti.cli.declared_options import build_opcode
    from ganeti.cli.job_polling import submit_and_follow_all

    names = arguments.get("groups") or _select_groups(session, arguments)
    if not names:
        done = (
            "connected to all" if arguments.command.name == "connect" else "disconnected from all"
        )
        session.say(f"Network {arguments['network_name']} is already {done} groups.")
        return 0
    jobs = [(name, [build_opcode(arguments.plus({"group_name": name}))]) for name in names]
    return submit_and_follow_all(session, arguments, jobs)


def _select_groups(session: Session, arguments: Arguments) -> list[str]:
    """Return the groups to connect the network to, or to disconnect it from.

    For an unknown network all groups are returned, so that the master reports the error.
    """
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query, QueryGroups
    from ganeti.query.arguments import build_filter

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
    from ganeti.luxi.methods import QueryClusterInfo

    given = arguments.get("nicparams", {})
    if _ATTACHMENT - given.keys():
        given = {**session.ask(QueryClusterInfo())["nicparams"]["default"], **given}
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


GNT_NETWORK = tool(
    "gnt-network",
    "Add, show, change and remove networks of instances.",
    lists(
        Listing(
            what="network",
            columns=("name", "network", "gateway", "mac_prefix", "group_list", "tags"),
            shows={"group_list": _format_connections},
        ),
        doc="List networks.",
        words="network",
    ),
    tag_commands("network", "network"),
    Command(
        name="info",
        doc="Show the details of networks.",
        words=(Positional("names", "network", 0, None),),
        options=(FORM,),
        run=info,
    ),
    Command(name="add", opcode="OP_NETWORK_ADD", words=NETWORK, flags=(_RESERVED,)),
    Command(
        name="modify", opcode="OP_NETWORK_SET_PARAMS", words=NETWORK, flags=(_RESERVED, _RELEASED)
    ),
    Command(
        name="remove",
        opcode="OP_NETWORK_REMOVE",
        words=NETWORK,
    ),
    Command(
        name="rename",
        opcode="OP_NETWORK_RENAME",
        words=(*NETWORK, Positional("new_name", "new-name")),
    ),
    Command(
        name="connect",
        opcode="OP_NETWORK_CONNECT",
        words=(*NETWORK, GROUPS),
        options=(
            Option(
                ("-N", "--nic-parameters"),
                "nicparams",
                "How network cards are attached: mode, link and vlan; by default the cluster's"
                " parameters.",
                KEYVAL,
            ),
        ),
        without=("group_name", "network_mode", "network_link", "network_vlan"),
        given=attached,
        run=connect,
    ),
    Command(
        name="disconnect",
        opcode="OP_NETWORK_DISCONNECT",
        words=(*NETWORK, GROUPS),
        without=("group_name",),
        run=submit_per_group,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_NETWORK)


if __name__ == "__main__":
    main()
