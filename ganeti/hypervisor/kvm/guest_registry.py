# SPDX-License-Identifier: BSD-2-Clause
"""The records of a node's guests, and their processes."""

from __future__ import annotations

import enum
import os
import re

import msgspec

from ganeti.hypervisor.guest_records import noted
from ganeti.hypervisor.interfaces import NotRunning
from ganeti.hypervisor.kvm.ganeti_guests import GanetiGuests, is_guest, memory, vcpus
from ganeti.hypervisor.kvm.runtime_paths import RuntimePaths, places
from ganeti.model.guest import Counters, GuestState
from ganeti.model.running import RunningConfig
from ganeti.schema.records import Record, replace
from ganeti.system.interfaces import IFiles, IProcesses, IStateFiles, ProcessInfo

PAGE = os.sysconf("SC_PAGE_SIZE")

_USER = re.compile(r"^Uid:\s+(\d+)", re.MULTILINE)
"""The user ID of a process; see proc_pid_status(5)."""
_IO = re.compile(r"^(read_bytes|write_bytes): (\d+)$", re.MULTILINE)
"""What a process has had read from and written to storage; see proc_pid_io(5)."""


class GuestPhase(enum.StrEnum):
    """The phase of a guest: starting, running here, awaited by a migration, or migrated away."""

    STARTING = "starting"
    HERE = "here"
    INCOMING = "awaited"
    LEFT = "left"


class GuestRecord(Record, omit_defaults=True):
    """The record of a guest: its process, and the values for the list of guests.

    ``config`` is the configuration it was started with; None if an older version started it.
    The files of a guest ``of_ganeti`` are where Ganeti, which has started it, keeps them. ``user``
    is the user ID of QEMU. ``tpm_pid`` and ``tpm_identity`` are its TPM's process.
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
    of_ganeti: bool = False
    user: int = 0
    tpm_pid: int = 0
    tpm_identity: str = ""


class GuestRegistry:
    """The guests by name; a record exists from before the start of QEMU until after its end.

    So a restarted daemon finds all processes; a pid that was reused is detected by its start time.
    """

    def __init__(
        self,
        folder: str,
        notes: IStateFiles,
        files: IFiles,
        processes: IProcesses,
        ganeti: GanetiGuests,
    ) -> None:
        self._folder = folder
        self._ganeti = ganeti
        self._notes = notes
        self._files = files
        self._processes = processes
        self._guests: dict[str, GuestRecord] = {}
        for name, runtime in noted(notes, GuestRecord).items():
            # A damaged record still stands for a guest: its QEMU may run, and is found by its pid
            # file.
            lost = GuestRecord(name=name, memory=0, vcpus=0, place=GuestPhase.STARTING)
            self._guests[name] = self.adopted(runtime or lost)
        for name in ganeti.names():
            # A guest that has a record here was found at an earlier start of the daemon.
            if self._guests.get(name) is None and (found := self._find_of_ganeti(name)):
                self.save_record(found)

    def get(self, name: str) -> GuestRecord | None:
        """Return the record of a guest, even if its process has ended."""
        return self._guests.get(name)

    def alive(self, name: str, *places: GuestPhase) -> GuestRecord:
        """Return the record of a guest whose process is alive, in one of ``places`` if given.

        :raises NotRunning: if there is none.
        """
        runtime = self._guests.get(name)
        if (
            runtime is None
            or (places and runtime.place not in places)
            or not self.process_info(runtime)
        ):
            raise NotRunning(name)
        return runtime

    def running(self) -> dict[str, GuestState]:
        """Return the guests that run here."""
        found = {}
        for name, runtime in self._guests.items():
            if runtime.place is GuestPhase.HERE and (life := self.process_info(runtime)):
                found[name] = GuestState(
                    name=name,
                    memory=runtime.memory,
                    vcpus=runtime.vcpus,
                    cpu_time=life.cpu_seconds,
                    paused=runtime.paused,
                    user=runtime.user,
                )
        return found

    def present(self) -> dict[str, GuestRecord]:
        """Return the records of all guests that have a process, in whatever phase they are."""
        return {
            name: record
            for name, record in ((name, self.adopted(each)) for name, each in self._guests.items())
            if self.process_info(record)
        }

    def user_ids(self) -> frozenset[int]:
        """Return the user IDs of all QEMUs of this node, also of those that start or end."""
        return frozenset(runtime.user for runtime in self._guests.values())

    def _find_user(self, pid: int) -> int:
        """Return the user ID that a process has now."""
        found = _USER.search(self._text(f"/proc/{pid}/status"))
        return int(found[1]) if found else 0

    def counters(self) -> dict[str, Counters]:
        """Return what the guests that run here have used."""
        return {
            name: self._counters(runtime, life)
            for name, runtime in self._guests.items()
            if runtime.place is GuestPhase.HERE and (life := self.process_info(runtime))
        }

    def _counters(self, runtime: GuestRecord, life: ProcessInfo) -> Counters:
        pages = self._text(f"/proc/{runtime.pid}/statm").split()
        transfers = dict(_IO.findall(self._text(f"/proc/{runtime.pid}/io")))
        # What a tap device receives, its guest has sent.
        received = [self._tap(each, "tx_bytes") for each in runtime.taps]
        sent = [self._tap(each, "rx_bytes") for each in runtime.taps]
        return Counters(
            cpu=life.cpu_seconds,
            # The second field is the resident memory, in pages (proc_pid_statm(5)).
            memory=int(pages[1]) * PAGE if len(pages) > 1 else None,
            disk_read=int(transfers["read_bytes"]) if "read_bytes" in transfers else None,
            disk_written=int(transfers["write_bytes"]) if "write_bytes" in transfers else None,
            received=sum(received) if runtime.taps else None,
            sent=sum(sent) if runtime.taps else None,
        )

    def _tap(self, device: str, counter: str) -> int:
        text = self._text(f"/sys/class/net/{device}/statistics/{counter}").strip()
        return int(text) if text.isdigit() else 0

    def _text(self, path: str) -> str:
        try:
            return self._files.read(path).decode("ascii", "replace")
        except OSError:  # it has just ended
            return ""

    def process_info(self, runtime: GuestRecord) -> ProcessInfo | None:
        """Return information about a guest's process; None if it has ended."""
        life = self._processes.process_info(runtime.pid) if runtime.pid else None
        return life if life and life.identity == runtime.identity else None

    def runtime_paths(self, name: str) -> RuntimePaths:
        """Return the paths of a guest's sockets, pid file and log."""
        runtime = self._guests.get(name)
        if runtime is not None and runtime.of_ganeti:
            return self._ganeti.runtime_paths(name)
        return places(self._folder, name)

    def _find_of_ganeti(self, name: str) -> GuestRecord | None:
        """Return the record of a guest that Ganeti has started, if it is running."""
        path = self._ganeti.runtime_paths(name).pid
        pid = self._text(path).strip()
        life = self._processes.process_info(int(pid)) if pid.isdigit() else None
        if life is None or not is_guest(
            arguments := self._processes.arguments(int(pid)), name, path
        ):
            return None
        return GuestRecord(
            name=name,
            memory=memory(arguments),
            vcpus=vcpus(arguments),
            place=GuestPhase.HERE,
            pid=int(pid),
            identity=life.identity,
            taps=self._ganeti.taps(name),
            config=self._ganeti.running_config(name, arguments),
            of_ganeti=True,
            user=self._find_user(int(pid)),
        )

    def adopted(self, runtime: GuestRecord) -> GuestRecord:
        """Return the record of a guest, completed with its process if that was not recorded yet."""
        if runtime.pid:
            return runtime
        path = self.runtime_paths(runtime.name).pid
        try:
            pid = int(self._files.read(path))
        except (OSError, ValueError):
            return runtime
        # The pid file may be old: only a QEMU that was started with this file is the guest's.
        life, arguments = self._processes.process_info(pid), self._processes.arguments(pid)
        if life is None or path not in arguments:
            return runtime
        # The daemon ended before it recorded this; the command line says whether a guest will
        # arrive.
        place = GuestPhase.INCOMING if "-incoming" in arguments else GuestPhase.HERE
        # QEMU may not have changed its user yet.
        user = runtime.user or self._find_user(pid)
        return replace(runtime, pid=pid, identity=life.identity, place=place, user=user)

    def save_record(self, runtime: GuestRecord) -> None:
        """Write the record of a guest."""
        # On disk first: a guest without a record would not be found by the next daemon.
        self._notes.put(runtime.name, msgspec.json.encode(runtime))
        self._guests[runtime.name] = runtime

    def remove_record(self, name: str) -> None:
        """Remove the record of a guest."""
        self._notes.remove(name)
        self._guests.pop(name, None)
