# SPDX-License-Identifier: BSD-2-Clause
"""The client library of another project, package python3-ganeti-rapi, and ours, beside it."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

from ganeti.rapi import client as ours
from tests.system.client_tour import Tour
from tests.system.running import SharedCluster

SYSTEM_PYTHON = "/usr/bin/python3"
TOUR = str(Path(__file__).with_name("client_tour.py"))
WHOLE_TOUR = [f"{step.__name__} works" for step in Tour.STEPS]

METHODS = """
import inspect, json
from ganeti.rapi import client
methods = inspect.getmembers(client.GanetiRapiClient, inspect.isfunction)
print(json.dumps({
    name: [
        each.name
        for each in inspect.signature(method).parameters.values()
        if each.kind is not each.VAR_KEYWORD
    ]
    for name, method in methods if not name.startswith("_")
}))
"""


def require_library() -> None:
    """Skip a test where there is no such library."""
    probe = [SYSTEM_PYTHON, "-I", "-c", "from ganeti.rapi import client"]
    if not os.path.exists(SYSTEM_PYTHON) or subprocess.run(probe, stderr=-3).returncode:
        raise SkipTest("there is no such library: install python3-ganeti-rapi")


class TourTests(SharedCluster):
    """Everything that a client library can ask for is done."""

    def tour(self, *command: str) -> None:
        done = self.running.quickstart("run", *command, TOUR)
        self.assertEqual((done.stderr, done.stdout.splitlines()), ("", WHOLE_TOUR))

    def test_the_library_of_others(self) -> None:
        require_library()
        self.tour(SYSTEM_PYTHON, "-I")

    def test_our_own(self) -> None:
        self.tour(sys.executable, "-P")

    def test_ours_has_the_methods_that_users_of_the_other_know(self) -> None:
        require_library()
        done = subprocess.run([SYSTEM_PYTHON, "-I", "-c", METHODS], capture_output=True, text=True)
        different = {}
        for name, parameters in json.loads(done.stdout).items():
            method = getattr(ours.GanetiRapiClient, name, None)
            known = list(inspect.signature(method).parameters) if method else []
            if known[: len(parameters)] != parameters:
                different[name] = known
        self.assertEqual(different, {})
