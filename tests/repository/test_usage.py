# SPDX-License-Identifier: BSD-2-Clause
"""A sweep takes nothing that a backup has claimed, also one that ends meanwhile."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.repository.usage import RepositoryUsage


class UsageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.usage = RepositoryUsage()
        self.removed: list[bytes] = []

    def take(self, digest: bytes) -> None:
        self.removed.append(digest)

    def test_claimed_chunks_stay_and_others_go(self) -> None:
        self.usage.begin_claims("b1")
        self.usage.claim_chunks("b1", [b"a"])
        with self.usage.sweep_chunks() as remove:
            self.assertFalse(remove(b"a", lambda: self.take(b"a")))
            self.assertTrue(remove(b"b", lambda: self.take(b"b")))
        self.assertEqual(self.removed, [b"b"])

    def test_chunks_of_a_backup_that_ends_during_a_sweep_stay(self) -> None:
        self.usage.begin_claims("b1")
        self.usage.claim_chunks("b1", [b"a"])
        with self.usage.sweep_chunks() as remove:
            self.usage.end_claims("b1")
            self.assertFalse(remove(b"a", lambda: self.take(b"a")))
        with self.usage.sweep_chunks() as remove:
            self.assertTrue(remove(b"a", lambda: self.take(b"a")))

    def test_a_backup_that_has_ended_claims_nothing(self) -> None:
        self.usage.begin_claims("b1")
        self.usage.end_claims("b1")
        with self.assertRaisesRegex(Failed, "b1 was given up"):
            self.usage.claim_chunks("b1", [b"a"])

    def test_one_sweep_at_a_time(self) -> None:
        second = self.usage.sweep_chunks()
        with self.usage.sweep_chunks(), self.assertRaisesRegex(Refused, "try again later"):
            second.__enter__()

    def test_a_backup_that_is_read_is_not_removed(self) -> None:
        names: list[str] = []
        with self.usage.pin_backups(["b1"]):
            self.usage.remove_unused(["b2"], names.append)
            with self.assertRaisesRegex(Refused, "backup b1 is being restored or verified"):
                self.usage.remove_unused(["b3", "b1"], names.append)
        self.assertEqual(names, ["b2"])
        self.usage.remove_unused(["b1"], names.append)
        self.assertEqual(names, ["b2", "b1"])
        self.assertTrue(self.usage.idle)
