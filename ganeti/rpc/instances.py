# SPDX-License-Identifier: BSD-2-Clause
"""Calls about guests: start, stop, OS installation, console, migration."""

from __future__ import annotations

import enum

from ganeti.model.guest import Guest, GuestState
from ganeti.model.running import RunningConfig
from ganeti.rpc.call import FAST, NO_TIMEOUT, NORMAL, URGENT, Call
from ganeti.schema.records import Record
from ganeti.schema.types import InstanceName, Integer, Line, Parameters, Positive, Seconds


class RebootMethod(enum.StrEnum):
    """How to reboot an instance: from inside the guest, or by a stop and a start."""

    SOFT = "soft"
    HARD = "hard"
    FULL = "full"


class StartInstanceCall(Call[None]):
    """Start a guest whose disks are attached; starting a running guest succeeds."""

    wire = "instance_start"
    call_timeout = NORMAL

    guest: Guest
    paused: bool = False


class StopInstance(Call[None]):
    """Shut down a guest, and kill it after ``timeout``; stopping a stopped guest succeeds."""

    wire = "instance_shutdown"
    call_timeout = NORMAL
    ends_with_asker = True

    instance_name: InstanceName
    hypervisor: Line
    timeout: Seconds
    hvparams: Parameters = {}

    def answer_timeout(self) -> float:
        return self.timeout + self.call_timeout


class RebootInstanceCall(Call[None]):
    """Reboot a running guest; the master carries out ``full`` by a stop and a start."""

    wire = "instance_reboot"
    call_timeout = NORMAL

    guest: Guest
    kind: RebootMethod
    timeout: Seconds

    def answer_timeout(self) -> float:
        return self.timeout + self.call_timeout


class InstallOS(Call[None]):
    """Run the OS definition's create script for a guest; ``reinstall`` is passed to it."""

    wire = "instance_os_add"
    call_timeout = NO_TIMEOUT
    ends_with_asker = True

    guest: Guest
    reinstall: bool = False
    debug: Integer = 0


class RenameOS(Call[None]):
    """Run the OS definition's rename script; ``guest`` has the new name."""

    wire = "instance_run_rename"
    call_timeout = NO_TIMEOUT
    ends_with_asker = True

    guest: Guest
    old_name: InstanceName


class ListGuests(Call[dict[str, GuestState]], omit_defaults=True):
    """Return the running guests of the given hypervisors by name; with ``only``, some of them."""

    wire = "all_instances_info"
    call_timeout = URGENT

    hypervisors: tuple[Line, ...]
    only: tuple[Line, ...] | None = None


class ConsoleInfo(Record, omit_defaults=True):
    """Connection data of a guest's console; ``kind`` is ssh, vnc, spice or msg."""

    instance: str
    kind: str
    message: str | None = None
    host: str | None = None
    port: Integer | None = None
    user: str | None = None
    command: tuple[str, ...] | None = None
    display: str | None = None


class DescribeConsole(Call[ConsoleInfo]):
    """Return the connection data of a running guest's console, from the view of its node."""

    wire = "instance_console_info"
    call_timeout = URGENT

    guest: Guest


class ChangeMedia(Call[None]):
    """Put the configured images into the CD drives of a running guest, or empty these.

    With ``force``, also if the guest has locked a drive.
    """

    wire = "media_change"
    call_timeout = URGENT

    guest: Guest
    force: bool = False


class DescribeHotplug(Call[str]):
    """Return why devices of a running guest cannot be added and removed; empty if they can."""

    wire = "hotplug_supported"
    call_timeout = URGENT

    guest: Guest


class HotplugAction(enum.StrEnum):
    """What is to become of a device: the guest has it as configured, or does not have it."""

    ADD = "hotadd"
    REMOVE = "hotremove"


class HotplugDevice(Call[None]):
    """Add a disk or network card to a running guest, change it, or remove it; idempotent.

    ``device`` is its UUID. What is added is one of the guest's configured devices.
    """

    wire = "hotplug_device"
    call_timeout = NORMAL

    guest: Guest
    device: Line
    action: HotplugAction


class BalloonMemory(Call[None]):
    """Change the memory of a running guest to ``memory`` MiB, and wait until it has; idempotent."""

    wire = "instance_balloon_memory"
    call_timeout = NORMAL

    guest: Guest
    memory: Positive


class CaptureScreen(Call[str]):
    """Return a small picture of a running guest's screen, as PNG in base64."""

    wire = "screenshot_take"
    call_timeout = URGENT

    guest: Guest


TICKET_SECONDS = 30.0
"""For how long a ticket for a console is good."""


class PrepareConsole(Call[str]):
    """Let a user open a console of a running guest; return a ticket.

    The ticket is good once, for the stream ``console`` of the node daemon. ``viewer`` is who will
    open it, as others at the console are told; if it is to ``take_over``, these only watch.
    """

    wire = "console_prepare"
    call_timeout = URGENT

    guest: Guest
    stream: Line
    viewer: Line
    take_over: bool = False


class ReadFirmwareVariables(Call[str]):
    """Return the UEFI variables and the TPM's state of a stopped guest, in base64.

    Empty if the node keeps nothing.
    """

    wire = "firmware_variables_read"
    call_timeout = URGENT

    guest: Guest


class StoreFirmwareVariables(Call[None]):
    """Keep what another node has kept, in base64, for the next start of a guest.

    Without content, all that is kept for it is removed.
    """

    wire = "firmware_variables_store"
    call_timeout = FAST

    guest: Guest
    content: Line


class MigrationFeature(enum.StrEnum):
    """Encryption with a key for each migration; copies of disks while a guest runs."""

    ENCRYPTION = "encryption"
    COPIES = "copies"


class Migration(Record, omit_defaults=True):
    """The progress of a migration in bytes; ``status``: active, completed, failed, cancelled."""

    status: str
    transferred: Integer = 0
    total: Integer = 0
    downtime_ms: Integer | None = None
    message: str = ""


class DescribeRunning(Call[RunningConfig]):
    """Return the settings that a guest was started with; ``guest`` has the configured ones."""

    wire = "migration_info"
    call_timeout = URGENT

    guest: Guest


class DescribeMigrations(Call[tuple[Line, ...]]):
    """Return what the hypervisors of a node can do for migrations, of ``MigrationFeature``.

    Nodes of earlier releases do not know the call.
    """

    wire = "migration_features"
    call_timeout = URGENT

    hypervisor: Line


class AcceptInstance(Call[str], omit_defaults=True):
    """Prepare to receive a guest; return the address and port that it must be sent to.

    ``guest`` has the configured settings; the guest is prepared with ``running``, those that it was
    started with. Its sender must know ``secret``, in hex, unless that is empty. With ``copies``,
    its disks are copied while it runs.
    """

    wire = "accept_instance"
    call_timeout = NORMAL

    guest: Guest
    address: Line
    running: RunningConfig
    secret: Line = ""
    copies: bool = False


class ReceiveDisks(Call[str]):
    """Let the source write the disks of an awaited guest; return the address and port for it."""

    wire = "migration_disks_receive"
    call_timeout = FAST

    guest: Guest
    address: Line


class CopyDisks(Call[None]):
    """Start to copy the disks of a running guest to ``destination``, of ``ReceiveDisks``."""

    wire = "migration_disks_copy"
    call_timeout = FAST

    guest: Guest
    destination: Line
    secret: Line


class DiskCopyStatus(Call[Migration]):
    """Return the progress of the copies of a guest's disks; completed once they follow it."""

    wire = "migration_disks_status"
    call_timeout = URGENT

    guest: Guest


class MigrateInstanceCall(Call[None], omit_defaults=True):
    """Start to send a running guest to ``destination``, as ``AcceptInstance`` returned it.

    ``secret`` is that of the receiver.
    """

    wire = "instance_migrate"
    call_timeout = FAST

    guest: Guest
    destination: Line
    live: bool
    secret: Line = ""


class MigrationStatus(Call[Migration]):
    """Return the progress of a migration from this node."""

    wire = "instance_get_migration_status"
    call_timeout = URGENT

    guest: Guest


class FinalizeMigrationDst(Call[str | None]):
    """On the target node: keep the guest if it arrived, otherwise remove the prepared one.

    Return the hypervisor's log of a guest that is removed, which may have the reason of the
    failure.
    """

    wire = "instance_finalize_migration_dst"
    call_timeout = FAST

    guest: Guest
    arrived: bool


class FinalizeMigrationSrc(Call[None]):
    """On the source node: remove the guest if it left, otherwise resume it."""

    wire = "instance_finalize_migration_src"
    call_timeout = FAST

    guest: Guest
    left: bool
