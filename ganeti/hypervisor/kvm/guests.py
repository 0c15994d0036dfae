# SPDX-License-Identifier: BSD-2-Clause
"""The records of a node's guests, and their processes."""

from __future__ import annotations

import enum

import msgspec

from ganeti.hypervisor.guest_records import noted
from ganeti.hypervisor.interfaces import NotRunning
from ganeti.hypervisor.kvm.runtime_paths import RuntimePaths, places
from ganeti.model.guest import GuestState
from ganeti.model.running import RunningConfig
from ganeti.schema.records import Record, replace
from ganeti.system.interfaces import IFiles, IProcesses, IStateFiles, ProcessInfo


class GuestPhase(enum.StrEnum):
    """The phase of a guest: starting, running here, awaited by a migration, or migrated away."""

    STARTING = "starting"
    HERE = "here"
    INCOMING = "awaited"
    LEFT = "left"


class GuestRecord(Record):
    """The record of a guest: its process, and the values for the list of guests.

    ``config`` is the configuration it was started with; None if an older version started it.
    """

    name: str
    memory: int
    vcpus: int
    place: GuestPhase
    paused: bool = False
    pid: int = 0
    identity: str = ""
    taps: tuple[str, ...] = ()
    config: RunningConfig | None = None


class GuestRegistry:
    """The guests by name; a record exists from before the start of QEMU until after its end.

    So a restarted daemon finds all processes; a pid that was reused is detected by its start time.
    """

    def __init__(
        self, folder: str, notes: IStateFiles, files: IFiles, processes: IProcesses
    ) -> None:
        self._folder = folder
        self._notes = notes
        self._files = files
        self._processes = processes
        self._guests: dict[str, GuestRecord] = {}
        for name, runtime in noted(notes, GuestRecord).items():
            lost = GuestRecord(name=name, memory=0, vcpus=0, place=GuestPhase.STARTING)
            self._guests[name] = self.adopted(runtime or lost)

    def get(self, name: str) -> GuestRecord | None:
        """Return the record of a guest, even if its process has ended."""
        return self._guests.get(name)

    def alive(self, name: str, *places: GuestPhase) -> GuestRecord:
        """Return the record of a guest whose process is alive, in one of ``places`` if given.

        :raises NotRunning: if there is none.
        """
        runtime = self._guests.get(name)
        if runtime is None or (places and runtime.place not in places) or not self.life(runtime):
            raise NotRunning(name)
        return runtime

    def running(self) -> dict[str, GuestState]:
        """Return the guests that run here."""
        found = {}
        for name, runtime in self._guests.items():
            if runtime.place is GuestPhase.HERE and (life := self.life(runtime)):
                found[name] = GuestState(
                    name=name,
                    memory=runtime.memory,
                    vcpus=runtime.vcpus,
                    cpu_time=life.cpu_seconds,
                    paused=runtime.paused,
                )
        return found

    def life(self, runtime: GuestRecord) -> ProcessInfo | None:
        """Return information about a guest's process; None if it has ended."""
        life = self._processes.life(runtime.pid) if runtime.pid else None
        return life if life and life.identity == runtime.identity else None

    def places(self, name: str) -> RuntimePaths:
        """Return the paths of a guest's sockets, pid file and log."""
        return places(self._folder, name)

    def adopted(self, runtime: GuestRecord) -> GuestRecord:
        """Return the record of a guest, completed with its process if that was not recorded yet."""
        if runtime.pid:
            return runtime
        path = self.places(runtime.name).pid
        try:
            pid = int(self._files.read(path))
        except (OSError, ValueError):
            return runtime
        # The pid file may be old: only a QEMU that was started with this file is the guest's.
        life, arguments = self._processes.life(pid), self._processes.arguments(pid)
        if life is None or path not in arguments:
            return runtime
        place = GuestPhase.INCOMING if "-incoming" in arguments else GuestPhase.HERE
        return replace(runtime, pid=pid, identity=life.identity, place=place)

    def keep(self, runtime: GuestRecord) -> None:
        """Write the record of a guest."""
        self._notes.put(runtime.name, msgspec.json.encode(runtime))
        self._guests[runtime.name] = runtime

    def forget(self, name: str) -> None:
        """Remove the record of a guest."""
        self._notes.remove(name)
        self._guests.pop(name, None)
