# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-group``: node groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ganeti.cli import ipolicy_options
from ganeti.cli.command import Command, Positional, tool
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM, Listing, lists
from ganeti.cli.options import Option
from ganeti.cli.program import run_tool
from ganeti.cli.tags import tag_commands

if TYPE_CHECKING:
    from ganeti.cli import job_polling
    from ganeti.cli.gnt_cluster import settings
    from ganeti.cli.gnt_group import actions
else:
    job_polling = LazyModule("ganeti.cli.job_polling")
    settings = LazyModule("ganeti.cli.gnt_cluster.settings")
    actions = LazyModule("ganeti.cli.gnt_group.actions")

GROUP = (Positional("group_name", "group"),)
NEW_GROUP = (Positional("group_name", "group", new=True),)


def _format_parameters(value: Mapping[str, object] | None) -> str:
    return ",".join(f"{name}={each}" for name, each in sorted((value or {}).items()))


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
        watch=True,
        words="group",
        own_defaults=True,
    ),
    tag_commands("nodegroup", "group"),
    Command(
        name="info",
        doc="Show the details of node groups.",
        words=(Positional("names", "group", 0, None),),
        options=(FORM,),
        run=actions.info,
    ),
    Command(
        name="add",
        opcode="OP_GROUP_ADD",
        words=NEW_GROUP,
        options=ipolicy_options.GROUP_OPTIONS,
        without=("ipolicy",),
        given=settings.settings,
    ),
    Command(
        name="modify",
        opcode="OP_GROUP_SET_PARAMS",
        words=GROUP,
        options=ipolicy_options.GROUP_OPTIONS,
        without=("ipolicy",),
        given=settings.settings,
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
        run=actions.show_specs,
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
    Command(
        name="evacuate",
        opcode="OP_GROUP_EVACUATE",
        words=GROUP,
        ended=job_polling.follow_submitted_jobs,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_GROUP)


if __name__ == "__main__":
    main()
