# SPDX-License-Identifier: BSD-2-Clause
"""The steps of a migration, and their undo steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ganeti.config.changes.instances import restore_placement, set_primary_node
from ganeti.config.changes.objects import together
from ganeti.config.nic_connections import connect_on
from ganeti.config.state import ClusterState
from ganeti.config.writer import CancelledAfterCommit, Change
from ganeti.errors import Code, Failed, GanetiError, Refused, Unreachable
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk, Template
from ganeti.model.guest import CheckScope, Guest
from ganeti.model.node import Node
from ganeti.model.running import (
    RunningConfig,
    apply_running_config,
    connect_as,
    pending_changes,
    require_migratable,
)
from ganeti.model.work_progress import WorkProgress
from ganeti.operations.allocation.node_check import require_able
from ganeti.operations.allocation.target_node import get_template
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_disks, remove_disks
from ganeti.operations.instance.disks.mirrors import (
    disable_dual_primary,
    enable_dual_primary,
    mirrored,
    wait_until_synced,
)
from ganeti.operations.instance.disks.shared_access import end_sharing, external, share_disks
from ganeti.operations.instance.moves.live_copies import Copying, copy_disks, require_copyable
from ganeti.operations.instance.moves.migration_secret import make_secret
from ganeti.operations.instance.moves.moved_disks import create_copies
from ganeti.operations.operation import Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import (
    AcceptInstance,
    DescribeRunning,
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    MigrateInstanceCall,
    Migration,
    MigrationStatus,
)
from ganeti.schema.records import replace

_POLL_INTERVALS = (0.05, 1.0)
"""Seconds between two polls of a migration, at least and at most."""
_REPORT_INTERVAL = 5.0
"""Seconds between two progress messages."""
_LAST_WRITES_INTERVAL = 0.02
"""Seconds between two polls at most if disks are copied: the guest is paused until the last one.

The node answers not at once, but when the guest is paused, or after a moment.
"""
_UNREACHABLE_TIMEOUT = 120.0
"""Seconds for which a node may be unreachable: its daemon may be restarting while QEMU runs."""
_MIB = 1 << 20


@dataclass(frozen=True)
class MigrationSteps:
    """A running instance to migrate from its primary node to ``target``.

    Unless ``ignore_versions``, the hypervisor there must not be older than the running one.
    ``copies`` are the records of its disks there, if only its own node can access them now; they
    are copied while it runs.
    """

    subject: InstanceContext
    target: Node
    live: bool
    ignore_versions: bool = False
    copies: tuple[Disk, ...] = ()

    def list_changes(self) -> Change:
        """Return the change of the configuration when the guest has been sent."""
        moved = set_primary_node(self.subject.instance, self.target)
        return together(restore_placement(self.copies), moved) if self.copies else moved

    def list_reversals(self) -> Change:
        """Return the change by which the guest belongs to its old node again."""
        back = set_primary_node(self.subject.instance, self.subject.primary)
        return together(restore_placement(self.subject.disks), back) if self.copies else back

    def make_target_guest(self, guest: Guest, state: ClusterState) -> Guest:
        """Return the guest with its disks as they are on the target."""
        if not self.copies:
            return guest
        arrived = replace(self.subject.instance, primary_node=self.target.uuid)
        return replace(guest, disks=make_guest(state, arrived, self.copies).disks)


@dataclass(frozen=True)
class SentGuest:
    """A guest that was sent completely: with its running settings, and until when it ran."""

    guest: Guest
    running: RunningConfig
    ran_until: float


async def send(passage: MigrationSteps, tools: Tools) -> int:
    """Migrate the guest; return the maximum downtime in milliseconds.

    :raises Refused: the target cannot run it with its running settings; nothing was changed.
    :raises Failed: the migration failed; the message has the location of the guest if known.
    """
    target, source = passage.target, passage.subject.primary
    async with Undo(tools.progress) as undo:
        sent = await _send_and_record(passage, tools, undo)
    guest = sent.guest
    moved = make_guest(tools.config.state(), tools.config.state().instances[guest.uuid])
    await _resume_on_target(passage, moved, tools)
    stood_still = math.ceil((tools.time.seconds() - sent.ran_until) * 1000)
    tools.progress.log_message(
        f"instance {guest.name} is running on {target.name}; downtime: at most {stood_still} ms"
    )
    await _clean_up_source(passage, source, moved, tools)
    if waiting := pending_changes(sent.running, moved):
        tools.progress.log_message(
            f"instance {moved.name} keeps its running settings; changes that take effect at its "
            f"next start: {', '.join(change.name for change in waiting)}"
        )
    return stood_still


async def _send_and_record(passage: MigrationSteps, tools: Tools, undo: Undo) -> SentGuest:
    """Send the guest completely, and record its new node."""
    subject, target = passage.subject, passage.target
    source, state = subject.primary, tools.config.state()
    guest = make_guest(state, connect_on(subject.instance, target, state))
    tools.progress.may_stop()
    running = await tools.nodes.ask(source, DescribeRunning(guest=guest))
    require_migratable(running, guest.name)
    if target.group != source.group:
        running = connect_as(running, guest)
    await _check_can_receive(passage, guest, running, tools)
    secret = await make_secret(passage.subject, target, tools, copies=bool(passage.copies))
    try:
        if passage.copies:
            require_copyable(running, guest)
            await create_copies(subject.instance, target, passage.copies, tools, undo)
        still_since = await _send_guest(passage, guest, running, secret, tools)
        if passage.copies:
            _announce_old_disks(passage, tools)
        await tools.config.change(passage.list_changes())
    except CancelledAfterCommit:
        raise  # the guest is paused on both nodes, and a cleanup resumes it on the new one
    except Exception as e:
        where = await _abort(passage, guest, tools)
        if isinstance(e, Failed | Refused):
            message = f"instance {guest.name} was not migrated: {e}; {where}"
            raise Failed(message, e.code) from e
        tools.progress.log_message(where)
        raise
    return SentGuest(guest, running, still_since)


def _announce_old_disks(passage: MigrationSteps, tools: Tools) -> None:
    """Log the old disks, which nothing refers to after an interruption of what follows."""
    names = ", ".join(
        "/".join(disk.logical_id) if disk.dev_type is Template.PLAIN else str(disk.logical_id[1])
        for disk in passage.subject.disks
    )
    tools.progress.log_message(
        f"the copies of the disks are complete; if this job is interrupted from now on, remove the"
        f" old disks on {passage.subject.primary.name} by hand, once the instance runs: {names}"
    )


async def _check_can_receive(
    passage: MigrationSteps, guest: Guest, running: RunningConfig, tools: Tools
) -> None:
    """Check that the target node can run the guest with its running settings.

    :raises Refused: it cannot, with the reason.
    """
    try:
        await require_able(
            passage.target,
            apply_running_config(guest, running),
            tools,
            scope=CheckScope.RUNNING,
            minimum_version="" if passage.ignore_versions else running.version,
        )
    except Refused as e:
        raise Refused(
            f"{e}; instance {guest.name} was started with this setting: make it available there, "
            "or restart the instance with parameters that both nodes support: gnt-instance modify "
            f"-H NAME=VALUE {guest.name}, then gnt-instance reboot {guest.name}; to move it with a "
            f"restart: gnt-instance failover {guest.name}"
        ) from e


async def _send_guest(
    passage: MigrationSteps, guest: Guest, running: RunningConfig, secret: str, tools: Tools
) -> float:
    """Send the guest completely; return a time until which it certainly ran, in seconds."""
    subject, target = passage.subject, passage.target
    source, state = subject.primary, tools.config.state()
    if mirrored(subject.disks):
        await attach_disks(state, subject.instance, subject.disks, tools)
        await wait_until_synced(subject.instance, subject.disks, tools)
        await enable_dual_primary(state, subject.instance, subject.disks, target, tools)
    await share_disks(state, subject.instance, subject.disks, tools)
    # Remove leftovers of an earlier migration first.
    await tools.nodes.ask(target, FinalizeMigrationDst(guest=guest, arrived=False))
    arriving = passage.make_target_guest(guest, state)
    accept = AcceptInstance(
        guest=arriving,
        address=target.secondary_ip,
        running=running,
        secret=secret,
        copies=bool(passage.copies),
    )
    destination = await tools.nodes.ask(target, accept)
    tools.progress.may_stop()
    if passage.copies:
        runs = apply_running_config(guest, running)
        awaited = apply_running_config(arriving, running)
        await copy_disks(Copying(runs, awaited, source, target, secret), tools)
    manner = "live" if passage.live else "paused"
    tools.progress.log_message(
        f"migrating {guest.name} from {source.name} to {target.name} ({manner})"
    )
    began = tools.time.seconds()
    send = MigrateInstanceCall(
        guest=guest, destination=destination, live=passage.live, secret=secret
    )
    await tools.nodes.ask(source, send)
    ran, sent = await _wait_until_sent(passage, guest, began, tools)
    tools.progress.log_message(
        f"{guest.name}: sent {sent.transferred // _MIB} MiB in {tools.time.seconds() - began:.1f} s"
    )
    # A guest that is not sent live is paused from the beginning.
    return (ran if passage.live else began) - (sent.downtime_ms or 0) / 1000


async def _wait_until_sent(
    passage: MigrationSteps, guest: Guest, began: float, tools: Tools
) -> tuple[float, Migration]:
    """Wait until the guest is sent; return the last time at which it was active, and the result.

    :raises Failed: the migration failed.
    """
    source = passage.subject.primary
    ran, said, heard = began, began, began
    longest = _POLL_INTERVALS[1] if not passage.copies else _LAST_WRITES_INTERVAL
    while True:
        # The time before the question: the guest certainly ran until then.
        asked = tools.time.seconds()
        status = tools.nodes.ask(source, MigrationStatus(guest=guest))
        try:
            found = await tools.progress.interruptible(status)
        except Unreachable:
            if tools.time.seconds() - heard >= _UNREACHABLE_TIMEOUT:
                raise
            await tools.time.sleep(_POLL_INTERVALS[1])
            continue
        heard = asked
        if found.status == "completed":
            return ran, found
        if found.status != "active":
            why = found.message or found.status
            raise Failed(f"migration from {source.name} failed: {why}", Code.ENVIRONMENT)
        ran = asked
        if asked - said >= _REPORT_INTERVAL:
            said = asked
            tools.progress.log_message(str(_compute_progress(guest.name, found, asked - began)))
        await tools.time.sleep(min(longest, _poll_interval(found, asked - began)))


def _compute_progress(name: str, sending: Migration, passed: float) -> WorkProgress:
    """Return the progress; a busy guest changes memory that is sent again, so it takes longer."""
    sent, total = sending.transferred, sending.total
    left = max(0, total - sent) * passed / sent if sent else None
    what = f"sending {name}, {sent // _MIB} of {total // _MIB} MiB"
    return WorkProgress(what, 100 * sent / total if total else 0.0, left)


def _poll_interval(sending: Migration, passed: float) -> float:
    """Return a tenth of the remaining time, which limits the delay at the end."""
    least, most = _POLL_INTERVALS
    if not sending.transferred or passed <= 0:
        return least
    left = max(0, sending.total - sending.transferred) * passed / sending.transferred
    return min(most, max(least, left / 10))


async def _abort(passage: MigrationSteps, guest: Guest, tools: Tools) -> str:
    """Resume the guest on its old node; return a message with the location of the guest."""
    subject, source, target = passage.subject, passage.subject.primary, passage.target
    left, said = [], ""
    try:
        # On the target first, so that the guest is never on two nodes.
        said = await _drop_on_target(target, guest, tools)
    # Not raised: the error that ended the migration is the one to report.
    except GanetiError as e:
        left.append(str(e))
    try:
        await tools.nodes.ask(source, FinalizeMigrationSrc(guest=guest, left=False))
    except GanetiError as e:
        return (
            f"{said}it is unknown whether it is running on {source.name} ({e}); when that node "
            f"answers: gnt-instance migrate --cleanup {guest.name}"
        )
    state = tools.config.state()
    if mirrored(subject.disks):
        left += await disable_dual_primary(state, subject.instance, subject.disks, target, tools)
    left += await end_sharing(state, subject.instance, subject.disks, target, tools)
    for each in left:
        tools.progress.log_message(f"cannot undo all steps: {each}")
    return f"{said}it is still running on {source.name}"


async def _drop_on_target(target: Node, guest: Guest, tools: Tools) -> str:
    """Remove the prepared guest on the target; return its hypervisor's log as a message prefix."""
    said = await tools.nodes.ask(target, FinalizeMigrationDst(guest=guest, arrived=False))
    return f"log of {target.name}: {said}; " if said else ""


async def _resume_on_target(passage: MigrationSteps, guest: Guest, tools: Tools) -> None:
    """Resume the guest, which was sent completely, on the target.

    :raises Failed: it keeps running on the old node, or its location is unknown.
    """
    target = passage.target
    arrived = FinalizeMigrationDst(guest=guest, arrived=True)
    began = tools.time.seconds()
    while True:
        try:
            await tools.nodes.ask(target, arrived)
            return
        except Unreachable as e:
            # It may have been resumed there, so that it must not be resumed on its old node.
            if tools.time.seconds() - began >= _UNREACHABLE_TIMEOUT:
                raise Failed(
                    f"instance {guest.name} was sent to {target.name}, and it is unknown whether "
                    f"it is running there: {e}; it is paused on {passage.subject.primary.name}; "
                    f"when {target.name} answers: gnt-instance migrate --cleanup {guest.name}",
                    Code.INTERNAL,
                ) from e
            await tools.time.sleep(_POLL_INTERVALS[1])
        except (Failed, Refused) as e:
            await _resume_on_source(passage, guest, tools, e)


async def _resume_on_source(
    passage: MigrationSteps, guest: Guest, tools: Tools, why: GanetiError
) -> None:
    """Resume the guest on its old node, because it did not arrive.

    :raises Failed: always; the message has the location of the guest.
    """
    source, target, said = passage.subject.primary, passage.target, ""
    try:
        # In this order: after an interruption, the guest can only run on its primary node.
        said = await _drop_on_target(target, guest, tools)
        await tools.config.change(passage.list_reversals())
        await tools.nodes.ask(source, FinalizeMigrationSrc(guest=guest, left=False))
    except GanetiError as e:
        raise Failed(
            f"instance {guest.name} did not arrive on {target.name} ({why}) and cannot be "
            f"resumed on {source.name}: {e}; use gnt-instance migrate --cleanup {guest.name}",
            Code.INTERNAL,
        ) from e
    state = tools.config.state()
    instance = state.instances[guest.uuid]
    if mirrored(passage.subject.disks):
        await disable_dual_primary(state, instance, passage.subject.disks, target, tools)
    await end_sharing(state, instance, passage.subject.disks, target, tools)
    arrived = replace(instance, primary_node=target.uuid)
    for each in await remove_disks(state, arrived, passage.copies, tools):
        tools.progress.log_message(f"cannot remove a copy: {each}")
    raise Failed(
        f"instance {guest.name} did not arrive on {target.name}: {why}; {said}it is still running "
        f"on {source.name}",
        Code.ENVIRONMENT,
    )


async def _clean_up_source(
    passage: MigrationSteps, source: Node, guest: Guest, tools: Tools
) -> None:
    """Remove leftovers on the old node; failures do not undo the migration."""
    state, disks = tools.config.state(), passage.subject.disks
    instance = state.instances[guest.uuid]
    try:
        await tools.nodes.ask(source, FinalizeMigrationSrc(guest=guest, left=True))
        if get_template(passage.subject) in MIRRORED_TEMPLATES:
            left = await disable_dual_primary(state, instance, disks, source, tools)
        elif passage.copies:
            left = await remove_disks(state, passage.subject.instance, disks, tools)
        elif external(disks):
            left = await end_sharing(state, instance, disks, source, tools)
        else:
            left = []
            # By the old record, in which the source is the primary node.
            await detach_disks(state, passage.subject.instance, disks, tools, only_on=source)
    except (Failed, Refused) as e:
        left = [str(e)]
    for each in left:
        tools.progress.log_message(
            f"cannot clean up: {each}; later: gnt-instance migrate --cleanup {guest.name}"
        )
