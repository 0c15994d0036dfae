# SPDX-License-Identifier: BSD-2-Clause
"""The interface of hypervisors on a node."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from zope.interface import Interface

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk
from ganeti.model.guest import CheckScope, Counters, Guest, GuestNic, GuestState
from ganeti.model.instance_snapshots import SavedMemory
from ganeti.model.running import RunningConfig
from ganeti.schema.types import Parameters


class NotRunning(Failed):
    """The guest does not run on this node."""

    def __init__(self, name: str) -> None:
        super().__init__(f"instance {name} is not running on this node", Code.STATE)


class Running(Failed):
    """The guest runs on this node already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"instance {name} is already running on this node", Code.STATE)


def more_than_started(name: str, memory: int, wanted: int) -> Refused:
    """Return the refusal of memory that a running guest cannot get; both are in MiB."""
    return Refused(
        f"instance {name} was started with {memory} MiB of memory, and cannot get {wanted} MiB"
        f" while it runs; set its maxmem and restart it: gnt-instance modify -B maxmem={wanted}"
        f" {name}, then gnt-instance reboot {name}",
        Code.STATE,
    )


def no_screen(name: str) -> Refused:
    """Return the refusal of what needs a screen."""
    return Refused(
        f"instance {name} has no screen: set its hypervisor parameter vnc_bind_address, spice_bind"
        " or vga, and stop and start it",
        Code.STATE,
    )


@dataclass(frozen=True)
class AttachedDisk:
    """A disk and the path of its device or file."""

    disk: Disk
    path: str


@dataclass(frozen=True)
class GuestDevices:
    """The devices of a guest: its network cards, and the number of its disks.

    ``scope`` selects which checks are made. The hypervisor's program must not be older than
    ``minimum_version``, unless that is empty.
    """

    nics: tuple[GuestNic, ...] = ()
    disks: int = 0
    scope: CheckScope = CheckScope.ALL
    minimum_version: str = ""


NO_DEVICES = GuestDevices()


class ConsoleKind(enum.StrEnum):
    """How to connect to a console: a command on the node, VNC, SPICE, or a message why not."""

    SSH = "ssh"
    VNC = "vnc"
    SPICE = "spice"
    MESSAGE = "msg"


@dataclass(frozen=True, kw_only=True)
class ConsoleAccess:
    """How to connect to the console of a guest; ``command`` is run on the node as ``user``."""

    kind: ConsoleKind
    message: str | None = None
    host: str | None = None
    port: int | None = None
    user: str | None = None
    command: tuple[str, ...] | None = None
    display: str | None = None


class ConsoleStream(enum.StrEnum):
    """What can be seen of a guest: its serial line, or its screen."""

    SERIAL = "serial"
    VNC = "vnc"


@dataclass(frozen=True)
class ConsoleSocket:
    """Where a node reaches a console of a guest: a Unix socket, or a port of a host."""

    path: str | None = None
    host: str | None = None
    port: int | None = None


class MigrationPhase(enum.StrEnum):
    """The phase of an outgoing migration."""

    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class MigrationProgress:
    """The progress of an outgoing migration; sizes in bytes. ``message`` is the reason of a
    failure."""

    phase: MigrationPhase
    transferred: int = 0
    total: int = 0
    downtime_ms: int | None = None
    message: str = ""


class ILiveCopies(Interface):
    """A hypervisor that copies the disks of a running guest to the node that it migrates to.

    The target was prepared by ``accept`` with ``copies``: its disks are written by the source until
    the guest has arrived there. The source copies until ``migrate`` has sent the guest, and follows
    what the guest writes meanwhile; the copies are equal when ``sending`` reports the end.
    """

    async def receive_disks(guest: Guest, address: str) -> str:
        """Let the source write to the disks of an awaited guest; return the address and port.

        :raises NotRunning: it is not awaited.
        """

    async def copy_disks(guest: Guest, destination: str, secret: str) -> None:
        """Start to copy all disks of a running guest to where ``receive_disks`` awaits them.

        If that fails, nothing is copied.

        :raises NotRunning: there is no such guest.
        :raises Refused: it runs with other disks than those of ``guest``.
        """

    async def copying(guest: Guest) -> MigrationProgress:
        """Return the progress of the copies; completed once they follow the guest.

        :raises NotRunning: there is no such guest.
        """


class ILiveSnapshots(Interface):
    """A hypervisor whose running guests keep the images of their disks open, and write to them.

    While a guest runs, only its hypervisor can change the snapshots in them, or keep it from
    writing.
    """

    async def snapshot_disks(guest: Guest, name: str) -> bool:
        """Create a snapshot of each disk of a running guest, at one instant; it keeps running.

        Return whether the guest agent had its file systems written and frozen meanwhile. If the
        creation fails, nothing remains.

        :raises NotRunning: there is no such guest.
        :raises Refused: it runs with other disks than those of ``guest``.
        :raises Failed: with the reason.
        """

    async def remove_disk_snapshots(guest: Guest, name: str) -> None:
        """Remove the snapshot from each disk of a running guest that has it.

        :raises NotRunning: there is no such guest.
        """

    def hold_writes(guest: Guest) -> AbstractAsyncContextManager[bool]:
        """Keep a running guest from writing to its disks until the block ends.

        All that it has written is with the storage. Return whether the guest agent has frozen its
        file systems.

        :raises NotRunning: there is no such guest.
        """

    async def release_guest(guest: Guest) -> None:
        """Let a guest run whose snapshot was interrupted, and thaw its file systems.

        :raises NotRunning: there is no such guest.
        """


class IMemorySnapshots(Interface):
    """A hypervisor that saves the memory of a guest in the images of its disks."""

    async def snapshot_memory(guest: Guest, name: str) -> SavedMemory:
        """Create a snapshot of each disk and of the memory of a running guest, which goes on.

        It is stopped meanwhile. If the creation fails, parts may remain in the images.

        :raises NotRunning: there is no such guest.
        :raises Refused: it could not go on from there.
        :raises Failed: with the reason.
        """

    async def find_memory_problem(guest: Guest, saved: SavedMemory) -> str:
        """Return why this node cannot load the memory of a guest; empty if it can."""

    async def resume_from_memory(guest: Guest, name: str, saved: SavedMemory) -> None:
        """Load a snapshot into a guest that was started paused, and let it run.

        :raises NotRunning: there is no such guest.
        :raises Refused: it was started with other devices.
        :raises Failed: with the reason.
        """


@dataclass(frozen=True)
class LiveDisk:
    """A disk of a running guest in an export by NBD; ``bitmap`` says what has changed, if known."""

    name: str
    bitmap: str = ""


@dataclass(frozen=True)
class LivePoint:
    """The disks of a running guest as they were at one moment, exported at a Unix socket.

    ``full`` says why it is not known what has changed; ``frozen`` whether the guest's agent had
    frozen its file systems.
    """

    socket: str
    disks: tuple[LiveDisk, ...]
    full: str = ""
    frozen: bool = False


class IPacketFilters(Interface):
    """A hypervisor whose guests have packet filters and DHCP servers on this host."""

    async def restore_filters() -> Sequence[str]:
        """Set the filters of running guests again that are missing.

        Return the names of these guests, one for each card.

        :raises Failed: they cannot be listed or set.
        """

    async def restore_servers() -> Sequence[str]:
        """Start the DHCP servers of running guests again that have ended.

        Return the names of these guests, one for each card.

        :raises Failed: one cannot be started.
        """


class ILiveBackups(Interface):
    """A hypervisor that shows the disks of a running guest as they were at one moment."""

    async def begin_backup(
        guest: Guest,
        disks: Sequence[AttachedDisk],
        repository: str,
        backup: str,
        parent: str,
    ) -> LivePoint:
        """Export all disks as they are now, and begin to count changes for the next backup.

        ``repository`` is an identity, ``parent`` an earlier backup there, or empty. If this fails,
        the guest is as before.

        :raises NotRunning: there is no such guest.
        :raises Refused: this guest cannot be backed up while it runs.
        """

    async def end_backup(guest: Guest, repository: str, backup: str, *, complete: bool) -> None:
        """End the export; succeed if there is none.

        The next backup has the changes since this one if it is ``complete``, else since its parent.
        """

    async def end_interrupted_backups() -> None:
        """End all exports, which an earlier daemon has left."""


class IHypervisor(Interface):
    """Manages the guests of one hypervisor on this node.

    Guests outlive this object: another one with the same records finds them. The caller serializes
    the operations on a guest.
    """

    async def start(
        guest: Guest,
        disks: Sequence[AttachedDisk],
        *,
        paused: bool = False,
        seed: bytes | None = None,
    ) -> None:
        """Start a guest; when this returns it is running, or paused before its first instruction.

        ``seed`` is the image of a small read-only volume for its first boot, which the guest has
        until it ends.

        If the start fails, nothing of the guest remains.

        :raises Running: if it runs here, or is awaited from another node.
        """

    async def stop(name: str, *, hard: bool) -> None:
        """Request a guest to shut down, or with ``hard`` kill it.

        With ``hard``, this also ends incoming and outgoing migrations.

        :raises NotRunning: if there is no such guest.
        """

    def present() -> frozenset[str]:
        """Return the names of the guests that have a process here, whether they run or not.

        Also those that are being started, that are awaited from another node, where they run as
        soon as they have arrived, and those that were sent away.
        """

    async def kill(names: Collection[str]) -> None:
        """End guests at once, without a request to them or to their processes, which may hang.

        All of them are killed before the end of one is awaited, for a few seconds. Those that are
        not present are ignored.

        :raises Failed: some do not end; all others have ended.
        """

    async def reboot(guest: Guest) -> None:
        """Reset a guest; it keeps its disks and parameters.

        :raises NotRunning: if there is no such guest.
        """

    def running() -> Mapping[str, GuestState]:
        """Return the running guests by name; cheap, as it is called often.

        An incoming guest counts from ``finish_incoming`` on; a guest that has been migrated away
        does not count.
        """

    def counters() -> Mapping[str, Counters]:
        """Return what the running guests have used, by name; cheap, as it is called often."""

    async def console(guest: Guest) -> ConsoleAccess:
        """Return how to connect to the console of a guest.

        :raises NotRunning: if there is no such guest.
        """

    async def console_sockets(guest: Guest) -> Mapping[ConsoleStream, ConsoleSocket]:
        """Return the consoles that a guest was started with, and where this node reaches them.

        :raises NotRunning: there is no such guest.
        """

    async def change_media(guest: Guest, *, force: bool) -> None:
        """Put the configured images into the CD drives that a running guest has, or empty these.

        A guest that has locked a drive is asked to open it, or with ``force`` its CD is changed all
        the same. A drive that the guest was started without is there after its next start.

        :raises NotRunning: there is no such guest.
        :raises Refused: the guest has locked a drive, and does not open it.
        :raises Failed: an image cannot be opened.
        """

    async def find_hotplug_problem(guest: Guest) -> str:
        """Return why devices of a running guest cannot be added and removed; empty if they can.

        :raises NotRunning: there is no such guest.
        """

    async def plug(guest: Guest, device: AttachedDisk | GuestNic) -> None:
        """Add a disk or network card to a running guest; do nothing if it has it.

        A card that it has is changed to ``device``. The guest keeps the device when it is migrated.

        :raises NotRunning: there is no such guest.
        :raises Refused: this guest cannot get such a device while it runs.
        :raises Failed: the device could not be added; the guest does not have it.
        """

    async def unplug(guest: Guest, uuid: str) -> None:
        """Remove a disk or network card from a running guest; succeed if it does not have it.

        When this returns, the guest no longer uses the device.

        :raises NotRunning: there is no such guest.
        :raises Refused: this guest cannot lose a device while it runs.
        :raises Failed: the guest does not release the device.
        """

    async def set_memory(guest: Guest, memory: int) -> None:
        """Change the memory of a running guest to ``memory`` MiB, and wait until it has.

        The guest keeps it when it is migrated, and until it ends.

        :raises NotRunning: there is no such guest.
        :raises Refused: it was started with less, or its memory cannot change while it runs.
        :raises Failed: the guest does not give or take it; it has as much as before.
        """

    async def screenshot(guest: Guest) -> bytes:
        """Return a small picture of a guest's screen, as PNG.

        :raises NotRunning: there is no such guest.
        :raises Refused: it has no screen.
        """

    async def validate(hvparams: Parameters, equipment: GuestDevices = NO_DEVICES) -> None:
        """Check complete parameters on this node: files exist, values are consistent.

        ``equipment`` are the devices that the guest would have.

        :raises Invalid: with all problems; the path of each is the name of the parameter.
        """

    async def version(hvparams: Parameters) -> str:
        """Return the version of the program that runs guests with these parameters; empty if there
        is none.

        :raises Failed: if the program cannot be run.
        """

    async def read_firmware_variables(guest: Guest) -> bytes:
        """Return what the firmware and the TPM of a stopped guest have kept here.

        Empty if they keep nothing.
        """

    async def store_firmware_variables(guest: Guest, content: bytes) -> None:
        """Keep what another node has read for the firmware and TPM of a guest, for its next start.

        Without content, remove all that is kept here for it; succeed if there is nothing.

        :raises Running: the guest runs here, or is awaited from another node.
        """

    async def running_config(guest: Guest) -> RunningConfig:
        """Return the configuration that a guest was started with.

        If it was not recorded, what is known is completed with the current configuration.

        :raises NotRunning: if there is no such guest.
        """

    async def accept(
        guest: Guest,
        disks: Sequence[AttachedDisk],
        address: str,
        running: RunningConfig,
        *,
        seed: bytes | None = None,
        secret: str = "",
        copies: bool = False,
    ) -> str:
        """Prepare for an incoming migration on ``address``; return the address and port for the
        source.

        ``guest`` is the guest as it runs (see ``model.running``); ``running`` is the configuration
        it was started with, which is recorded here. ``seed`` is given if that has one.

        Only a source that knows ``secret``, in hex, can connect, and the stream is encrypted;
        without one, any can, and it is not. With ``copies``, the source writes the disks first (see
        ``ILiveCopies``), and the guest waits for ``finish_incoming``.

        :raises Running: if it runs here, or is awaited already.
        """

    async def migrate(guest: Guest, destination: str, *, live: bool, secret: str = "") -> None:
        """Start the migration of a guest; unless ``live``, it is paused first.

        With ``secret``, as the destination has it, the guest is sent encrypted. Copies of its disks
        in progress are completed while it is paused at the end.

        :raises NotRunning: if there is no such guest.
        """

    async def sending(guest: Guest) -> MigrationProgress:
        """Return the progress of the migration. A guest that was sent completely no longer runs
        here.

        :raises NotRunning: if there is no such guest.
        """

    async def finish_incoming(guest: Guest, *, arrived: bool) -> str:
        """Let an incoming guest run if it ``arrived``, otherwise remove what was prepared for it.

        Both are idempotent. Return the log of the hypervisor for a guest that is removed, which may
        have the reason of the failure.

        :raises NotRunning: if nothing was prepared for it.
        """

    async def finish_outgoing(guest: Guest, *, left: bool) -> None:
        """Remove a guest that has ``left`` (idempotent), otherwise let it run here again.

        In the latter case, a migration in progress is canceled.

        :raises NotRunning: if there is no guest that could run.
        """
