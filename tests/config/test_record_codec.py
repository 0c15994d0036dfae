# SPDX-License-Identifier: BSD-2-Clause
"""An object of the journal is read as it was written, and what is wrong with it is all named."""

from __future__ import annotations

import json

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.record_codec import Meta, decoded, decoded_meta, encoder
from ganeti.config.state import TYPES, RecordKind
from ganeti.errors import Invalid
from ganeti.model.backups import BackupSchedule, BackupScheduleProgress
from ganeti.model.instance_snapshots import Snapshot
from ganeti.operations.guest_conversion import make_guest
from ganeti.rpc.backup_calls import IdentifyRepository
from ganeti.rpc.snapshots import CreateGuestSnapshot, SnapshotReport
from ganeti.testing.builders import a_cluster, a_disk, a_group, a_network, a_node, an_instance


class CodecTests(SynchronousTestCase):
    def test_objects_come_back_as_they_were(self) -> None:
        for kind, record in (
            (RecordKind.NODE, a_node(tags=("a", "ä"))),
            (RecordKind.INSTANCE, an_instance(beparams={"vcpus": 2}).instance),
            (RecordKind.DISK, a_disk()),
            (RecordKind.GROUP, a_group()),
            (RecordKind.NETWORK, a_network()),
        ):
            text = encoder.encode(record)
            self.assertEqual(decoded(kind, record.uuid, text), record)
            self.assertEqual(decoded(kind, record.uuid, msgspec.Raw(text)), record)

    def test_every_kind_can_be_read(self) -> None:
        for kind in TYPES:
            with self.assertRaisesRegex(Invalid, f"{kind} key: "):
                decoded(kind, "key", b"[]")

    def test_every_problem_is_named_with_kind_key_and_path(self) -> None:
        document = json.loads(encoder.encode(a_node()))
        document |= {"offline": "yes", "colour": "red"}
        del document["primary_ip"]
        with self.assertRaises(Invalid) as caught:
            decoded(RecordKind.NODE, "u-1", json.dumps(document).encode())
        paths = {problem.path for problem in caught.exception.problems}
        self.assertEqual(
            paths, {f"node u-1 {name}" for name in ("offline", "colour", "primary_ip")}
        )

    def test_what_is_no_json_is_refused_as_a_whole(self) -> None:
        for text in (b"{", b'{"uuid": "\xff"}', b"[" * 100_000):
            with self.assertRaisesRegex(Invalid, "^node u-1: "):
                decoded(RecordKind.NODE, "u-1", text)

    def test_a_serial_number_that_cannot_be_read_is_refused(self) -> None:
        for text in (b"{", b"[]", b'{"serial_no": "1", "ctime": 1, "mtime": 1}'):
            with self.assertRaisesRegex(Invalid, "^config meta"):
                decoded_meta(text)

    def test_the_whole_configuration_has_a_serial_number_and_times(self) -> None:
        meta = Meta(serial_no=7, ctime=1.5, mtime=2.5)
        self.assertEqual(decoded_meta(encoder.encode(meta)), meta)


class EarlierReleaseTests(SynchronousTestCase):
    def test_what_an_earlier_release_does_not_know_is_left_out_at_its_default(self) -> None:
        state = a_cluster(instances=[an_instance("web1")])
        records = (
            CreateGuestSnapshot(guest=make_guest(state, state.instance("web1")), name="a"),
            Snapshot(name="a", uuid="s1", ctime=1.0, disks=()),
            BackupSchedule(uuid="nightly", repository="store", created=1),
            BackupScheduleProgress(uuid="nightly", due=1),
            SnapshotReport(running=True),
            IdentifyRepository(path="/srv"),
        )
        told = {name for each in records for name in msgspec.to_builtins(each)}
        self.assertEqual(told & {"memory", "verify_days", "verified", "s3"}, set())
