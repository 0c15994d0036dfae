# SPDX-License-Identifier: BSD-2-Clause
"""The real programs of lvm2 on loop devices: what they say and write is what drivers expect.

The kernel's device-mapper is not needed: lvm2 is told to leave the kernel alone and to change the
metadata on the devices only, which it does with the same checks and the same words.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from twisted.trial.unittest import SkipTest, SynchronousTestCase
from zope.interface import implementer

from ganeti.model.disk import Disk, Template
from ganeti.storage.interfaces import ISnapshots, IStorageUnits, IVolumes
from ganeti.storage.lvm.lvm_commands import ENVIRONMENT, Lvm
from ganeti.storage.lvm.volume_groups import PhysicalVolumes, VolumeGroups
from ganeti.storage.lvm.volumes import LogicalVolumes
from ganeti.system.images import LocalImages
from ganeti.system.interfaces import IProcesses, ProcessInfo, ProcessResult
from ganeti.testing.builders import a_disk
from tests.contracts.test_images import at_once
from tests.contracts.units import UnitsContract
from tests.contracts.volumes import SnapshotsContract, VolumesContract

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


class Loops:
    """A volume group on two loop devices; whoever makes one gives it back.

    With ``kernel``, volumes are devices of this host.
    """

    def __init__(self, *, kernel: bool = False) -> None:
        self._kernel = kernel
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
        accepted = "".join(f'"a|^{device}$|",' for device in self.devices)
        only = f'devices {{ use_devicesfile=0 filter=[{accepted}"r|.*|"] }} '
        # Without udev, the programs themselves make the names of devices.
        udev = int(os.path.exists("/run/udev/control"))
        names = f"activation {{ udev_sync={udev} udev_rules={udev} }} "
        config = ("--config", f"{only}{names}backup {{ backup=0 archive=0 }}")
        return config if self._kernel else ("--driverloaded", "n", *config)

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

    def test_a_snapshot_is_a_disk_that_is_removed_like_one(self) -> None:
        raise SkipTest("snapshots need the kernel's device-mapper")


class RealSnapshotTests(SnapshotsContract, SynchronousTestCase):
    """Snapshots of volumes, where the kernel has its device-mapper."""

    template = Template.PLAIN

    def make(self) -> IVolumes:
        if not os.path.exists("/dev/mapper/control"):
            raise SkipTest("snapshots need the kernel's device-mapper (modprobe dm-snapshot)")
        self.loops = Loops(kernel=True)
        self.addCleanup(self.loops.give_back)
        return LogicalVolumes(self.loops.lvm(), LocalImages(at_once))

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        return a_disk(name, self.template, size=size, logical_id=(self.loops.group, name))

    def test_the_data_are_those_of_the_snapshot_after_the_way_back(self) -> None:
        disk, size = self.created(size=16), 16 << 20
        for number in (1, 2):
            path = self.done(self.volumes.attach(disk, primary=True))
            with open(path, "r+b") as device:
                device.write(bytes([number]) * size)
            self.done(self.volumes.detach(disk))
            self.done(self.snapshots.create_snapshot(disk, f"gnt-{number}"))
        # Also the snapshots that stay are right after both have been reverted to.
        for number in (1, 2, 1):
            self.done(self.snapshots.revert_to_snapshot(disk, f"gnt-{number}"))
            path = self.done(self.volumes.attach(disk, primary=True))
            with open(path, "rb") as device:
                self.assertEqual(device.read(size), bytes([number]) * size)
            self.done(self.volumes.detach(disk))
        exported = self.done(ISnapshots(self.volumes).snapshot(disk, "copy"))
        self.done(self.volumes.remove(exported))


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
