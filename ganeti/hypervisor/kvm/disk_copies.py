# SPDX-License-Identifier: BSD-2-Clause
"""Copies the disks of a running guest to the node that it migrates to, by QEMU's block layer.

The awaiting QEMU exports its disks by NBD, encrypted with the key of the migration; the QEMU of the
guest has a mirror job for each disk, which copies it and then whatever the guest writes. Before the
guest is sent completely, QEMU pauses it (``pause-before-switchover``): then the last writes are
copied, and the jobs end. All names follow from the disks, so that another daemon finds the jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.errors import Code, Failed
from ganeti.hypervisor.interfaces import MigrationPhase, MigrationProgress
from ganeti.hypervisor.kvm.devices import device_id, disk_id
from ganeti.hypervisor.kvm.disk_snapshots import require_same_disks
from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRegistry
from ganeti.hypervisor.kvm.migration_keys import KEY_ID, MigrationKeys
from ganeti.hypervisor.kvm.migration_ports import listen_on_free_port, split_address
from ganeti.hypervisor.kvm.monitor import CommandFailed, Monitor
from ganeti.hypervisor.kvm.qemu_processes import (
    POLL_INTERVAL,
    QUIT_TIMEOUT,
    QemuProcesses,
    read_parameters,
)
from ganeti.model.disk import Disk
from ganeti.model.guest import Guest
from ganeti.schema.documents import Document

LAST_WRITES_TIMEOUT = 10.0
"""How long the last writes of a paused guest may take to reach its new node, in seconds."""

_JOB, _TARGET, _EXPORT = "copy", "far", "in"
_FOLLOWS = ("ready", "standby")
"""The states of a job that has copied everything: the second one is that of a paused guest."""
_MIB = 1 << 20


class DiskCopies:
    """The copies of the disks of guests, at both ends; see ``ILiveCopies``."""

    def __init__(
        self,
        guests: GuestRegistry,
        qemus: QemuProcesses,
        keys: MigrationKeys,
        clock: IReactorTime,
    ) -> None:
        self._guests = guests
        self._qemus = qemus
        self._keys = keys
        self._clock = clock

    async def receive_disks(self, guest: Guest, address: str) -> str:
        """Export the disks of an awaited guest for writing; return the address and port."""
        self._guests.alive(guest.name, GuestPhase.INCOMING)
        kvm = read_parameters(guest.hvparams)
        async with self._qemus.connect_monitor(guest.name) as qemu:

            async def listen(port: int) -> None:
                where = {"type": "inet", "data": {"host": address, "port": str(port)}}
                await qemu.execute("nbd-server-start", addr=where, tls_creds=KEY_ID)

            destination = await listen_on_free_port(listen, kvm, address)
            blocks = await qemu.execute("query-block")
            for disk in guest.disks:
                await qemu.execute(
                    "block-export-add",
                    type="nbd",
                    id=device_id(_EXPORT, disk.uuid),
                    node_name=_find_node(blocks, disk),
                    name=disk_id(disk),
                    writable=True,
                )
        return destination

    async def end_receiving(self, qemu: Monitor) -> None:
        """End the exports of a guest that has arrived, whose disks nothing else may write to."""
        with suppress(CommandFailed):  # nothing is exported
            await qemu.execute("nbd-server-stop")

    async def copy_disks(self, guest: Guest, destination: str, secret: str) -> None:
        """Start a mirror job for each disk of a guest."""
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        if runtime.config is not None:
            require_same_disks(guest, runtime.config)
        kvm = read_parameters(guest.hvparams)
        host, port = split_address(destination)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            await self.stop_copying(qemu)
            await self._keys.add_key(qemu, runtime, secret, "client")
            try:
                for disk in guest.disks:
                    await qemu.execute(
                        "blockdev-add",
                        driver="nbd",
                        node_name=device_id(_TARGET, disk.uuid),
                        server={"type": "inet", "host": host, "port": port},
                        export=disk_id(disk),
                        tls_creds=KEY_ID,
                        discard="unmap",
                    )
                    await qemu.execute(
                        "blockdev-mirror",
                        job_id=device_id(_JOB, disk.uuid),
                        device=disk_id(disk),
                        target=device_id(_TARGET, disk.uuid),
                        sync="full",
                        # In bytes per second; 0 is no limit.
                        speed=kvm.migration_bandwidth * _MIB // len(guest.disks),
                        # So that the reason of a failure can be read.
                        auto_dismiss=False,
                    )
            except BaseException:
                await self.stop_copying(qemu)
                raise

    async def query_progress(self, guest: Guest) -> MigrationProgress:
        """Return how far the copies of a guest's disks are."""
        self._guests.alive(guest.name, GuestPhase.HERE)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            return _parse_jobs(await self.list_jobs(qemu))

    async def list_jobs(self, qemu: Monitor) -> list[Document]:
        """Return the mirror jobs of a guest, in QEMU's words."""
        jobs = await qemu.execute("query-jobs")
        return [each for each in jobs if str(each["id"]).startswith(f"{_JOB}-")]

    async def complete(self, qemu: Monitor) -> str:
        """Copy the last writes of a guest that is paused, and end its jobs; return what failed.

        Without jobs, an earlier daemon has done that.
        """
        deadline = self._clock.seconds() + LAST_WRITES_TIMEOUT
        while jobs := await self.list_jobs(qemu):
            if problem := _find_problem(jobs):
                return problem
            for each in jobs:
                if each["status"] == "concluded":
                    await self._forget(qemu, each)
                elif each["status"] in _FOLLOWS:
                    # A job that follows the guest ends with an equal copy, once all is written.
                    with suppress(CommandFailed):
                        await qemu.execute("block-job-cancel", device=each["id"])
            if self._clock.seconds() >= deadline:
                return f"the last writes were not copied within {LAST_WRITES_TIMEOUT:g} s"
            await deferLater(self._clock, POLL_INTERVAL)
        return ""

    async def stop_copying(self, qemu: Monitor) -> None:
        """End all jobs of a guest at once, whatever they have copied; succeed without any."""
        deadline = self._clock.seconds() + QUIT_TIMEOUT
        while jobs := await self.list_jobs(qemu):
            for each in jobs:
                if each["status"] == "concluded":
                    await self._forget(qemu, each)
                else:
                    with suppress(CommandFailed):  # it has just ended
                        await qemu.execute("block-job-cancel", device=each["id"], force=True)
            if self._clock.seconds() >= deadline:
                raise Failed(f"QEMU did not end the copies of disks within {QUIT_TIMEOUT:g} s")
            await deferLater(self._clock, POLL_INTERVAL)
        for node in await qemu.execute("query-named-block-nodes"):
            # Left by a job that has not begun.
            if str(node["node-name"]).startswith(f"{_TARGET}-"):
                await qemu.execute("blockdev-del", node_name=node["node-name"])

    async def _forget(self, qemu: Monitor, job: Document) -> None:
        """Remove a job that has ended, and its connection."""
        name = str(job["id"])
        with suppress(CommandFailed):  # an earlier attempt has removed it
            await qemu.execute("blockdev-del", node_name=name.replace(_JOB, _TARGET, 1))
        await qemu.execute("job-dismiss", id=name)


def _find_node(blocks: Sequence[Document], disk: Disk) -> str:
    """Return the name of the block node of a disk, by the answer to ``query-block``."""
    for each in blocks:
        if each.get("device") == disk_id(disk) and "inserted" in each:
            return str(each["inserted"]["node-name"])
    raise Failed(f"QEMU has no drive {disk_id(disk)}", Code.ENVIRONMENT)


def _find_problem(jobs: Sequence[Document]) -> str:
    """Return why a job has failed; empty if none has."""
    return "; ".join(str(each["error"]) for each in jobs if each.get("error"))


def _parse_jobs(jobs: Sequence[Document]) -> MigrationProgress:
    """Return the progress of all jobs together."""
    if not jobs:
        return MigrationProgress(phase=MigrationPhase.FAILED, message="no disk is being copied")
    if problem := _find_problem(jobs):
        return MigrationProgress(phase=MigrationPhase.FAILED, message=problem)
    follows = all(each["status"] in _FOLLOWS for each in jobs)
    return MigrationProgress(
        phase=MigrationPhase.COMPLETED if follows else MigrationPhase.ACTIVE,
        transferred=sum(each["current-progress"] for each in jobs),
        total=sum(each["total-progress"] for each in jobs),
    )
