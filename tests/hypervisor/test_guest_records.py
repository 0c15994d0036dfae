# SPDX-License-Identifier: BSD-2-Clause
"""Records of guests survive a daemon, and a damaged one keeps no daemon from starting."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.guest_records import noted
from ganeti.schema.records import Record
from ganeti.testing.processes import MemoryStateFiles


class Note(Record):
    """A record of a guest."""

    memory: int


class NotedTests(SynchronousTestCase):
    def test_records_come_back_by_the_name_of_their_guest(self) -> None:
        notes = MemoryStateFiles()
        self.assertEqual(noted(notes, Note), {})
        for number, name in enumerate(("web1", "db1")):
            notes.put(name, msgspec.json.encode(Note(memory=number)))
        self.assertEqual(noted(notes, Note), {"web1": Note(memory=0), "db1": Note(memory=1)})

    def test_a_guest_whose_record_is_damaged_is_known_by_name(self) -> None:
        notes = MemoryStateFiles()
        notes.put("web1", msgspec.json.encode(Note(memory=1)))
        damaged = (b"", b"\0" * 9, b'{"memory": "x"}', b'{"memory": 1, "of": 2}', b"\xff")
        for number, content in enumerate(damaged):
            notes.put(f"bad{number}", content)
        found = noted(notes, Note)
        self.assertEqual(found.pop("web1"), Note(memory=1))
        self.assertEqual(found, {f"bad{number}": None for number in range(len(damaged))})
