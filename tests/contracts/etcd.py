# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IEtcd`` does; a subclass says which one."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.journal.etcd.interfaces import (
    Change,
    Condition,
    CreatedAt,
    DeleteKeys,
    Entry,
    IEtcd,
    ModifiedAt,
    PutKey,
    end_of_prefix,
)

T = TypeVar("T")

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object


class EtcdContract(Case):
    """A client of an etcd without keys below ``prefix``."""

    etcd: IEtcd
    prefix = "/test/"

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        raise NotImplementedError

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass."""
        raise NotImplementedError

    def put(self, name: str, value: bytes = b"", *, lease: int = 0) -> int:
        """Set a key; the revision of that."""
        result = self.done(self.etcd.txn([], [PutKey(self.prefix + name, value, lease)]))
        self.assertTrue(result.succeeded)
        return result.revision

    def entries(self, **how: Any) -> tuple[Entry, ...]:
        """All that is below the prefix."""
        return self.done(self.etcd.read(self.prefix, end_of_prefix(self.prefix), **how)).entries

    def names(self) -> list[str]:
        return [entry.key.removeprefix(self.prefix) for entry in self.entries()]

    def test_it_is_what_it_says(self) -> None:
        verifyObject(IEtcd, self.etcd)

    def test_what_was_put_is_read_with_its_revisions(self) -> None:
        first = self.put("a", b"\x00one\xff")
        second = self.put("a", b"two")
        self.assertEqual(self.entries(), (Entry(f"{self.prefix}a", b"two", first, second),))
        old = Entry(f"{self.prefix}a", b"\x00one\xff", first, first)
        self.assertEqual(self.entries(revision=first), (old,))

    def test_reads_are_in_the_order_of_keys_and_limited(self) -> None:
        for name in "cab":
            self.put(name, b"x")
        self.assertEqual(self.names(), ["a", "b", "c"])
        read = self.done(self.etcd.read(self.prefix, end_of_prefix(self.prefix), limit=2))
        self.assertEqual((len(read.entries), read.more), (2, True))
        self.assertEqual([entry.value for entry in self.entries(keys_only=True)], [b""] * 3)

    def test_changes_are_made_together_if_all_conditions_hold(self) -> None:
        revision = self.put("a")
        key = f"{self.prefix}a"
        conditions: list[Condition] = [CreatedAt(key, revision), ModifiedAt(key, revision)]
        changes: list[Change] = [PutKey(f"{self.prefix}b", b""), DeleteKeys(key, f"{key}\0")]
        self.assertTrue(self.done(self.etcd.txn(conditions, changes)).succeeded)
        self.assertEqual(self.names(), ["b"])

    def test_nothing_is_changed_if_a_condition_does_not_hold(self) -> None:
        revision = self.put("a")
        key = f"{self.prefix}a"
        change = [PutKey(f"{self.prefix}b", b"")]
        for wrong in (CreatedAt(key, 0), ModifiedAt(key, revision - 1), ModifiedAt(key, 0)):
            self.assertFalse(self.done(self.etcd.txn([wrong], change)).succeeded)
        self.assertEqual(self.names(), ["a"])

    def test_a_missing_key_was_created_and_modified_in_revision_zero(self) -> None:
        key = f"{self.prefix}a"
        conditions: list[Condition] = [CreatedAt(key, 0), ModifiedAt(key, 0)]
        self.assertTrue(self.done(self.etcd.txn(conditions, [PutKey(key, b"")])).succeeded)

    def test_a_key_ends_with_its_lease(self) -> None:
        lease = self.done(self.etcd.grant(2))
        self.put("a", lease=lease)
        self.assertEqual([entry.lease for entry in self.entries()], [lease])
        self.pass_seconds(1.0)
        self.assertGreaterEqual(self.done(self.etcd.keep_alive(lease)), 2)
        self.pass_seconds(1.5)
        self.assertEqual(self.names(), ["a"])
        self.pass_seconds(5.0)
        self.assertEqual(self.names(), [])
        self.assertEqual(self.done(self.etcd.keep_alive(lease)), 0)

    def test_a_revoked_lease_takes_its_keys_with_it(self) -> None:
        lease = self.done(self.etcd.grant(60))
        self.put("a", lease=lease)
        self.done(self.etcd.revoke(lease))
        self.assertEqual(self.names(), [])
        self.done(self.etcd.revoke(lease))

    def test_healthy_members_have_no_problem(self) -> None:
        health = self.done(self.etcd.health())
        self.assertEqual([member.problem for member in health.members], [""])
        self.assertEqual(health.alarms, ())
