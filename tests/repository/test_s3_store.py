# SPDX-License-Identifier: BSD-2-Clause
"""Repositories in S3-compatible stores: as those in folders, and with what fails there."""

from __future__ import annotations

from ganeti.errors import Failed, Refused
from ganeti.model.backups import RepositoryAccess, S3Settings, split_bucket
from ganeti.repository.local import LocalRepositories
from ganeti.repository.s3_store import S3Store
from ganeti.repository.stores import open_store
from ganeti.system.cancellation import CancelSwitch
from ganeti.system.work_threads import run_now
from ganeti.testing.memory_s3 import MemoryS3
from tests.repository.test_local import RepositoryCase

SETTINGS = S3Settings(
    endpoint="https://s3.example.com", region="us-east-1", access_key="a", secret_key="s3cr3t"
)


class S3RepositoryTests(RepositoryCase):
    key = "ab" * 32

    def setUp(self) -> None:
        super().setUp()
        self.s3 = MemoryS3()
        self.access = RepositoryAccess(
            name="vault", path="s3://vault/web", identity="r1", key=self.key, s3=SETTINGS
        )
        self.restart()
        self.done(self.repositories.create_repository(self.access))

    def restart(self) -> None:
        """Use the repository as another daemon does."""
        self.repositories = LocalRepositories(run_now, lambda access, _: self.s3.store("web/"))

    def chunks(self) -> list[str]:
        return [key for key in self.s3.objects if "/chunks/" in key]

    def test_backups_are_stored_restored_and_removed(self) -> None:
        self.s3.objects["elsewhere"] = b""
        content = self.content()
        self.back_up("b1", content)
        self.restart()
        self.back_up("b2", b"new" + content[3:])
        self.assertEqual(self.restored("b1"), content)
        self.assertEqual(self.restored("b2"), b"new" + content[3:])
        self.assertEqual(len(self.chunks()), 4)
        removed = self.done(self.repositories.remove_backups(self.access, ["b1", "b2"]))
        self.assertEqual((removed.chunks, self.chunks()), (4, []))
        self.assertEqual(sorted(self.s3.objects), ["elsewhere", "web/ganeti-repository.json"])
        self.assertEqual(self.s3.open, 0)

    def test_a_store_that_fails_for_a_while_loses_nothing(self) -> None:
        self.s3.failures = [503, ConnectionResetError(), MemoryS3.CUT, None] * 4
        content = self.content()
        self.back_up("b1", content)
        self.assertEqual(self.restored("b1"), content)

    def test_a_backup_that_fails_leaves_chunks_that_the_next_removal_removes(self) -> None:
        content = self.content()
        self.done(self.repositories.begin_writing(self.access, "b1", "uuid1"))
        self.done(self.store("b1", self.stream(content)))
        self.s3.failures = [ConnectionRefusedError("refused")] * 20
        commit = self.repositories.abandon_backup(self.access, "b1")
        self.done(commit)
        self.s3.failures = []
        self.assertEqual(self.done(self.repositories.list_summaries(self.access)), [])
        self.done(self.repositories.remove_backups(self.access, []))
        self.assertEqual(self.chunks(), [])

    def test_a_store_that_is_out_of_reach_is_named(self) -> None:
        self.s3.failures = [ConnectionRefusedError(111, "Connection refused")] * 20
        error = self.refusal(self.repositories.list_summaries(self.access), Failed)
        expected = "repository vault cannot be read: s3.example.com does not answer: Connection"
        self.assertIn(expected, str(error))

    def test_damage_is_found_and_set_aside(self) -> None:
        self.back_up("b1", self.content())
        chunk = self.chunks()[0]
        self.s3.objects[chunk] = b"nonsense"
        [said] = self.done(self.repositories.verify_chunks(self.access, ["b1"], 0, 1))
        self.assertIn(f"s3://vault/{chunk} is damaged", said)
        self.assertIn(f"{chunk}.damaged", self.s3.objects)

    def test_nothing_is_known_of_its_space(self) -> None:
        found = self.done(self.repositories.measure_space(self.access))
        self.assertEqual((found.space, found.backups), (None, 0))

    def test_a_place_in_use_does_not_become_a_repository(self) -> None:
        error = self.refusal(self.repositories.create_repository(self.access), Refused)
        self.assertIn("s3://vault/web is a repository already; use --existing", str(error))
        self.assertEqual(self.done(self.repositories.identify_repository(self.access)), "r1")
        del self.s3.objects["web/ganeti-repository.json"]
        self.s3.objects["web/other"] = b""
        error = self.refusal(self.repositories.create_repository(self.access), Refused)
        self.assertIn("is not empty; choose another prefix", str(error))

    def test_a_path_with_a_scheme_is_that_of_a_store(self) -> None:
        switch = CancelSwitch()
        self.addCleanup(switch.close)
        found = open_store(self.access, switch)
        assert isinstance(found, S3Store)
        self.assertEqual(found.place, "s3://vault/web")

    def test_a_place_is_a_bucket_and_a_prefix(self) -> None:
        self.assertEqual(split_bucket("s3://vault"), ("vault", ""))
        self.assertEqual(split_bucket("s3://vault/"), ("vault", ""))
        self.assertEqual(split_bucket("s3://vault/a/b"), ("vault", "a/b/"))
        for path in ("s3://", "s3://V", "s3://vault//a", "s3://vault/a?b", "/srv"):
            self.assertRaises(Refused, split_bucket, path)

    def test_a_secret_is_not_printed(self) -> None:
        self.assertNotIn("s3cr3t", repr(SETTINGS) + repr(self.access))
