# SPDX-License-Identifier: BSD-2-Clause
"""The content of a folder is exchanged completely, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.take_over.folder_exchange import (
    GANETI,
    FolderExchange,
    exchange_for_ganetis,
    exchange_for_ours,
    prepared,
)
from ganeti.paths import Paths


class Killed(BaseException):
    """The end of the process."""


class ExchangeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        self.top = Path(self.paths.data)
        self.put("config.data", "old")
        self.put("server.pem", "old")
        self.put("queue/job-1", "old")
        self.put("export/x", "stays")

    def put(self, name: str, content: str) -> None:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def prepare(self) -> FolderExchange:
        for name in ("config.data", "server.pem", "journal/1"):
            self.put(f"adopting/{name}", "new")
        return exchange_for_ours(self.paths)

    def contents(self) -> dict[str, str]:
        found = sorted(path for path in self.top.rglob("*") if path.is_file())
        return {str(path.relative_to(self.top)): path.read_text() for path in found}

    NEW = {
        "config.data": "new",
        "export/x": "stays",
        "ganeti-before/config.data": "old",
        "ganeti-before/queue/job-1": "old",
        "ganeti-before/server.pem": "old",
        "journal/1": "new",
        "server.pem": "new",
    }

    def test_old_content_goes_and_new_content_comes(self) -> None:
        self.prepare().carry_out()
        self.assertEqual(self.contents(), self.NEW)

    def test_the_way_back_restores_the_old_content(self) -> None:
        self.prepare().carry_out()
        exchange_for_ganetis(self.paths).carry_out()
        found = self.contents()
        self.assertEqual((found["config.data"], found["queue/job-1"]), ("old", "old"))
        self.assertEqual(found["taken-over-1/config.data"], "new")
        self.assertFalse((self.top / GANETI).exists())

    def test_it_can_be_done_again_after_the_way_back(self) -> None:
        for _ in range(2):
            self.prepare().carry_out()
            exchange_for_ganetis(self.paths).carry_out()
        found = self.contents()
        self.assertEqual(found["config.data"], "old")
        self.assertIn("taken-over-2/config.data", found)

    def test_killed_at_any_rename_it_is_continued(self) -> None:
        for number in range(1, 20):
            self.setUp()
            exchange, calls = self.prepare(), [0]
            if not self.interrupt(exchange, number, calls, Killed()):
                break
            self.assertTrue(exchange_for_ours(self.paths).under_way, number)
            exchange_for_ours(self.paths).carry_out()
            self.assertEqual(self.contents(), self.NEW, number)
        self.assertGreater(number, 6)

    def test_failed_at_any_rename_it_is_undone(self) -> None:
        for number in range(1, 20):
            self.setUp()
            exchange, calls = self.prepare(), [0]
            before = self.contents()
            if not self.interrupt(exchange, number, calls, OSError(errno.EIO, "disk")):
                break
            self.assertEqual(self.contents(), before, number)
            self.assertFalse(exchange.under_way, number)
        self.assertGreater(number, 6)

    def interrupt(
        self, exchange: FolderExchange, number: int, calls: list[int], end: BaseException
    ) -> bool:
        """Carry out an exchange whose rename of this ``number`` raises ``end``; whether it did."""
        rename = os.rename

        def counted(*names: Any) -> None:
            calls[0] += 1
            if calls[0] == number:
                raise end
            rename(*names)

        with patch("os.rename", counted):
            try:
                exchange.carry_out()
            except (Killed, OSError):
                return True
        return False

    def test_a_preparation_that_fails_leaves_nothing(self) -> None:
        before = self.contents()
        with self.assertRaises(Killed), prepared(self.paths) as place:
            Path(place, "config.data").write_text("new")
            raise Killed
        self.assertEqual(self.contents(), before)
