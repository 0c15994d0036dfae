# SPDX-License-Identifier: BSD-2-Clause
"""Another process finds the modules of this one, wherever they are installed."""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

import ganeti
from ganeti.system.subprocess_modules import module_environment


class EnvironmentTests(SynchronousTestCase):
    def test_a_module_of_this_program_runs_from_another_folder(self) -> None:
        script = "import ganeti; print(ganeti.__file__)"
        result = subprocess.run(
            [sys.executable, "-c", script],
            env=dict(module_environment()),
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(result.stdout.strip(), ganeti.__file__)

    def test_the_current_folder_is_no_part_of_the_search_path(self) -> None:
        self.patch(sys, "path", ["", "/usr/lib/ganeti", ""])
        path = module_environment()["PYTHONPATH"].split(os.pathsep)
        self.assertEqual(path, ["/usr/lib/ganeti"])
