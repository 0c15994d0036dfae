# SPDX-License-Identifier: BSD-2-Clause
"""The Debian packages have the version and the files of the release."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti import __version__

TREE = Path(__file__).parents[2]
DEBIAN = TREE / "debian"


class PackagesTests(SynchronousTestCase):
    def test_the_packages_have_the_version_of_the_release(self) -> None:
        first = DEBIAN.joinpath("changelog").read_text().partition("\n")[0]
        self.assertRegex(first, rf"^ganeti \(1:{re.escape(__version__)}(\+\w+)?\) ")

    def test_every_program_and_unit_is_in_a_package(self) -> None:
        shipped = [
            line.split()[0].rpartition("/")[2]
            for listed in DEBIAN.glob("*.install")
            for line in listed.read_text().splitlines()
        ]
        patterns = [re.compile(name.replace(".", r"\.").replace("*", ".*")) for name in shipped]
        folder = TREE / "daemons"
        programs = [
            *folder.glob("ganeti-*.in"),
            *folder.glob("gnt-*.in"),
            *folder.glob("systemd/*.in"),
        ]
        names = [program.stem for program in programs]
        self.assertGreater(len(names), 20)
        missing = [name for name in names if not any(each.fullmatch(name) for each in patterns)]
        self.assertEqual(missing, [])

    def test_every_manual_page_is_in_a_package(self) -> None:
        shipped = [
            line.rpartition("/")[2].replace("*", ".*")
            for listed in DEBIAN.glob("*.manpages")
            for line in listed.read_text().splitlines()
        ]
        pages = {page.stem for page in TREE.glob("man/*.in")} - {"ganeti-services.8"}  # the wheel's
        missing = [page for page in pages if not any(re.fullmatch(each, page) for each in shipped)]
        self.assertEqual(missing, [])

    def test_the_shell_understands_the_scripts(self) -> None:
        scripts = [*DEBIAN.glob("*.prerm"), *DEBIAN.glob("*.postrm")]
        scripts += [TREE / "daemons" / name for name in ("daemon-util.in", "ganeti.init.in")]
        for script in scripts:
            done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), script)
        packages = TREE / "tools" / "test-packages"
        done = subprocess.run(["bash", "-n", str(packages)], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
