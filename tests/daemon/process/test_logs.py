# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import io
import os
from typing import Any

from twisted.logger import FilteringLogObserver, LogEvent, LogLevel, eventAsText
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process.logs import LogFile, Throttle


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

    def test_control_characters_are_shown_and_not_obeyed(self) -> None:
        self.log({"log_format": "{x}", "x": "a\tb\x1b[2J\r\0\u2028c", "log_time": 0.0})
        self.assertTrue(self.written().endswith("INFO a\tb\\x1b[2J\\r\\x00\\u2028c\n"))

    def test_a_full_disk_costs_lines_and_their_number_is_told(self) -> None:
        os.rename(self.path, self.path + ".1")
        os.symlink("/dev/full", self.path)
        self.log.reopen()
        for text in ("one", "two"):
            self.log({"log_format": text, "log_time": 0.0})
        os.unlink(self.path)
        self.log.reopen()
        self.log({"log_format": "three", "log_time": 0.0})
        self.assertRegex(
            self.written(), r"\A.* ERROR 2 log lines could not be written\n.* INFO three\n\Z"
        )

    def test_a_log_that_cannot_be_opened_anew_goes_on_in_the_old_file(self) -> None:
        os.rename(self.path, self.path + ".1")
        os.mkdir(self.path)
        self.assertRaises(OSError, self.log.reopen)
        self.log({"log_format": "still there", "log_time": 0.0})
        self.path += ".1"
        self.assertIn("INFO still there", self.written())

    def test_a_log_is_its_owners_alone_and_begins_anew_after_it_was_moved(self) -> None:
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        os.rename(self.path, self.path + ".1")
        self.log.reopen()
        self.log({"log_format": "after", "log_time": 0.0})
        self.assertIn("INFO after", self.written())


class ThrottleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.told: list[str] = []
        observer: Any = self.hear  # any callable is one
        self.observer = FilteringLogObserver(observer, [Throttle()])

    def hear(self, event: LogEvent) -> None:
        self.told.append(eventAsText(event, includeTimestamp=False))

    def tell(
        self, seconds: float, namespace: str = "twisted.internet.tcp.Port", **more: Any
    ) -> None:
        event = {"log_format": "no room for {who}", "log_time": seconds, "log_namespace": namespace}
        self.observer({**event, "log_level": LogLevel.info, **more})

    def test_what_twisted_repeats_is_told_once_a_minute_and_counted(self) -> None:
        for number in range(1000):
            self.tell(number / 1000, who=number)
        self.tell(61.0, who="the last")
        first, second = self.told
        self.assertIn("no room for 0", first)
        self.assertIn("no room for the last; repeated 999 times", second)

    def test_failures_and_what_we_say_ourselves_are_all_told(self) -> None:
        for number in range(3):
            self.tell(0.0, "ganeti.jobs", who=number)
            self.tell(0.0, who=number, log_failure=Failure(ValueError(number)))
        self.assertEqual(len(self.told), 6)
