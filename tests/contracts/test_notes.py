# SPDX-License-Identifier: BSD-2-Clause
"""Notes in memory and in files."""

from __future__ import annotations

from ganeti.system.interfaces import INotes
from ganeti.system.state_files import LocalNotes
from ganeti.testing.processes import MemoryNotes
from tests.contracts import notes


class MemoryNotesTests(notes.NotesContract):
    def notes(self) -> INotes:
        return MemoryNotes()


class LocalNotesTests(notes.NotesContract):
    def notes(self) -> INotes:
        return LocalNotes(self.mktemp() + "/run/notes")

    def test_they_are_there_for_the_next_daemon(self) -> None:
        folder = self.mktemp()
        LocalNotes(folder).put("web1", b"1")
        self.assertEqual(LocalNotes(folder).all(), {"web1": b"1"})
