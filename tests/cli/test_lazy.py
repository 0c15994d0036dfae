# SPDX-License-Identifier: BSD-2-Clause
"""The code of commands is loaded when they run, and exists."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.lazy import LazyFunction, LazyModule
from tests.golden.command_table import tools


def lazy_functions() -> Iterator[tuple[str, LazyFunction, int]]:
    """Yield the functions that commands name, and how many arguments each is called with."""
    for tool in tools():
        for command in tool.commands:
            for named, count in ((command.run, 2), (command.given, 1), (command.ended, 3)):
                bound = len(named.args) if isinstance(named, functools.partial) else 0
                function = named.func if isinstance(named, functools.partial) else named
                if isinstance(function, LazyFunction):
                    yield f"{tool.name} {command.name}", function, count + bound


def takes(function: LazyFunction, count: int) -> bool:
    """Return whether the function exists, and can be called with so many arguments."""
    try:
        inspect.signature(function.load()).bind(*range(count))
    except (AttributeError, TypeError):
        return False
    return True


class LazyModuleTests(SynchronousTestCase):
    def test_a_module_is_loaded_by_the_first_call(self) -> None:
        sys.modules.pop("colorsys", None)
        function = LazyModule("colorsys").rgb_to_hsv
        self.assertNotIn("colorsys", sys.modules)
        self.assertEqual(function(0, 0, 0), (0.0, 0.0, 0))
        self.assertIn("colorsys", sys.modules)

    def test_a_function_of_a_command_takes_what_it_is_given(self) -> None:
        found = list(lazy_functions())
        self.assertGreater(len(found), 80)
        wrong = [where for where, function, count in found if not takes(function, count)]
        self.assertEqual(wrong, [])
