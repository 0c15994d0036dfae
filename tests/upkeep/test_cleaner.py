# SPDX-License-Identifier: BSD-2-Clause
"""What the cleaner removes, and what it leaves."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.paths import Paths
from ganeti.pki.authority import create_self_signed
from ganeti.upkeep.cleaner import KEPT, clean

NOW = 1_700_000_000.0
GROUP = "5c2e8a0c-0000-4000-8000-000000000001"


class CleanerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))

    def file(self, path: str, *, age: float = KEPT + 1, content: bytes = b"") -> str:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)
        os.utime(path, (NOW - age, NOW - age))
        return path

    def left(self, *files: str, node: bool = True, master: bool = True) -> list[str]:
        clean(self.paths, NOW, logging.Logger("test"), node=node, master=master)
        return [os.path.basename(path) for path in files if os.path.exists(path)]

    def test_a_host_with_nothing_has_nothing_to_clean(self) -> None:
        self.assertEqual(self.left(), [])

    def test_old_logs_of_scripts_go(self) -> None:
        old = self.file(f"{self.paths.log}/os/add-noop-web1.log")
        new = self.file(f"{self.paths.log}/os/add-noop-db1.log", age=KEPT - 1)
        daemon = self.file(f"{self.paths.log}/node-daemon.log")
        self.assertEqual(self.left(old, new, daemon), ["add-noop-db1.log", "node-daemon.log"])

    def test_notes_of_groups_that_nobody_watches_go(self) -> None:
        old = self.file(f"{self.paths.data}/watcher.{GROUP}.data")
        others = [
            self.file(f"{self.paths.data}/{name}") for name in ("config.data", "watcher.pause")
        ]
        self.assertEqual(self.left(old, *others), ["config.data", "watcher.pause"])

    def test_old_jobs_go_with_the_master_only(self) -> None:
        old = self.file(f"{self.paths.queue}/archive/0/job-1")
        new = self.file(f"{self.paths.queue}/archive/1/job-10001", age=5)
        live = self.file(f"{self.paths.queue}/job-7")
        self.assertEqual(self.left(old, master=False), ["job-1"])
        self.assertEqual(self.left(old, new, live), ["job-10001", "job-7"])
        self.assertEqual(os.listdir(f"{self.paths.queue}/archive"), ["1"])

    def test_keys_go_when_their_certificate_has_expired(self) -> None:
        made = create_self_signed("x", NOW - 100, timedelta(seconds=50))
        valid = create_self_signed("x", NOW - 100, timedelta(seconds=500))
        old = self.file(f"{self.paths.crypto}/x509-1-a/cert", content=made.certificate)
        new = self.file(f"{self.paths.crypto}/x509-1-b/cert", content=valid.certificate)
        odd = self.file(f"{self.paths.crypto}/x509-1-c/cert", content=b"?")
        rest = self.file(f"{self.paths.crypto}/x509-1-d/key")
        os.utime(os.path.dirname(rest), (NOW - 2 * 86400, NOW - 2 * 86400))
        self.left()
        self.assertEqual(
            [os.path.exists(path) for path in (old, new, odd, rest)], [False, True, True, False]
        )
