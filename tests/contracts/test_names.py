# SPDX-License-Identifier: BSD-2-Clause
"""Host names, in memory and of this host, do the same."""

from __future__ import annotations

from typing import Any, cast

from twisted.trial.unittest import TestCase

from ganeti.system.interfaces import IHostNames
from ganeti.system.name_resolution import SystemNames
from ganeti.system.threads import InThread
from ganeti.testing.names import MemoryNames
from tests.contracts.names import NamesContract


async def at_once(function: Any, *arguments: Any, **named: Any) -> Any:
    return function(*arguments, **named)


class MemoryNamesTests(NamesContract, TestCase):
    def names(self) -> IHostNames:
        return MemoryNames(unknown=["no..name"], used=["localhost"])


class SystemNamesTests(NamesContract, TestCase):
    def names(self) -> IHostNames:
        return SystemNames(cast(InThread, at_once), 1)
