# SPDX-License-Identifier: BSD-2-Clause
"""Repositories in folders: what is stored is restored, once, and only whole."""

from __future__ import annotations

import dataclasses
import os
import resource
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, GanetiError, Refused
from ganeti.model.backups import BackupSummary, RepositoryAccess, RestoreCheck, StoredDisk
from ganeti.repository.chunk_format import CHUNK_SIZE, ChunkCodec
from ganeti.repository.extents import (
    Extent,
    StreamHead,
    encode_end,
    encode_extent,
    encode_head,
)
from ganeti.repository.local import LocalRepositories
from ganeti.repository.manifest import BackupDescription, decode, encode
from ganeti.repository.stored_repository import CHECKS, MARKER
from ganeti.system.work_threads import run_now

KEY = "ab" * 32
SIZE = 3 * CHUNK_SIZE + 4096


class RepositoryCase(SynchronousTestCase):
    key = ""

    def setUp(self) -> None:
        self.path = self.mktemp()
        os.makedirs(self.path)
        self.random = Random(7)
        self.repositories = LocalRepositories(run_now)
        self.access = RepositoryAccess(name="vault", path=self.path, identity="r1", key=self.key)
        self.done(self.repositories.create_repository(self.access))

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refusal(self, work: Any, kind: type[GanetiError] = GanetiError) -> GanetiError:
        error: GanetiError = self.failureResultOf(Deferred.fromCoroutine(work), kind).value
        return error

    def stream(self, content: bytes, *extents: Extent) -> str:
        """A file with the stream of a disk: of everything, or of changed areas."""
        path: str = self.mktemp()
        with open(path, "wb") as file:
            file.write(encode_head(StreamHead(len(content), changes=bool(extents))))
            for at in range(0, 0 if extents else len(content), CHUNK_SIZE):
                data = content[at : at + CHUNK_SIZE]
                file.write(encode_extent(Extent(at, len(data), data)))
            for each in extents:
                file.write(encode_extent(each))
            file.write(encode_end())
        return path

    def store(self, backup: str, path: str) -> Any:
        source = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, source)
        return self.repositories.store_disk(self.access, backup, 0, source)

    def back_up(self, backup: str, content: bytes, *extents: Extent) -> BackupSummary:
        self.done(self.repositories.begin_writing(self.access, backup, "uuid1"))
        self.done(self.store(backup, self.stream(content, *extents)))
        return self.commit(backup)

    def commit(self, backup: str) -> BackupSummary:
        summary = BackupSummary(
            id=backup,
            instance="web1",
            uuid="uuid1",
            cluster="cluster1",
            created=1,
            disks=(StoredDisk(name="disk/0", size=0),),
        )
        description = BackupDescription(summary=summary, description="[export]\n")
        found: BackupSummary = self.done(self.repositories.commit_backup(self.access, description))
        return found

    def restored(self, backup: str) -> bytes:
        path = self.mktemp()
        sink = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            self.done(self.repositories.restore_disk(self.access, backup, 0, sink))
        finally:
            os.close(sink)
        with open(path, "rb") as file:
            return file.read()

    def chunk_files(self) -> list[str]:
        return sorted(
            f"{folder}/{name}"
            for folder, _, names in os.walk(f"{self.path}/chunks")
            for name in names
        )

    def content(self) -> bytes:
        """A disk with three chunks of random data, one of which is zeros, and a part of one."""
        data = self.random.randbytes(CHUNK_SIZE)
        return data + bytes(CHUNK_SIZE) + self.random.randbytes(CHUNK_SIZE) + data[:4096]


class LocalRepositoryTests(RepositoryCase):
    def test_what_is_restored_equals_what_was_stored(self) -> None:
        content = self.content()
        summary = self.back_up("b1", content)
        self.assertEqual(self.restored("b1"), content)
        self.assertEqual((summary.disks[0].size, summary.disks[0].read), (SIZE, SIZE))
        self.assertEqual(len(self.chunk_files()), 3)

    def test_equal_chunks_are_stored_once(self) -> None:
        content = self.content()
        self.back_up("b1", content)
        before = self.chunk_files()
        summary = self.back_up("b2", content)
        self.assertEqual((self.chunk_files(), summary.disks[0].written), (before, 0))

    def test_changes_are_completed_from_the_parent(self) -> None:
        content = bytearray(self.content())
        self.back_up("b1", bytes(content))
        change, at = self.random.randbytes(8192), CHUNK_SIZE - 4096
        content[at : at + 8192] = change
        zeros = 2 * CHUNK_SIZE
        content[zeros : zeros + 512] = bytes(512)
        extents = [Extent(at, 8192, change), Extent(zeros, 512)]
        summary = self.back_up("b2", bytes(content), *extents)
        self.assertEqual(self.restored("b2"), bytes(content))
        self.assertEqual((summary.parent, summary.disks[0].read), ("b1", 8192))
        self.assertTrue(summary.disks[0].incremental)

    def test_a_parent_can_be_removed_and_its_shared_chunks_stay(self) -> None:
        content = self.content()
        self.back_up("b1", content)
        changed = b"new" + content[3:]
        self.back_up("b2", changed, Extent(0, 3, b"new"))
        removed = self.done(self.repositories.remove_backups(self.access, ["b1"]))
        self.assertEqual(removed.chunks, 1)
        self.assertEqual(self.restored("b2"), changed)
        self.done(self.repositories.remove_backups(self.access, ["b2"]))
        self.assertEqual(self.chunk_files(), [])

    def test_a_sweep_spares_the_chunks_of_a_backup_in_progress(self) -> None:
        content = self.content()
        self.done(self.repositories.begin_writing(self.access, "b1", "uuid1"))
        self.done(self.store("b1", self.stream(content)))
        removed = self.done(self.repositories.remove_backups(self.access, []))
        self.assertEqual(removed.chunks, 0)
        self.commit("b1")
        self.assertEqual(self.restored("b1"), content)

    def test_what_was_given_up_is_swept(self) -> None:
        self.done(self.repositories.begin_writing(self.access, "b1", "uuid1"))
        self.done(self.store("b1", self.stream(self.content())))
        self.done(self.repositories.abandon_backup(self.access, "b1"))
        self.assertEqual(self.done(self.repositories.list_summaries(self.access)), [])
        self.assertEqual(self.done(self.repositories.remove_backups(self.access, [])).chunks, 3)
        self.assertEqual(self.chunk_files(), [])

    def test_a_stream_that_ends_early_is_no_disk(self) -> None:
        path = self.stream(self.content())
        os.truncate(path, os.path.getsize(path) - 17)
        self.done(self.repositories.begin_writing(self.access, "b1", "uuid1"))
        self.assertIn("ended early", str(self.refusal(self.store("b1", path), Failed)))

    def test_nothing_is_written_where_the_file_system_is_not_mounted(self) -> None:
        os.rename(f"{self.path}/{MARKER}", f"{self.path}/elsewhere")
        error = self.refusal(self.repositories.begin_writing(self.access, "b1", "uuid1"), Refused)
        self.assertIn("mount its file system", str(error))
        self.assertFalse(self.repositories.is_writing("b1"))
        self.assertEqual(self.chunk_files(), [])

    def test_another_repository_at_the_path_is_refused(self) -> None:
        other = RepositoryAccess(name="vault", path=self.path, identity="r2")
        error = self.refusal(self.repositories.list_summaries(other), Refused)
        self.assertIn("another repository", str(error))

    def test_a_folder_with_files_does_not_become_a_repository(self) -> None:
        path = self.mktemp()
        os.makedirs(f"{path}/photos")
        access = RepositoryAccess(name="other", path=path, identity="r2")
        error = self.refusal(self.repositories.create_repository(access), Refused)
        self.assertIn("not empty", str(error))
        self.assertEqual(os.listdir(path), ["photos"])

    def test_a_damaged_chunk_is_named_with_the_areas_that_need_it(self) -> None:
        content = self.content()
        self.back_up("b1", content)
        victim = max(self.chunk_files(), key=os.path.getsize)
        with open(victim, "r+b") as file:
            file.seek(CHUNK_SIZE // 2)
            file.write(b"rot")
        found = [
            line
            for part in range(4)
            for line in self.done(self.repositories.verify_chunks(self.access, ["b1"], part, 4))
        ]
        self.assertEqual(len(found), 1)
        self.assertIn(victim, found[0])
        self.assertIn("backup b1 of web1, disk/0: bytes", found[0])

    def test_a_damaged_chunk_is_stored_again_by_the_next_backup(self) -> None:
        content = self.content()
        self.back_up("b1", content)
        for each in self.chunk_files():
            os.truncate(each, 100)
        self.assertEqual(
            len(self.done(self.repositories.verify_chunks(self.access, ["b1"], 0, 1))), 3
        )
        self.assertIsNone(self.done(self.repositories.begin_writing(self.access, "b2", "uuid1")))
        self.done(self.store("b2", self.stream(content)))
        self.commit("b2")
        self.assertEqual(self.done(self.repositories.verify_chunks(self.access, ["b1"], 0, 1)), [])
        self.assertEqual((self.restored("b1"), self.restored("b2")), (content, content))

    def test_a_restore_stops_at_a_missing_chunk_and_says_where(self) -> None:
        self.back_up("b1", self.content())
        for each in self.chunk_files():
            os.unlink(each)
        sink = os.open(self.mktemp(), os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, sink)
        error = self.refusal(self.repositories.restore_disk(self.access, "b1", 0, sink), Failed)
        self.assertIn("bytes 0 to 1048575 of disk 0 cannot be restored", str(error))
        self.assertEqual(error.code, Code.ENVIRONMENT)  # type: ignore[attr-defined]

    def test_a_damaged_manifest_is_named_and_hides_no_other_backup(self) -> None:
        content = self.content()
        self.back_up("b1", content)
        self.back_up("b2", content)
        os.truncate(f"{self.path}/backups/b2", 300)
        first, second = self.done(self.repositories.list_summaries(self.access))
        self.assertEqual((first.problem, first.instance, second.id), ("", "web1", "b2"))
        self.assertIn("backups/b2 is damaged", second.problem)
        self.back_up("b3", content)
        # Its chunks may be all that is left of it.
        error = self.refusal(self.repositories.remove_backups(self.access, ["b1"]), Failed)
        self.assertIn("b2 cannot be read", str(error))
        self.done(self.repositories.remove_backups(self.access, ["b2"]))
        self.assertEqual(self.restored("b3"), content)

    def test_a_full_file_system_is_named_and_leaves_no_backup(self) -> None:
        self.done(self.repositories.begin_writing(self.access, "b1", "uuid1"))
        path = self.stream(self.content())
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # The error for a file that may not become so large is handled as a lack of space.
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, limits[1]))
        try:
            error = self.refusal(self.store("b1", path), Failed)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        self.assertIn("repository vault cannot be written: File too large", str(error))
        self.assertIn("gnt-backup prune", str(error))
        self.assertEqual(self.done(self.repositories.list_summaries(self.access)), [])
        self.assertEqual([each for each in self.chunk_files() if each.endswith(".tmp")], [])

    def test_an_unknown_backup_is_refused_by_name(self) -> None:
        error = self.refusal(self.repositories.describe_backup(self.access, "b9"), Refused)
        self.assertIn("has no backup b9", str(error))

    def test_what_a_crash_has_left_is_removed_at_the_next_backup(self) -> None:
        self.back_up("b1", self.content())
        with open(f"{self.path}/backups/b2.0000.tmp", "wb") as file:
            file.write(b"half")
        self.assertEqual(len(self.done(self.repositories.list_summaries(self.access))), 1)
        self.repositories = LocalRepositories(run_now)
        self.back_up("b3", self.content())
        self.assertEqual(sorted(os.listdir(f"{self.path}/backups")), ["b1", "b3"])


class RestoreCheckTests(RepositoryCase):
    key = KEY

    def check(self, backup: str, at: int = 7) -> str:
        found: str = self.done(self.repositories.check_restored(self.access, backup, at))
        return found

    def checks(self) -> dict[str, RestoreCheck | None]:
        found = self.done(self.repositories.list_summaries(self.access))
        return {each.id: each.check for each in found}

    def test_a_backup_that_is_restored_as_it_was_is_recorded_with_the_time(self) -> None:
        content = self.content()
        self.back_up("b1", content)
        self.back_up("b2", content, Extent(0, 4, b"new!"))
        self.assertEqual((self.check("b1"), self.check("b2", 8)), ("", ""))
        self.assertEqual(self.checks(), {"b1": RestoreCheck(at=7), "b2": RestoreCheck(at=8)})
        with open(f"{self.path}/{CHECKS}", "rb") as file:
            self.assertNotIn(b"b1", file.read())

    def test_what_cannot_be_restored_is_recorded_with_its_area(self) -> None:
        self.back_up("b1", self.content())
        os.unlink(self.chunk_files()[0])
        self.assertRegex(self.check("b1"), "^bytes [0-9]+ to [0-9]+ of disk 0 cannot be restored:")
        self.assertIn("is missing", getattr(self.checks()["b1"], "problem", ""))

    def test_a_manifest_whose_chunks_are_those_of_other_data_is_found(self) -> None:
        content = self.content()
        self.back_up("b1", content)
        codec = ChunkCodec(bytes.fromhex(KEY))
        with open(f"{self.path}/backups/b1", "r+b") as file:
            found = decode("b1", file.read(), codec)
            [[first, second, third, last]] = found.disks
            file.seek(0)
            changed = dataclasses.replace(found, disks=((third, second, first, last),))
            file.write(encode(changed, codec))
            file.truncate()
        self.assertIn("disk/0 is restored with other data than it had", self.check("b1"))

    def test_checks_of_removed_backups_are_forgotten(self) -> None:
        for name in ("b1", "b2"):
            self.back_up(name, self.content())
            self.check(name)
        self.done(self.repositories.remove_backups(self.access, ["b1"]))
        self.check("b2")
        self.assertEqual(list(self.checks()), ["b2"])

    def test_a_damaged_record_hides_no_backup(self) -> None:
        self.back_up("b1", self.content())
        with open(f"{self.path}/{CHECKS}", "wb") as file:
            file.write(b"nonsense")
        self.assertEqual(self.checks(), {"b1": None})
        self.assertEqual(self.check("b1"), "")


class EncryptedRepositoryTests(LocalRepositoryTests):
    key = KEY

    def test_nothing_of_a_disk_or_its_instance_can_be_read_in_the_files(self) -> None:
        self.back_up("b1", b"a secret of the guest " * 100_000)
        for folder, _, names in os.walk(self.path):
            for name in names:
                with open(f"{folder}/{name}", "rb") as file:
                    found = file.read()
                self.assertNotIn(b"secret", found)
                self.assertNotIn(b"web1", found)

    def test_another_key_is_refused(self) -> None:
        other = RepositoryAccess(name="vault", path=self.path, identity="r1", key="cd" * 32)
        error = self.refusal(self.repositories.list_summaries(other), Refused)
        self.assertIn("another key", str(error))
        without = RepositoryAccess(name="vault", path=self.path, identity="r1")
        error = self.refusal(self.repositories.list_summaries(without), Refused)
        self.assertIn("is encrypted; add it with its key", str(error))

    def test_a_chunk_that_was_exchanged_for_another_one_is_noticed(self) -> None:
        self.back_up("b1", self.content())
        first, second = self.chunk_files()[:2]
        os.replace(first, second)
        found = self.done(self.repositories.verify_chunks(self.access, ["b1"], 0, 1))
        self.assertEqual(len(found), 2)
