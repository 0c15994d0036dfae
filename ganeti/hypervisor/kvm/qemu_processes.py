# SPDX-License-Identifier: BSD-2-Clause
"""The QEMU processes of this node: their start, their end and the files that they leave."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.errors import Failed, Invalid, Problem, Refused
from ganeti.hypervisor.interfaces import AttachedDisk, GuestDevices, Running
from ganeti.hypervisor.kvm import requirements
from ganeti.hypervisor.kvm.accelerator import AcceleratorSelector
from ganeti.hypervisor.kvm.balloon import has_own_balloon
from ganeti.hypervisor.kvm.devices import is_q35, tap
from ganeti.hypervisor.kvm.firmware import FirmwareVariables, find_firmware
from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRecord, GuestRegistry
from ganeti.hypervisor.kvm.monitor import (
    CommandFailed,
    Monitor,
    MonitorConnector,
    MonitorUnavailable,
)
from ganeti.hypervisor.kvm.pcie_ports import assign_ports, count_ports
from ganeti.hypervisor.kvm.port_forwards import has_forwards, read_forwards
from ganeti.hypervisor.kvm.processor_affinity import pin_processors
from ganeti.hypervisor.kvm.programs import QemuProgram, QemuPrograms
from ganeti.hypervisor.kvm.qemu_command import (
    Accelerator,
    HostSettings,
    LoadedFirmware,
    command,
    cpu_model,
    read,
)
from ganeti.hypervisor.kvm.qemu_user import QemuUser, QemuUsers
from ganeti.hypervisor.kvm.runtime_paths import RuntimePaths
from ganeti.hypervisor.kvm.scope import scope_command
from ganeti.hypervisor.kvm.spice import find_address
from ganeti.hypervisor.kvm.tap_devices import Taps
from ganeti.hypervisor.kvm.tpm import TpmEmulators, TpmProcess
from ganeti.model.guest import CheckScope, Guest
from ganeti.model.parameters.kvm import BIOS, Kvm
from ganeti.model.processor_masks import has_mask_for_each, require_mask_for_each
from ganeti.model.running import RunningConfig, running_config
from ganeti.schema.records import replace
from ganeti.schema.types import Parameters
from ganeti.system.interfaces import MINIMAL_PATH, IFiles, IProcesses

_START_TIMEOUT = 600.0
"""How long QEMU may take to start, in seconds; with ``mem_path`` it allocates all memory."""
QUIT_TIMEOUT = 30.0
"""How long QEMU may take to carry out a request to end something, in seconds."""
_KILL_TIMEOUT = 120.0
"""How long a process may take to exit after SIGKILL, in seconds: freeing much memory takes time."""
FENCE_TIMEOUT = 2.0
"""How long the end of guests is awaited whose node has lost its lease, in seconds, at a time."""
POLL_INTERVAL = 0.02

_BINARY = "qemu-system-x86_64"

_LOG_PREFIX = re.compile(r"^\S*qemu\S*: ")
"""The prefix of lines in QEMU's log."""
_MAX_LOG_LENGTH = 1000
"""How many characters from the end of QEMU's log are included in a message."""


class QemuProcesses:
    """Starts and ends QEMU for the guests of a registry; their sockets are in ``folder``.

    With ``scopes``, each QEMU gets a systemd scope. ``keys`` is the folder of certificates.
    """

    def __init__(
        self,
        guests: GuestRegistry,
        taps: Taps,
        variables: FirmwareVariables,
        users: QemuUsers,
        tpms: TpmEmulators,
        *,
        folder: str,
        keys: str,
        files: IFiles,
        processes: IProcesses,
        monitors: MonitorConnector,
        accelerators: AcceleratorSelector,
        clock: IReactorTime,
        scopes: bool,
    ) -> None:
        self._guests = guests
        self._taps = taps
        self._variables = variables
        self._users = users
        self._tpms = tpms
        self._folder = folder
        self._keys = keys
        self._files = files
        self._processes = processes
        self._monitors = monitors
        self._accelerators = accelerators
        self._clock = clock
        self._scopes = scopes
        self._programs = QemuPrograms(files, processes)

    async def launch_guest(
        self,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        *,
        paused: bool = False,
        running: RunningConfig | None = None,
        seed: bytes | None = None,
    ) -> None:
        """Start QEMU for a guest; if that fails, remove everything.

        With ``running``, it waits for the migration of a guest with that configuration. ``seed`` is
        the image of a volume for its first boot.
        """
        await self._require_not_running(guest.name)
        kvm = read_parameters(guest.hvparams)
        binary, program = self._find_binary(kvm), await self.describe_program(kvm)
        scope = CheckScope.ALL if running is None else CheckScope.RUNNING
        equipment = GuestDevices(guest.nics, len(disks), scope)
        if found := list(requirements.problems(kvm, equipment, self._files, program, self._keys)):
            raise Refused(f"{guest.name} cannot run on this node: {Invalid(found)}")
        require_mask_for_each(kvm.cpu_mask, guest.vcpus, guest.name)
        accelerator = await self._accelerators.choose(kvm, binary)
        chosen = _resolve_defaults(kvm, program, accelerator)
        config = (
            replace(
                running_config(guest, chosen, program.version, seed=seed is not None),
                balloon=not has_own_balloon(kvm),
            )
            if running is None
            else replace(running, version=program.version, slots=running.slots or {}, forwards=())
        )
        guest = replace(guest, hvparams={**guest.hvparams, **chosen})
        kvm = read(guest.hvparams)
        if running is None and is_q35(kvm):
            slots = assign_ports(kvm, [each.disk for each in disks], guest.nics)
            config = replace(config, slots=slots, ports=count_ports(slots))
        where = self._guests.runtime_paths(guest.name)
        incoming = running is not None
        loaded = await self._load_firmware(guest, kvm, incoming=incoming)
        await self._files.make_folder(self._folder)
        await self._remove_files(where)
        spice_address = await self.find_spice_address(kvm)
        user = await self._users.choose(kvm, self._guests.user_ids)
        machine = HostSettings(
            binary=binary,
            accelerator=accelerator,
            places=where,
            firmware=loaded,
            user=user,
            version=program.version,
            spice_address=spice_address,
            keys=self._keys,
        )
        argv = command(
            guest,
            disks,
            machine,
            paused=paused,
            incoming=incoming,
            slots=config.slots or {},
            ports=config.ports,
            empty_drives=config.empty_drives,
            seed=seed is not None,
            balloon=config.balloon,
        )
        taps = () if kvm.kvm_net == "user" else tuple(map(tap, guest.nics))
        runtime = GuestRecord(
            name=guest.name,
            memory=config.used_memory,
            vcpus=guest.vcpus,
            place=GuestPhase.STARTING,
            paused=paused,
            taps=taps,
            config=config,
            user=user.user if user else 0,
        )
        # Nothing is awaited since the choice of the user, which the record reserves.
        self._guests.save_record(runtime)
        try:
            if seed is not None:
                # It may have passwords.
                await self._files.replace(where.seed, seed, mode=0o600)
            await self._taps.connect(guest, kvm)
            if kvm.kvm_tpm:
                runtime = await self._start_tpm(guest, runtime, user, fresh=incoming)
            await self._run_qemu(guest.name, argv)
            runtime = self._guests.adopted(runtime)
            self._guests.save_record(runtime)
            if has_mask_for_each(kvm.cpu_mask):
                async with self.connect_monitor(guest.name) as qemu:
                    await pin_processors(qemu, kvm, runtime.pid, self._files, self._processes)
            if has_forwards(guest, kvm):
                async with self.connect_monitor(guest.name) as qemu:
                    forwards = await read_forwards(qemu)
                config = replace(config, forwards=forwards)
                self._guests.save_record(replace(runtime, config=config))
        except BaseException:
            await self.end_process(self._guests.adopted(runtime))
            raise
        started = self._guests.get(guest.name)
        if started is None or self._guests.process_info(started) is None:
            await self.remove_traces(runtime)
            raise Failed(f"QEMU of {guest.name} exited immediately after its start")

    async def _start_tpm(
        self, guest: Guest, runtime: GuestRecord, user: QemuUser | None, *, fresh: bool
    ) -> GuestRecord:
        """Start the TPM of a guest, and return its record with that."""
        state = await self._variables.prepare_tpm(guest, fresh=fresh)
        folder = self._guests.runtime_paths(guest.name).tpm
        tpm = await self._tpms.start(guest.name, state, folder, user, self._stamp())
        runtime = replace(runtime, tpm_pid=tpm.pid, tpm_identity=tpm.identity)
        self._guests.save_record(runtime)
        return runtime

    def _stamp(self) -> int:
        """Return the number of a scope, which differs from that of an earlier one."""
        return round(self._clock.seconds() * 1000)

    async def find_spice_address(self, kvm: Kvm) -> str:
        """Return the address of this node that SPICE listens on, see ``spice``."""
        return await find_address(kvm, self._processes)

    async def _load_firmware(
        self, guest: Guest, kvm: Kvm, *, incoming: bool
    ) -> LoadedFirmware | None:
        """Return the UEFI firmware of a guest with its variables; None if it has the BIOS."""
        kind = kvm.kvm_firmware
        if kind == BIOS:
            return None
        firmware = find_firmware(kind, kvm.machine_version, self._files)
        path = await self._variables.prepare_variables(guest, kind, firmware, fresh=incoming)
        return LoadedFirmware(firmware, path)

    async def describe_program(self, kvm: Kvm) -> QemuProgram:
        """Return the properties of the QEMU program for a guest.

        :raises Failed: it cannot be run.
        """
        return await self._programs.describe(self._find_binary(kvm))

    def _find_binary(self, kvm: Kvm) -> str:
        """Return the path of the QEMU program for a guest."""
        folders = MINIMAL_PATH.split(":")
        candidates = (kvm.kvm_path, *(f"{folder}/{_BINARY}" for folder in folders))
        return next((path for path in candidates if self._files.stat(path)), _BINARY)

    async def _run_qemu(self, name: str, argv: Sequence[str]) -> None:
        if self._scopes:
            argv = [*scope_command(name, self._stamp()), *argv]
        finished = await self._processes.run(argv, timeout=_START_TIMEOUT)
        if finished.code:
            said = (finished.err or finished.out).decode("utf-8", "replace").strip()
            # With -D, QEMU writes errors to its log.
            said = said or self.read_log(name) or f"exit code {finished.code}"
            raise Failed(f"QEMU cannot start {name}: {said}")

    async def _require_not_running(self, name: str) -> None:
        """Remove the record of a guest of this name that has ended.

        :raises Running: if it is alive.
        """
        noted = self._guests.get(name)
        if noted is None:
            return
        # The previous daemon may have been killed before QEMU was ready and its process recorded.
        runtime = self._guests.adopted(noted)
        if self._guests.process_info(runtime) is None:
            await self.remove_traces(runtime)
        elif runtime.place is GuestPhase.LEFT:
            await self.end_process(runtime)
        else:
            self._guests.save_record(runtime)
            raise Running(name)

    async def end_process(self, runtime: GuestRecord) -> None:
        """End the QEMU of a guest, by its monitor if possible, and remove the record of the
        guest."""
        if self._guests.process_info(runtime):
            with suppress(MonitorUnavailable, CommandFailed):
                async with self.connect_monitor(runtime.name) as qemu:
                    await qemu.execute("quit")
                await self._wait_for_exit(runtime, QUIT_TIMEOUT)
        if self._guests.process_info(runtime):
            self._processes.kill(runtime.pid, signal.SIGKILL)
            await self._wait_for_exit(runtime, _KILL_TIMEOUT)
        if self._guests.process_info(runtime):
            raise Failed(
                f"process {runtime.pid} of instance {runtime.name} was killed but does not end: it"
                " hangs in the kernel; check for a disk that does not respond"
            )
        await self.remove_traces(runtime)

    async def kill_processes(self, runtimes: Sequence[GuestRecord]) -> None:
        """Kill the QEMUs of guests, all at once, and remove the records of those that have ended.

        :raises Failed: some do not end within ``FENCE_TIMEOUT``.
        """
        # Without a request to the monitors: QEMU may hang there while its guest runs on.
        for runtime in runtimes:
            self._processes.kill(runtime.pid, signal.SIGKILL)
        deadline = self._clock.seconds() + FENCE_TIMEOUT
        for runtime in runtimes:
            await self._wait_for_exit(runtime, deadline - self._clock.seconds())
        hanging = [each for each in runtimes if self._guests.process_info(each)]
        for runtime in runtimes:
            if runtime not in hanging:
                await self.remove_traces(runtime)
        if hanging:
            names = ", ".join(sorted(each.name for each in hanging))
            raise Failed(f"killed, but not ended yet: the processes of {names}")

    async def _wait_for_exit(self, runtime: GuestRecord, timeout: float) -> None:
        deadline = self._clock.seconds() + timeout
        while self._guests.process_info(runtime) and self._clock.seconds() < deadline:
            await deferLater(self._clock, POLL_INTERVAL)

    async def remove_traces(self, runtime: GuestRecord) -> None:
        """Remove tap devices, files and the record of a guest whose QEMU has ended."""
        await self._taps.disconnect(runtime.taps)
        paths = self._guests.runtime_paths(runtime.name)
        if runtime.config and read(runtime.config.hvparams).kvm_tpm:
            await self._tpms.end(TpmProcess(runtime.tpm_pid, runtime.tpm_identity), paths.tpm)
        await self._remove_files(paths)
        self._guests.remove_record(runtime.name)

    async def _remove_files(self, where: RuntimePaths) -> None:
        for path in where.all_paths:
            if self._files.stat(path) is not None:
                await self._files.remove(path)
        if self._files.stat(where.keys) is not None:
            await self._files.remove_folder(where.keys)

    def connect_monitor(self, name: str) -> AbstractAsyncContextManager[Monitor]:
        """Return a connection to the monitor of a guest's QEMU, see ``MonitorConnector``."""
        return self._monitors.talk(self._guests.runtime_paths(name).qmp)

    def read_log(self, name: str) -> str:
        """Return the end of the log of an incoming guest's QEMU, as one line."""
        path = self._guests.runtime_paths(name).log
        if self._files.stat(path) is None:
            return ""
        text = self._files.read(path).decode("utf-8", "replace")
        lines = [_LOG_PREFIX.sub("", line) for line in text.splitlines() if line.strip()]
        return "; ".join(lines)[-_MAX_LOG_LENGTH:]

    async def close_log(self, qemu: Monitor, name: str) -> None:
        """Stop QEMU from writing its log, which the guest could make grow."""
        with suppress(CommandFailed):
            await qemu.execute("human-monitor-command", command_line="logfile /dev/null")
        path = self._guests.runtime_paths(name).log
        if self._files.stat(path) is not None:
            await self._files.remove(path)


def read_parameters(hvparams: Parameters) -> Kvm:
    """Return the hypervisor parameters of a guest.

    :raises Invalid: they are none of this hypervisor.
    """
    try:
        return read(hvparams)
    except msgspec.ValidationError as error:
        raise Invalid([Problem("hvparams", str(error))]) from error


def _resolve_defaults(kvm: Kvm, program: QemuProgram, accelerator: Accelerator) -> dict[str, str]:
    """Return the values chosen for parameters that are open; the guest keeps them while it runs."""
    return {
        "machine_version": program.machine(kvm.machine_version),
        "kvm_accel": accelerator.value,
        "cpu_type": cpu_model(kvm, accelerator),
    }
