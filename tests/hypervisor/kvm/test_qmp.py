# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's control protocol as bytes."""

from __future__ import annotations

import contextlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import ProtocolError
from ganeti.hypervisor.kvm import qmp

SPOKEN = (
    b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": []}}\r\n'
    b'{"return": {"status": "running"}}\r\n'
    b'{"timestamp": {"seconds": 1}, "event": "SHUTDOWN", "data": {"guest": true}}\r\n'
    b'{"event": "STOP"}\r\n'
    b'{"error": {"class": "GenericError", "desc": "no"}}\r\n'
)
MEANT = [
    qmp.QmpGreeting((7, 2, 22)),
    qmp.QmpAnswer({"status": "running"}),
    qmp.QmpEvent("SHUTDOWN", {"guest": True}),
    qmp.QmpEvent("STOP"),
    qmp.QmpError("GenericError", "no"),
]


class QmpTests(SynchronousTestCase):
    def test_messages_are_told_apart(self) -> None:
        self.assertEqual(list(qmp.QmpParser().receive(SPOKEN)), MEANT)

    @given(st.lists(st.integers(0, len(SPOKEN))))
    def test_messages_come_whole_however_they_are_cut(self, cuts: list[int]) -> None:
        edges = [0, *sorted(cuts), len(SPOKEN)]
        messages = qmp.QmpParser()
        found = [
            message
            for start, end in pairwise(edges)
            for message in messages.receive(SPOKEN[start:end])
        ]
        self.assertEqual(found, MEANT)

    @given(st.binary())
    def test_garbage_is_refused_or_understood_but_never_breaks(self, data: bytes) -> None:
        with contextlib.suppress(ProtocolError):
            list(qmp.QmpParser().receive(data + b"\n"))

    def test_a_line_without_end_is_refused(self) -> None:
        with self.assertRaises(ProtocolError):
            list(qmp.QmpParser().receive(b"x" * (qmp.MAX_LENGTH + 1)))

    def test_commands_are_lines(self) -> None:
        self.assertEqual(qmp.encoded("quit", {}), b'{"execute":"quit"}\n')
        encoded = qmp.encoded("migrate", {"uri": "tcp:a:1"})
        self.assertEqual(encoded, b'{"execute":"migrate","arguments":{"uri":"tcp:a:1"}}\n')
