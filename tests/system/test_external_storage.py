# SPDX-License-Identifier: BSD-2-Clause
"""Drivers of storage of other systems, with real scripts and loop devices."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SkipTest, SynchronousTestCase
from zope.interface import implementer

from ganeti.errors import Failed
from ganeti.model.disk import Disk, Template
from ganeti.storage.adopted_devices import AdoptedDevices
from ganeti.storage.ext.attachments import AttachmentRecords
from ganeti.storage.ext.provider_scripts import ProviderScripts
from ganeti.storage.ext.providers import Providers
from ganeti.storage.ext.volumes import ExtVolumes
from ganeti.storage.interfaces import IVolumes
from ganeti.system.files import LocalFiles
from ganeti.system.images import LocalImages
from ganeti.system.interfaces import TAIL, IProcesses, ProcessInfo, ProcessResult
from ganeti.testing.builders import a_disk
from tests.contracts.test_images import at_once
from tests.contracts.volumes import AttachmentContract
from tests.storage.external_volumes import ExternalVolumesContract
from tests.storage.sparse_provider import install_provider


@implementer(IProcesses)
class BlockingScripts:
    """Programs with a log and their standard output in a file, whose end is waited for."""

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
        assert output is not None
        stdout = (files or {}).get(1)
        with open(output, "ab") as log:  # noqa: ASYNC230
            begin = log.tell()
            with open(stdout, "wb") if stdout is not None else log as out:  # noqa: ASYNC230
                ended = subprocess.run(  # noqa: ASYNC221
                    argv, env=env, stdout=out, stderr=log if out is not log else out, cwd=cwd
                )
        written = Path(output).read_bytes()[begin:]  # noqa: ASYNC240
        if not written:
            os.unlink(output)
        return ProcessResult(ended.returncode, written[-TAIL:], b"")

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


def has_loop_devices() -> bool:
    """Return whether loop devices can be made here."""
    if os.geteuid() != 0 or shutil.which("losetup") is None:
        return False
    return subprocess.run(["losetup", "-f"], capture_output=True).returncode == 0


class RealProvider:
    """A provider of sparse files in a folder, which is removed with all that is attached."""

    def __init__(self, *, loop: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ganeti-ext-"))
        install_provider(self.folder / "providers/mem", self.folder / "store", loop=loop)
        files = LocalFiles(at_once)
        self.volumes = ExtVolumes(
            Providers(files, (str(self.folder / "providers"),)),
            ProviderScripts(
                BlockingScripts(), files, logs=str(self.folder / "log"), seconds=lambda: 0.0
            ),
            AttachmentRecords(files, str(self.folder / "run")),
            files,
            LocalImages(at_once),
        )

    def release(self) -> None:
        for image in (self.folder / "store").glob("*.img"):
            release_image(image)
        shutil.rmtree(self.folder)


def release_image(image: Path) -> None:
    """Detach the loop devices of a file."""
    with contextlib.suppress(FileNotFoundError):
        found = subprocess.run(
            ["losetup", "-n", "-O", "NAME", "-j", image], capture_output=True, text=True
        )
        for device in found.stdout.split():
            subprocess.run(["losetup", "-d", device], check=True)


class FilesTests(ExternalVolumesContract, SynchronousTestCase):
    def make(self) -> IVolumes:
        provider = RealProvider(loop=False)
        self.addCleanup(provider.release)
        self.folder = provider.folder
        return provider.volumes

    def test_the_log_has_what_a_script_has_printed(self) -> None:
        attaching = Deferred.fromCoroutine(self.volumes.attach(self.disk(), primary=True))
        said = str(self.failureResultOf(attaching, Failed).value)
        [log] = (self.folder / "log").iterdir()
        self.assertIn(str(log), said)
        self.assertTrue(said.endswith(log.read_text().strip()))


class LoopDevicesTests(ExternalVolumesContract, SynchronousTestCase):
    def make(self) -> IVolumes:
        if not has_loop_devices():
            raise SkipTest("loop devices need root and losetup")
        provider = RealProvider(loop=True)
        self.addCleanup(provider.release)
        return provider.volumes


class AdoptedLoopDevicesTests(AttachmentContract, SynchronousTestCase):
    template = Template.BLOCKDEV

    def make(self) -> IVolumes:
        if not has_loop_devices():
            raise SkipTest("loop devices need root and losetup")
        self.folder = Path(tempfile.mkdtemp(prefix="ganeti-blockdev-"))
        self.addCleanup(self.release)
        return AdoptedDevices(LocalImages(at_once), f"{self.folder}/disk/")

    def release(self) -> None:
        for image in self.folder.glob("*.img"):
            release_image(image)
        shutil.rmtree(self.folder)

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        path = f"{self.folder}/disk/by-id/{name}"
        return a_disk(name, self.template, size=size, logical_id=("manual", path))

    def created(self, name: str = "one", size: int = 64) -> Disk:
        image = self.folder / f"{name}.img"
        with image.open("wb") as file:
            file.truncate(size << 20)
        made = subprocess.run(
            ["losetup", "-f", "--show", image], capture_output=True, text=True, check=True
        )
        disk = self.disk(name, size)
        link = Path(str(disk.logical_id[1]))
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(made.stdout.strip())
        return disk

    def test_a_device_is_found_by_its_link_and_claimed_by_nothing(self) -> None:
        disk = self.created()
        images = LocalImages(at_once)
        found = self.done(images.describe_device(str(disk.logical_id[1])))
        assert found is not None
        self.assertTrue(found.path.startswith("/dev/loop"))
        self.assertEqual((found.size, found.claimed), (64 << 20, False))

    def test_a_device_that_is_open_exclusively_is_claimed(self) -> None:
        disk, images = self.created(), LocalImages(at_once)
        device = str(disk.logical_id[1])
        holder = os.open(device, os.O_RDONLY | os.O_EXCL)
        try:
            found = self.done(images.describe_device(device))
        finally:
            os.close(holder)
        assert found is not None
        self.assertTrue(found.claimed)
