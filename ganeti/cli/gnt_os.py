# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-os``: what instances can be installed with."""

from __future__ import annotations

from ganeti.cli.command import Command, Words, tool
from ganeti.cli.listing import FORM, NO_HEADERS
from ganeti.cli.options import PRIORITY, Option
from ganeti.cli.oses import diagnose, info, list_usable
from ganeti.cli.program import run_tool

NO_JOB = Option(("--priority",), "priority", "Accepted; this is answered at once.", PRIORITY)

GNT_OS = tool(
    "gnt-os",
    "Shows the OS definitions of the nodes.",
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
        words=(Words("names", "os", 0, None),),
        options=(FORM, NO_JOB),
        run=info,
    ),
    Command(
        name="diagnose",
        doc="Tell what each node has of each OS definition, and why it does not work.",
        options=(FORM, NO_JOB),
        run=diagnose,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_OS)


if __name__ == "__main__":
    main()
