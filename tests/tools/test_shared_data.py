# SPDX-License-Identifier: BSD-2-Clause
"""The wheel has what ``make install`` installs."""

from __future__ import annotations

import importlib
import subprocess
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tools.shared_data import TREE, make_completions, make_manual_pages, make_os_definitions

SCRIPTS = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]["scripts"]


class EntryPointTests(SynchronousTestCase):
    def test_there_is_one_for_each_launcher(self) -> None:
        launchers = {
            each.name.removesuffix(".in")
            for pattern in ("gnt-*.in", "ganeti-*.in", "move-instance.in")
            for each in (TREE / "daemons").glob(pattern)
        }
        self.assertEqual(set(SCRIPTS), launchers | {"ganeti-services"})

    def test_each_is_a_function_that_the_launcher_calls_too(self) -> None:
        for name, place in SCRIPTS.items():
            module, _, function = place.partition(":")
            self.assertTrue(callable(getattr(importlib.import_module(module), function)), name)
            if not name.startswith("gnt-") and name != "ganeti-services":
                launcher = (TREE / "daemons" / f"{name}.in").read_text()
                self.assertIn(f"from {module} import {function}\n", launcher)


class SharedDataTests(SynchronousTestCase):
    def test_there_is_a_manual_page_for_each_program(self) -> None:
        folder = Path(self.mktemp())
        make_manual_pages(folder)
        self.assertLessEqual(set(SCRIPTS), {each.stem for each in (folder / "man8").iterdir()})
        self.assertTrue((folder / "man7/ganeti.7").read_text().startswith('.\\"'))

    def test_os_definitions_keep_the_modes_of_their_scripts(self) -> None:
        folder = Path(self.mktemp())
        make_os_definitions(folder)
        self.assertTrue((folder / "noop/create").stat().st_mode & 0o100)
        self.assertFalse((folder / "noop/ganeti_api_version").stat().st_mode & 0o100)
        tracked = subprocess.run(
            ["git", "ls-files", "os"], cwd=TREE, capture_output=True, text=True, check=False
        ).stdout.split()
        made = {f"os/{each.relative_to(folder)}" for each in folder.rglob("*") if each.is_file()}
        self.assertLessEqual(set(tracked), made)

    def test_bash_loads_the_completion_of_each_tool_by_its_name(self) -> None:
        folder = Path(self.mktemp())
        make_completions(folder)
        tools = {name for name in SCRIPTS if name.startswith("gnt-")}
        found = {each.name for each in (folder / "bash-completion/completions").iterdir()}
        self.assertEqual(found, tools)
        self.assertTrue((folder / "zsh/site-functions/_ganeti").exists())
