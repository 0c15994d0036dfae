# SPDX-License-Identifier: BSD-2-Clause
"""File disks keep the contract, and stay in the folders that are allowed."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk, Template
from ganeti.schema.records import replace as replace_record
from ganeti.storage.file import MIB, FileFolders, FileVolumes
from ganeti.storage.folders import AllowedFolders, forbidden, listed
from ganeti.storage.interfaces import (
    INamedSnapshots,
    IStorageUnits,
    IVolumes,
    LocalState,
    VolumeStatus,
)
from ganeti.storage.qcow2 import Qcow2Header
from ganeti.storage.qemu_img import QemuImg
from ganeti.testing.builders import a_disk
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.images import MemoryImages
from ganeti.testing.processes import MemoryProcesses
from ganeti.testing.qemu_img_program import ScriptedQemuImg, write_header
from tests.contracts.units import UnitsContract
from tests.contracts.volumes import SnapshotsContract, VolumesContract

LISTING = "/etc/ganeti/file-storage-paths"
DEFAULT = "/srv/ganeti/file-storage"


def folders(images: MemoryImages, listing: str | None = None) -> AllowedFolders:
    disk = MemoryDisk()
    if listing is not None:
        disk.add_folder("/etc/ganeti", 0o755)
        disk.put(LISTING, listing.encode(), 0o644, 0.0)
    return AllowedFolders(
        files=MemoryFiles(disk), resolve=images.resolve, listing=LISTING, defaults=(DEFAULT,)
    )


def at(path: str) -> Disk:
    return a_disk(logical_id=("loop", path))


class FileVolumesTests(VolumesContract, SynchronousTestCase):
    def make(self) -> IVolumes:
        images = MemoryImages(room=1024 * MIB)
        return FileVolumes(images, folders(images))

    def test_a_path_outside_is_refused_and_described_as_faulty(self) -> None:
        disk = at("/srv/elsewhere/disk0")
        creating = self.volumes.create(disk, owner="web1", primary=True)
        self.assertEqual(self.refusal(creating), Code.INPUT)
        [status] = self.done(self.volumes.describe([disk]))
        self.assertEqual(status, VolumeStatus(path="", degraded=True, local=LocalState.FAULTY))

    def test_a_disk_that_an_interrupted_rename_has_moved_can_be_renamed_again(self) -> None:
        name = "22172489-d271-5d25-8f6b-8522ff81e95e.file.disk0"
        before, after, third, other = (
            a_disk(size=64, logical_id=("loop", f"{DEFAULT}/{each}"))
            for each in (f"a/{name}", f"b/{name}", f"c/{name}", "b/other")
        )
        for disk in (before, other):
            self.done(self.volumes.create(disk, owner="web1", primary=True))
        self.done(self.volumes.rename(before, after))
        self.done(self.volumes.rename(before, third))
        found = self.done(self.volumes.describe([before, after, third, other]))
        self.assertEqual([each is not None for each in found], [False, False, True, True])

    def test_a_disk_whose_name_is_not_its_own_is_not_searched_for(self) -> None:
        self.done(self.volumes.create(at(f"{DEFAULT}/b/disk0"), owner="web2", primary=True))
        renaming = self.volumes.rename(at(f"{DEFAULT}/a/disk0"), at(f"{DEFAULT}/c/disk0"))
        self.assertEqual(self.refusal(renaming), Code.UNKNOWN)


class SharedFileTests(FileVolumesTests):
    template = Template.SHAREDFILE

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        path = f"{DEFAULT}/{name}"
        return a_disk(name, self.template, size=size, logical_id=("loop", path))


class ImageFileTests(VolumesContract, SnapshotsContract, SynchronousTestCase):
    """Disks in qcow2 images, with a ``qemu-img`` in memory."""

    lists_sizes = False

    def make(self) -> IVolumes:
        self.images = MemoryImages(room=1024 * MIB)
        self.program = ScriptedQemuImg(self.images)
        processes = MemoryProcesses(Clock(), self.program.programs)
        return FileVolumes(self.images, folders(self.images), QemuImg(processes))

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        path = f"{DEFAULT}/{name}"
        return a_disk(name, size=size, logical_id=("loop", path), params={"format": "qcow2"})

    def test_a_file_that_is_no_image_is_neither_attached_nor_described_as_whole(self) -> None:
        disk = self.disk()
        raw = replace_record(disk, params={})
        self.done(self.volumes.create(raw, owner="web1", primary=True))
        self.assertEqual(self.refusal(self.volumes.attach(disk, primary=True)), Code.STATE)
        [status] = self.done(self.volumes.describe([disk]))
        self.assertEqual(status and status.local, LocalState.FAULTY)

    def test_an_image_that_reads_another_file_is_refused(self) -> None:
        disk = self.created()
        path = f"{DEFAULT}/one"
        self.images.heads[path] = write_header(Qcow2Header(64 * MIB, backed=True))
        for using in (
            self.volumes.attach(disk, primary=True),
            self.volumes.grow(disk, 1),
            INamedSnapshots(self.volumes).create_snapshot(disk, "snap"),
        ):
            self.assertEqual(self.refusal(using), Code.STATE)

    def test_a_raw_disk_with_the_header_of_an_image_stays_raw(self) -> None:
        raw = replace_record(self.disk(), params={})
        self.done(self.volumes.create(raw, owner="web1", primary=True))
        self.images.heads[f"{DEFAULT}/one"] = write_header(Qcow2Header(MIB, backed=True))
        self.assertEqual(self.size(raw), 64)
        self.assertEqual(self.done(self.volumes.attach(raw, primary=True)), f"{DEFAULT}/one")
        taking = INamedSnapshots(self.volumes).create_snapshot(raw, "snap")
        self.assertEqual(self.refusal(taking), Code.INPUT)

    def test_an_image_that_cannot_be_made_leaves_no_file(self) -> None:
        self.program.broken.add("create")
        creating = Deferred.fromCoroutine(
            self.volumes.create(self.disk(), owner="web1", primary=True)
        )
        self.failureResultOf(creating, Failed)
        self.assertEqual(self.images.sizes, {})

    def test_an_image_in_use_is_refused(self) -> None:
        disk = self.created()
        self.program.busy.add(f"{DEFAULT}/one")
        taking = INamedSnapshots(self.volumes).create_snapshot(disk, "snap")
        self.assertEqual(self.refusal(taking), Code.STATE)


class FileFoldersTests(UnitsContract, SynchronousTestCase):
    def make(self) -> IStorageUnits:
        images = MemoryImages(room=1024 * MIB)
        return FileFolders(images, folders(images, "/data/b\n/data/a\n"))


class AllowedTests(SynchronousTestCase):
    def refused(self, allowed: AllowedFolders, path: str) -> str:
        return str(self.assertRaises(Refused, allowed.resolve_file, path))

    def test_without_a_list_the_default_folder_is_allowed(self) -> None:
        allowed = folders(MemoryImages())
        self.assertEqual(allowed.resolve_file(f"{DEFAULT}/web1/disk0").folder, DEFAULT)

    def test_a_list_says_exactly_which_folders_are_allowed(self) -> None:
        allowed = folders(MemoryImages(), "# ours\n\n /data/disks/ \n")
        self.assertEqual(allowed.resolve_file("/data/disks/disk0").folder, "/data/disks")
        self.assertIn(LISTING, self.refused(allowed, f"{DEFAULT}/disk0"))

    def test_no_path_leads_out_of_a_folder(self) -> None:
        images = MemoryImages()
        images.links[f"{DEFAULT}/link"] = "/etc"
        allowed = folders(images)
        for path in ("", "x", DEFAULT, DEFAULT + "/", DEFAULT + "2/x", DEFAULT + "/../x"):
            self.refused(allowed, path)
        self.assertIn("symbolic link", self.refused(allowed, f"{DEFAULT}/link/shadow"))

    def test_an_allowed_folder_may_itself_be_a_link(self) -> None:
        images = MemoryImages()
        images.links[DEFAULT] = "/big/disks"
        self.assertEqual(folders(images).resolve_file(f"{DEFAULT}/disk0").folder, DEFAULT)

    def test_nodes_that_share_a_host_keep_their_disks_apart(self) -> None:
        images = MemoryImages()
        volumes = FileVolumes(images, replace(folders(images), root="/n1"))
        disk = at(f"{DEFAULT}/web1/disk0")
        creating = volumes.create(disk, owner="web1", primary=True)
        self.successResultOf(Deferred.fromCoroutine(creating))
        [found] = self.successResultOf(Deferred.fromCoroutine(volumes.volumes()))
        self.assertEqual(list(images.sizes), [f"/n1{DEFAULT}/web1/disk0"])
        self.assertEqual(found.name, f"{DEFAULT}/web1/disk0")

    def test_folders_of_the_system_do_not_count(self) -> None:
        allowed = folders(MemoryImages(), "/etc/disks\n/data\n/usr/bin\n/\nrelative\n")
        self.assertEqual(allowed.allowed(), ("/data",))
        self.assertEqual(allowed.forbidden(), ("/etc/disks", "/usr/bin", "/", "relative"))

    def test_lists_have_comments_and_blank_lines(self) -> None:
        self.assertEqual(listed("\n# no\n/a/b//\n  /c\n"), ("/a/b", "/c"))

    def test_names_that_only_begin_alike_are_not_forbidden(self) -> None:
        self.assertEqual([forbidden(path) for path in ("/etcetera", "/etc/x")], [False, True])


class RealRoomTests(SynchronousTestCase):
    def test_a_disk_that_does_not_fit_says_so(self) -> None:
        images = MemoryImages(room=10)
        creating = FileVolumes(images, folders(images)).create(a_disk(), owner="w", primary=True)
        error = self.failureResultOf(Deferred.fromCoroutine(creating), Refused)
        self.assertIn("No space left", str(error.value))
