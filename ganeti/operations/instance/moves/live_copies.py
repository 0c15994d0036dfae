# SPDX-License-Identifier: BSD-2-Clause
"""Copies the disks of a running guest to its new node, before its memory is sent."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.errors import Code, Failed, Refused, Unreachable
from ganeti.model.disk import DiskMode
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.model.running import RunningConfig
from ganeti.model.work_progress import WorkProgress
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import CopyDisks, DiskCopyStatus, Migration, ReceiveDisks

_POLL_INTERVALS = (0.1, 1.0)
"""Seconds between two polls, at first and at most."""
_REPORT_INTERVAL = 5.0
"""Seconds between two progress messages."""
STALL_TIMEOUT = 60.0
"""Seconds without any copied data after which the copy has failed, or without an answer."""
CATCH_UP_TIMEOUT = 600.0
"""Seconds within which the rest must become less, as a guest may write faster than is copied."""
_MIB = 1 << 20


@dataclass(frozen=True)
class Copying:
    """A running ``guest`` on ``source`` whose disks are copied to those of ``awaited``."""

    guest: Guest
    awaited: Guest
    source: Node
    target: Node
    secret: str


def require_copyable(running: RunningConfig, guest: Guest) -> None:
    """Check that all disks of a guest can be copied while it runs.

    :raises Refused: it runs with other disks than configured, or one is read-only.
    """
    restart = f"restart it first: gnt-instance reboot {guest.name}"
    if {each.uuid for each in running.disks} != {each.uuid for each in guest.disks}:
        raise Refused(
            f"instance {guest.name} is running with other disks than it is configured with;"
            f" {restart}"
        )
    fixed = {each.uuid for each in running.disks if each.mode is DiskMode.READ_ONLY}
    if names := [disk.iv_name for disk in guest.disks if disk.uuid in fixed]:
        raise Refused(
            f"instance {guest.name} runs with read-only disks ({', '.join(names)}), which cannot be"
            f" copied while it runs; make them writable (gnt-instance modify --disk N:mode=rw) and"
            f" {restart}; or copy them while it is stopped: gnt-instance move -n NODE {guest.name}"
        )


async def copy_disks(copying: Copying, tools: Tools) -> None:
    """Copy the disks until the copies follow what the guest writes.

    :raises Failed: a copy broke, makes no progress, or cannot keep up with the guest.
    """
    name = copying.guest.name
    tools.progress.may_stop()
    receive = ReceiveDisks(guest=copying.awaited, address=copying.target.secondary_ip)
    destination = await tools.nodes.ask(copying.target, receive)
    tools.progress.log_message(
        f"copying the disks of {name} from {copying.source.name} to {copying.target.name}"
    )
    began = tools.time.seconds()
    call = CopyDisks(guest=copying.guest, destination=destination, secret=copying.secret)
    await tools.nodes.ask(copying.source, call)
    copied = await _wait_until_following(copying, began, tools)
    passed = tools.time.seconds() - began
    rate = copied.transferred / _MIB / passed if passed else 0.0
    tools.progress.log_message(
        f"{name}: copied {copied.transferred // _MIB} MiB of disks in {passed:.1f} s"
        f" ({rate:.1f} MiB/s)"
    )


async def _wait_until_following(copying: Copying, began: float, tools: Tools) -> Migration:
    watch, heard, nap = _CopyMonitor(copying, began), began, _POLL_INTERVALS[0]
    while True:
        now = tools.time.seconds()
        status = tools.nodes.ask(copying.source, DiskCopyStatus(guest=copying.guest))
        try:
            found = await tools.progress.interruptible(status)
        except Unreachable:
            if now - heard >= STALL_TIMEOUT:
                raise
        else:
            heard = now
            if watch.is_complete(found, now, tools):
                return found
        await tools.time.sleep(nap)
        nap = min(2 * nap, _POLL_INTERVALS[1])


class _CopyMonitor:
    """Follows the progress of the copies of one guest."""

    def __init__(self, copying: Copying, began: float) -> None:
        self._copying = copying
        self._began = self._said = self._moved_at = self._gained_at = began
        self._moved = -1
        self._least: int | None = None

    def is_complete(self, found: Migration, now: float, tools: Tools) -> bool:
        """Return whether the copies follow the guest.

        :raises Failed: they never will.
        """
        if found.status == "completed":
            return True
        source, target = self._copying.source.name, self._copying.target.name
        if found.status != "active":
            why = found.message or found.status
            raise Failed(f"copy of disks from {source} to {target} failed: {why}", Code.ENVIRONMENT)
        if found.transferred != self._moved:
            self._moved, self._moved_at = found.transferred, now
        elif now - self._moved_at >= STALL_TIMEOUT:
            raise Failed(
                f"nothing was copied from {source} to {target} for {STALL_TIMEOUT:g} s; check the"
                f" network between them, and node {target}",
                Code.ENVIRONMENT,
            )
        rest = found.total - found.transferred
        if self._least is None or rest < self._least:
            self._least, self._gained_at = rest, now
        elif now - self._gained_at >= CATCH_UP_TIMEOUT:
            name = self._copying.guest.name
            raise Failed(
                "the guest writes to its disks faster than they are copied; raise the limit:"
                " gnt-cluster modify -H kvm:migration_bandwidth=MIB_PER_SECOND; or copy them while"
                f" it is stopped: gnt-instance move -n {target} {name}",
                Code.ENVIRONMENT,
            )
        self._report(found, now, tools)
        return False

    def _report(self, found: Migration, now: float, tools: Tools) -> None:
        if now - self._said < _REPORT_INTERVAL:
            return
        self._said = now
        done, total = found.transferred, found.total
        rate = done / (now - self._began)
        what = (
            f"copying the disks of {self._copying.guest.name}, {done // _MIB} of {total // _MIB}"
            f" MiB at {rate / _MIB:.1f} MiB/s"
        )
        left = max(0, total - done) / rate if rate else None
        progress = WorkProgress(what, 100 * done / total if total else 0.0, left)
        tools.progress.log_message(str(progress))
