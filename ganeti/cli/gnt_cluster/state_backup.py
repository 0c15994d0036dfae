# SPDX-License-Identifier: BSD-2-Clause
"""Back up the state in etcd to a file, and restore it."""

from __future__ import annotations

from ganeti.bootstrap.store_backup import back_up, check_restore, read_backup, restore
from ganeti.cli.command import Arguments
from ganeti.cli.output import timestamp
from ganeti.cli.session import Session


def back_up_state(session: Session, arguments: Arguments) -> int:
    """Write the state to a new file."""
    backup = back_up(session.paths, arguments["file"], session.clock())
    session.print_line(f"{len(backup.keys)} keys were written to {arguments['file']}.")
    return 0


def restore_state(session: Session, arguments: Arguments) -> int:
    """Replace the state by that of a backup."""
    name, backup = session.host(), read_backup(arguments["file"])
    settings = check_restore(session.paths, name, backup)
    new_members = bool(arguments.get("new_members"))
    if not arguments.get("yes_do_it"):
        members = " The present members of etcd are given up." if new_members else ""
        session.confirm(
            f"All changes since {timestamp(backup.taken_at)}, when the backup was made, are lost:"
            f" jobs, instances and nodes.{members} Restore it?",
            "--yes-do-it",
        )
    restore(
        session.paths,
        name,
        backup,
        settings,
        new_store=new_members,
        say=session.print_line,
        sleep=session.sleep,
    )
    session.print_line("Start the master daemon on this node next: ganeti-masterd")
    return 0
