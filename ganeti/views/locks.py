# SPDX-License-Identifier: BSD-2-Clause
"""The fields of locks."""

from __future__ import annotations

from ganeti.locking.lock_table import LockRow
from ganeti.query.fields import Field, FieldType, Table

F = Field[LockRow]

LOCKS: Table[LockRow] = Table(
    (
        F(
            "name",
            "Name",
            FieldType.TEXT,
            "The kind of the lock, and the UUID of its object.",
            lambda r: r.name,
        ),
        F(
            "mode",
            "Mode",
            FieldType.OTHER,
            "The mode of the current owners: exclusive or shared.",
            lambda r: r.mode,
        ),
        F(
            "owner",
            "Owner",
            FieldType.OTHER,
            "The owners of the lock.",
            lambda row: row.owners or None,
        ),
        F(
            "pending",
            "Pending",
            FieldType.OTHER,
            "The waiting requests in order: mode and owners.",
            lambda row: [[mode, list(owners)] for mode, owners in row.pending],
        ),
    )
)
