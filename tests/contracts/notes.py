# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IStateFiles`` does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.system.interfaces import IStateFiles


class NotesContract(SynchronousTestCase):
    """A subclass says which one."""

    def notes(self) -> IStateFiles:
        raise NotImplementedError

    def test_it_is_one(self) -> None:
        verifyObject(IStateFiles, self.notes())

    def test_there_are_none_at_first(self) -> None:
        self.assertEqual(self.notes().read_all(), {})

    def test_notes_are_found_by_name_whatever_the_name(self) -> None:
        notes, names = self.notes(), [".", "..", ".x", "a b", "a/b", "web1.example.com", "ü%"]
        for name in names:
            notes.put(name, name.encode())
        self.assertEqual(notes.read_all(), {name: name.encode() for name in names})

    def test_the_last_content_counts(self) -> None:
        notes = self.notes()
        notes.put("web1", b"a long first version")
        notes.put("web1", b"second")
        self.assertEqual(notes.read_all(), {"web1": b"second"})

    def test_a_removed_note_is_gone_and_removing_it_again_succeeds(self) -> None:
        notes = self.notes()
        notes.put("web1", b"1")
        notes.remove("web1")
        notes.remove("web1")
        self.assertEqual(notes.read_all(), {})
