# SPDX-License-Identifier: BSD-2-Clause
"""The word for how an instance is, as a table."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.instance import AdminState, AdminStateSource
from ganeti.views.instances.status import GuestStatus, InstanceStatus, condition

EXPECTED = {
    # what is seen: wanted up, wanted down, wanted offline
    GuestStatus.RUNNING: ("running", "ERROR_up", "ERROR_up"),
    GuestStatus.ABSENT: ("ERROR_down", "ADMIN_down", "ADMIN_offline"),
    GuestStatus.ELSEWHERE: ("ERROR_wrongnode",) * 3,
    GuestStatus.NO_ANSWER: ("ERROR_nodedown",) * 3,
    GuestStatus.NODE_OFFLINE: ("ERROR_nodeoffline",) * 3,
}


class StatusTests(SynchronousTestCase):
    def test_each_case_has_its_word(self) -> None:
        self.assertEqual(
            {
                seen: tuple(condition(seen, wanted).value for wanted in AdminState)
                for seen in GuestStatus
            },
            EXPECTED,
        )

    def test_what_its_user_has_stopped_is_told_apart(self) -> None:
        self.assertEqual(
            condition(GuestStatus.ABSENT, AdminState.DOWN, AdminStateSource.USER),
            InstanceStatus.USER_DOWN,
        )
        self.assertEqual(
            condition(GuestStatus.ABSENT, AdminState.UP, AdminStateSource.USER),
            InstanceStatus.ERROR_DOWN,
        )

    def test_every_word_has_its_case(self) -> None:
        words = {
            condition(s, w, by) for s in GuestStatus for w in AdminState for by in AdminStateSource
        }
        self.assertEqual(words, set(InstanceStatus))
