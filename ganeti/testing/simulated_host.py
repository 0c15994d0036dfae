# SPDX-License-Identifier: BSD-2-Clause
"""A node's machine in memory: its disk, guests, node daemon, and watchdog."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import Random
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from ganeti.errors import Failed, GanetiError
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.node.assembly import Host
from ganeti.node.watchdog import INTERVAL, Watchdog
from ganeti.paths import Paths
from ganeti.rpc.elector_client import ElectorClient
from ganeti.testing.certificates import (
    certificate,
    content,
    is_issued_by,
    new_authority,
)
from ganeti.testing.clocks import HostClock, ProcessClock
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.images import MemoryImages
from ganeti.testing.memory_repositories import MemoryDiskReader, MemoryRepositories
from ganeti.testing.names import MemoryNames
from ganeti.testing.processes import MemoryProcesses, MemoryStateFiles, Script
from ganeti.testing.streams import MemoryNetwork, MemoryStreams
from ganeti.testing.wire import Switch, Wire

if TYPE_CHECKING:
    from ganeti.testing.master_process import MasterProcess

FIRST_AUTHORITY = new_authority(0)
"""The authority that every simulated cluster begins with."""
OS_FOLDER = "/usr/share/ganeti/os/noop"
_OS_SCRIPTS = ("create", "import", "export", "rename", "verify")
_MEMINFO = b"MemTotal: 16777216 kB\nMemFree: 8388608 kB\nBuffers: 0 kB\nCached: 0 kB\n"


class SimulatedHost:
    """A node's machine: what survives a restart of its daemons, and the daemon that runs now.

    ``clock`` is that of the machine, ``daemon_clock`` that of the node daemon.
    """

    daemon_clock: ProcessClock

    def __init__(
        self,
        name: str,
        address: str,
        clock: HostClock,
        random: Random,
        network: MemoryNetwork,
        switch: Switch,
    ) -> None:
        self.name = name
        self.address = address
        self.clock = clock
        self.paths = Paths()
        self.disk = MemoryDisk(random)
        self.images = MemoryImages()
        self.guests = self._no_guests()
        self.sessions = MemoryStateFiles()
        self.lease_notes = MemoryStateFiles()
        self.boots = 1
        self.has_device = False
        self.watchdog: SimulatedWatchdog | None = None
        self.process: MasterProcess | None = None
        # Small, so that segments are begun and forgotten within minutes, and not with each commit.
        self.segment_size = random.choice((2 << 10, 16 << 10, 16 << 20))
        self._network = network
        self._switch = switch
        self._random = random
        self._install()

    def _no_guests(self) -> MemoryHypervisor:
        return MemoryHypervisor(reaches=lambda address: self._network.reaches(self.name, address))

    def join(self) -> None:
        """Get what a node gets when it joins the cluster: its own certificate."""
        self.disk.put(self.paths.node_certificate, first_certificate(self.name), 0o600, 0.0)
        self.disk.put(self.paths.authority, FIRST_AUTHORITY.certificate.encode(), 0o644, 0.0)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return where the files are that only the master and its candidates may have."""
        paths = self.paths
        return (
            paths.authority_key,
            paths.domain_secret,
            paths.rapi_certificate,
            paths.rapi_users,
        )

    @property
    def has_master(self) -> bool:
        """Whether a master daemon runs here."""
        return self.process is not None and not self.process.dead

    def _install(self) -> None:
        """The files that the operating system and the package bring."""
        for folder in ("/proc/sys/kernel/random", self.paths.queue, self.paths.log, OS_FOLDER):
            self.disk.add_folder(folder, 0o755)
        self.disk.put("/proc/meminfo", _MEMINFO, 0o444, 0.0)
        self.disk.put("/proc/cpuinfo", b"processor\t: 0\nprocessor\t: 1\n", 0o444, 0.0)
        self.disk.put("/proc/sys/kernel/random/boot_id", b"0d3f\n", 0o444, 0.0)
        self.disk.put(f"{OS_FOLDER}/ganeti_api_version", b"20\n", 0o444, 0.0)
        self.disk.put(f"{OS_FOLDER}/parameters.list", b"", 0o444, 0.0)
        self.join()
        for script in _OS_SCRIPTS:
            self.disk.put(f"{OS_FOLDER}/{script}", b"#!/bin/sh\n", 0o755, 0.0)

    def daemon(self) -> Host:
        """What a node daemon that is started now finds."""
        self.daemon_clock = clock = ProcessClock(self.clock)
        self.streams = MemoryStreams(self.disk, clock, self._network, host=self.name)
        takes = self._random.uniform(0.0, 2.0)
        programs = {f"{OS_FOLDER}/{script}": Script(takes=takes) for script in _OS_SCRIPTS}
        hypervisors: dict[str, IHypervisor] = {"fake": self.guests}
        return Host(
            name=self.name,
            paths=self.paths,
            files=MemoryFiles(self.disk, clock, latency=0.0002),
            images=self.images,
            processes=MemoryProcesses(clock, programs),
            names=MemoryNames(),
            streams=self.streams,
            hypervisors=hypervisors,
            clock=clock,
            now=clock.now,
            reach=lambda host, port: _reached(),
            stop=clock.die,
            master_pid=lambda: self.process.pid if self.process and self.has_master else 0,
            stop_master=self._stop_master,
            request=self._request,
            reload=self._prove,
            segment_size=self.segment_size,
            lease_notes=self.lease_notes,
            address_records=MemoryStateFiles(),
            uptime=clock.seconds,
            boot_id=self.read_boot_id,
            repositories=MemoryRepositories(),
            disk_reader=MemoryDiskReader(),
            ask_elector=ElectorClient(Wire(self._switch, self.name, clock)),
        )

    async def _request(self, name: str) -> tuple[bytes, bytes]:
        return f"key of {name}\n".encode(), b"request\n"

    def _prove(self) -> None:
        if not self.trusts(self):
            raise Failed("this node's certificate was not issued by an authority that it trusts")

    def trusts(self, other: SimulatedHost) -> bool:
        """Whether TLS of this host accepts the certificate that the other one shows."""
        own, its = MemoryFiles(self.disk), MemoryFiles(other.disk)
        try:
            trusted = own.read(self.paths.authority)
            return is_issued_by(its.read(other.paths.node_certificate), trusted)
        except OSError:
            return False

    async def _stop_master(self) -> bool:
        process = self.process
        if process is None or process.dead:
            return False
        stopping = Deferred.fromCoroutine(process.stop())
        # A daemon that cannot end in an orderly way is killed.
        stopping.addErrback(lambda _: process.die())
        process.clock.keep_referenced(stopping)
        # It may also be killed meanwhile, and then that never ends.
        while not process.dead:
            await deferLater(self.daemon_clock, 0.1)
        return True

    def recover(self) -> None:
        """The machine comes back after a power cut, with what its disk has kept."""
        self.disk = self.disk.after_crash()

    def lose_guests(self) -> None:
        """Let everything that runs here end, as when the machine loses its power."""
        self.guests = self._no_guests()
        # These files are in memory, so that no boot leaves any.
        self.sessions = MemoryStateFiles()
        self.lease_notes = MemoryStateFiles()
        self.boots += 1
        if self.watchdog is not None:
            self.watchdog.lose_power()
            self.watchdog = None

    def read_boot_id(self) -> str:
        """Return what identifies the present boot of the machine."""
        return f"boot{self.boots}"


class SimulatedDevice:
    """The watchdog device of a host, which no process and no kernel can stop."""

    timeout = 10
    stays_armed = False

    def __init__(self, host: SimulatedHost, reset: Callable[[], None]) -> None:
        self._host = host
        self._reset = reset
        self._timer: IDelayedCall | None = None

    @property
    def armed(self) -> bool:
        return self._timer is not None

    def arm(self) -> None:
        if not self._host.has_device:
            raise FileNotFoundError("no device")
        self.keep_alive()

    def keep_alive(self) -> None:
        self.disarm()
        clock = self._host.clock
        self._timer = clock.true.callLater(self.timeout / clock.rate, self._due)

    def disarm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._reset()


class SimulatedWatchdog:
    """The watchdog process of a host, with its device."""

    def __init__(self, host: SimulatedHost, reset: Callable[[], None]) -> None:
        self.clock = ProcessClock(host.clock)
        self.device = SimulatedDevice(host, reset)
        watchdog = Watchdog(
            host.lease_notes,
            self.device,
            lambda: {"fake": host.guests},
            uptime=host.clock.seconds,
            boot_id=host.read_boot_id,
        )
        every(self.clock, INTERVAL, watchdog.tick)

    def lose_power(self) -> None:
        """End with the host."""
        self.clock.die()
        self.device.disarm()


def every(
    clock: ProcessClock,
    seconds: float,
    work: Callable[[], Coroutine[Deferred[object], object, None]],
) -> None:
    """Do some work again and again, as a periodic task of a daemon does."""

    def turn() -> None:
        working = Deferred.fromCoroutine(work())
        # A daemon logs these errors, and tries again at its next turn.
        working.addErrback(lambda failure: failure.trap(GanetiError, OSError) and None)
        working.addBoth(lambda _: clock.callLater(seconds, turn))

    clock.callLater(seconds, turn)


def first_certificate(name: str) -> bytes:
    """Return the certificate of the first authority for a node."""
    return certificate(content(FIRST_AUTHORITY.certificate.encode()).subject, name, 0).encode()


async def _reached() -> None:
    return None
