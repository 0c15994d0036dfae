# SPDX-License-Identifier: BSD-2-Clause
"""Instances of existing block devices: adopted, moved and removed without a change to the data."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.instances import add_instance
from ganeti.config.invariants import verify
from ganeti.errors import Failed, GanetiError, Invalid, Refused
from ganeti.schema.records import replace
from ganeti.system.interfaces import BlockDevice
from ganeti.testing.builders import a_cluster
from tests.operations.whole import WholeCluster

MIB = 1 << 20
LUN = "/dev/disk/by-id/lun1"
ORDER = {
    "instance_name": "web1",
    "mode": "create",
    "disk_template": "blockdev",
    "disks": [{"adopt": LUN}],
    "nics": [],
    "os_type": "noop",
    "pnode": "node1",
}


class AdoptedDeviceTests(SynchronousTestCase):
    """node1 and node2 have the devices lun1, which is also alias1, and lun2."""

    def setUp(self) -> None:
        templates = ("blockdev", "file", "ext")
        state = a_cluster(
            nodes=("node1", "node2", "node3"),
            enabled_disk_templates=templates,
            file_storage_dir="/srv/ganeti/file-storage",
        )
        self.whole = WholeCluster(state)
        for name in ("node1", "node2"):
            images = self.whole.hosts[name].images
            for number, size in ((1, 1000), (2, 500)):
                device = f"/dev/sd{number}"
                images.devices[device] = BlockDevice(device, size * MIB)
                images.links[f"/dev/disk/by-id/lun{number}"] = device
            images.links["/dev/disk/by-id/alias1"] = "/dev/sd1"

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(op_id, **{"instance_name": "web1", **fields}))

    def refusal(self, op_id: str, **fields: Any) -> str:
        working = self.whole.do(op_id, **{"instance_name": "web1", **fields})
        error = self.failureResultOf(working, Refused, Failed, Invalid).value
        assert isinstance(error, GanetiError)
        return str(error)

    def adopt(self, *paths: str, **over: Any) -> None:
        disks = [{"adopt": path} for path in paths or (LUN,)]
        self.do("OP_INSTANCE_CREATE", **{**ORDER, "disks": disks, **over})

    def refused(self, *paths: str) -> str:
        disks = [{"adopt": path} for path in paths]
        return self.refusal(
            "OP_INSTANCE_CREATE", **{**ORDER, "instance_name": "web2", "disks": disks}
        )

    def test_a_disk_has_the_size_of_its_device_and_nothing_is_installed(self) -> None:
        self.adopt()
        [disk] = self.whole.state.get_disks(self.whole.state.instance("web1"))
        self.assertEqual((disk.logical_id, disk.size), (("manual", LUN), 1000))
        self.assertEqual(self.whole.where("web1"), ["node1"])
        host = self.whole.hosts["node1"]
        self.assertEqual((host.processes.ran, host.images.zeroed), ([], []))
        self.assertEqual(verify(self.whole.state), [])

    def test_what_cannot_be_adopted_is_refused_with_the_reason(self) -> None:
        self.adopt()
        self.whole.hosts["node1"].images.devices["/dev/sd2"] = BlockDevice("/dev/sd2", MIB, True)
        for paths, expected in (
            ([LUN], f"device {LUN} belongs to instance web1"),
            (
                ["/dev/disk/by-id/alias1"],
                "is /dev/sd1 on node node1, which belongs to instance web1",
            ),
            (["/dev/disk/by-id/lun2"], "is in use there"),
            (["/dev/disk/by-id/none"], "node node1 has no block device /dev/disk/by-id/none"),
            (["/dev/sda"], "below /dev/disk/"),
        ):
            self.assertIn(expected, self.refused(*paths))

    def test_one_device_under_two_names_is_no_two_disks(self) -> None:
        self.assertIn("are one device", self.refused(LUN, "/dev/disk/by-id/alias1"))

    def test_a_disk_without_a_device_is_refused(self) -> None:
        said = self.refusal("OP_INSTANCE_CREATE", **{**ORDER, "disks": [{"size": 64}]})
        self.assertIn("disks[0]/adopt: must be the path of an existing block device", said)

    def test_two_jobs_at_a_time_do_not_adopt_one_device(self) -> None:
        self.adopt()
        state = self.whole.state
        [disk] = state.get_disks(state.instance("web1"))
        other, same = (
            replace(state.instance("web1"), uuid="other", name="web2", disks=("other",)),
            replace(disk, uuid="other"),
        )
        with self.assertRaisesRegex(Refused, "belongs to instance web1"):
            add_instance(other, [same])(state)

    def test_a_removed_instance_leaves_its_device(self) -> None:
        self.adopt(start=False)
        self.do("OP_INSTANCE_REMOVE", shutdown_timeout=0)
        self.adopt()

    def test_a_failover_uses_the_device_of_the_other_node(self) -> None:
        self.adopt()
        self.do("OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertEqual(self.whole.where("web1"), ["node2"])

    def test_a_node_without_the_device_is_refused_before_the_guest_is_stopped(self) -> None:
        self.adopt()
        said = self.refusal("OP_INSTANCE_FAILOVER", target_node="node3")
        self.assertIn(
            f"node3: disk/0 has lost its device: this node has no block device {LUN}", said
        )
        self.assertEqual(self.whole.where("web1"), ["node1"])

    def test_devices_are_not_grown_recreated_added_or_converted_to(self) -> None:
        self.adopt(start=False)
        for op_id, fields, expected in (
            ("OP_INSTANCE_GROW_DISK", {"disk": 0, "amount": 10}, "cannot grow blockdev disks"),
            ("OP_INSTANCE_RECREATE_DISKS", {}, "existing devices, which are not created"),
            (
                "OP_INSTANCE_SET_PARAMS",
                {"disks": [["add", -1, {"size": 64}]]},
                "is only possible when an instance is created",
            ),
        ):
            self.assertIn(expected, self.refusal(op_id, **fields))

    def test_other_disks_are_not_converted_to_devices(self) -> None:
        file = {"disk_template": "file", "disks": [{"size": 64}], "start": False}
        self.do("OP_INSTANCE_CREATE", **{**ORDER, **file})
        said = self.refusal("OP_INSTANCE_SET_PARAMS", disk_template="blockdev")
        self.assertIn("adopted when an instance is created", said)
