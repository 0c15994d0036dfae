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
from ganeti.storage.interfaces import IStorageUnits, IVolumes
from ganeti.storage.lvm.lvm_commands import ENVIRONMENT, Lvm
from ganeti.storage.lvm.volume_groups import PhysicalVolumes, VolumeGroups
from ganeti.storage.lvm.volumes import LogicalVolumes
from ganeti.system.interfaces import IProcesses, ProcessInfo, ProcessResult
from ganeti.testing.builders import a_disk
from tests.contracts.units import UnitsContract
from tests.contracts.volumes import VolumesContract

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
    """A volume group on two loop devices; whoever makes one gives it back."""

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
        accepted = "".join(f'"a|^{device}$|",' for device in self.devices)
        only = f'devices {{ use_devicesfile=0 filter=[{accepted}"r|.*|"] }} '
        return ("--driverloaded", "n", "--config", f"{only}backup {{ backup=0 archive=0 }}")

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
        return LogicalVolumes(self.loops.lvm())

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        return a_disk(name, self.template, size=size, logical_id=(self.loops.group, name))

    def test_a_snapshot_is_a_disk_that_is_removed_like_one(self) -> None:
        raise SkipTest("snapshots need the kernel's device-mapper")


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
