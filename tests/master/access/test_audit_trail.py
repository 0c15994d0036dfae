# SPDX-License-Identifier: BSD-2-Clause
"""What is recorded of callers, of whom some send very many requests."""

from __future__ import annotations

from typing import cast

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.journal.interfaces import Append, Commit, IJournal
from ganeti.master.access.audit_trail import MAX_AT_ONCE, PAUSE, REST, AuditEntry, AuditTrail


class KeptEntries:
    """A journal of which only appending is needed."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def append(self, commit: Commit) -> None:
        for edit in commit.edits:
            assert isinstance(edit, Append)
            self.entries.append(msgspec.json.decode(edit.value, type=AuditEntry))


class AuditTrailTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = KeptEntries()
        self.trail = AuditTrail(cast("IJournal", self.journal), self.clock, lambda: 5.0)

    def kept(self) -> list[AuditEntry]:
        """Everything that was recorded since the last call."""
        self.clock.advance(max(PAUSE, REST))
        found, self.journal.entries = self.journal.entries, []
        return found

    def test_equal_entries_are_counted(self) -> None:
        for _ in range(3):
            self.trail.record_denial("ann", "token", "PUT /2/x", "no role")
        wanted = AuditEntry(
            at=5.0, who="ann", how="token", what="PUT /2/x", why="no role", denied=True, count=3
        )
        self.assertEqual(self.kept(), [wanted])

    def test_many_denials_leave_room_for_actions(self) -> None:
        for number in range(MAX_AT_ONCE + 7):
            self.trail.record_denial("eve", "", f"GET /2/{number}", "no password")
        self.trail.record_action("ann", "session", "opened a console")
        *_, action, rest = self.kept()
        self.assertEqual((action.who, action.denied), ("ann", False))
        self.assertEqual(
            (rest.who, rest.what), ("several", "7 further denials, which are not kept")
        )
        self.assertTrue(rest.denied)

    def test_of_very_many_actions_the_number_is_kept(self) -> None:
        for number in range(MAX_AT_ONCE + 2):
            self.trail.record_action("ann", "session", f"opened console {number}")
        self.trail.record_denial("eve", "", "GET /2/x", "no password")
        *actions, denial, rest = self.kept()
        self.assertEqual((len(actions), denial.who), (MAX_AT_ONCE, "eve"))
        self.assertEqual((rest.what, rest.denied), ("2 further actions, which are not kept", False))
        self.trail.record_action("ann", "session", "opened a console")
        self.assertEqual(len(self.kept()), 1)
