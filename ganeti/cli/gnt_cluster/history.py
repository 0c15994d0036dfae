# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster history``: who changed what, by the files of the master or as it knows it."""

from __future__ import annotations

from collections import deque

from ganeti.bootstrap.history import checked
from ganeti.bootstrap.history import history as commits
from ganeti.cli.command import Arguments
from ganeti.cli.gnt_cluster import audit
from ganeti.cli.gnt_cluster.audit_options import is_wanted
from ganeti.cli.output import timestamp
from ganeti.cli.session import Session
from ganeti.cli.value_output import show_values


def history(session: Session, arguments: Arguments) -> int:
    """Show who changed what, when and why."""
    if is_wanted(arguments):
        return audit.show(session, arguments)
    if arguments.get("check"):
        chain = checked(session.paths)
        told = f"{chain['commits']} commits, {chain['first']} to {chain['last']}"
        return show_values(
            session,
            arguments,
            chain,
            {"Journal": f"{told}; each has the digest of its predecessor"},
        )
    kept = commits(session.paths, everything=bool(arguments.get("all")))
    rows = deque(kept, maxlen=max(0, arguments["last"]) if "last" in arguments else None)
    if arguments.get("output"):
        return show_values(session, arguments, list(rows), [])
    for row in rows:
        job = f"job {row['job']}" if row["job"] is not None else row["who"]
        changed = ", ".join(row["changed"]) or "-"
        session.print_line(
            f"{row['number']:>8} {timestamp(row['time'])} {job}: {row['why']}: {changed}"
        )
    return 0
