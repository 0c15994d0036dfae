# SPDX-License-Identifier: BSD-2-Clause
"""The steps of a migration, and how each is taken back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ganeti.config.changes.instances import moved_to
from ganeti.config.writer import ChangeMade
from ganeti.errors import Code, Failed, GanetiError, Refused, Unreachable
from ganeti.model.disk import MIRRORED_BETWEEN_NODES
from ganeti.model.guest import CheckScope, Guest
from ganeti.model.node import Node
from ganeti.model.running import RunningConfig, as_running, pending_changes
from ganeti.operations.allocation.node_check import require_able
from ganeti.operations.allocation.target_node import template_of
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_disks
from ganeti.operations.instance.disks.mirrors import (
    let_both_write,
    let_one_write,
    mirrored,
    require_sync,
)
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import (
    AcceptInstance,
    DescribeRunning,
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    MigrateInstanceCall,
    Migration,
    MigrationStatus,
)

_LOOKS = (0.05, 1.0)
"""Seconds between two looks at a guest on its way, at least and at most."""
_SAY = 5.0
"""Seconds between two lines about it."""
_MAX_SILENCE = 120.0
"""Seconds for which a node may not answer: its daemon may be restarting, while QEMU goes on."""
_MIB = 1 << 20


@dataclass(frozen=True)
class MigrationSteps:
    """A running instance that goes from its primary node to ``target``.

    Unless ``ignore_versions``, the hypervisor there must not be older than the one it runs in.
    """

    subject: InstanceContext
    target: Node
    live: bool
    ignore_versions: bool = False


async def send(passage: MigrationSteps, tools: Tools) -> int:
    """Bring the guest to its new node; answers the milliseconds that it stood still at most.

    :raises Refused: its new node cannot run it as it runs now; nothing was done.
    :raises Failed: the message says where it runs, or that nobody knows.
    """
    subject, target = passage.subject, passage.target
    source, guest = subject.primary, guest_of(tools.config.state(), subject.instance)
    tools.progress.may_stop()
    running = await tools.nodes.ask(source, DescribeRunning(guest=guest))
    await _require_able_as_it_runs(passage, guest, running, tools)
    try:
        still_since = await _sent(passage, guest, running, tools)
        await tools.config.change(moved_to(subject.instance, target))
    except ChangeMade:
        raise  # it is held on both nodes, and a cleanup wakes it on the new one
    except Exception as e:
        where = await _take_back(passage, guest, tools)
        if isinstance(e, Failed | Refused):
            message = f"instance {guest.name} was not migrated: {e}; {where}"
            raise Failed(message, e.code) from e
        tools.progress.say(where)
        raise
    moved = guest_of(tools.config.state(), tools.config.state().instances[guest.uuid])
    await _let_run(passage, moved, tools)
    stood_still = math.ceil((tools.time.seconds() - still_since) * 1000)
    tools.progress.say(
        f"instance {guest.name} runs on {target.name}; it stood still for at most {stood_still} ms"
    )
    await _clear(passage, source, moved, tools)
    if waiting := pending_changes(running, moved):
        tools.progress.say(
            f"{moved.name} goes on with what it was started with; changes that wait for its next "
            f"start: {', '.join(change.name for change in waiting)}"
        )
    return stood_still


async def _require_able_as_it_runs(
    passage: MigrationSteps, guest: Guest, running: RunningConfig, tools: Tools
) -> None:
    """Check that its new node can run the guest with what it was started with.

    :raises Refused: it cannot, and why.
    """
    try:
        await require_able(
            passage.target,
            as_running(guest, running),
            tools,
            scope=CheckScope.RUNNING,
            minimum_version="" if passage.ignore_versions else running.version,
        )
    except Refused as e:
        raise Refused(
            f"{e}; instance {guest.name} was started with that: make it available there, or "
            "restart the instance with parameters that both nodes can give: gnt-instance modify "
            f"-H NAME=VALUE {guest.name}, then gnt-instance reboot {guest.name}; to move it by a "
            f"restart: gnt-instance failover {guest.name}"
        ) from e


async def _sent(
    passage: MigrationSteps, guest: Guest, running: RunningConfig, tools: Tools
) -> float:
    """Send the guest as a whole; answers a moment before which it surely still ran."""
    subject, target = passage.subject, passage.target
    source, state = subject.primary, tools.config.state()
    if mirrored(subject.disks):
        await attach_disks(state, subject.instance, subject.disks, tools)
        await require_sync(subject.instance, subject.disks, tools)
        await let_both_write(state, subject.instance, subject.disks, target, tools)
    # What an earlier move may have left there must not be in the way.
    await tools.nodes.ask(target, FinalizeMigrationDst(guest=guest, arrived=False))
    accept = AcceptInstance(guest=guest, address=target.secondary_ip, running=running)
    destination = await tools.nodes.ask(target, accept)
    tools.progress.may_stop()
    manner = "live" if passage.live else "held while it moves"
    tools.progress.say(f"sending {guest.name} from {source.name} to {target.name}, {manner}")
    began = tools.time.seconds()
    send = MigrateInstanceCall(guest=guest, destination=destination, live=passage.live)
    await tools.nodes.ask(source, send)
    ran, sent = await _watch(source, guest, began, tools)
    tools.progress.say(
        f"{guest.name} has been sent: {sent.transferred // _MIB} MiB in "
        f"{tools.time.seconds() - began:.1f} s"
    )
    return (ran if passage.live else began) - (sent.downtime_ms or 0) / 1000


async def _watch(source: Node, guest: Guest, began: float, tools: Tools) -> tuple[float, Migration]:
    """Wait until the guest has left; answers when it was last seen on its way, and the end.

    :raises Failed: it was not sent.
    """
    ran, said, heard = began, began, began
    while True:
        asked = tools.time.seconds()
        status = tools.nodes.ask(source, MigrationStatus(guest=guest))
        try:
            found = await tools.progress.interruptible(status)
        except Unreachable:
            if tools.time.seconds() - heard >= _MAX_SILENCE:
                raise
            await tools.time.sleep(_LOOKS[1])
            continue
        heard = asked
        if found.status == "completed":
            return ran, found
        if found.status != "active":
            why = found.message or found.status
            raise Failed(f"{source.name} could not send it: {why}", Code.ENVIRONMENT)
        ran = asked
        if asked - said >= _SAY:
            said = asked
            tools.progress.say(_progress(guest.name, found))
        await tools.time.sleep(_nap(found, asked - began))


def _progress(name: str, sending: Migration) -> str:
    done, total = sending.transferred // _MIB, sending.total // _MIB
    return f"{name}: {done} of {total} MiB sent"


def _nap(sending: Migration, passed: float) -> float:
    """A tenth of the time that is left, so that the end is not noticed late."""
    least, most = _LOOKS
    if not sending.transferred or passed <= 0:
        return least
    left = max(0, sending.total - sending.transferred) * passed / sending.transferred
    return min(most, max(least, left / 10))


async def _take_back(passage: MigrationSteps, guest: Guest, tools: Tools) -> str:
    """Let the guest go on where it was; answers what its new node says, and where it is."""
    subject, source, target = passage.subject, passage.subject.primary, passage.target
    left, said = [], ""
    try:
        said = await _drop(target, guest, tools)
    except GanetiError as e:
        left.append(str(e))
    try:
        await tools.nodes.ask(source, FinalizeMigrationSrc(guest=guest, left=False))
    except GanetiError as e:
        return (
            f"{said}it is unknown whether it goes on running on {source.name} ({e}); once that "
            f"node answers: gnt-instance migrate --cleanup {guest.name}"
        )
    state = tools.config.state()
    if mirrored(subject.disks):
        left += await let_one_write(state, subject.instance, subject.disks, target, tools)
    for each in left:
        tools.progress.say(f"not taken back: {each}")
    return f"{said}it goes on running on {source.name}"


async def _drop(target: Node, guest: Guest, tools: Tools) -> str:
    """Drop what was prepared on the new node; answers what that says about it, to begin a line."""
    said = await tools.nodes.ask(target, FinalizeMigrationDst(guest=guest, arrived=False))
    return f"{target.name} says: {said}; " if said else ""


async def _let_run(passage: MigrationSteps, guest: Guest, tools: Tools) -> None:
    """Let the guest, which has left its old node as a whole, run on its new one.

    :raises Failed: it goes on running on the old node, or nobody knows where it is.
    """
    target = passage.target
    arrived = FinalizeMigrationDst(guest=guest, arrived=True)
    began = tools.time.seconds()
    while True:
        try:
            await tools.nodes.ask(target, arrived)
            return
        except Unreachable as e:
            if tools.time.seconds() - began >= _MAX_SILENCE:
                raise Failed(
                    f"instance {guest.name} has been sent to {target.name}, and nobody knows "
                    f"whether it runs there: {e}; it is held on {passage.subject.primary.name}; "
                    f"once {target.name} answers: gnt-instance migrate --cleanup {guest.name}",
                    Code.INTERNAL,
                ) from e
            await tools.time.sleep(_LOOKS[1])
        except (Failed, Refused) as e:
            await _return(passage, guest, tools, e)


async def _return(passage: MigrationSteps, guest: Guest, tools: Tools, why: GanetiError) -> None:
    """Let the guest go on where it came from, as it did not arrive.

    :raises Failed: always; the message says where it is.
    """
    source, target, said = passage.subject.primary, passage.target, ""
    try:
        said = await _drop(target, guest, tools)
        await tools.config.change(moved_to(passage.subject.instance, source))
        await tools.nodes.ask(source, FinalizeMigrationSrc(guest=guest, left=False))
    except GanetiError as e:
        raise Failed(
            f"instance {guest.name} did not arrive on {target.name} ({why}), and could not be "
            f"taken back to {source.name}: {e}; see gnt-instance migrate --cleanup {guest.name}",
            Code.INTERNAL,
        ) from e
    state = tools.config.state()
    if mirrored(passage.subject.disks):
        instance = state.instances[guest.uuid]
        await let_one_write(state, instance, passage.subject.disks, target, tools)
    raise Failed(
        f"instance {guest.name} did not arrive on {target.name}: {why}; {said}it goes on running "
        f"on {source.name}",
        Code.ENVIRONMENT,
    )


async def _clear(passage: MigrationSteps, source: Node, guest: Guest, tools: Tools) -> None:
    """Drop what is left on the old node; trouble with that does not undo the move."""
    state, disks = tools.config.state(), passage.subject.disks
    instance = state.instances[guest.uuid]
    try:
        await tools.nodes.ask(source, FinalizeMigrationSrc(guest=guest, left=True))
        if template_of(passage.subject) in MIRRORED_BETWEEN_NODES:
            left = await let_one_write(state, instance, disks, source, tools)
        else:
            left = []
            await detach_disks(state, passage.subject.instance, disks, tools, only_on=source)
    except (Failed, Refused) as e:
        left = [str(e)]
    for each in left:
        tools.progress.say(
            f"not cleared away: {each}; later: gnt-instance migrate --cleanup {guest.name}"
        )
