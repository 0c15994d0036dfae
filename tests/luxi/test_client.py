# SPDX-License-Identifier: BSD-2-Clause
"""The blocking client asks, waits, tries again where that is safe, and says what to do."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import JobLost
from ganeti.luxi.client import LuxiClient
from ganeti.luxi.methods import ArchiveJob, QueryTags
from ganeti.luxi.unreachable import ConnectionLost, MasterNotRunning, TimedOut, make_connect_error

TAGS = QueryTags(kind="cluster")
ANSWER = b'{"success": true, "result": ["a"]}\x03'


class ClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.slept: list[float] = []

    def client(self, answer_seconds: float = 5.0) -> LuxiClient:
        client = LuxiClient(self.path, answer_seconds=answer_seconds, sleep=self.slept.append)
        self.addCleanup(client.close)
        return client

    def master(self, answers: Sequence[bytes | None]) -> None:
        """Take one connection per answer; hang up on None, and stay silent on empty bytes."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen()
        done = threading.Event()

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1 << 16)
                    if answer is not None:
                        connection.sendall(answer)
                        done.wait(5)
            listener.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 5)
        self.addCleanup(done.set)

    def test_an_answer_is_decoded(self) -> None:
        self.master([ANSWER])
        self.assertEqual(self.client().ask(TAGS), ["a"])

    def test_an_error_is_raised_as_what_it_is(self) -> None:
        self.master([b'{"success": false, "result": ["JobLost", ["job 7 is gone"]]}\x03'])
        self.assertRaisesRegex(JobLost, "job 7", self.client().ask, TAGS)

    def test_a_question_is_asked_again_when_the_connection_breaks(self) -> None:
        self.master([None, None, ANSWER])
        self.assertEqual(self.client().ask(TAGS), ["a"])
        self.assertEqual(self.slept, [0.1, 0.2])

    def test_an_order_is_not_given_twice(self) -> None:
        self.master([None])
        with self.assertRaisesRegex(ConnectionLost, "list of jobs"):
            self.client().ask(ArchiveJob(job_id=1))
        self.assertEqual(self.slept, [])

    def test_a_master_that_stays_away_is_given_up(self) -> None:
        self.master([None])
        with self.assertRaisesRegex(MasterNotRunning, "not running"):
            self.client().ask(TAGS)
        self.assertEqual(len(self.slept), 6)

    def test_without_a_daemon_the_message_says_what_to_start(self) -> None:
        with self.assertRaisesRegex(MasterNotRunning, "start ganeti-masterd"):
            self.client().ask(TAGS)
        self.assertEqual(self.slept, [])

    def test_a_closed_socket_says_who_may_use_it(self) -> None:
        error = make_connect_error("/run/x", 13, "denied")
        self.assertEqual(type(error).__name__, "NotPermitted")
        self.assertIn("no permission to connect to /run/x", str(error))

    def test_silence_is_given_up_after_a_time(self) -> None:
        self.master([b""])
        self.assertRaisesRegex(TimedOut, "QueryTags", self.client(0.01).ask, TAGS)
        self.assertTrue(os.path.exists(self.path))
