# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-os``: what instances can be installed with."""

from __future__ import annotations

from ganeti.cli.command import Command, CommandGroup, tool
from ganeti.cli.gnt_os.actions import diagnose, info, list_usable, modify
from ganeti.cli.listing import FORM, NO_HEADERS
from ganeti.cli.options import BOOL, IDENTKEYVAL, KEYVAL, PRIORITY, PRIVATE, Option
from ganeti.cli.program import run_tool

NO_JOB = Option(("--priority",), "priority", "Accepted; this is answered at once.", PRIORITY)

GNT_OS = tool(
    "gnt-os",
    "Shows the OS definitions of the nodes, and sets what holds for their instances.",
    Command(
        name="list",
        doc="List what instances can be installed with.",
        options=(NO_HEADERS, FORM, NO_JOB),
        run=list_usable,
    ),
    Command(
        name="info",
        aliases=("show",),
        doc="Tell everything about OS definitions.",
        words=(CommandGroup("names", "os", 0, None),),
        options=(FORM, NO_JOB),
        run=info,
    ),
    Command(
        name="diagnose",
        doc="Tell what each node has of each OS definition, and why it does not work.",
        options=(FORM, NO_JOB),
        run=diagnose,
    ),
    Command(
        name="modify",
        doc="Change what holds for all instances of an OS definition that set nothing themselves.",
        words=(CommandGroup("name", "os"),),
        options=(
            Option(
                ("-H", "--hypervisor-parameters"),
                "hvparams",
                "Hypervisor parameters, by hypervisor.",
                IDENTKEYVAL,
                many=True,
            ),
            Option(("-O", "--os-parameters"), "osparams", "Parameters for its scripts.", KEYVAL),
            Option(
                ("--os-parameters-private",),
                "osparams_private",
                "Parameters for its scripts that are stored but never shown.",
                PRIVATE,
            ),
            Option(("--hidden",), "hidden", "Whether lists leave it out.", BOOL),
            Option(
                ("--blacklisted",),
                "blacklisted",
                "Whether it must not be used; lists leave it out.",
                BOOL,
            ),
        ),
        submits=True,
        run=modify,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_OS)


if __name__ == "__main__":
    main()
