# SPDX-License-Identifier: BSD-2-Clause
"""Running the programs of lvm2: their refusals in our words, their reports asked for once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ganeti.errors import Code, Failed, Refused
from ganeti.storage.lvm import reports
from ganeti.system.interfaces import IProcesses

T = TypeVar("T")

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
TIMEOUT = 600.0
"""Seconds; a device that has gone makes these programs wait for the kernel to give it up."""

REFUSALS = (
    ("already exists in volume group", Code.EXISTS),
    ("nsufficient free space", Code.RESOURCES),
    ("nsufficient suitable", Code.RESOURCES),
    ("not found", Code.UNKNOWN),
    ("Failed to find", Code.UNKNOWN),
    (" in use", Code.STATE),
    ("is used by another device", Code.STATE),
)
"""Parts of the messages of lvm2 by which a refusal is told from a failure."""


class Shared(Generic[T]):
    """A question that is asked once for all who want the answer.

    Who asks while an answer is under way gets the next one, because that one may have been made
    before what the asker has just done.
    """

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._ask = ask
        self._waiting: list[Deferred[T]] = []
        self._asking = False

    def __call__(self) -> Awaitable[T]:
        answer: Deferred[T] = Deferred()
        self._waiting.append(answer)
        if not self._asking:
            self._begin()
        return answer

    def _begin(self) -> None:
        self._asking = True
        waiting, self._waiting = self._waiting, []
        Deferred.fromCoroutine(self._ask()).addBoth(self._tell, waiting)

    def _tell(self, result: T | Failure, waiting: list[Deferred[T]]) -> None:
        self._asking = False
        if self._waiting:
            self._begin()
        for each in waiting:
            each.callback(result)


class Lvm:
    """The programs of lvm2 on this node.

    ``options`` are given to each of them; with ``--driverloaded n`` only the metadata on the
    devices changes, and no kernel is asked for anything.
    """

    def __init__(self, processes: IProcesses, options: Sequence[str] = ()) -> None:
        self._processes = processes
        self._options = tuple(options)
        self.volumes = Shared(self._volumes)
        self.groups = Shared(self._groups)
        self.devices = Shared(self._devices)

    async def run(self, program: str, *arguments: str) -> bytes:
        """What the program wrote.

        :raises Refused: it said so; the message is its own.
        :raises Failed: anything else went wrong.
        """
        command = [program, *self._options, *arguments]
        ended = await self._processes.run(command, env=ENVIRONMENT, timeout=TIMEOUT)
        if ended.code == 0:
            return ended.out
        said = _message(ended.err)
        for part, code in REFUSALS:
            if part in said:
                raise Refused(said, code)
        raise Failed(f"{program} failed: {said or f'exit code {ended.code}'}", Code.ENVIRONMENT)

    async def _volumes(self) -> list[reports.LogicalVolume]:
        return reports.logical_volumes(await self.run(*reports.VOLUMES))

    async def _groups(self) -> list[reports.VolumeGroup]:
        return reports.volume_groups(await self.run(*reports.GROUPS))

    async def _devices(self) -> list[reports.PhysicalVolume]:
        return reports.physical_volumes(await self.run(*reports.DEVICES))


def _message(err: bytes) -> str:
    lines = (line.strip() for line in err.decode("utf-8", "replace").splitlines())
    return "; ".join(line for line in lines if line and not line.startswith("WARNING"))
