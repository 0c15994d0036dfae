# SPDX-License-Identifier: BSD-2-Clause
"""What nodes of the release before can read: no field that it does not know, unless it is used."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.backups import (
    BackupSchedule,
    BackupScheduleProgress,
    BackupSummary,
    StoredDisk,
)
from ganeti.model.instance_snapshots import Snapshot
from ganeti.rpc.backup_calls import IdentifyRepository
from ganeti.rpc.snapshots import CreateGuestSnapshot, SnapshotReport
from ganeti.schema.records import Record
from ganeti.testing.builders import a_guest

UNUSED: tuple[tuple[Record, str], ...] = (
    (BackupSchedule(uuid="s", repository="r", created=1), "verify_days"),
    (BackupScheduleProgress(uuid="s", due=1), "verified"),
    (BackupSummary(id="b", instance="web1", uuid="u", cluster="c", created=1), "check"),
    (StoredDisk(name="disk/0", size=1), "digest"),
    (Snapshot(name="s", uuid="u", ctime=1.0, disks=()), "memory"),
    (IdentifyRepository(path="/srv"), "s3"),
    (CreateGuestSnapshot(guest=a_guest("web1"), name="s"), "memory"),
    (SnapshotReport(running=True), "memory"),
)


class EarlierReleaseTests(SynchronousTestCase):
    def test_new_fields_are_left_out_where_they_are_not_used(self) -> None:
        for record, field in UNUSED:
            self.assertNotIn(field, msgspec.to_builtins(record), record)
