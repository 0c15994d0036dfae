# SPDX-License-Identifier: BSD-2-Clause
"""Storage units and volumes of nodes are listed, changed and repaired."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused, Unreachable
from ganeti.locking.names import node_lock, request
from ganeti.model.disk import Template
from ganeti.opcodes.choices import StorageType
from ganeti.opcodes.node import ListStorage, ListVolumes, ModifyStorage, RepairStorage
from ganeti.operations.node.storage import (
    plan_modify,
    plan_repair,
    plan_units,
    plan_volumes,
    run_change,
    run_table,
    units_queries,
    volumes_queries,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.storage import (
    ListStorageCall,
    ListVolumesCall,
    ModifyStorageCall,
    RepairStorageCall,
    ReportedStorageUnit,
    StoredVolume,
)
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.tools import MemoryTools

ALL = ("node", "type", "name", "size", "used", "free", "allocatable")


def a_state(**over: Any) -> ClusterState:
    """Return four nodes: node3 is offline, and node4 runs no guests."""
    nodes = [
        a_node("node1"),
        a_node("node2"),
        a_node("node3", offline=True),
        a_node("node4", vm_capable=False),
    ]
    plain = an_instance("web1", disks=[a_disk("p", Template.PLAIN)])
    drbd = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
    db1 = an_instance("db1", node="node1", disks=[drbd])
    return a_cluster(nodes=nodes, instances=[plain, db1], **over)


def a_unit(name: str, *, allocatable: bool = True) -> ReportedStorageUnit:
    return ReportedStorageUnit(
        name=name, size=100, used=40, free=60, allocatable=allocatable, group="", healthy=True
    )


def a_volume(name: str) -> StoredVolume:
    return StoredVolume(name=name, size=64, attached=False, opened=False, owner="")


def answers(kind: type[Call[Any]], **by_name: object) -> NodeAnswers:
    return NodeAnswers({(a_node(name).uuid, kind): answer for name, answer in by_name.items()})


class UnitTests(SynchronousTestCase):
    def rows(self, op: ListStorage, **by_name: object) -> list[list[object]]:
        found = plan_units(op, a_state(), answers(ListStorageCall, **by_name))
        self.memory = MemoryTools(a_state())
        self.assertEqual(found.locks, {})
        rows: list[list[object]] = self.successResultOf(run_table(found, self.memory.tools))
        return rows

    def test_rows_have_the_requested_fields_in_order_of_the_nodes(self) -> None:
        op = ListStorage(output_fields=ALL, storage_type=StorageType.LVM_PV)
        units = [a_unit("/dev/sda"), a_unit("/dev/sdb", allocatable=False)]
        rows = self.rows(op, node1=units, node2=[a_unit("/dev/sda")])
        expected: list[list[object]] = [
            ["node1", "lvm-pv", "/dev/sda", 100, 40, 60, True],
            ["node1", "lvm-pv", "/dev/sdb", 100, 40, 60, False],
            ["node2", "lvm-pv", "/dev/sda", 100, 40, 60, True],
        ]
        self.assertEqual(rows, expected)

    def test_the_default_is_the_storage_of_the_first_template(self) -> None:
        for template, kind in (
            ("file", "file"),
            ("sharedfile", "sharedfile"),
            ("gluster", "gluster"),
            ("plain", "lvm-vg"),
            ("diskless", "lvm-vg"),
        ):
            state = a_state(enabled_disk_templates=(template, "plain"))
            [query] = units_queries(ListStorage(output_fields=("name",), name="x"), state)
            self.assertEqual(query.call, ListStorageCall(kind=kind, name="x"))

    def test_nodes_that_are_offline_or_run_no_guests_are_not_asked(self) -> None:
        for op in (
            ListStorage(output_fields=("name",)),
            ListStorage(output_fields=("name",), nodes=("node3", "node2", "node1")),
        ):
            [query] = units_queries(op, a_state())
            self.assertEqual([node.name for node in query.nodes], ["node1", "node2"])

    def test_a_named_kind_of_storage_is_listed(self) -> None:
        op = ListStorage(output_fields=("name",), storage_type=StorageType.LVM_PV)
        [query] = units_queries(op, a_state())
        self.assertEqual(query.call, ListStorageCall(kind="lvm-pv"))

    def test_unknown_fields_are_refused_with_the_known_ones(self) -> None:
        reason = "unknown output fields color, shape; known are node, type, name, size"
        with self.assertRaisesRegex(Refused, reason) as raised:
            units_queries(ListStorage(output_fields=("name", "color", "shape")), a_state())
        self.assertEqual(raised.exception.code, Code.INPUT)

    def test_a_node_that_fails_does_not_hide_the_others(self) -> None:
        op = ListStorage(output_fields=("node",))
        rows = self.rows(op, node1=Unreachable("node1", "gone"), node2=[a_unit("vg0")])
        self.assertEqual(rows, [["node2"]])
        expected = ["node node1: node node1 is unreachable: gone"]
        self.assertEqual(self.memory.progress.said, expected)

    def test_without_any_row_a_failure_is_refused(self) -> None:
        op = ListStorage(output_fields=("node",), nodes=("node1",))
        for error, code in (
            (Failed("vgs is missing"), Code.ENVIRONMENT),
            (Unreachable("node1", "gone"), Code.INTERNAL),
        ):
            with self.assertRaisesRegex(Refused, "node node1: ") as raised:
                self.rows(op, node1=error)
            self.assertEqual(raised.exception.code, code)
        self.assertEqual(self.rows(op, node1=[]), [])


class VolumeTests(SynchronousTestCase):
    def test_volumes_have_the_instance_that_they_belong_to(self) -> None:
        state = a_state()
        [p] = state.get_disks(state.instance("web1"))
        [drbd] = state.get_disks(state.instance("db1"))
        names = ["/".join(disk.logical_id) for disk in (p, drbd.children[1])]
        volumes = [a_volume(name) for name in (*names, "vg0/root")]
        fields = ("node", "phys", "vg", "name", "size", "instance", "dev")
        op = ListVolumes(output_fields=fields)
        found = plan_volumes(op, state, answers(ListVolumesCall, node1=volumes, node2=volumes))
        owners = [(row[0], row[5]) for row in found.rows]
        expected = [("node1", "web1"), ("node1", "db1"), ("node1", "-")]
        self.assertEqual(owners, [*expected, ("node2", "-"), ("node2", "db1"), ("node2", "-")])
        row = ["node2", "/dev/vg0/root", "vg0", "root", 64, "-", "/dev/vg0/root"]
        self.assertEqual(found.rows[-1], row)

    def test_a_node_that_fails_is_reported(self) -> None:
        op = ListVolumes(output_fields=("name",))
        silent, volumes = Unreachable("node1", "gone"), [a_volume("vg0/root")]
        found = plan_volumes(op, a_state(), answers(ListVolumesCall, node1=silent, node2=volumes))
        self.assertEqual((found.rows, len(found.troubles)), ([["root"]], 1))

    def test_unknown_fields_are_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "unknown output fields size2; known are node, phys"):
            volumes_queries(ListVolumes(output_fields=("size2",)), a_state())
        [query] = volumes_queries(ListVolumes(output_fields=("size",)), a_state())
        self.assertEqual(query.call, ListVolumesCall())


class ChangeTests(SynchronousTestCase):
    def modify(self, node: str = "node2", **over: Any) -> Any:
        given = {"name": "/dev/sda", "storage_type": StorageType.LVM_PV, **over}
        op = ModifyStorage(node_name=node, **{"changes": {"allocatable": False}, **given})
        return plan_modify(op, a_state(), NodeAnswers())

    def repair(self, node: str = "node2", **over: Any) -> Any:
        given = {"name": "vg0", "storage_type": StorageType.LVM_VG, **over}
        return plan_repair(RepairStorage(node_name=node, **given), a_state(), NodeAnswers())

    def assert_refused(self, reason: str, code: Code, planned: Any, **over: Any) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            planned(**over)
        self.assertEqual(raised.exception.code, code)

    def test_a_physical_volume_takes_no_more_disks(self) -> None:
        memory = MemoryTools(a_state())
        found = self.modify()
        self.successResultOf(run_change(found, memory.tools))
        call = ModifyStorageCall(kind="lvm-pv", name="/dev/sda", allocatable=False)
        self.assertEqual(memory.nodes.asked, [("node2", call)])
        self.assertEqual(found.locks, request(exclusive=[node_lock(a_node("node2").uuid)]))

    def test_the_uuid_counts_if_it_is_given(self) -> None:
        uuid = a_node("node2").uuid
        for planned in (self.modify, self.repair):
            self.assertEqual(planned(node="old-name", node_uuid=uuid).node.name, "node2")

    def test_only_whether_physical_volumes_are_allocatable_can_be_changed(self) -> None:
        reason = "cannot change size of lvm-pv storage; changeable: allocatable"
        self.assert_refused(reason, Code.INPUT, self.modify, changes={"size": 1})
        reason = "cannot change allocatable of file storage; changeable: nothing"
        file = StorageType.FILE
        self.assert_refused(reason, Code.INPUT, self.modify, storage_type=file)

    def test_name_and_value_are_required(self) -> None:
        given: tuple[dict[str, Any], ...] = (
            {"name": None},
            {"changes": {}},
            {"changes": {"allocatable": "no"}},
        )
        for over in given:
            reason = "the parameters name and allocatable"
            self.assert_refused(reason, Code.INPUT, self.modify, **over)

    def test_the_node_must_be_online(self) -> None:
        for planned, what in ((self.modify, "changed"), (self.repair, "repaired")):
            reason = f"node3 is offline, so its storage cannot be {what}"
            self.assert_refused(reason, Code.STATE, planned, node="node3")

    def test_a_volume_group_is_repaired(self) -> None:
        self.assertEqual(self.repair().call, RepairStorageCall(kind="lvm-vg", name="vg0"))

    def test_other_storage_is_not_repaired(self) -> None:
        reason = "cannot repair lvm-pv storage; repairable: lvm-vg"
        pv = StorageType.LVM_PV
        self.assert_refused(reason, Code.INPUT, self.repair, storage_type=pv)
        self.assert_refused("the parameter name is required", Code.INPUT, self.repair, name=None)

    def test_a_repair_may_not_destroy_the_only_disks_of_an_instance(self) -> None:
        reason = "the disks of web1 are only on node node1, .* use --ignore-consistency"
        self.assert_refused(reason, Code.STATE, self.repair, node="node1")
        self.repair(node="node1", ignore_consistency=True)
