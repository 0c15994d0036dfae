# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-group``: node groups."""

from __future__ import annotations

from typing import Any

from ganeti.cli import ipolicy_options
from ganeti.cli.command import Arguments, Command, Positional, tool
from ganeti.cli.gnt_cluster.actions import settings
from ganeti.cli.gnt_instance.actions import show_jobs
from ganeti.cli.listing import FORM, Listing, lists, require_found, show_values
from ganeti.cli.options import Option
from ganeti.cli.program import run_tool
from ganeti.cli.session import Session
from ganeti.cli.tags import tag_commands

GROUP = (Positional("group_name", "group"),)

_INFO = (
    *("name", "uuid", "alloc_policy", "node_cnt", "node_list", "pinst_cnt", "pinst_list"),
    *("ndparams", "diskparams", "ipolicy", "tags", "serial_no", "ctime", "mtime"),
)


def _format_parameters(value: Any) -> str:
    return ",".join(f"{name}={each}" for name, each in sorted((value or {}).items()))


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of node groups."""
    from ganeti.cli.output import objects, timestamp
    from ganeti.luxi.methods import Query
    from ganeti.query.arguments import build_filter

    names = arguments.get("names", [])
    wanted = build_filter(names)
    groups = objects(session.ask(Query(what="group", fields=_INFO, qfilter=wanted)))
    times = ("ctime", "mtime")
    told = [{**each, **{name: timestamp(each[name]) for name in times}} for each in groups]
    show_values(session, arguments, groups, told)
    require_found(names, groups, "node group", "gnt-group")
    return 0


def show_specs(session: Session, arguments: Arguments) -> int:
    """Show the commands that set the instance specs of the policies of groups."""
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query
    from ganeti.query.arguments import build_filter

    names = arguments.get("names", [])
    wanted = build_filter(names)
    field = "ipolicy" if arguments.get("include_defaults") else "custom_ipolicy"
    groups = objects(session.ask(Query(what="group", fields=("name", field), qfilter=wanted)))
    for group in groups:
        words = [
            "gnt-group add",
            *ipolicy_options.format_options(group[field], standard=False),
            group["name"],
        ]
        session.say(" ".join(words))
    require_found(names, groups, "node group", "gnt-group")
    return 0


GNT_GROUP = tool(
    "gnt-group",
    "Add, show, change and remove node groups.",
    lists(
        Listing(
            what="group",
            columns=("name", "node_cnt", "pinst_cnt", "alloc_policy", "ndparams"),
            shows={"ndparams": _format_parameters},
        ),
        doc="List node groups.",
        words="group",
        own_defaults=True,
    ),
    tag_commands("nodegroup", "group"),
    Command(
        name="info",
        doc="Show the details of node groups.",
        words=(Positional("names", "group", 0, None),),
        options=(FORM,),
        run=info,
    ),
    Command(
        name="add",
        opcode="OP_GROUP_ADD",
        words=GROUP,
        options=ipolicy_options.GROUP_OPTIONS,
        without=("ipolicy",),
        given=settings,
    ),
    Command(
        name="modify",
        opcode="OP_GROUP_SET_PARAMS",
        words=GROUP,
        options=ipolicy_options.GROUP_OPTIONS,
        without=("ipolicy",),
        given=settings,
    ),
    Command(
        name="show-ispecs-cmd",
        doc="Show the commands that add groups with the instance specs of these groups.",
        words=(Positional("names", "group", 0, None),),
        options=(
            Option(
                ("--include-defaults",),
                "include_defaults",
                "Also show the specs that groups inherit from the cluster.",
            ),
        ),
        run=show_specs,
    ),
    Command(name="remove", opcode="OP_GROUP_REMOVE", words=GROUP),
    Command(
        name="rename",
        opcode="OP_GROUP_RENAME",
        words=(*GROUP, Positional("new_name", "new-name")),
    ),
    Command(
        name="assign-nodes",
        opcode="OP_GROUP_ASSIGN_NODES",
        words=(*GROUP, Positional("nodes", "node", 0, None)),
    ),
    Command(name="evacuate", opcode="OP_GROUP_EVACUATE", words=GROUP, ended=show_jobs),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_GROUP)


if __name__ == "__main__":
    main()
