# SPDX-License-Identifier: BSD-2-Clause
"""Locks: who holds them and who waits."""

from __future__ import annotations

from ganeti.locking.table import LockRow
from ganeti.query.fields import Field, Kind, Table

F = Field[LockRow]

LOCKS: Table[LockRow] = Table(
    (
        F(
            "name",
            "Name",
            Kind.TEXT,
            "The lock's kind, and the UUID of its object.",
            lambda r: r.name,
        ),
        F("mode", "Mode", Kind.OTHER, "How it is held: exclusive or shared.", lambda r: r.mode),
        F("owner", "Owner", Kind.OTHER, "Who holds it.", lambda row: row.owners or None),
        F(
            "pending",
            "Pending",
            Kind.OTHER,
            "Who waits for it and how, in order.",
            lambda row: [[mode, list(owners)] for mode, owners in row.pending],
        ),
    )
)
