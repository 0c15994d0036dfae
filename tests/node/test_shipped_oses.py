# SPDX-License-Identifier: BSD-2-Clause
"""The OS definitions that ship are valid and do what they say, on real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.trial.unittest import TestCase

from ganeti.errors import Failed
from ganeti.model.guest import Guest
from ganeti.node.oses import OSDefinitions
from ganeti.node.scripts import OSScripts
from ganeti.rpc.node import ValidateOS
from ganeti.system.files import LocalFiles
from ganeti.system.processes import LocalProcesses
from ganeti.testing.builders import a_disk, a_guest

P = ParamSpec("P")
T = TypeVar("T")
OSES = str(Path(__file__).parents[2] / "os")


async def at_once(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do what blocks without a thread."""
    return function(*args, **kwargs)


class ShippedTests(TestCase):
    def setUp(self) -> None:
        clock = cast(IReactorTime, reactor)
        files = LocalFiles(at_once)
        self.definitions = OSDefinitions(files, [OSES])
        processes = LocalProcesses(cast(IReactorFDSet, reactor), clock)
        self.logs = str(self.mktemp())
        self.scripts = OSScripts(self.definitions, processes, files, self.logs, clock.seconds)

    def a_disk(self) -> str:
        path = Path(self.mktemp())
        path.write_bytes(bytes(1 << 20))
        return str(path.absolute())

    def mini(self, **over: Any) -> Guest:
        return a_guest("web1", os="mini", disks=[a_disk("a", size=1)], **over)

    def test_all_are_valid(self) -> None:
        found = {
            each.name: (each.valid, each.diagnosis) for each in self.definitions.all_definitions()
        }
        self.assertEqual(found, {"mini": (True, ""), "noop": (True, "")})

    async def test_noop_leaves_nothing(self) -> None:
        await self.scripts.create(a_guest("web1", os="noop"), [])
        self.assertEqual(logs(self.logs), [])

    async def test_mini_labels_the_first_disk(self) -> None:
        disk = self.a_disk()
        await self.scripts.create(self.mini(osparams={"greeting": "welcome"}), [disk])
        self.assertEqual(content(disk).rstrip(b"\0"), b"mini web1\nwelcome\n")
        self.assertEqual(len(content(disk)), 1 << 20)

    async def test_mini_keeps_its_greeting_when_it_is_renamed(self) -> None:
        disk = self.a_disk()
        await self.scripts.create(self.mini(osparams={"greeting": "welcome"}), [disk])
        renamed = a_guest("web2", os="mini", disks=[a_disk("a", size=1)])
        await self.scripts.rename(renamed, [disk], "web1")
        self.assertEqual(content(disk).rstrip(b"\0"), b"mini web2\nwelcome\n")

    async def test_mini_is_exported_and_imported(self) -> None:
        disk, copy, dump, size = self.a_disk(), self.a_disk(), self.mktemp(), self.mktemp()
        await self.scripts.create(self.mini(), [disk])
        await self.scripts.export(self.mini(), [disk], 0, sink=dump, announced=size)
        await self.scripts.restore(self.mini(), [copy], 0, source=dump)
        self.assertEqual(content(copy), content(disk))
        self.assertEqual(content(size), b"1048576\n")

    async def test_mini_refuses_a_greeting_of_two_lines(self) -> None:
        call = ValidateOS(os="mini", osparams={"greeting": "a\nb"})
        with self.assertRaisesRegex(Failed, "greeting must be a single line"):
            await self.scripts.verify(call)
        await self.scripts.verify(ValidateOS(os="mini", osparams={"greeting": "a"}))


def content(path: str) -> bytes:
    return Path(path).read_bytes()


def logs(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]
