# SPDX-License-Identifier: BSD-2-Clause
"""A master reads the state that it or an earlier release wrote, and refuses that of a later one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config import access_file
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.record_codec import META_KEY, META_KIND, Meta
from ganeti.errors import Failed
from ganeti.jobs.job import encode
from ganeti.jobs.job_store import JOB, LOG, JobStore
from ganeti.journal.interfaces import Append, Commit, Edit, Put
from ganeti.master.state_paths import StatePaths
from ganeti.master.state_recovery import RecoveredState, recover
from ganeti.testing.builders import a_cluster, uuid_of
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.journal import MemoryJournal
from tests.jobs.test_job_store import a_job

DATA = "/var/lib/ganeti"
STATE = a_cluster(instances=["web1"])
LATER = "a later release has written it; run that release, or a newer one"
IF_LATER = "If a later release has run here, run that release again, or a newer one"


def put(kind: str, key: str, value: object) -> Put:
    return Put(kind=kind, key=key, value=msgspec.Raw(msgspec.json.encode(value)))


def with_field(document: bytes, *path: str) -> bytes:
    """A document with a field that is not known, in the object with this path."""
    found: Any = json.loads(document)
    held = found
    for name in path:
        held = held[name]
    held["colour"] = "red"
    return json.dumps(found).encode()


class RecoveryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        for name in ("queue", "journal"):
            self.disk.add_folder(f"{DATA}/{name}", 0o755)
        self.places = StatePaths(DATA)
        self.journal = MemoryJournal()
        self.write(self.places.config, ConfigDataEncoder().text(STATE))
        self.write(self.places.access, access_file.text(STATE))

    def write(self, path: str, content: bytes) -> None:
        self.successResultOf(MemoryFiles(self.disk).replace(path, content))

    def commit(self, *edits: Edit) -> None:
        commit = Commit(at=1.0, who="", why="", edits=edits)
        self.successResultOf(self.journal.append(commit))

    def recover(self) -> RecoveredState:
        jobs = JobStore(self.journal, Clock().seconds)
        return recover(MemoryFiles(self.disk), self.places, self.journal, jobs, lambda: "new")

    def refusal(self) -> str:
        with self.assertRaises(Failed) as caught:
            self.recover()
        return str(caught.exception)

    def test_what_was_written_is_read(self) -> None:
        self.commit(Append(kind="audit", key="", value=msgspec.Raw(b"{}")))
        self.assertEqual(self.recover().state, STATE)

    def test_a_field_of_a_later_release_in_a_file_is_refused(self) -> None:
        files: dict[str, Callable[[], bytes]] = {
            self.places.config: lambda: with_field(
                ConfigDataEncoder().text(STATE), "instances", uuid_of("instance", "web1")
            ),
            self.places.marker: lambda: b'{"colour":"red"}',
        }
        for path, make in files.items():
            self.setUp()
            self.write(path, make())
            said = self.refusal()
            self.assertIn(path, said)
            self.assertIn("colour", said)
            self.assertIn(IF_LATER, said)

    def test_a_record_of_a_later_release_in_the_journal_is_refused(self) -> None:
        meta = Meta(serial_no=STATE.serial_no + 1, ctime=1.0, mtime=1.0)
        records = (
            (put("cluster", STATE.cluster.uuid, {"colour": "red"}), put(META_KIND, META_KEY, meta)),
            (
                Put(kind=JOB, key="1", value=msgspec.Raw(encode(a_job(1)))),
                Append(kind=LOG, key="1", value=msgspec.Raw(b'{"colour":"red"}')),
            ),
        )
        for edits in records:
            self.setUp()
            self.commit(*edits)
            said = self.refusal()
            self.assertIn("commit 1 of the journal has an unknown form", said)
            self.assertIn("colour", said)
            self.assertIn(LATER, said)

    def test_a_field_of_a_job_that_is_not_known_is_passed_over_as_ganeti_writes_some(self) -> None:
        self.write(self.places.job(1), with_field(encode(a_job(1))))
        self.assertEqual(self.recover().state, STATE)

    def test_a_kind_of_a_later_release_is_refused_and_so_not_lost(
        self,
    ) -> None:
        self.commit(put("wish", "1", {}))
        self.assertEqual(
            self.refusal(),
            f"commit 1 of the journal has a record of the unknown kind wish: {LATER}",
        )
