# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-backup``: instances exported to files, and brought back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ganeti.cli.command import Arguments, Command, Document, tool
from ganeti.cli.gnt_instance.actions import creation
from ganeti.cli.gnt_instance.commands import CREATION, INSTANCE, NOT_GIVEN_HERE
from ganeti.cli.listing import Listing, lists
from ganeti.cli.options import TEXT, Option
from ganeti.cli.program import run_tool


def _of_nodes(arguments: Arguments) -> tuple[Any, Sequence[str]]:
    nodes = arguments.get("nodes")
    return (["|", *(["==", "node", name] for name in nodes)] if nodes else None), ()


def imported(arguments: Arguments) -> Document:
    """A request for a new instance whose contents come from an export."""
    return {**creation(arguments, from_export=True), "mode": "import", "no_install": None}


GNT_BACKUP = tool(
    "gnt-backup",
    "Exports instances to files, and makes instances of them.",
    lists(
        Listing(what="export", columns=("node", "export"), key="node", chosen=_of_nodes),
        doc="List exports.",
        units=True,
        options=(
            Option(
                ("-n", "--node"),
                "nodes",
                "Only those on this node.",
                TEXT,
                many=True,
                metavar="NODE",
            ),
        ),
    ),
    Command(
        name="export",
        opcode="OP_BACKUP_EXPORT",
        words=INSTANCE,
        flags=(
            Option(("-n", "--node"), "target_node", "", TEXT, metavar="NODE"),
            Option(("--noshutdown",), "shutdown", "Do not stop it.", sets=False),
            Option(("--transport-compression",), "compress", "", TEXT),
        ),
        without=("mode", "x509_key_name", "destination_x509_ca"),
        options=(Option(("-f", "--force"), "force", "Accepted for scripts that say it."),),
    ),
    Command(
        name="import",
        opcode="OP_INSTANCE_CREATE",
        doc="Make an instance of an export.",
        words=INSTANCE,
        options=CREATION,
        flags=(
            Option(("--src-node",), "src_node", "", TEXT, metavar="NODE"),
            Option(("--src-dir",), "src_path", "", TEXT, metavar="DIR"),
        ),
        without=(*NOT_GIVEN_HERE, "no_install", "start", "force_variant", "os_type"),
        preset={"start": False},
        given=imported,
    ),
    Command(name="remove", opcode="OP_BACKUP_REMOVE", words=INSTANCE),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_BACKUP)


if __name__ == "__main__":
    main()
