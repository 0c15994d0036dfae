# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-backup``: exports of instances to files, and backups in repositories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganeti.cli.command import Arguments, Command, tool
from ganeti.cli.gnt_backup.repository_commands import COMMANDS
from ganeti.cli.gnt_instance.commands import CREATION, CREATION_EXCLUDED, INSTANCE, NEW_INSTANCE
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import Listing, lists
from ganeti.cli.options import TEXT, Option
from ganeti.cli.program import run_tool

if TYPE_CHECKING:
    from ganeti.cli.gnt_backup import actions
else:
    actions = LazyModule("ganeti.cli.gnt_backup.actions")


def _build_node_filter(arguments: Arguments) -> tuple[object, Sequence[str]]:
    nodes = arguments.get("nodes")
    return (["|", *(["==", "node", name] for name in nodes)] if nodes else None), ()


GNT_BACKUP = tool(
    "gnt-backup",
    "Export instances to files, back them up to repositories, and create instances from both.",
    lists(
        Listing(what="export", columns=("node", "export"), key="node", chosen=_build_node_filter),
        doc="List exports.",
        units=True,
        options=(
            Option(
                ("-n", "--node"),
                "nodes",
                "List only exports on this node.",
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
            Option(
                ("--noshutdown",),
                "shutdown",
                "Do not shut down the instance during the export.",
                sets=False,
            ),
            Option(("--transport-compression",), "compress", "", TEXT),
        ),
        without=("mode", "x509_key_name", "destination_x509_ca"),
        options=(Option(("-f", "--force"), "force", "Accepted for compatibility; has no effect."),),
    ),
    Command(
        name="import",
        opcode="OP_INSTANCE_CREATE",
        doc="Create an instance from an export.",
        words=NEW_INSTANCE,
        options=CREATION,
        flags=(
            Option(("--src-node",), "src_node", "", TEXT, metavar="NODE"),
            Option(("--src-dir",), "src_path", "", TEXT, metavar="DIR"),
        ),
        without=(
            *CREATION_EXCLUDED,
            *("no_install", "start", "force_variant", "os_type", "src_backup"),
        ),
        preset={"start": False},
        given=actions.imported,
    ),
    Command(name="remove", opcode="OP_BACKUP_REMOVE", words=INSTANCE),
    COMMANDS,
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_BACKUP)


if __name__ == "__main__":
    main()
