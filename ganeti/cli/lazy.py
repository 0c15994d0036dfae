# SPDX-License-Identifier: BSD-2-Clause
"""Modules that are imported by the first call of one of their functions.

Most of a call's time is spent loading modules, and a call runs one command. The declarations of a
tool name the code of all its commands, so they do it through a :class:`LazyModule`. For the type
checker it is the module itself::

    if TYPE_CHECKING:
        from ganeti.cli.gnt_node import actions
    else:
        actions = LazyModule("ganeti.cli.gnt_node.actions")
"""

from __future__ import annotations

import importlib
from collections.abc import Callable


class LazyFunction:
    """A function whose module is imported when it is called."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def load(self) -> Callable[..., object]:
        """Import the module, and return the function."""
        function: Callable[..., object] = getattr(importlib.import_module(self.module), self.name)
        return function

    def __call__(self, *arguments: object, **more: object) -> object:
        return self.load()(*arguments, **more)


class LazyModule:
    """The functions of a module, none of which can be compared or inspected before it is loaded."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> LazyFunction:
        return LazyFunction(self._name, name)
