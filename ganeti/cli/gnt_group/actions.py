# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-group`` commands that do more than submit one opcode."""

from __future__ import annotations

from ganeti.cli import ipolicy_options
from ganeti.cli.command import Arguments
from ganeti.cli.output import objects, timestamp
from ganeti.cli.session import Session
from ganeti.cli.value_output import require_found, show_values
from ganeti.luxi.methods import Query
from ganeti.query.list_arguments import build_filter

_INFO = (
    *("name", "uuid", "alloc_policy", "node_cnt", "node_list", "pinst_cnt", "pinst_list"),
    *("ndparams", "diskparams", "ipolicy", "tags", "serial_no", "ctime", "mtime"),
)


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of node groups."""
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
        session.print_line(" ".join(words))
    require_found(names, groups, "node group", "gnt-group")
    return 0
