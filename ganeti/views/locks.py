# SPDX-License-Identifier: BSD-2-Clause
"""Locks: who holds them and who waits."""

from __future__ import annotations

from ganeti.locking.table import LockRow
from ganeti.query.fields import Field, FieldType, Table

F = Field[LockRow]

LOCKS: Table[LockRow] = Table(
    (
        F(
            "name",
            "Name",
            FieldType.TEXT,
            "The lock's kind, and the UUID of its object.",
            lambda r: r.name,
        ),
        F(
            "mode",
            "Mode",
            FieldType.OTHER,
            "How it is held: exclusive or shared.",
            lambda r: r.mode,
        ),
        F("owner", "Owner", FieldType.OTHER, "Who holds it.", lambda row: row.owners or None),
        F(
            "pending",
            "Pending",
            FieldType.OTHER,
            "Who waits for it and how, in order.",
            lambda row: [[mode, list(owners)] for mode, owners in row.pending],
        ),
    )
)
