# SPDX-License-Identifier: BSD-2-Clause
"""What every store of objects does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.repository.interfaces import IObjectStore


class ObjectStoreContract(SynchronousTestCase):
    """A subclass returns an empty store from ``make_store``."""

    def make_store(self) -> IObjectStore:
        raise NotImplementedError

    def setUp(self) -> None:
        self.store = self.make_store()
        self.addCleanup(self.store.close)
        self.store.prepare(("chunks", "backups"))

    def test_it_is_one(self) -> None:
        self.assertTrue(IObjectStore.providedBy(self.store))

    def test_an_object_is_read_as_it_was_written(self) -> None:
        self.store.write_object("chunks/ab/abc", b"content")
        self.assertEqual(self.store.read_object("chunks/ab/abc"), b"content")
        self.assertEqual(self.store.read_object("chunks/ab/abc", 3), b"con")
        self.store.write_object("chunks/ab/abc", b"other")
        self.assertEqual(self.store.read_object("chunks/ab/abc"), b"other")

    def test_what_does_not_exist_is_not_there(self) -> None:
        self.assertFalse(self.store.has_object("chunks/ab/abc"))
        self.assertRaises(FileNotFoundError, self.store.read_object, "chunks/ab/abc")
        self.store.remove_object("backups/b1")
        self.store.rename_object("backups/b1", "backups/b2")
        self.assertFalse(self.store.has_object("backups/b2"))

    def test_all_of_some_objects_are_there_or_not(self) -> None:
        names = [f"chunks/{number:02x}/{number:02x}" for number in range(30)]
        for name in names[1:]:
            self.store.write_object(name, b"")
        for some in (names, names[:3]):
            self.assertFalse(self.store.has_objects(some))
            self.assertTrue(self.store.has_objects(some[1:]))

    def test_objects_are_listed_by_folder_with_their_sizes(self) -> None:
        for number in range(5):
            self.store.write_object(f"chunks/a{number}/x", b"x" * number)
        self.store.write_object("backups/b1", b"")
        self.assertEqual(
            list(self.store.list_objects("chunks")), [(f"chunks/a{n}/x", n) for n in range(5)]
        )
        self.assertEqual(list(self.store.list_objects("backups")), [("backups/b1", 0)])

    def test_objects_are_renamed_and_removed(self) -> None:
        self.store.write_object("chunks/ab/abc", b"content")
        self.store.rename_object("chunks/ab/abc", "chunks/ab/abc.damaged")
        self.assertFalse(self.store.has_object("chunks/ab/abc"))
        self.assertEqual(self.store.read_object("chunks/ab/abc.damaged"), b"content")
        self.store.remove_object("chunks/ab/abc.damaged")
        self.assertEqual(list(self.store.list_objects("chunks")), [])

    def test_a_place_with_something_in_it_is_refused(self) -> None:
        self.store.write_object("marker", b"")
        with self.assertRaisesRegex(Refused, "is not empty; choose"):
            self.store.prepare(("chunks",))

    def test_names_are_made_durable_and_nothing_unfinished_is_left(self) -> None:
        self.store.write_object("chunks/ab/abc", b"content")
        self.store.sync_folder("chunks")
        self.store.remove_unfinished()
        self.assertTrue(self.store.has_object("chunks/ab/abc"))
