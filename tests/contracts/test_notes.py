# SPDX-License-Identifier: BSD-2-Clause
"""Notes in memory and in files."""

from __future__ import annotations

import os
import stat

from ganeti.system.interfaces import IStateFiles
from ganeti.system.state_files import LocalStateFiles
from ganeti.testing.processes import MemoryStateFiles
from tests.contracts import notes


class MemoryNotesTests(notes.NotesContract):
    def notes(self) -> IStateFiles:
        return MemoryStateFiles()


class LocalNotesTests(notes.NotesContract):
    def notes(self) -> IStateFiles:
        return LocalStateFiles(self.mktemp() + "/run/notes")

    def test_they_are_there_for_the_next_daemon(self) -> None:
        folder = self.mktemp()
        LocalStateFiles(folder).put("web1", b"1")
        self.assertEqual(LocalStateFiles(folder).read_all(), {"web1": b"1"})

    def test_notes_that_are_for_nobody_else_have_that_mode(self) -> None:
        folder = self.mktemp() + "/run/notes"
        LocalStateFiles(folder, mode=0o600).put("web1", b"1")
        self.assertEqual(stat.S_IMODE(os.stat(f"{folder}/web1").st_mode), 0o600)
