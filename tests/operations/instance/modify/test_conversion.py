# SPDX-License-Identifier: BSD-2-Clause
"""Disks are converted to another template: copied, and replaced when the copies are complete."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.errors import Code, GanetiError, Invalid, Refused, Unreachable
from ganeti.locking.names import instance_lock, node_lock, request
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.operations.instance.context import standing
from ganeti.operations.instance.modify.conversion import (
    DiskConversion,
    conversion_queries,
    plan_conversion,
    run_conversion,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.disks import (
    AttachDisk,
    CreateDisk,
    DescribeDisks,
    DetachDisk,
    DiskStatus,
    RemoveDisk,
)
from ganeti.rpc.instances import ListGuests
from ganeti.rpc.node import DescribeNode, StorageSpace
from ganeti.rpc.transfers import (
    DescribeTransfers,
    StartedTransfer,
    StartExport,
    StartImport,
    TransferStatus,
)
from ganeti.testing.builders import a_cluster, a_disk, a_group, a_node, an_instance
from ganeti.testing.facts import some_facts
from ganeti.testing.storage import Held
from ganeti.testing.tools import MemoryTools
from tests.operations.whole import WholeCluster

ENABLED = ("diskless", "plain", "drbd", "sharedfile")


class PlanTests(SynchronousTestCase):
    """web1 is stopped on node1, with disks of 64 MiB; node3 is offline."""

    def plan(
        self,
        template: Template = Template.SHAREDFILE,
        *,
        count: int = 1,
        kind: Template = Template.PLAIN,
        **over: Any,
    ) -> DiskConversion:
        nodes = ("node1", "node2") if kind is Template.DRBD else ("node1",)
        disks = [a_disk(f"web1/{n}", kind, size=64, nodes=nodes) for n in range(count)]
        wanted = over.pop("wanted", AdminState.DOWN)
        web1 = an_instance("web1", disks=disks, admin_state=wanted, disks_active=False)
        primary = a_node("node1", **over.pop("primary", {}))
        state = a_cluster(nodes=[primary, "node2", a_node("node3", offline=True)], instances=[web1])
        free = over.pop("free", 4096)
        space = [StorageSpace(kind="lvm-vg", name="vg0", size=4096, free=free)]
        space += some_facts().storage
        answers: dict[tuple[str, type[Call[object]]], object] = {
            (a_node(name).uuid, DescribeNode): over.pop(name, some_facts(storage=tuple(space)))
            for name in ("node1", "node2")
        }
        guests = some_facts(runs=["web1"] if over.pop("elsewhere", False) else []).guests
        answers[a_node("node2").uuid, ListGuests] = guests
        statuses = over.pop("statuses", [DiskStatus(path="", size=64)] * count)
        answers[primary.uuid, DescribeDisks] = statuses
        op = ModifyInstance(instance_name="web1", disk_template=template, **over)
        self.queries = conversion_queries(op, state)
        return plan_conversion(op, state, NodeAnswers(answers, identity="id"))

    def assert_refused(self, reason: str, code: Code, **over: Any) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            self.plan(**over)
        self.assertEqual(raised.exception.code, code)

    def test_the_secondary_node_is_locked_too(self) -> None:
        plan = self.plan(Template.DRBD, remote_node="node2")
        self.assertEqual([node.name for node in plan.nodes], ["node1", "node2"])
        uuids = [node_lock(node.uuid) for node in plan.nodes]
        lock = instance_lock(plan.subject.instance.uuid)
        self.assertEqual(plan.locks, request(exclusive=[lock], shared=uuids))
        self.assertEqual(self.plan().locks, plan.subject.locks)

    def test_nodes_that_are_offline_are_not_asked(self) -> None:
        with self.assertRaises(Refused):
            self.plan(primary={"offline": True})
        self.assertEqual([[*query.nodes] for query in self.queries], [[]])

    def test_sizes_are_those_that_the_node_knows(self) -> None:
        for status, size in ((DiskStatus(path="", size=68), 68), (None, 64)):
            self.assertEqual(self.plan(statuses=[status]).sizes, (size,))

    def test_data_below_mirrored_disks_are_asked_for(self) -> None:
        self.plan(kind=Template.DRBD)
        [call] = [q.call for q in self.queries if isinstance(q.call, DescribeDisks)]
        assert isinstance(call, DescribeDisks)
        self.assertEqual([disk.dev_type for disk in call.disks], [Template.PLAIN])

    def test_each_node_needs_room_for_all_disks(self) -> None:
        self.plan(Template.DRBD, remote_node="node2", count=8, free=8 * (64 + 128))
        less = {"count": 8, "free": 8 * (64 + 128) - 1, "remote_node": "node2"}
        self.assert_refused("MiB", Code.RESOURCES, template=Template.DRBD, **less)

    def test_more_than_eight_disks_cannot_be_doubled(self) -> None:
        self.plan(count=8)
        self.assert_refused("web1 has more than 8 disks; convert it by", Code.STATE, count=9)

    def test_nodes_that_cannot_have_disks_are_refused(self) -> None:
        for over, reason in (
            ({"primary": {"offline": True}}, "node1 is offline, so the disks .* cannot be read"),
            ({"primary": {"drained": True}}, "node1 is drained, so instance web1 cannot get new"),
            ({"remote_node": "node3"}, "node3 is offline, so instance web1 cannot have copies"),
        ):
            template = Template.DRBD if "remote_node" in over else Template.SHAREDFILE
            self.assert_refused(reason, Code.STATE, template=template, **over)

    def test_only_an_instance_that_is_down_everywhere_is_converted(self) -> None:
        runs, stop = some_facts(runs=["web1"]), "gnt-instance shutdown web1"
        self.assert_refused(stop, Code.STATE, wanted=AdminState.UP)
        self.assert_refused(stop, Code.STATE, node1=runs)
        reason = "running on node2, which is not its primary node"
        given = {"kind": Template.DRBD, "remote_node": None, "elsewhere": True}
        self.assert_refused(reason, Code.STATE, **given)

    def test_a_silent_node_may_run_it(self) -> None:
        silent = Unreachable("node1", "gone")
        self.assert_refused("unknown whether", Code.INTERNAL, node1=silent)
        self.assertNotIn(ListGuests, [type(query.call) for query in self.queries])


class StepTests(SynchronousTestCase):
    """The steps of a conversion of one disk on node1, whose transfers complete at once."""

    def test_both_disks_are_attached_while_they_are_copied(self) -> None:
        disk = a_disk("web1/0", Template.PLAIN, size=64)
        web1 = an_instance("web1", disks=[disk], admin_state=AdminState.DOWN)
        done = TransferStatus(connected=True, moved=0, rate=0.0, over=True)
        given: dict[type[Call[object]], object] = {
            StartImport: StartedTransfer(name="in", port=20001),
            StartExport: StartedTransfer(name="out"),
            DescribeTransfers: [done],
        }
        memory = MemoryTools(a_cluster(instances=[web1]), given)
        state, op = memory.state(), ModifyInstance(instance_name="web1")
        subject = standing(state.instance("web1"), state)
        plan = DiskConversion(op, subject, Template.SHAREDFILE, None, (64,), "id")
        self.successResultOf(run_conversion(plan, memory.tools))
        kinds = (CreateDisk, AttachDisk, DetachDisk, RemoveDisk)
        calls = [call for _, call in memory.nodes.asked if isinstance(call, (*kinds, StartExport))]
        steps = [
            (type(call).__name__, "" if isinstance(call, StartExport) else call.disk.dev_type.value)
            for call in calls
        ]
        expected = [
            ("CreateDisk", "sharedfile"),
            ("AttachDisk", "sharedfile"),
            ("AttachDisk", "plain"),
            ("StartExport", ""),
            ("DetachDisk", "plain"),
            ("DetachDisk", "sharedfile"),
            ("RemoveDisk", "plain"),
        ]
        self.assertEqual(steps, expected)
        self.assertEqual(memory.progress.said[-1], "instance web1 has sharedfile disks now")


class ConversionTests(SynchronousTestCase):
    def setUp(self) -> None:
        disks = [a_disk(f"web1/{n}", Template.PLAIN, size=64 * (n + 1)) for n in range(2)]
        web1 = an_instance("web1", disks=disks, admin_state=AdminState.DOWN)
        far = a_node("node4", group="far")
        state = a_cluster(
            nodes=["node1", "node2", "node3", far],
            groups=["default", a_group("far")],
            instances=[web1, "web2"],
            enabled_disk_templates=ENABLED,
        )
        self.whole = WholeCluster(state)
        self.successResultOf(Deferred.fromCoroutine(self.whole.make_disks("web1")))
        self.before, self.held = self.disks(), self.stored()

    def convert(self, template: str, **fields: Any) -> Deferred[Any]:
        given = {"instance_name": "web1", "disk_template": template, **fields}
        return Deferred.fromCoroutine(self.whole.do("OP_INSTANCE_SET_PARAMS", **given))

    def refusal(self, template: str, **fields: Any) -> GanetiError:
        error: GanetiError = self.failureResultOf(
            self.convert(template, **fields), GanetiError
        ).value
        return error

    def disks(self) -> tuple[Disk, ...]:
        return self.whole.state.get_disks(self.whole.state.instance("web1"))

    def stored(self) -> dict[str, set[str]]:
        """The volumes that there are, by node."""
        return {name: set(volumes.held) for name, volumes in self.whole.volumes.items()}

    def assert_unchanged(self) -> None:
        self.assertEqual(self.disks(), self.before)
        self.assertEqual(self.stored(), self.held)
        self.assertEqual(verify(self.whole.state), [])

    def test_the_copies_have_what_was_on_the_disks(self) -> None:
        rows = self.successResultOf(self.convert("sharedfile"))
        self.assertEqual(rows, [["disk_template", "sharedfile"]])
        contents = self.whole.hosts["node1"].disk.contents()
        for before, after in zip(self.before, self.disks(), strict=True):
            path = f"/memory/{'/'.join(before.logical_id)}"
            self.assertEqual(contents[f"/memory/{'/'.join(after.logical_id)}"], path.encode())
            self.assertEqual(after.dev_type, Template.SHAREDFILE)
            self.assertEqual((after.size, after.iv_name), (before.size, before.iv_name))
        self.assertEqual(self.stored()["node1"], {"/".join(d.logical_id) for d in self.disks()})
        held = self.whole.volumes["node1"].held.values()
        self.assertEqual([each.attached for each in held], [False, False])
        self.assertEqual(verify(self.whole.state), [])

    def test_disks_become_mirrored_and_plain_again(self) -> None:
        self.successResultOf(self.convert("drbd", remote_node="node2"))
        first, second = self.disks()
        self.assertEqual((first.dev_type, second.iv_name), (Template.DRBD, "disk/1"))
        names = [self.whole.state.nodes[uuid].name for uuid in first.nodes]
        self.assertEqual(names, ["node1", "node2"])
        self.assertEqual(verify(self.whole.state), [])
        self.assertEqual(self.stored()["node1"], set())
        self.successResultOf(self.whole.start("web1"))
        self.successResultOf(
            Deferred.fromCoroutine(self.whole.do("OP_INSTANCE_SHUTDOWN", instance_name="web1"))
        )
        self.successResultOf(self.convert("plain"))
        self.assertEqual({disk.dev_type for disk in self.disks()}, {Template.PLAIN})
        self.assertEqual(len(self.stored()["node1"]), 2)
        self.assertEqual(verify(self.whole.state), [])

    def test_a_volume_that_is_larger_than_recorded_is_copied_whole(self) -> None:
        held = self.whole.volumes["node1"].held
        [name] = [name for name, each in held.items() if each.size == 64]
        held[name] = Held(68)
        self.successResultOf(self.convert("sharedfile"))
        self.assertEqual([disk.size for disk in self.disks()], [68, 128])

    def test_what_is_impossible_is_refused_with_what_to_do(self) -> None:
        for template, fields, told in (
            ("plain", {}, "has plain disks already"),
            ("diskless", {}, "cannot be converted"),
            ("file", {}, "not enabled"),
            ("drbd", {}, "--node=NODE web1"),
            ("drbd", {"remote_node": "node1"}, "is the primary node"),
            ("drbd", {"remote_node": "node4"}, "in another node group"),
            ("drbd", {"remote_node": "nowhere"}, "nowhere"),
            ("sharedfile", {"remote_node": "node2"}, "have no secondary node"),
            ("sharedfile", {"beparams": {"vcpus": 2}}, "by a request of their own"),
            ("sharedfile", {"offline": True}, "by a request of their own"),
        ):
            with self.subTest(template=template, **fields):
                self.assertIn(told, str(self.refusal(template, **fields)))
                self.assert_unchanged()

    def test_a_secondary_node_without_a_conversion_is_refused(self) -> None:
        given = {"instance_name": "web1", "remote_node": "node2"}
        work = self.whole.do("OP_INSTANCE_SET_PARAMS", **given)
        error = self.failureResultOf(Deferred.fromCoroutine(work), GanetiError, Invalid).value
        self.assertIn("gnt-instance replace-disks -n NODE web1", str(error))

    def test_only_a_stopped_instance_with_inactive_disks_is_converted(self) -> None:
        activate = self.whole.do("OP_INSTANCE_ACTIVATE_DISKS", instance_name="web1")
        self.successResultOf(Deferred.fromCoroutine(activate))
        self.assertIn("gnt-instance deactivate-disks web1", str(self.refusal("sharedfile")))
        self.successResultOf(Deferred.fromCoroutine(self.whole.start("web1")))
        self.assertIn("gnt-instance shutdown web1", str(self.refusal("sharedfile")))

    def test_whatever_call_is_lost_nothing_is_lost_and_nothing_left(self) -> None:
        conversions: tuple[tuple[str, dict[str, Any]], ...] = (
            ("sharedfile", {}),
            ("drbd", {"remote_node": "node2"}),
        )
        names = ("blockdev_create", "blockdev_assemble", "import_start", "export_start")
        for template, fields in conversions:
            for name in names:
                for lose in ("lose_request", "lose_answer"):
                    with self.subTest(template=template, call=name, lose=lose):
                        self.setUp()
                        getattr(self.whole.network, lose)("node1", call=name)
                        self.refusal(template, **fields)
                        self.assert_unchanged()
                        self.successResultOf(self.convert(template, **fields))

    def test_a_copy_that_breaks_off_leaves_the_old_disks(self) -> None:
        host = self.whole.hosts["node1"]
        host.streams.takes = 30

        def restart() -> None:
            host.restart()
            self.whole.network.add_node("node1", host.answers)

        self.whole.clock.callLater(10, restart)
        error = str(self.refusal("sharedfile"))
        self.assertIn("the disks of web1 were not copied: ", error)
        self.assertIn("its node daemon was restarted", error)
        self.assert_unchanged()

    def test_the_sync_of_mirrored_disks_need_not_be_awaited(self) -> None:
        self.successResultOf(self.convert("drbd", remote_node="node2", wait_for_sync=False))
        self.assertNotIn("syncing", self.whole.said)
        self.assertEqual({disk.dev_type for disk in self.disks()}, {Template.DRBD})

    def test_an_old_disk_that_cannot_be_removed_is_told_of(self) -> None:
        self.whole.volumes["node1"].trouble["remove"] = Refused("it is in use")
        self.successResultOf(self.convert("sharedfile"))
        self.assertIn("cannot remove an old disk: disk/0 on node1", self.whole.said)
        self.assertEqual({disk.dev_type for disk in self.disks()}, {Template.SHAREDFILE})
