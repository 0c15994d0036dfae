# SPDX-License-Identifier: BSD-2-Clause
"""Plain disks in thin pools, on a whole cluster with lvm2 in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError, Invalid, Refused
from ganeti.model.disk import Disk, Template
from ganeti.testing.builders import a_cluster
from ganeti.testing.lvm import Logical, ScriptedLvm, ScriptedPool
from tests.operations.whole import WholeCluster

THIN = {"size": 256, "pool": "thin"}


class ThinPoolsCase(SynchronousTestCase):
    """Volume groups of 1100 MiB, of which a pool ``thin`` has 1024."""

    def setUp(self) -> None:
        self.set_up()

    def set_up(self, **over: Any) -> None:
        state = a_cluster(
            nodes=("node1", "node2"), enabled_disk_templates=("plain", "file"), **over
        )
        self.whole = WholeCluster(state, real=[Template.PLAIN])
        self.lvm = {name: ScriptedLvm("vg0", 1100) for name in self.whole.hosts}
        for name, scripted in self.lvm.items():
            scripted.pools["thin"] = ScriptedPool(1024)
            self.whole.hosts[name].processes.programs |= scripted.programs

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(self.start(op_id, **fields))

    def start(self, op_id: str, **fields: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.whole.do(op_id, **{"instance_name": "web1", **fields}))

    def refusal(self, op_id: str, **fields: Any) -> str:
        error = self.failureResultOf(self.start(op_id, **fields), Refused, Invalid).value
        assert isinstance(error, GanetiError)
        return str(error)

    def order(self, *disks: dict[str, object], **over: Any) -> dict[str, Any]:
        order = {"mode": "create", "disk_template": "plain", "os_type": "noop", "nics": []}
        return {**order, "pnode": "node1", "start": False, "disks": list(disks or [THIN]), **over}

    def create(self, *disks: dict[str, object], **over: Any) -> None:
        self.do("OP_INSTANCE_CREATE", **self.order(*disks, **over))

    @property
    def disks(self) -> tuple[Disk, ...]:
        return self.whole.state.get_disks(self.whole.state.instance("web1"))

    def volumes(self, node: str = "node1") -> list[Logical]:
        return list(self.lvm[node].volumes.values())


class CreationTests(ThinPoolsCase):
    def test_a_disk_is_in_the_pool_that_was_asked_for_and_remembers_it(self) -> None:
        self.create(THIN, {"size": 64})
        self.assertEqual([each.pool for each in self.volumes()], ["thin", ""])
        self.assertEqual([disk.params for disk in self.disks], [{"pool": "thin"}, {}])

    def test_new_disks_are_in_the_usual_pool_unless_they_name_none(self) -> None:
        self.set_up(diskparams={"plain": {"pool": "thin"}})
        self.create({"size": 256}, {"size": 64, "pool": "none"})
        self.assertEqual([each.pool for each in self.volumes()], ["thin", ""])
        self.assertEqual(self.disks[0].params, {"pool": "thin"})

    def test_an_allocator_asks_for_no_space_of_the_volume_group(self) -> None:
        self.set_up(diskparams={"plain": {"pool": "thin"}})
        self.create({"size": 256}, pnode=None, iallocator="hail")
        self.assertEqual(self.disks[0].params, {"pool": "thin"})

    def test_the_ratio_of_the_cluster_counts(self) -> None:
        self.set_up(diskparams={"plain": {"overcommit": 2.0}})
        self.create(THIN, {**THIN, "size": 1024})
        said = self.refusal(
            "OP_INSTANCE_CREATE", **self.order(THIN, THIN, THIN, THIN, instance_name="web2")
        )
        self.assertIn("are over 2 times its size; extend the pool", said)
        self.assertEqual(len(self.volumes()), 2)

    def test_nonsense_and_other_templates_are_refused(self) -> None:
        for pool in ("-f", "a/b", "", "a b", 5):
            said = self.refusal("OP_INSTANCE_CREATE", **self.order({"size": 64, "pool": pool}))
            self.assertIn("disks[0]/pool", said)
        order = self.order(THIN, disk_template="file")
        other = self.refusal("OP_INSTANCE_CREATE", **order)
        self.assertIn("is not a parameter of file disks", other)
        adopted = self.order({"adopt": "old", "pool": "thin"})
        self.assertIn("that is adopted", self.refusal("OP_INSTANCE_CREATE", **adopted))

    def test_a_pool_that_is_missing_says_how_it_is_made(self) -> None:
        said = self.refusal("OP_INSTANCE_CREATE", **self.order({"size": 64, "pool": "fast"}))
        self.assertIn("lvcreate --type thin-pool -L SIZE -n fast vg0", said)


class LifeTests(ThinPoolsCase):
    def test_a_disk_grows_beyond_what_the_group_has_free(self) -> None:
        self.create()
        self.do("OP_INSTANCE_GROW_DISK", disk=0, amount=256)
        self.assertEqual([each.size for each in self.volumes()], [512])

    def test_a_disk_is_added(self) -> None:
        self.create()
        self.do("OP_INSTANCE_SET_PARAMS", disks=[["add", -1, THIN]])
        self.assertEqual([each.pool for each in self.volumes()], ["thin", "thin"])

    def test_a_disk_is_made_anew_in_its_pool_whatever_is_usual_now(self) -> None:
        self.create()
        self.lvm["node1"].volumes.clear()
        self.do("OP_INSTANCE_RECREATE_DISKS")
        self.assertEqual([each.pool for each in self.volumes()], ["thin"])

    def test_nothing_is_left_of_a_removed_instance_with_snapshots(self) -> None:
        self.create()
        self.do("OP_INSTANCE_SNAPSHOT_CREATE", snapshot_name="first")
        self.assertEqual([each.pool for each in self.volumes()], ["thin", "thin"])
        self.do("OP_INSTANCE_REMOVE")
        self.assertEqual(self.volumes(), [])


class PlacementTests(ThinPoolsCase):
    """Volume groups have 76 MiB beside their pools."""

    def test_a_guest_migrates_to_a_node_that_is_chosen_for_it(self) -> None:
        self.create(start=True)
        self.do("OP_INSTANCE_MIGRATE")
        self.assertEqual(self.whole.where("web1"), ["node2"])
        self.assertEqual([each.pool for each in self.volumes("node2")], ["thin"])
        self.assertEqual(self.volumes(), [])

    def test_one_outside_of_the_pool_gets_the_space_that_others_do_not_need(self) -> None:
        wanted: dict[str, dict[str, object]] = {"web1": THIN, "web2": THIN, "web3": {"size": 64}}
        orders = [
            {"OP_ID": "OP_INSTANCE_CREATE", **self.order(disk, instance_name=name, pnode=None)}
            for name, disk in wanted.items()
        ]
        plan = self.whole.do("OP_INSTANCE_MULTI_ALLOC", instances=orders)
        self.successResultOf(Deferred.fromCoroutine(plan))
        submitted = [op.summary for job in self.whole.memory.submitted for op in job]
        self.assertEqual(submitted, [f"INSTANCE_CREATE({name})" for name in wanted])

    def test_what_is_reserved_is_created_in_its_pool(self) -> None:
        self.create(forthcoming=True)
        free = self.order({"size": 64}, instance_name="web2")
        self.do("OP_INSTANCE_CREATE", **free)
        self.create(commit=True)
        self.assertEqual([each.pool for each in self.volumes()], ["", "thin"])


class CopyTests(ThinPoolsCase):
    def copy(self, **over: Any) -> None:
        more = {"new_name": "web2", "name_check": False, "ip_check": False, "pnode": "node2"}
        self.do("OP_INSTANCE_CLONE", **{**more, **over})

    def test_a_copy_is_in_the_pool_of_the_original(self) -> None:
        self.create()
        self.copy()
        self.assertEqual([each.pool for each in self.volumes("node2")], ["thin"])

    def test_a_snapshot_is_copied_while_its_instance_runs(self) -> None:
        self.create(start=True)
        self.do("OP_INSTANCE_SNAPSHOT_CREATE", snapshot_name="first")
        self.copy(snapshot_name="first")
        self.assertEqual([each.pool for each in self.volumes("node2")], ["thin"])
        self.assertEqual(self.whole.where("web1"), ["node1"])
