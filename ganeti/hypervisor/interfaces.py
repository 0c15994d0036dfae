# SPDX-License-Identifier: BSD-2-Clause
"""What a node does with the guests of one hypervisor."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zope.interface import Interface

from ganeti.errors import Code, Failed
from ganeti.model.disk import Disk
from ganeti.model.guest import CheckScope, Guest, GuestNic, GuestState
from ganeti.model.running import RunningConfig
from ganeti.schema.types import Parameters


class NotRunning(Failed):
    """There is no such guest here."""

    def __init__(self, name: str) -> None:
        super().__init__(f"instance {name} does not run on this node", Code.STATE)


class Running(Failed):
    """There is such a guest here already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"instance {name} runs on this node already", Code.STATE)


@dataclass(frozen=True)
class AttachedDisk:
    """A disk and the device or file where it can be read and written."""

    disk: Disk
    path: str


@dataclass(frozen=True)
class Equipment:
    """What a guest has beside its parameters: network cards, and a number of disks.

    ``scope`` is how much of it all is checked. The hypervisor's program must not be older than
    ``minimum_version``, unless that is empty.
    """

    nics: tuple[GuestNic, ...] = ()
    disks: int = 0
    scope: CheckScope = CheckScope.ALL
    minimum_version: str = ""


NO_EQUIPMENT = Equipment()


class ConsoleKind(enum.StrEnum):
    """How a console is reached: a program to run on the node, VNC, or only words about it."""

    SSH = "ssh"
    VNC = "vnc"
    MESSAGE = "msg"


@dataclass(frozen=True, kw_only=True)
class ConsoleAccess:
    """Where a guest's console is; ``command`` is run on the node, as ``user``."""

    kind: ConsoleKind
    message: str | None = None
    host: str | None = None
    port: int | None = None
    user: str | None = None
    command: tuple[str, ...] | None = None
    display: str | None = None


class MigrationPhase(enum.StrEnum):
    """Where the sending of a guest stands."""

    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class MigrationProgress:
    """How far the sending of a guest is; sizes in bytes. ``message`` says why it failed."""

    phase: MigrationPhase
    transferred: int = 0
    total: int = 0
    downtime_ms: int | None = None
    message: str = ""


class IHypervisor(Interface):
    """What a node does with the guests of one hypervisor.

    Guests outlive this object: another one made of the same things finds them. One operation at
    a time per guest is the business of the caller.
    """

    async def start(guest: Guest, disks: Sequence[AttachedDisk], *, paused: bool = False) -> None:
        """Start a guest; it runs when this returns, or is held before its first instruction.

        Nothing is left of a guest that could not be started.

        :raises Running: it runs here, or is on its way to here.
        """

    async def stop(name: str, *, hard: bool) -> None:
        """Ask a guest to stop, which may take its time, or with ``hard`` end it now.

        Hard also ends a guest that is on its way in or out.

        :raises NotRunning: there is no such guest.
        """

    async def reboot(guest: Guest) -> None:
        """Reset a guest; it goes on running with the disks and parameters that it has.

        :raises NotRunning: there is no such guest.
        """

    def running() -> Mapping[str, GuestState]:
        """The guests that run now, by name; cheap enough to be asked all the time.

        A guest on its way to here runs once ``finish_incoming`` says so, one that has left no
        longer does.
        """

    async def console(guest: Guest) -> ConsoleAccess:
        """How to reach the console of a guest.

        :raises NotRunning: there is no such guest.
        """

    async def validate(hvparams: Parameters, equipment: Equipment = NO_EQUIPMENT) -> None:
        """Check filled parameters against this node: files are there, values make sense.

        ``equipment`` is what else the guest would have, as far as the node can check it.

        :raises Invalid: lists every problem, the parameter's name as its path.
        """

    async def version(hvparams: Parameters) -> str:
        """Return the version of the program for guests with these parameters; empty without one.

        :raises Failed: the program cannot be run.
        """

    async def running_config(guest: Guest) -> RunningConfig:
        """Return what a guest was started with.

        If that was not recorded, it is as good as what is known, the rest being as configured.

        :raises NotRunning: there is no such guest.
        """

    async def accept(
        guest: Guest, disks: Sequence[AttachedDisk], address: str, running: RunningConfig
    ) -> str:
        """Await a guest at ``address``; answer the address and port for its sender.

        ``guest`` is as it runs (see ``model.running``), and ``running`` what it was started with,
        to be recorded here.

        :raises Running: it runs here, or is awaited already.
        """

    async def migrate(guest: Guest, destination: str, *, live: bool) -> None:
        """Begin to send a guest; unless ``live`` it is held first.

        :raises NotRunning: there is no such guest.
        """

    async def sending(guest: Guest) -> MigrationProgress:
        """How far sending is. A guest that was sent as a whole no longer runs here.

        :raises NotRunning: there is no such guest.
        """

    async def finish_incoming(guest: Guest, *, arrived: bool) -> str:
        """Keep an awaited guest, which runs from now on, or drop what was prepared for it.

        Dropping what is not there succeeds, keeping a guest that runs already does too. Return what
        the hypervisor wrote about a guest that is dropped, such as why it did not arrive.

        :raises NotRunning: nothing was prepared.
        """

    async def finish_outgoing(guest: Guest, *, left: bool) -> None:
        """Forget a guest that was sent (forgetting a forgotten one succeeds), or keep it.

        A guest that is kept stops being sent and runs on.

        :raises NotRunning: there is no guest to keep.
        """
