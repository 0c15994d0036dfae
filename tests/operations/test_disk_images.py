# SPDX-License-Identifier: BSD-2-Clause
"""Instances with disks in qcow2 images: made, installed, grown, converted and removed."""

from __future__ import annotations

from ganeti.model.disk import DiskFormat, get_format
from ganeti.node.raw_images import PROGRAM
from ganeti.storage.file import MIB
from ganeti.storage.qcow2 import read_header
from tests.operations.disk_images import ImageDisksCase


class DiskImagesTests(ImageDisksCase):
    def size(self, number: int) -> int:
        images = self.whole.hosts["node1"].images
        header = read_header(images.read_start(self.path(self.disks[number]), 104))
        assert header is not None
        return header.size // MIB

    def test_a_disk_has_the_format_that_was_asked_for(self) -> None:
        self.create(disks=[{"size": 64, "format": "qcow2"}, {"size": 32}])
        self.assertEqual([get_format(disk) for disk in self.disks], [*reversed(DiskFormat)])
        self.assertEqual([disk.params for disk in self.disks], [{"format": "qcow2"}, {}])
        self.assertEqual(self.size(0), 64)

    def test_the_system_is_installed_on_raw_files_that_are_closed_afterwards(self) -> None:
        self.create()
        host = self.whole.hosts["node1"]
        [create] = [ran for ran in host.processes.ran if ran.argv[0].endswith("/create")]
        self.assertIn("/raw-images/", create.env["DISK_0_PATH"])
        self.assertEqual(list(host.processes.alive.values()), [])
        self.assertEqual(len([ran for ran in host.processes.ran if ran.argv[0] == PROGRAM]), 2)

    def test_unknown_formats_and_formats_of_other_templates_are_refused(self) -> None:
        wrong = self.refusal("OP_INSTANCE_CREATE", **self.order(format="vmdk"))
        self.assertIn("must be one of raw, qcow2", str(wrong))
        other = self.refusal("OP_INSTANCE_CREATE", **self.order(format="qcow2", template="plain"))
        self.assertIn("is not a parameter of plain disks", str(other))

    def order(self, *, format: str, template: str = "file") -> dict[str, object]:  # noqa: A002
        return {
            "mode": "create",
            "disk_template": template,
            "os_type": "noop",
            "pnode": "node1",
            "disks": [{"size": 64, "format": format}],
            "nics": [],
        }

    def test_an_image_grows(self) -> None:
        self.create()
        self.do("OP_INSTANCE_GROW_DISK", disk=0, amount=16)
        self.assertEqual((self.size(0), self.disks[0].size), (80, 80))

    def test_a_guest_gets_the_image_itself(self) -> None:
        self.create()
        self.do("OP_INSTANCE_STARTUP")
        found = self.whole.guests["node1"].disks["web1"]
        self.assertEqual(found, tuple(self.path(disk) for disk in self.disks))

    def test_a_disk_in_an_image_is_added_and_its_format_stays(self) -> None:
        self.create(disks=[{"size": 64}])
        added = [["add", -1, {"size": 8, "format": "qcow2"}]]
        self.do("OP_INSTANCE_SET_PARAMS", disks=added)
        self.assertEqual(get_format(self.disks[1]), DiskFormat.QCOW2)
        change = [["modify", 1, {"format": "raw"}]]
        self.assertIn(
            "cannot be changed", str(self.refusal("OP_INSTANCE_SET_PARAMS", disks=change))
        )

    def test_nothing_is_left_of_an_image_that_could_not_be_made(self) -> None:
        self.programs["node1"].broken.add("create")
        self.refusal("OP_INSTANCE_CREATE", **self.order(format="qcow2"))
        self.assertEqual(self.whole.hosts["node1"].images.sizes, {})

    def test_a_removed_instance_leaves_no_image(self) -> None:
        self.create()
        self.do("OP_INSTANCE_REMOVE")
        self.assertEqual(self.whole.hosts["node1"].images.sizes, {})
