# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-network``: networks with address pools for instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganeti.cli.command import Command, Positional, tool
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM, Listing, lists
from ganeti.cli.options import KEYVAL, LIST, Option
from ganeti.cli.program import run_tool
from ganeti.cli.tags import tag_commands

if TYPE_CHECKING:
    from ganeti.cli.gnt_network import actions
else:
    actions = LazyModule("ganeti.cli.gnt_network.actions")

NETWORK = (Positional("network_name", "network"),)
NEW_NETWORK = (Positional("network_name", "network", new=True),)
GROUPS = Positional("groups", "group", 0, None)
_RESERVED = Option(("--add-reserved-ips",), "add_reserved_ips", "", LIST, metavar="ADDRESS,…")
_RELEASED = Option(("--remove-reserved-ips",), "remove_reserved_ips", "", LIST, metavar="ADDRESS,…")


def _format_connections(groups: Sequence[Sequence[str]]) -> str:
    """Return the groups that a network is connected to, each with mode, link and vlan."""
    found = (f"{name} ({', '.join(filter(None, how))})" for name, *how in groups)
    return ", ".join(found) or "-"


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
        watch=True,
        words="network",
    ),
    tag_commands("network", "network"),
    Command(
        name="info",
        doc="Show the details of networks.",
        words=(Positional("names", "network", 0, None),),
        options=(FORM,),
        run=actions.info,
    ),
    Command(name="add", opcode="OP_NETWORK_ADD", words=NEW_NETWORK, flags=(_RESERVED,)),
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
                KEYVAL.with_keys("nic"),
            ),
        ),
        without=("group_name", "network_mode", "network_link", "network_vlan"),
        given=actions.attached,
        run=actions.connect,
    ),
    Command(
        name="disconnect",
        opcode="OP_NETWORK_DISCONNECT",
        words=(*NETWORK, GROUPS),
        without=("group_name",),
        run=actions.submit_per_group,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_NETWORK)


if __name__ == "__main__":
    main()
