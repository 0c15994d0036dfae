# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-os``: OS definitions, which instances are installed with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.cli.command import Command, Positional, tool
from ganeti.cli.gnt_os import images
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM, NO_HEADERS
from ganeti.cli.options import BOOL, IDENTKEYVAL, KEYVAL, PRIORITY, PRIVATE, Option
from ganeti.cli.program import run_tool

if TYPE_CHECKING:
    from ganeti.cli.gnt_os import actions
else:
    actions = LazyModule("ganeti.cli.gnt_os.actions")

IGNORED_PRIORITY = Option(
    ("--priority",),
    "priority",
    "Accepted for compatibility; this command submits no job.",
    PRIORITY,
)

GNT_OS = tool(
    "gnt-os",
    "Show the OS definitions of the nodes, set defaults for their instances, and keep images.",
    Command(
        name="list",
        doc="List the OS definitions that instances can be installed with.",
        options=(NO_HEADERS, FORM, IGNORED_PRIORITY),
        run=actions.list_usable,
    ),
    Command(
        name="info",
        aliases=("show",),
        doc="Show the details of OS definitions.",
        words=(Positional("names", "os", 0, None),),
        options=(FORM, IGNORED_PRIORITY),
        run=actions.info,
    ),
    Command(
        name="diagnose",
        doc="Show the state of each OS definition on each node, and why it is invalid.",
        options=(FORM, IGNORED_PRIORITY),
        run=actions.diagnose,
    ),
    Command(
        name="modify",
        doc="Change the defaults of all instances of an OS definition.",
        words=(Positional("name", "os"),),
        options=(
            Option(
                ("-H", "--hypervisor-parameters"),
                "hvparams",
                "Hypervisor parameters, by hypervisor.",
                IDENTKEYVAL.with_keys("hypervisor"),
                many=True,
            ),
            Option(
                ("-O", "--os-parameters"),
                "osparams",
                "Parameters of the OS definition's scripts.",
                KEYVAL,
            ),
            Option(
                ("--os-parameters-private",),
                "osparams_private",
                "Parameters of the OS definition's scripts that are stored but never shown.",
                PRIVATE,
            ),
            Option(("--hidden",), "hidden", "Whether to hide the OS definition from lists.", BOOL),
            Option(
                ("--blacklisted",),
                "blacklisted",
                "Whether to forbid the use of the OS definition, and hide it from lists.",
                BOOL,
            ),
        ),
        submits=True,
        run=actions.modify,
    ),
    images.COMMANDS,
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_OS)


if __name__ == "__main__":
    main()
