# SPDX-License-Identifier: BSD-2-Clause
"""Which guests this node has, and which process each of them is."""

from __future__ import annotations

import enum

import msgspec

from ganeti.hypervisor.guest_records import noted
from ganeti.hypervisor.interfaces import NotRunning
from ganeti.hypervisor.kvm.runtime_paths import RuntimePaths, places
from ganeti.model.guest import GuestState
from ganeti.model.running import RunningConfig
from ganeti.schema.records import Record, replace
from ganeti.system.interfaces import IFiles, INotes, IProcesses, ProcessLifetime


class GuestPhase(enum.StrEnum):
    """Whether a guest is here, being started, awaited from elsewhere, or has left."""

    STARTING = "starting"
    HERE = "here"
    AWAITED = "awaited"
    LEFT = "left"


class Runtime(Record):
    """What is noted of a guest: its process, and what a list of guests wants to know.

    ``config`` is what it was started with, None for one that an older version started.
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


class Guests:
    """The guests by name, noted before their QEMU is started and until after it has ended.

    So the next daemon finds every process; who has the same pid later is not taken for it.
    """

    def __init__(self, folder: str, notes: INotes, files: IFiles, processes: IProcesses) -> None:
        self._folder = folder
        self._notes = notes
        self._files = files
        self._processes = processes
        self._guests: dict[str, Runtime] = {}
        for name, runtime in noted(notes, Runtime).items():
            lost = Runtime(name=name, memory=0, vcpus=0, place=GuestPhase.STARTING)
            self._guests[name] = self.adopted(runtime or lost)

    def get(self, name: str) -> Runtime | None:
        """What is noted of a guest, dead ones included."""
        return self._guests.get(name)

    def alive(self, name: str, *places: GuestPhase) -> Runtime:
        """What is noted of a guest that is alive, in one of ``places`` if any are given.

        :raises NotRunning: there is none.
        """
        runtime = self._guests.get(name)
        if runtime is None or (places and runtime.place not in places) or not self.life(runtime):
            raise NotRunning(name)
        return runtime

    def running(self) -> dict[str, GuestState]:
        """The guests that are here and alive."""
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

    def life(self, runtime: Runtime) -> ProcessLifetime | None:
        """What is known of a guest's process; None if it has ended."""
        life = self._processes.life(runtime.pid) if runtime.pid else None
        return life if life and life.identity == runtime.identity else None

    def places(self, name: str) -> RuntimePaths:
        """Where the sockets and the pid file of a guest are."""
        return places(self._folder, name)

    def adopted(self, runtime: Runtime) -> Runtime:
        """The note of a guest with its process, if it was noted before there was one."""
        if runtime.pid:
            return runtime
        path = self.places(runtime.name).pid
        try:
            pid = int(self._files.read(path))
        except (OSError, ValueError):
            return runtime
        # The pid is from a file that may be old: only a QEMU that was told of this file wrote it.
        life, arguments = self._processes.life(pid), self._processes.arguments(pid)
        if life is None or path not in arguments:
            return runtime
        place = GuestPhase.AWAITED if "-incoming" in arguments else GuestPhase.HERE
        return replace(runtime, pid=pid, identity=life.identity, place=place)

    def keep(self, runtime: Runtime) -> None:
        """Note a guest, replacing what was noted of it."""
        self._notes.put(runtime.name, msgspec.json.encode(runtime))
        self._guests[runtime.name] = runtime

    def forget(self, name: str) -> None:
        """Note nothing of a guest any more."""
        self._notes.remove(name)
        self._guests.pop(name, None)
