# SPDX-License-Identifier: BSD-2-Clause
"""New disks are wiped before use where the cluster is set to do so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, JobCanceled
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.operations.instance.disks.wipe import wipe_if_enabled
from ganeti.rpc.disks import DescribeDisks, DiskStatus, PauseResync, WipeDisk
from ganeti.schema.types import Parameters
from ganeti.testing.builders import a_cluster, a_disk, an_instance
from ganeti.testing.tools import MemoryTools
from tests.operations.whole import WholeCluster

ORDER: Mapping[str, Any] = {
    "instance_name": "new1",
    "mode": "create",
    "disk_template": "file",
    "disks": [{"size": 64}, {"size": 10}],
    "nics": [],
    "os_type": "noop",
    "name_check": False,
    "ip_check": False,
}
MIB = 1 << 20


class WipeTests(SynchronousTestCase):
    """web1 has a disk of 2500 MiB, which the node has as 2504."""

    def setUp(self) -> None:
        self.set_up()

    def set_up(
        self,
        template: Template = Template.PLAIN,
        *,
        wipe: bool = True,
        params: Parameters | None = None,
    ) -> None:
        nodes = ("node1", "node2") if template is Template.DRBD else ("node1",)
        self.disk = a_disk("disk1", template, size=2500, nodes=nodes, params=params or {})
        web1 = an_instance("web1", disks=[self.disk])
        state = a_cluster(nodes=["node1", "node2"], instances=[web1], prealloc_wipe_disks=wipe)
        status = DiskStatus(path="/dev/x", size=2504)
        self.memory = MemoryTools(state, {DescribeDisks: [status]})

    def wipe(self, **more: int) -> Any:
        instance = self.memory.state().instance("web1")
        return wipe_if_enabled(instance, [self.disk], self.memory.tools, **more)

    def wiped(self) -> list[tuple[str, int, int]]:
        return [
            (node, call.offset, call.size)
            for node, call in self.memory.nodes.asked
            if isinstance(call, WipeDisk)
        ]

    def test_a_disk_is_wiped_to_its_real_end(self) -> None:
        self.successResultOf(self.wipe())
        parts = [("node1", 0, 1024), ("node1", 1024, 1024), ("node1", 2048, 456)]
        self.assertEqual(self.wiped(), parts)

    def test_only_what_is_new_is_wiped(self) -> None:
        self.successResultOf(self.wipe(start=2000))
        self.assertEqual(self.wiped(), [("node1", 2000, 504)])

    def test_nothing_is_wiped_unless_the_cluster_says_so(self) -> None:
        self.set_up(wipe=False)
        self.successResultOf(self.wipe())
        self.assertEqual(self.memory.nodes.asked, [])

    def test_a_disk_in_a_thin_pool_is_not_wiped(self) -> None:
        self.set_up(params={"pool": "thin"})
        self.successResultOf(self.wipe())
        self.assertEqual(self.wiped(), [])

    def test_progress_is_told(self) -> None:
        def slow(*_: object) -> None:
            self.memory.time.now += 40

        self.memory.nodes.answers[WipeDisk] = slow
        self.successResultOf(self.wipe())
        self.assertEqual(
            self.memory.progress.said,
            [
                "wiping disk/0 (2504 MiB) on node1",
                "wiping disk/0: 40.9% done, 58 s left",
                "wiping disk/0: 81.8% done, 18 s left",
            ],
        )

    def test_the_sync_of_mirrored_disks_waits(self) -> None:
        self.set_up(Template.DRBD)
        self.memory.nodes.answers[WipeDisk] = Failed("device gone")
        self.failureResultOf(self.wipe(), Failed)
        calls = self.memory.nodes.asked
        held = [call.paused for _, call in calls if isinstance(call, PauseResync)]
        self.assertEqual(held, [True, False])

    def test_a_canceled_job_stops_between_two_parts(self) -> None:
        self.memory.progress.canceled = lambda: len(self.wiped()) == 2
        self.failureResultOf(self.wipe(), JobCanceled)
        self.assertEqual(len(self.wiped()), 2)


class WhereTests(SynchronousTestCase):
    """On a whole cluster, with file disks."""

    def setUp(self) -> None:
        down = an_instance("web1", disks=[a_disk("disk1", size=64)], admin_state=AdminState.DOWN)
        self.whole = WholeCluster(a_cluster(instances=[down], prealloc_wipe_disks=True))
        self.images = self.whole.hosts["node1"].images

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(op_id, **fields))

    def wiped(self) -> list[tuple[int, int]]:
        return [(offset // MIB, size // MIB) for _, offset, size in self.images.zeroed]

    def test_disks_of_a_new_instance(self) -> None:
        self.do("OP_INSTANCE_CREATE", **ORDER)
        self.assertEqual(self.wiped(), [(0, 64), (0, 10)])

    def test_a_disk_that_is_added(self) -> None:
        added = [["add", -1, {"size": 7}]]
        self.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", disks=added)
        self.assertEqual(self.wiped(), [(0, 7)])

    def test_disks_that_are_made_again(self) -> None:
        self.do("OP_INSTANCE_RECREATE_DISKS", instance_name="web1")
        self.assertEqual(self.wiped(), [(0, 64)])

    def test_what_a_disk_grows_by(self) -> None:
        self.successResultOf(self.whole.make_disks("web1"))
        self.do("OP_INSTANCE_GROW_DISK", instance_name="web1", disk=0, amount=16)
        self.assertEqual(self.wiped(), [(64, 16)])
