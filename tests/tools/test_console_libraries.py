# SPDX-License-Identifier: BSD-2-Clause
"""The console's libraries are fetched once, and a page can tell how that goes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.console.console_files import ConsoleFiles
from tools.quickstart.place import TREE

NPM = """#!/bin/sh
echo "$@" >> npm.log
cp libraries.progress progress-meanwhile
mkdir -p node_modules
"""

NEEDED = ("basename", "bash", "cat", "cmp", "cp", "dirname", "flock", "id", "mkdir", "readlink")
FURTHER = ("rm", "sh", "tail", "tr")


class FetchLibrariesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.folder = self.home / "ui"
        self.folder.mkdir(parents=True)
        for name in ("fetch-libraries", "package.json", "package-lock.json"):
            shutil.copy(TREE / "ui" / name, self.folder)
        self.programs = self.home / "bin"
        self.programs.mkdir()
        for name in (*NEEDED, *FURTHER):
            (self.programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")
        self.files = ConsoleFiles(str(self.folder))

    def npm(self, text: str) -> None:
        path = self.programs / "npm"
        path.write_text(text)
        path.chmod(0o755)

    def fetch(self, *options: str) -> int:
        done = subprocess.run(
            [str(self.folder / "fetch-libraries"), *options],
            env={**os.environ, "PATH": str(self.programs)},
            capture_output=True,
        )
        return done.returncode

    def test_they_are_fetched_once(self) -> None:
        self.npm(NPM)
        self.assertEqual((self.fetch(), self.files.complete), (0, True))
        self.assertEqual((self.fetch(), self.files.progress), (0, ""))
        self.assertEqual((self.folder / "npm.log").read_text(), "ci --omit=dev --loglevel=error\n")

    def test_another_lock_file_means_others(self) -> None:
        self.npm(NPM)
        self.fetch()
        with open(self.folder / "package-lock.json", "a") as lock:
            lock.write("\n")
        self.assertFalse(self.files.complete)
        self.fetch()
        self.assertTrue(self.files.complete)

    def test_what_it_does_is_told_meanwhile(self) -> None:
        self.npm(NPM)
        self.fetch()
        meanwhile = (self.folder / "progress-meanwhile").read_text()
        self.assertEqual(meanwhile, "Fetching libraries with npm.\n")

    def test_a_failure_is_told_with_its_reason(self) -> None:
        self.npm("#!/bin/sh\necho 'no way to the registry' >&2\nexit 1\n")
        self.assertEqual((self.fetch(), self.files.complete), (1, False))
        self.assertIn("no way to the registry", self.files.progress)

    def test_a_missing_npm_is_told_with_what_to_do(self) -> None:
        self.assertEqual(self.fetch(), 1)
        self.assertIn("apt-get install npm", self.files.progress)
