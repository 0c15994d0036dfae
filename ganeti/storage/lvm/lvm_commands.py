# SPDX-License-Identifier: BSD-2-Clause
"""Runs the programs of lvm2; classifies their errors, and shares their reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ganeti.errors import Code, Failed, Refused
from ganeti.storage.lvm import reports
from ganeti.system.interfaces import IProcesses

T = TypeVar("T")

# Errors are recognized by their messages, which must not be translated.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
TIMEOUT = 600.0
"""Timeout in seconds; with a lost device, the programs wait until the kernel gives it up."""

KNOWN_ERRORS = (
    ("already exists in volume group", Code.EXISTS),
    # Without the first letter, whose case depends on the message of lvm2.
    ("nsufficient free space", Code.RESOURCES),
    ("nsufficient suitable", Code.RESOURCES),
    ("not found", Code.UNKNOWN),
    ("Failed to find", Code.UNKNOWN),
    (" in use", Code.STATE),
    ("is used by another device", Code.STATE),
)
"""Parts of error messages of lvm2 that mean a refusal, not a failure."""


class CoalescedQuery(Generic[T]):
    """A query whose result is shared by all concurrent callers.

    A caller that comes while the query runs gets the result of the next run, as the current one may
    not reflect what the caller has just changed.
    """

    def __init__(self, ask: Callable[[], Coroutine[Deferred[object], object, T]]) -> None:
        self._ask = ask
        self._waiting: list[Deferred[T]] = []
        self._asking = False

    def __call__(self) -> Awaitable[T]:
        answer: Deferred[T] = Deferred()
        self._waiting.append(answer)
        if not self._asking:
            self._start()
        return answer

    def _start(self) -> None:
        # Set first: a query may end before ``fromCoroutine`` returns, which clears this.
        self._asking = True
        waiting, self._waiting = self._waiting, []
        Deferred.fromCoroutine(self._ask()).addBoth(self._deliver, waiting)

    def _deliver(self, result: T | Failure, waiting: list[Deferred[T]]) -> None:
        # Cleared first: a callback may ask again, and must not wait for a run that has ended.
        self._asking = False
        if self._waiting:
            self._start()
        # A Deferred that its caller has cancelled meanwhile ignores one late result.
        for each in waiting:
            each.callback(result)


class Lvm:
    """The programs of lvm2 on this node.

    ``options`` are passed to each program; ``--driverloaded n`` changes only metadata on the
    devices, without the kernel's device mapper.
    """

    def __init__(self, processes: IProcesses, options: Sequence[str] = ()) -> None:
        self._processes = processes
        self._options = tuple(options)
        # One query for each report, so that a node with many disks runs lvs once, not once per
        # disk.
        self.volumes = CoalescedQuery(self._volumes)
        self.groups = CoalescedQuery(self._groups)
        self.devices = CoalescedQuery(self._devices)

    async def run(self, program: str, *arguments: str) -> bytes:
        """Run a program and return its output.

        :raises Refused: if its message is a known refusal.
        :raises Failed: for any other error.
        """
        command = [program, *self._options, *arguments]
        ended = await self._processes.run(command, env=ENVIRONMENT, timeout=TIMEOUT)
        if ended.code == 0:
            return ended.out
        said = _error_message(ended.err)
        # The exit code is the same for nearly all errors of lvm2; only the message tells them
        # apart.
        for part, code in KNOWN_ERRORS:
            if part in said:
                raise Refused(said, code)
        raise Failed(f"{program} failed: {said or f'exit code {ended.code}'}", Code.ENVIRONMENT)

    async def _volumes(self) -> list[reports.LogicalVolume]:
        return reports.parse_logical_volumes(await self.run(*reports.VOLUMES))

    async def _groups(self) -> list[reports.VolumeGroup]:
        return reports.parse_volume_groups(await self.run(*reports.GROUPS))

    async def _devices(self) -> list[reports.PhysicalVolume]:
        return reports.parse_physical_volumes(await self.run(*reports.DEVICES))


def _error_message(err: bytes) -> str:
    lines = (line.strip() for line in err.decode("utf-8", "replace").splitlines())
    # Warnings, for example of a missing device, are printed by commands that succeed, too.
    return "; ".join(line for line in lines if line and not line.startswith("WARNING"))
