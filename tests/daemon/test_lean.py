# SPDX-License-Identifier: BSD-2-Clause
"""Tests of loading Twisted for less."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

TREE = Path(__file__).parents[2]


def said_by(program: str) -> str:
    """What a program prints in a fresh interpreter."""
    lines = ["import sys", "from ganeti.daemon.lean import leaner_imports", program]
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=TREE)
    return done.stdout + done.stderr


class LeanerImportsTests(SynchronousTestCase):
    def test_what_nobody_needs_is_not_loaded_and_nothing_stays_in_its_place(self) -> None:
        program = """
with leaner_imports():
    import msgspec, twisted.internet.reactor, twisted.internet.threads
names = "asyncio ctypes html http.cookiejar ipaddress logging pickle typing_extensions"
print([name for name in names.split() if name in sys.modules])
"""
        self.assertEqual(said_by(program), "[]\n")

    def test_what_is_wanted_later_is_the_module_itself(self) -> None:
        program = """
with leaner_imports():
    import twisted.internet.defer, twisted.logger._stdlib
    from twisted.python import reflect
import asyncio, logging, pickle
print(asyncio.Future.__module__, logging.getLogger("a").name)
print(reflect.pickle.dumps is pickle.dumps, reflect.fullyQualifiedName(reflect.prefixedMethods))
print(twisted.logger._stdlib.STDLibLogObserver().logger.name)
"""
        self.assertEqual(
            said_by(program),
            "_asyncio a\nTrue twisted.python.reflect.prefixedMethods\ntwisted\n",
        )

    def test_coroutines_work(self) -> None:
        program = """
with leaner_imports():
    from twisted.internet.defer import Deferred, inlineCallbacks

async def answer():
    return 42

@inlineCallbacks
def asked():
    return (yield answer())

Deferred.fromCoroutine(answer()).addCallback(print)
asked().addCallback(print)
"""
        self.assertEqual(said_by(program), "42\n42\n")

    def test_a_module_that_is_there_already_stays(self) -> None:
        program = """
import logging
before = logging
with leaner_imports():
    import logging
    print(logging is before)
print(sys.modules["logging"] is before)
"""
        self.assertEqual(said_by(program), "True\nTrue\n")
