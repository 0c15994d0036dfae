# SPDX-License-Identifier: BSD-2-Clause
"""Calls about guests: start and stop, install, console, migration."""

from __future__ import annotations

import enum

from ganeti.model.guest import Guest, GuestState
from ganeti.model.running import RunningConfig
from ganeti.rpc.call import FAST, NORMAL, URGENT, WHILE_ALIVE, Call
from ganeti.schema.records import Record
from ganeti.schema.types import InstanceName, Integer, Line, Parameters, Seconds


class RebootType(enum.StrEnum):
    """How an instance is rebooted: by its guest, or by stopping and starting it."""

    SOFT = "soft"
    HARD = "hard"
    FULL = "full"


class StartInstanceCall(Call[None]):
    """Start a guest whose disks are attached; starting one that runs succeeds."""

    wire = "instance_start"
    call_timeout = NORMAL

    guest: Guest
    paused: bool = False


class StopInstance(Call[None]):
    """Stop a guest, hard once ``timeout`` is over; stopping one that does not run succeeds."""

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
    """Reboot a running guest; ``full`` is the master's business and not asked of a node."""

    wire = "instance_reboot"
    call_timeout = NORMAL

    guest: Guest
    kind: RebootType
    timeout: Seconds

    def answer_timeout(self) -> float:
        return self.timeout + self.call_timeout


class InstallOS(Call[None]):
    """Run the OS definition's create script for a guest; ``reinstall`` is passed on to it."""

    wire = "instance_os_add"
    call_timeout = WHILE_ALIVE
    ends_with_asker = True

    guest: Guest
    reinstall: bool = False
    debug: Integer = 0


class RenameOS(Call[None]):
    """Run the OS definition's rename script; ``guest`` has the new name."""

    wire = "instance_run_rename"
    call_timeout = WHILE_ALIVE
    ends_with_asker = True

    guest: Guest
    old_name: InstanceName


class ListGuests(Call[dict[str, GuestState]]):
    """What runs on the node, by name, over the given hypervisors."""

    wire = "all_instances_info"
    call_timeout = URGENT

    hypervisors: tuple[Line, ...]


class ConsoleInfo(Record, omit_defaults=True):
    """How to reach a guest's console; ``kind`` is ssh, vnc, spice or msg."""

    instance: str
    kind: str
    message: str | None = None
    host: str | None = None
    port: Integer | None = None
    user: str | None = None
    command: tuple[str, ...] | None = None
    display: str | None = None


class DescribeConsole(Call[ConsoleInfo]):
    """How to reach the console of a running guest from its node."""

    wire = "instance_console_info"
    call_timeout = URGENT

    guest: Guest


class Migration(Record, omit_defaults=True):
    """Where a migration stands: ``status`` is active, completed, failed or cancelled; in bytes."""

    status: str
    transferred: Integer = 0
    total: Integer = 0
    downtime_ms: Integer | None = None
    message: str = ""


class DescribeRunning(Call[RunningConfig]):
    """What a running guest was started with; ``guest`` is as it is configured."""

    wire = "migration_info"
    call_timeout = URGENT

    guest: Guest


class AcceptInstance(Call[str]):
    """Get ready to receive a guest; answers the address and port where it is awaited.

    ``guest`` is as it is configured; what is prepared is what it runs with, ``running``.
    """

    wire = "accept_instance"
    call_timeout = NORMAL

    guest: Guest
    address: Line
    running: RunningConfig


class MigrateInstanceCall(Call[None]):
    """Begin to send a running guest to where ``AcceptInstance`` awaits it."""

    wire = "instance_migrate"
    call_timeout = FAST

    guest: Guest
    destination: Line
    live: bool


class MigrationStatus(Call[Migration]):
    """Where the migration that this node sends stands."""

    wire = "instance_get_migration_status"
    call_timeout = URGENT

    guest: Guest


class FinalizeMigrationDst(Call[str | None]):
    """On the receiving node: keep the guest if it arrived, else drop what was prepared.

    Answers what the hypervisor wrote of a guest that is dropped, such as why it did not arrive.
    """

    wire = "instance_finalize_migration_dst"
    call_timeout = FAST

    guest: Guest
    arrived: bool


class FinalizeMigrationSrc(Call[None]):
    """On the sending node: forget the guest if it left, else let it go on."""

    wire = "instance_finalize_migration_src"
    call_timeout = FAST

    guest: Guest
    left: bool
