# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the devices of a running guest: disks, network cards, CDs and memory."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.errors import Failed, Refused
from ganeti.hypervisor.interfaces import AttachedDisk, more_than_started
from ganeti.hypervisor.kvm import balloon, hotplug
from ganeti.hypervisor.kvm.cd_drives import CdDrive, changed_drives
from ganeti.hypervisor.kvm.devices import disk_id, nic_id, tap
from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRecord, GuestRegistry
from ganeti.hypervisor.kvm.monitor import CommandFailed, Monitor
from ganeti.hypervisor.kvm.pcie_ports import find_free_port
from ganeti.hypervisor.kvm.qemu_files import CannotOpen, QemuFiles
from ganeti.hypervisor.kvm.qemu_processes import QemuProcesses, read_parameters
from ganeti.hypervisor.kvm.tap_devices import Taps
from ganeti.model.guest import Guest, GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.running import RunningConfig, with_disk, with_nic, without_device
from ganeti.schema.records import replace
from ganeti.system.interfaces import FileAccess, IFiles

_TRAY_TIMEOUT, _TRAY_INTERVAL = 5.0, 0.5
"""How long a guest that has locked a CD drive may take to open it, and how often it is asked to, in
seconds."""


class DeviceChanges:
    """Changes devices and the record of the guest, so that a migration finds what it has now."""

    def __init__(
        self,
        guests: GuestRegistry,
        qemus: QemuProcesses,
        taps: Taps,
        files: IFiles,
        qemu_files: QemuFiles,
        clock: IReactorTime,
    ) -> None:
        self._guests = guests
        self._qemus = qemus
        self._taps = taps
        self._files = files
        self._qemu_files = qemu_files
        self._clock = clock

    def _files_for(self, runtime: GuestRecord) -> QemuFiles | None:
        """Return how files are opened for the QEMU of a guest; None if it can open them itself."""
        return self._qemu_files if runtime.user else None

    async def change_cds(self, guest: Guest, *, force: bool) -> None:
        """Put the CDs of the configuration into the drives of the guest, see ``IHypervisor``."""
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        if runtime.config is None:
            return  # an older version started it, and did not note its drives
        config = runtime.config
        started, configured = (read_parameters(each.hvparams) for each in (config, guest))
        for drive in changed_drives(started, configured, config.empty_drives):
            async with self._qemus.connect_monitor(guest.name) as qemu:
                await self._change_medium(qemu, drive, runtime, force=force)
            # At once: a migration would otherwise start the guest with the image before.
            hvparams = {**config.hvparams, drive.parameter: drive.image}
            empty = set(config.empty_drives) - {drive.parameter}
            if not drive.image:
                empty.add(drive.parameter)
            config = replace(config, hvparams=hvparams, empty_drives=tuple(sorted(empty)))
            runtime = replace(runtime, config=config)
            self._guests.save_record(runtime)

    async def _change_medium(
        self, qemu: Monitor, drive: CdDrive, runtime: GuestRecord, *, force: bool
    ) -> None:
        """Put another image into a drive, or none; QEMU asks a guest that has locked it.

        :raises Refused: the guest does not open it.
        """
        deadline = self._clock.seconds() + _TRAY_TIMEOUT
        # Earlier versions of QEMU than 7.1 cannot force the change of a CD, but its removal.
        forced = {"force": True} if force else {}
        files, image = self._files_for(runtime), drive.image
        # It may also be a URL.
        if files is not None and image.startswith("/"):
            image = await files.pass_file(qemu, image, FileAccess.READ)
        while True:
            try:
                if image:
                    await qemu.execute(
                        "blockdev-change-medium",
                        device=drive.name,
                        filename=image,
                        format="raw",
                        read_only_mode="retain",
                        **forced,
                    )
                else:
                    await qemu.execute("eject", device=drive.name, **forced)
            except CommandFailed as error:
                if "is locked" not in str(error):
                    raise
            else:
                return
            if self._clock.seconds() >= deadline:
                raise Refused(
                    f"the guest of instance {runtime.name} has locked the CD drive of"
                    f" {drive.parameter} and did not open it within {_TRAY_TIMEOUT:g} seconds;"
                    " unmount the CD there and try again, or use --force to change it anyway"
                )
            await deferLater(self._clock, _TRAY_INTERVAL)

    async def change_memory(self, guest: Guest, memory: int) -> None:
        """Change the memory of a guest and its record, see ``IHypervisor``."""
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        running = _require_config(runtime)
        if memory > running.memory:
            raise more_than_started(guest.name, running.memory, memory)
        config = replace(running, current_memory=memory)
        changed = replace(runtime, memory=memory, config=config)
        # While it changes, the guest counts with the larger of both.
        if memory > runtime.memory:
            self._guests.save_record(changed)
        try:
            async with self._qemus.connect_monitor(guest.name) as qemu:
                await balloon.change_memory(qemu, guest.name, running.memory, memory, self._clock)
        except (Failed, Refused):
            self._guests.save_record(runtime)
            raise
        self._guests.save_record(changed)

    async def plug_device(self, guest: Guest, device: AttachedDisk | GuestNic) -> None:
        """Add a disk or a network card, or give a card another connection."""
        runtime, running, kvm = self._require_changeable(guest.name)
        if isinstance(device, AttachedDisk):
            await self._plug_disk(runtime, running, kvm, device)
            return
        before = next((each for each in running.nics if each.uuid == device.uuid), None)
        if before is None:
            await self._plug_nic(runtime, running, kvm, device)
        elif before.mac == device.mac:
            if kvm.kvm_net == "host":
                await self._taps.reconnect(before, device, guest.name)
            self._guests.save_record(replace(runtime, config=with_nic(running, device)))
        else:
            await self.unplug_device(guest, device.uuid)
            await self.plug_device(guest, device)

    async def _plug_disk(
        self, runtime: GuestRecord, running: RunningConfig, kvm: Kvm, attached: AttachedDisk
    ) -> None:
        hotplug.require_hot_disk(kvm, runtime.name)
        # Before QEMU opens it, so that no disk that is in use counts as free.
        name = disk_id(attached.disk)
        running = _claim_port(with_disk(running, attached.disk), name, runtime.name)
        planned = replace(runtime, config=running)
        self._guests.save_record(planned)
        try:
            async with self._qemus.connect_monitor(runtime.name) as qemu:
                found = self._files.stat(attached.path)
                device_file = found is not None and found.device
                port = _find_port(running, name)
                await hotplug.add_disk(
                    qemu,
                    attached,
                    kvm,
                    device_file=device_file,
                    port=port,
                    files=self._files_for(runtime),
                )
                await self._keep_slots(qemu, planned)
        except (CommandFailed, CannotOpen):
            self._guests.save_record(runtime)
            raise

    async def _plug_nic(
        self, runtime: GuestRecord, running: RunningConfig, kvm: Kvm, card: GuestNic
    ) -> None:
        hotplug.require_hot_nic(running, runtime.name)
        taps = () if kvm.kvm_net == "user" else (tap(card),)
        name = nic_id(card)
        running = _claim_port(with_nic(running, card), name, runtime.name)
        planned = replace(runtime, config=running, taps=(*runtime.taps, *taps))
        self._guests.save_record(planned)
        try:
            await self._taps.connect_cards(runtime.name, [card], kvm)
            async with self._qemus.connect_monitor(runtime.name) as qemu:
                files, port = self._files_for(runtime), _find_port(running, name)
                await hotplug.add_nic(qemu, card, kvm, port=port, files=files)
                await self._keep_slots(qemu, planned)
        except (CommandFailed, CannotOpen, Refused):
            await self._taps.disconnect(taps)
            self._guests.save_record(runtime)
            raise

    async def unplug_device(self, guest: Guest, uuid: str) -> None:
        """Remove a disk or a network card; do nothing if the guest has none with this UUID."""
        runtime, running, kvm = self._require_changeable(guest.name)
        card = next((each for each in running.nics if each.uuid == uuid), None)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            if card is not None:
                hotplug.require_hot_nic(running, guest.name)
                await hotplug.remove_nic(qemu, card, self._clock)
                if kvm.kvm_net == "host":
                    await self._taps.disconnect((tap(card),))
                    taps = tuple(each for each in runtime.taps if each != tap(card))
                    runtime = replace(runtime, taps=taps)
            elif any(each.uuid == uuid for each in running.disks):
                hotplug.require_hot_disk(kvm, guest.name)
                await hotplug.remove_disk(qemu, uuid, self._clock)
            else:
                return
            if card is not None and running.nics[0] == card:
                # They were those of the first card.
                running = replace(running, forwards=())
            changed = replace(runtime, config=without_device(running, uuid))
            await self._keep_slots(qemu, changed)

    async def _keep_slots(self, qemu: Monitor, runtime: GuestRecord) -> None:
        """Record a changed guest, with the addresses that its devices have now."""
        assert runtime.config is not None
        config = runtime.config
        if config.ports:
            # Ports are chosen here, and recorded before a device is behind them.
            has = {disk_id(each) for each in config.disks} | {nic_id(each) for each in config.nics}
            slots = {name: port for name, port in (config.slots or {}).items() if name in has}
        else:
            slots = await hotplug.read_slots(qemu)
        self._guests.save_record(replace(runtime, config=replace(config, slots=slots)))

    def _require_changeable(self, name: str) -> tuple[GuestRecord, RunningConfig, Kvm]:
        """Return the record of a running guest whose devices can change, and its settings.

        :raises Refused: they cannot change while it runs.
        """
        runtime = self._guests.alive(name, GuestPhase.HERE)
        running = _require_config(runtime)
        if problem := hotplug.find_problem(running, name):
            raise Refused(problem)
        return runtime, running, read_parameters(running.hvparams)


def _require_config(runtime: GuestRecord) -> RunningConfig:
    if runtime.config is None:
        raise Refused(
            f"instance {runtime.name} was started by an older version; restart it: gnt-instance"
            f" reboot {runtime.name}"
        )
    return runtime.config


def _claim_port(running: RunningConfig, device: str, name: str) -> RunningConfig:
    """Return the settings with a root port for a new device of the guest ``name``, if it has any.

    :raises Refused: none is free.
    """
    slots = running.slots or {}
    # An earlier attempt may have claimed one, and added the device there.
    if not running.ports or device in slots:
        return running
    return replace(running, slots={**slots, device: find_free_port(slots, running.ports, name)})


def _find_port(running: RunningConfig, device: str) -> str:
    """Return the root port of a device; empty if the machine has none."""
    return (running.slots or {}).get(device, "") if running.ports else ""
