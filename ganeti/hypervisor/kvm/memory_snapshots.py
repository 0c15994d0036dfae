# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots of a guest's memory and devices, beside those of its disks in qcow2 images.

QEMU writes them into the image of the first disk, and stops the guest meanwhile (``snapshot-save``,
QEMU 6.0). It answers nothing then, so that a job is asked about again and again. A virtual machine
that loads one must have the devices of the one that was saved: it is created from the configuration
that the guest was started with.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.errors import Code, Failed, Refused
from ganeti.hypervisor.kvm.backup_drives import disk_key, parse_drives
from ganeti.hypervisor.kvm.devices import is_q35
from ganeti.hypervisor.kvm.disk_snapshots import require_same_disks
from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRegistry
from ganeti.hypervisor.kvm.monitor import Monitor, MonitorUnavailable
from ganeti.hypervisor.kvm.pcie_ports import assign_ports
from ganeti.hypervisor.kvm.qemu_command import Accelerator
from ganeti.hypervisor.kvm.qemu_processes import QemuProcesses, read_parameters
from ganeti.model.disk import Disk
from ganeti.model.guest import Guest
from ganeti.model.instance_snapshots import SavedMemory
from ganeti.model.running import RunningConfig
from ganeti.schema.records import replace
from ganeti.system.interfaces import IFiles

POLL = 0.5
"""Seconds between two questions about a job."""

_CPU_FILE = "/proc/cpuinfo"
_HOST_CPUS = frozenset(("host", "max"))


class MemorySnapshots:
    """Saves guests of this node with their memory, and lets them go on from there."""

    def __init__(
        self, guests: GuestRegistry, qemus: QemuProcesses, files: IFiles, clock: IReactorTime
    ) -> None:
        self._guests = guests
        self._qemus = qemus
        self._files = files
        self._clock = clock

    async def save_guest(self, guest: Guest, name: str) -> SavedMemory:
        """Save the memory and all disks of a guest at one instant; see ``IMemorySnapshots``."""
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        running = runtime.config
        if running is None or runtime.of_ganeti:
            raise Refused(
                f"instance {guest.name} was started by other or older software; restart it before a"
                f" snapshot with memory: gnt-instance reboot {guest.name}"
            )
        require_same_disks(guest, running)
        if problem := _find_changed_devices(guest, running):
            raise Refused(
                f"instance {guest.name} cannot have a snapshot with memory: {problem}; restart it"
                f" first: gnt-instance reboot {guest.name}, or leave out --memory"
            )
        async with self._qemus.connect_monitor(guest.name) as qemu:
            status = (await qemu.execute("query-status"))["status"]
            if status != "running":
                raise Refused(
                    f"instance {guest.name} is {status}; let it go on first, or leave out --memory"
                )
            nodes = await _find_nodes(qemu, guest.disks, guest.name)
            await qemu.execute(
                "snapshot-save", job_id=name, tag=name, vmstate=nodes[0], devices=nodes
            )
        await self._end_job(guest.name, name)
        return SavedMemory(running=running, cpu=self._host_cpu(running))

    def find_problem(self, guest: Guest, version: str, saved: SavedMemory) -> str:
        """Return why this node cannot load what was saved; empty if it can.

        ``version`` is that of QEMU on this node.
        """
        if version != saved.running.version:
            return f"it was saved by QEMU {saved.running.version}, and this node has QEMU {version}"
        cpu = self._host_cpu(saved.running)
        if cpu != saved.cpu:
            return (
                f"the guest has the processor of its host (cpu_type), which was {saved.cpu}, and"
                f" that of this node is {cpu}"
            )
        return ""

    async def load_guest(self, guest: Guest, name: str, saved: SavedMemory) -> None:
        """Load what was saved into a guest that was started paused, and let it go on.

        :raises Refused: its virtual machine is another one.
        """
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        if runtime.config is None or _identity(runtime.config) != _identity(saved.running):
            raise Refused(
                f"the virtual machine of instance {guest.name} has other devices than the one whose"
                " memory was saved"
            )
        async with self._qemus.connect_monitor(guest.name) as qemu:
            nodes = await _find_nodes(qemu, guest.disks, guest.name)
            await qemu.execute(
                "snapshot-load", job_id=name, tag=name, vmstate=nodes[0], devices=nodes
            )
        await self._end_job(guest.name, name)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            await qemu.execute("cont")
        self._guests.save_record(replace(runtime, paused=False))

    async def settle_job(self, guest: Guest, name: str) -> None:
        """Wait for the end of a job that another daemon has begun; do nothing if there is none."""
        async with self._qemus.connect_monitor(guest.name) as qemu:
            jobs = {each["id"] for each in await qemu.execute("query-jobs")}
        if name in jobs:
            try:
                await self._end_job(guest.name, name)
            except Failed:
                return  # what there is of the snapshot is removed anyway

    async def _end_job(self, guest: str, name: str) -> None:
        """Wait for the end of a job, and dismiss it.

        :raises Failed: with QEMU's reason.
        :raises NotRunning: the guest has ended.
        """
        while True:
            self._guests.alive(guest, GuestPhase.HERE)
            try:
                async with self._qemus.connect_monitor(guest) as qemu:
                    jobs = {each["id"]: each for each in await qemu.execute("query-jobs")}
                    if name not in jobs:
                        raise Failed(f"QEMU knows no job {name} any more", Code.ENVIRONMENT)
                    job = jobs[name]
                    if job["status"] == "concluded":
                        await qemu.execute("job-dismiss", id=name)
                        break
            except MonitorUnavailable:
                # It writes or reads memory, and answers when it has ended.
                pass
            await deferLater(self._clock, POLL)
        if error := job.get("error"):
            raise Failed(f"QEMU could not do it: {error}", Code.ENVIRONMENT)

    def _host_cpu(self, running: RunningConfig) -> str:
        """Return the processor of this node, if the guest depends on it."""
        parameters = {**running.hvparams, **running.chosen}
        if parameters.get("kvm_accel") == Accelerator.TCG.value:
            return ""
        if str(parameters.get("cpu_type", "")).partition(",")[0] not in _HOST_CPUS:
            return ""
        lines = self._files.read(_CPU_FILE).decode("utf-8", "replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else ""


async def _find_nodes(qemu: Monitor, disks: Sequence[Disk], name: str) -> list[str]:
    found = await qemu.execute("query-named-block-nodes")
    nodes = {each["node-name"]: each for each in found}

    def refuse_filter(key: str) -> str:
        raise Refused(f"instance {name} is being backed up; try again when that has ended")

    drives = {
        each.uuid: each.node
        for each in parse_drives(await qemu.execute("query-block"), nodes, refuse_filter)
    }
    return [drives[disk_key(disk.uuid)] for disk in disks]


def _find_changed_devices(guest: Guest, running: RunningConfig) -> str:
    """Return why a virtual machine that is started later would have other devices."""
    if running.seed:
        return "it still has the volume for its first boot"
    kvm = read_parameters({**running.hvparams, **running.chosen})
    expected = assign_ports(kvm, guest.disks, running.nics) if is_q35(kvm) else {}
    if running.slots is None or dict(running.slots) != expected:
        return "devices were added or removed while it was running"
    if running.empty_drives:
        return "it has CD drives that its configuration no longer has"
    return ""


def _identity(running: RunningConfig) -> tuple[object, ...]:
    """Return what must be equal for the memory of one virtual machine to fit another one."""
    cards = tuple((each.uuid, each.mac) for each in running.nics)
    disks = tuple(each.uuid for each in running.disks)
    slots = tuple(sorted((running.slots or {}).items()))
    chosen = tuple(sorted((name, str(value)) for name, value in running.chosen.items()))
    return (running.memory, running.vcpus, cards, disks, slots, chosen, running.ports, running.seed)
