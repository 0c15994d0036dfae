# SPDX-License-Identifier: BSD-2-Clause
"""A node in memory: the node's own code, assembled as by the daemon, over drivers in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from ganeti.hypervisor.fake import FakeHypervisor
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.model.disk import Template
from ganeti.node.answers import register_handlers
from ganeti.node.assembly import NO_VOLUME_DRIVERS, Host, NodeParts, assemble_node
from ganeti.paths import Paths
from ganeti.rpc.members import MemberFile, MemberRecords
from ganeti.rpc.server import CallHandlers
from ganeti.storage.interfaces import IVolumes
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.image_programs import ImagePrograms
from ganeti.testing.images import MemoryImages
from ganeti.testing.memory_repositories import MemoryDiskReader, MemoryRepositories
from ganeti.testing.names import MemoryNames
from ganeti.testing.processes import MemoryProcesses, MemoryStateFiles, Program, Script
from ganeti.testing.streams import MemoryNetwork, MemoryStreams

OS_SCRIPTS = ("create", "import", "export", "rename", "verify")


class MemoryHost:
    """A host with a node on it, whose daemon and power can fail.

    ``disk``, ``images``, ``notes`` and ``processes`` are the world that outlives the daemon;
    ``parts`` and ``answers`` are the daemon, new after each ``restart``. It has the OS
    definitions ``oses``, whose scripts take ``script_time`` seconds of the clock, and guests of
    the hypervisor ``fake``, unless others are given. ``volumes`` are drivers in place of its own.
    Hosts of one ``network`` reach each other. It takes itself for a master candidate.
    """

    parts: NodeParts
    answers: CallHandlers

    def __init__(
        self,
        name: str,
        clock: IReactorTime | None = None,
        *,
        oses: Iterable[str] = ("noop",),
        script_time: float = 0.0,
        latency: float | None = None,
        hypervisors: Mapping[str, IHypervisor] | None = None,
        volumes: Mapping[Template, IVolumes] = NO_VOLUME_DRIVERS,
        network: MemoryNetwork | None = None,
    ) -> None:
        self.name = name
        self.clock: IReactorTime = clock or Clock()
        self.paths = Paths(f"/{name}")
        self.disk = MemoryDisk()
        self.images = MemoryImages()
        self.names = MemoryNames()
        self.notes = MemoryStateFiles()
        self.lease_notes = MemoryStateFiles()
        self.repositories = MemoryRepositories()
        self.disk_reader = MemoryDiskReader()
        self.network = network or MemoryNetwork()
        self.streams = MemoryStreams(self.disk, self.clock, self.network)
        self.left = False
        self._latency = latency
        self._hypervisors = hypervisors
        self._volumes = volumes
        programs: dict[str, Program] = {
            f"{self.paths.os_search_path[0]}/{each}/{script}": Script(takes=script_time)
            for each in oses
            for script in OS_SCRIPTS
        }
        self.image_programs = ImagePrograms(self.disk)
        programs[sys.executable] = self.image_programs
        self.processes = MemoryProcesses(self.clock, programs)
        for each in oses:
            folder = f"{self.paths.os_search_path[0]}/{each}"
            self._put(f"{folder}/ganeti_api_version", b"20\n")
            self._put(f"{folder}/parameters.list")
        for path in programs:
            self._put(path, mode=0o755)
        for path in ("/proc/meminfo", "/sys/class/net/lo/operstate"):
            self._put(path)
        for path in (self.paths.authority, self.paths.node_certificate):
            self._put(path)
        members = MemberRecords(revision=0, certificates={name: (name,)}, candidates=(name,))
        known = MemberFile(term=0, members=members)
        self._put(self.paths.member_list, msgspec.json.encode(known))
        self.restart()

    def restart(self) -> None:
        """Start the node daemon again, on what is on disk."""
        files = (
            MemoryFiles(self.disk)
            if self._latency is None
            else MemoryFiles(self.disk, self.clock, latency=self._latency)
        )
        for flow in self.streams.flows:
            flow.stop()
        self.streams = MemoryStreams(self.disk, self.clock, self.network)
        self.repositories.forget_unfinished()
        fakes = {"fake": FakeHypervisor(self.notes)}
        self.parts = assemble_node(
            Host(
                name=self.name,
                paths=self.paths,
                files=files,
                images=self.images,
                processes=self.processes,
                names=self.names,
                streams=self.streams,
                hypervisors=self._hypervisors or fakes,
                clock=self.clock,
                now=self.clock.seconds,
                reach=self._reach,
                stop=self._stop,
                lease_notes=self.lease_notes,
                address_records=MemoryStateFiles(),
                uptime=self.clock.seconds,
                boot_id=lambda: "0d3f",
                repositories=self.repositories,
                disk_reader=self.disk_reader,
            ),
            self._volumes,
        )
        self.answers = register_handlers(self.parts)

    def list_os_parameters(self, os: str, *names: str) -> None:
        """Let the OS definition ``os`` list these parameters and no others."""
        text = "".join(f"{name} what it is for\n" for name in names)
        self._put(f"{self.paths.os_search_path[0]}/{os}/parameters.list", text.encode())

    def power_cut(self) -> None:
        """Start the host again after a crash: guests are gone, and what was not synced may be."""
        self.disk = self.image_programs.disk = self.disk.after_crash()
        self.notes = MemoryStateFiles()
        self.lease_notes = MemoryStateFiles()
        self.restart()

    def _put(self, path: str, content: bytes = b"", mode: int = 0o600) -> None:
        self.disk.add_folder(path.rpartition("/")[0], 0o755)
        self.disk.put(path, content, mode, 0.0)

    async def _reach(self, host: str, port: int) -> None:
        """Every peer can be reached."""

    def _stop(self) -> None:
        self.left = True
