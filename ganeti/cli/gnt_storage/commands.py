# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-storage``: the external storage providers of the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.cli.command import Command, Positional, tool
from ganeti.cli.gnt_os.commands import IGNORED_PRIORITY
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM
from ganeti.cli.program import run_tool

if TYPE_CHECKING:
    from ganeti.cli.gnt_storage import actions
else:
    actions = LazyModule("ganeti.cli.gnt_storage.actions")


GNT_STORAGE = tool(
    "gnt-storage",
    "Show the external storage providers of the nodes.",
    Command(
        name="info",
        aliases=("show",),
        doc="Show the parameters of providers, and in which node groups they are valid.",
        words=(Positional("names", "provider", 0, None),),
        options=(FORM, IGNORED_PRIORITY),
        run=actions.info,
    ),
    Command(
        name="diagnose",
        doc="Show the state of each provider on each node, and why it is invalid.",
        options=(FORM, IGNORED_PRIORITY),
        run=actions.diagnose,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_STORAGE)


if __name__ == "__main__":
    main()
