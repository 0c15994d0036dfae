# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import io
import os

from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.logs import LogFile


class LogFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.also = io.StringIO()
        self.log = LogFile(self.path, "ganeti-noded", also=self.also)
        self.addCleanup(self.log.close)

    def written(self) -> str:
        with open(self.path) as file:
            return file.read()

    def test_an_event_is_one_line_with_its_time_level_and_values(self) -> None:
        event = {"log_format": "{n} jobs", "n": 3, "log_level": LogLevel.warn, "log_time": 1.25}
        self.log(event)
        self.assertRegex(
            self.written(),
            rf"\A\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,250: ganeti-noded pid={os.getpid()}"
            r" WARN 3 jobs\n\Z",
        )
        self.assertEqual(self.also.getvalue(), self.written())

    def test_further_lines_are_indented_so_that_nobody_can_forge_an_event(self) -> None:
        try:
            raise ValueError("first\n1970-01-01 second")
        except ValueError:
            failure = Failure()
        self.log({"log_format": "broke", "log_time": 0.0, "log_failure": failure})
        _, *rest = self.written().splitlines()
        self.assertTrue(rest)
        self.assertTrue(all(line.startswith("\t") for line in rest))

    def test_a_log_is_its_owners_alone_and_begins_anew_after_it_was_moved(self) -> None:
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        os.rename(self.path, self.path + ".1")
        self.log.reopen()
        self.log({"log_format": "after", "log_time": 0.0})
        self.assertIn("INFO after", self.written())
