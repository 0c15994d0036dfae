# SPDX-License-Identifier: BSD-2-Clause
"""The real programs of lvm2: what they say, write and do is what drivers expect.

What is about metadata only needs no device-mapper: on loop devices of this host, lvm2 is told to
leave the kernel alone, and does the rest with the same checks and the same words. Snapshots need a
kernel, which is that of a virtual node.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from twisted.trial.unittest import SkipTest, SynchronousTestCase
from zope.interface import implementer

from ganeti.model.disk import Disk, Template
from ganeti.schema.records import replace
from ganeti.storage.interfaces import (
    INamedSnapshots,
    IReportsShortages,
    ISnapshots,
    IStorageUnits,
    IVolumes,
)
from ganeti.storage.lvm.lvm_commands import ENVIRONMENT, Lvm
from ganeti.storage.lvm.volume_groups import PhysicalVolumes, VolumeGroups
from ganeti.storage.lvm.volumes import LogicalVolumes
from ganeti.system.images import LocalImages
from ganeti.system.interfaces import IProcesses, ProcessInfo, ProcessResult
from ganeti.testing.builders import a_disk
from tests.contracts.test_images import at_once
from tests.contracts.units import UnitsContract
from tests.contracts.volumes import (
    AttachmentContract,
    CopiesContract,
    SnapshotsContract,
    VolumesContract,
)
from tests.system.virtual_node import (
    NodeImages,
    NodeProcesses,
    VirtualNode,
    require_virtual_node,
)

PROGRAMS = ("losetup", "vgcreate", "vgremove", "lvcreate")


@implementer(IProcesses)
class BlockingProcesses:
    """Programs whose end is waited for on the spot."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float | None = None,
        output: str | None = None,
        files: Mapping[int, str | int] | None = None,
        cwd: str | None = None,
    ) -> ProcessResult:
        ended = subprocess.run(  # noqa: ASYNC221
            argv, env=env, input=stdin, capture_output=True, timeout=60, cwd=cwd
        )
        return ProcessResult(ended.returncode, ended.stdout, ended.stderr)

    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, output: str
    ) -> int:
        raise NotImplementedError

    def process_info(self, pid: int) -> ProcessInfo | None:
        raise NotImplementedError

    def arguments(self, pid: int) -> list[str]:
        raise NotImplementedError

    def kill(self, pid: int, signal: int) -> None:
        raise NotImplementedError


def call(*argv: str) -> str:
    return subprocess.run(
        argv, env=ENVIRONMENT, capture_output=True, timeout=60, check=True, text=True
    ).stdout.strip()


def get_configuration(devices: Iterable[str]) -> str:
    """Return a configuration of lvm2 that uses these devices only, and writes no backups."""
    accepted = "".join(f'"a|^{device}$|",' for device in devices)
    only = f'devices {{ use_devicesfile=0 filter=[{accepted}"r|.*|"] }} '
    # Without udev and other daemons, the programs themselves make the names of devices.
    alone = "activation { udev_sync=0 udev_rules=0 monitoring=0 } global { event_activation=0 } "
    return f"{only}{alone}backup {{ backup=0 archive=0 }}"


class Loops:
    """A volume group on two loop devices; which is given back in the end."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("loop devices need root")
        if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
            raise SkipTest(f"these programs are not installed: {', '.join(missing)}")
        self.folder = tempfile.mkdtemp(prefix="ganeti-lvm-")
        self.devices: list[str] = []
        self.group = f"ganetitest{os.getpid()}"
        try:
            for name in "ab":
                image = f"{self.folder}/{name}"
                with open(image, "wb") as file:
                    file.truncate(520 << 20)
                self.devices.append(call("losetup", "-f", "--show", image))
            call("vgcreate", *self.options, "-y", self.group, *self.devices)
        except (OSError, subprocess.SubprocessError) as e:
            self.give_back()
            raise SkipTest(f"no volume group can be made on this host: {e}") from None

    @property
    def options(self) -> tuple[str, ...]:
        """Leave the kernel, every other device and the backups of this host alone."""
        return ("--driverloaded", "n", "--config", get_configuration(self.devices))

    def lvm(self) -> Lvm:
        return Lvm(BlockingProcesses(), self.options)

    def give_back(self) -> None:
        subprocess.run(
            ("vgremove", *self.options, "-f", self.group), env=ENVIRONMENT, capture_output=True
        )
        for device in self.devices:
            call("losetup", "-d", device)
        shutil.rmtree(self.folder)


class RealLogicalVolumesTests(VolumesContract, SynchronousTestCase):
    template = Template.PLAIN

    def make(self) -> IVolumes:
        self.loops = Loops()
        self.addCleanup(self.loops.give_back)
        return LogicalVolumes(self.loops.lvm(), LocalImages(at_once))

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        return a_disk(name, self.template, size=size, logical_id=(self.loops.group, name))


class RealVolumeGroupsTests(UnitsContract, SynchronousTestCase):
    def make(self) -> IStorageUnits:
        loops = Loops()
        self.addCleanup(loops.give_back)
        return VolumeGroups(loops.lvm())


class RealPhysicalVolumesTests(UnitsContract, SynchronousTestCase):
    def make(self) -> IStorageUnits:
        loops = Loops()
        self.addCleanup(loops.give_back)
        return PhysicalVolumes(loops.lvm())


GROUP, POOL = "vg0", "thin"
OPTIONS = ("--config", get_configuration(["/dev/vda", "/dev/vdb"]))


@cache
def the_node() -> VirtualNode:
    """The node of all tests here, with a volume group on two disks, and a thin pool in it."""
    node = VirtualNode(disks=[520, 520])
    options = shlex.join(OPTIONS)
    node.call(f"vgcreate {options} -y {GROUP} /dev/vda /dev/vdb")
    node.call(f"lvcreate {options} -y --type thin-pool -L 128m -n {POOL} {GROUP}")
    return node


class NodeCase(AttachmentContract):
    """Volumes of a virtual node, which are removed in the end."""

    template = Template.PLAIN

    def make(self) -> IVolumes:
        require_virtual_node(*PROGRAMS)
        self.node = the_node()
        keep = f"-S segtype!=thin-pool {GROUP}"
        self.addCleanup(self.node.call, f"lvremove {shlex.join(OPTIONS)} -f -y {keep}")
        return LogicalVolumes(Lvm(NodeProcesses(self.node), OPTIONS), NodeImages(self.node))

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        return a_disk(name, self.template, size=size, logical_id=(GROUP, name))

    def fill(self, disk: Disk, letter: str) -> None:
        """Write a letter all over a disk."""
        path = self.done(self.volumes.attach(disk, primary=True))
        source = f"head -c {disk.size << 20} /dev/zero | tr '\\0' {letter}"
        self.node.call(f"{source} | dd of={path} bs=1M conv=fsync")
        self.done(self.volumes.detach(disk))

    def assert_filled(self, disk: Disk, letter: str) -> None:
        """A disk has this letter, and nothing else."""
        path = self.done(self.volumes.attach(disk, primary=True))
        found = self.node.call(f"head -c {disk.size << 20} {path} | tr -d {letter} | wc -c")
        self.assertEqual(found, "0", f"there is more than {letter}")
        self.done(self.volumes.detach(disk))


class DataContract(NodeCase, CopiesContract, SnapshotsContract):
    """What is in volumes, and in their snapshots."""

    def test_the_data_are_those_of_the_snapshot_after_the_way_back(self) -> None:
        disk = self.created(size=4)
        for letter in "ab":
            self.fill(disk, letter)
            self.done(self.snapshots.create_snapshot(disk, f"gnt-{letter}"))
        # Also the snapshots that stay are right after both have been reverted to.
        for letter in "aba":
            self.done(self.snapshots.revert_to_snapshot(disk, f"gnt-{letter}"))
            self.assert_filled(disk, letter)
        exported = self.done(ISnapshots(self.volumes).snapshot(disk, "copy"))
        self.assert_filled(exported, "a")
        self.done(self.volumes.remove(exported))


class RealSnapshotTests(DataContract, SynchronousTestCase):
    """Snapshots of volumes that have all of their space."""


class ThinCase(NodeCase):
    """Volumes in a thin pool that promises a multiple of its size; all need the kernel."""

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        return replace(super().disk(name, size), params={"pool": POOL, "overcommit": 8.0})


class RealThinVolumesTests(ThinCase, SynchronousTestCase):
    """What is particular to thin pools; ``thin_volumes`` has their contracts."""

    def test_an_attached_disk_with_snapshots_grows(self) -> None:
        disk = self.created(size=64)
        path = self.done(self.volumes.attach(disk, primary=True))
        self.done(INamedSnapshots(self.volumes).create_snapshot(disk, "gnt-one"))
        self.done(self.volumes.grow(disk, 32))
        self.assertEqual(self.node.call(f"blockdev --getsize64 {path}"), str(96 << 20))

    def test_a_pool_is_reported_before_it_is_full(self) -> None:
        storage = IReportsShortages(self.volumes)
        before = self.done(storage.find_shortages())
        path = self.done(self.volumes.attach(self.created(size=112), primary=True))
        self.node.call(f"dd if=/dev/zero of={path} bs=4M oflag=direct count=28")
        [found] = self.done(storage.find_shortages())
        self.assertEqual(before, [])
        self.assertIn("88 % of thin pool vg0/thin are used", found)
