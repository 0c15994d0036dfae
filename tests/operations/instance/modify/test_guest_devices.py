# SPDX-License-Identifier: BSD-2-Clause
"""Disks and network cards of a running instance that its guest gets and loses at once."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Template
from ganeti.model.guest import GuestNic
from ganeti.model.instance import AdminState, Instance
from ganeti.opcodes.instance.device_changes import changes
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import standing
from ganeti.operations.instance.modify.device_changes import apply_disk_changes
from ganeti.operations.instance.modify.guest_devices import (
    HotplugPlan,
    add_hot_disk,
    plan_hotplug,
    remove_hot_disk,
    wants_hotplug,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.instances import DescribeHotplug, HotplugDevice
from ganeti.testing.builders import a_cluster, a_disk, a_guest, a_node, an_instance
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.tools import MemoryTools
from tests.operations.whole import WholeCluster

ADD_NIC: dict[str, Any] = {"nics": (("add", -1, {}),)}
READ_ONLY: dict[str, Any] = {"disks": (("modify", 0, {"mode": "ro"}),)}


class PlanTests(SynchronousTestCase):
    """Whether the running guest of web1 gets a change at once."""

    def plan(self, *, problem: str = "", runs: bool = True, **fields: Any) -> HotplugPlan:
        state = a_cluster(instances=[an_instance("web1", disks=[a_disk("disk1")])])
        subject = standing(state.instance("web1"), state)
        op = ModifyInstance(instance_name="web1", **fields)
        disks = apply_disk_changes(subject.instance, subject.disks, changes(op.disks))
        facts = NodeAnswers({(subject.primary.uuid, DescribeHotplug): problem})
        return plan_hotplug(op, subject, runs, disks, facts)

    def test_it_does_if_that_is_requested_and_possible(self) -> None:
        node = a_node("node1")
        expected = HotplugPlan(node, possible=True, required=True)
        self.assertEqual(self.plan(**ADD_NIC, hotplug=True), expected)
        expected = HotplugPlan(node, possible=True, required=False)
        self.assertEqual(self.plan(**ADD_NIC, hotplug_if_possible=True), expected)

    def test_it_does_not_if_that_is_not_requested_or_it_does_not_run(self) -> None:
        idle = HotplugPlan(a_node("node1"))
        self.assertEqual(self.plan(**ADD_NIC), idle)
        self.assertEqual(self.plan(**ADD_NIC, hotplug=True, runs=False), idle)
        self.assertEqual(self.plan(beparams={"vcpus": 2}, hotplug_if_possible=True), idle)

    def test_a_guest_that_cannot_refuses_it_or_has_the_reason(self) -> None:
        with self.assertRaisesRegex(Refused, "no slots") as raised:
            self.plan(**ADD_NIC, hotplug=True, problem="no slots")
        self.assertEqual(raised.exception.code, Code.STATE)
        expected = HotplugPlan(a_node("node1"), problem="no slots")
        found = self.plan(**ADD_NIC, hotplug_if_possible=True, problem="no slots")
        self.assertEqual(found, expected)

    def test_the_access_mode_of_a_disk_waits_for_the_next_start(self) -> None:
        with self.assertRaisesRegex(Refused, "access mode of a disk .*; omit --hotplug"):
            self.plan(**READ_ONLY, hotplug=True)
        self.assertTrue(self.plan(**READ_ONLY, hotplug_if_possible=True).possible)
        renamed: dict[str, Any] = {"disks": (("modify", 0, {"name": "root"}),)}
        self.assertTrue(self.plan(**renamed, hotplug=True).possible)

    def test_the_node_is_asked_only_about_changes_of_devices(self) -> None:
        for fields, expected in (
            ({**ADD_NIC, "hotplug": True}, True),
            ({**READ_ONLY, "hotplug_if_possible": True}, True),
            (ADD_NIC, False),
            ({"hotplug": True, "beparams": {"vcpus": 2}}, False),
        ):
            op = ModifyInstance(instance_name="web1", **fields)
            self.assertEqual(wants_hotplug(op), expected)


class DeviceTests(SynchronousTestCase):
    """A node that refuses to change the devices of its guest."""

    def setUp(self) -> None:
        self.memory = MemoryTools(a_cluster(), {HotplugDevice: Refused("no free slot")})
        self.guest, self.disk = a_guest("web1"), a_disk("disk1")

    def test_an_added_disk_waits_unless_it_is_required(self) -> None:
        plan = HotplugPlan(a_node("node1"), possible=True)
        adding = add_hot_disk(plan, self.guest, self.disk, self.memory.tools)
        self.successResultOf(adding)
        expected = "the change of the running guest waits for its next start: no free slot"
        self.assertEqual(self.memory.progress.said, [expected])
        plan = HotplugPlan(a_node("node1"), possible=True, required=True)
        adding = add_hot_disk(plan, self.guest, self.disk, self.memory.tools)
        self.failureResultOf(adding, Refused)

    def test_a_disk_that_the_guest_keeps_is_never_taken_for_removed(self) -> None:
        plan = HotplugPlan(a_node("node1"), possible=True)
        removing = remove_hot_disk(plan, self.guest, self.disk, self.memory.tools)
        self.failureResultOf(removing, Refused)


class HotplugTests(SynchronousTestCase):
    def setUp(self) -> None:
        disk = a_disk("disk1", Template.PLAIN)
        web1 = an_instance("web1", disks=[disk], admin_state=AdminState.DOWN)
        self.whole = WholeCluster(a_cluster(instances=[web1]))
        self.successResultOf(self.whole.make_disks("web1"))
        self.successResultOf(self.whole.start("web1"))
        self.guests: MemoryHypervisor = self.whole.guests["node1"]

    def modify(self, **fields: Any) -> Any:
        working = self.whole.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", **fields)
        return self.successResultOf(working)

    def refusal(self, **fields: Any) -> str:
        working = self.whole.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", **fields)
        return str(self.failureResultOf(working, Refused, Failed).value)

    @property
    def web1(self) -> Instance:
        return self.whole.state.instance("web1")

    def guest_devices(self) -> tuple[list[str], list[GuestNic]]:
        """The disks and network cards that the guest runs with."""
        guest = make_guest(self.whole.state, self.web1)
        running = self.successResultOf(self.guests.running_config(guest))
        return [disk.uuid for disk in running.disks], list(running.nics)

    def assert_guest_has_what_is_configured(self) -> None:
        guest = make_guest(self.whole.state, self.web1)
        disks, nics = self.guest_devices()
        self.assertEqual(sorted(disks), sorted(self.web1.disks))
        self.assertCountEqual(nics, guest.nics)
        self.assertEqual(verify(self.whole.state), [])

    def test_the_guest_gets_and_loses_disks_and_cards(self) -> None:
        self.modify(disks=[["add", -1, {"size": 64}]], nics=[["add", -1, {}]], hotplug=True)
        self.assertEqual((len(self.web1.disks), len(self.web1.nics)), (2, 2))
        self.assert_guest_has_what_is_configured()
        self.modify(
            disks=[["remove", 0, {}]],
            nics=[["remove", 0, {}], ["modify", 0, {"link": "br9"}]],
            hotplug_if_possible=True,
        )
        self.assertEqual(self.guest_devices()[1][0].link, "br9")
        self.assert_guest_has_what_is_configured()
        self.assertEqual(len(self.whole.volumes["node1"].held), 1)
        self.assertNotIn("next start", self.whole.said)

    def test_without_hotplug_the_guest_keeps_what_it_has(self) -> None:
        before = self.guest_devices()
        self.modify(disks=[["add", -1, {"size": 64}]], nics=[["add", -1, {}]])
        self.assertEqual(self.guest_devices(), before)
        self.assertIn("is running with the disk", self.refusal(disks=[["remove", 0, {}]]))

    def test_a_stopped_instance_needs_none(self) -> None:
        self.successResultOf(self.whole.do("OP_INSTANCE_SHUTDOWN", instance_name="web1"))
        self.modify(nics=[["add", -1, {}]], hotplug=True)
        self.assertEqual(len(self.web1.nics), 2)

    def test_a_guest_that_cannot_is_refused_or_keeps_what_it_has(self) -> None:
        self.guests.hotplug_problem = "instance web1 was started by an older version"
        before = self.web1
        change = {"nics": [["add", -1, {}]]}
        self.assertIn("an older version", self.refusal(**change, hotplug=True))
        self.assertEqual(self.web1, before)
        self.modify(**change, hotplug_if_possible=True)
        self.assertIn("keeps its devices: instance web1 was started by", self.whole.said)
        self.assertEqual(len(self.web1.nics), 2)
        remove: dict[str, Any] = {"disks": [["remove", 0, {}]]}
        self.assertIn("an older version", self.refusal(**remove, hotplug=True))
        self.assertIn("with the disk", self.refusal(**remove, hotplug_if_possible=True))

    def test_what_fails_leaves_guest_and_configuration_as_they_were(self) -> None:
        before, devices = self.web1, self.guest_devices()
        self.guests.stubborn.add("web1")
        for change in (
            {"nics": [["add", -1, {}]]},
            {"nics": [["remove", 0, {}]]},
            {"disks": [["add", -1, {"size": 64}]]},
            {"disks": [["remove", 0, {}]]},
        ):
            with self.subTest(**change):
                self.refusal(**change, hotplug=True)
                now = (self.web1.nics, self.web1.disks)
                self.assertEqual(now, (before.nics, before.disks))
                self.assertEqual(self.guest_devices(), devices)
                self.assertEqual(len(self.whole.volumes["node1"].held), 1)
                self.assertEqual(verify(self.whole.state), [])

    def test_a_lost_answer_leaves_the_cards_of_the_guest_as_they_were(self) -> None:
        before, devices = self.web1.nics, self.guest_devices()
        for change in (["add", -1, {}], ["remove", 0, {}], ["modify", 0, {"link": "br8"}]):
            with self.subTest(change=change):
                self.whole.network.lose_answer("node1", call=HotplugDevice.wire)
                self.assertIn("node1 is unreachable", self.refusal(nics=[change], hotplug=True))
                self.assertEqual((self.web1.nics, self.guest_devices()), (before, devices))

    def test_a_later_failure_takes_the_earlier_changes_of_the_guest_back(self) -> None:
        self.modify(nics=[["add", -1, {}]], hotplug=True)
        before, devices = self.web1.nics, self.guest_devices()
        changes = [["remove", 0, {}], ["modify", 0, {"link": "br8"}], ["add", -1, {}]]
        plugs = 0

        async def plug(guest: Any, device: Any) -> None:
            nonlocal plugs
            plugs += 1
            if plugs == 2:
                raise Failed("no free slot")
            await MemoryHypervisor.plug(self.guests, guest, device)

        self.patch(self.guests, "plug", plug)
        self.assertIn("no free slot", self.refusal(nics=changes, hotplug=True))
        self.assertEqual(self.web1.nics, before)
        disks, nics = self.guest_devices()
        self.assertEqual(disks, devices[0])
        self.assertCountEqual(nics, devices[1])

    def test_if_possible_a_failure_waits_for_the_next_start(self) -> None:
        self.guests.stubborn.add("web1")
        self.modify(
            nics=[["add", -1, {}]], disks=[["add", -1, {"size": 64}]], hotplug_if_possible=True
        )
        self.assertEqual((len(self.web1.nics), len(self.web1.disks)), (2, 2))
        self.assertIn(
            "waits for its next start: node1: web1 does not take the device", self.whole.said
        )
        self.assertIn("release", self.refusal(disks=[["remove", 0, {}]], hotplug_if_possible=True))

    def test_what_hotplug_cannot_change_is_refused(self) -> None:
        told = self.refusal(beparams={"vcpus": 2}, hotplug=True)
        self.assertIn("only network cards and disks can be changed by hotplug", told)
        told = self.refusal(disks=[["modify", 0, {"mode": "ro"}]], hotplug=True)
        self.assertIn("access mode of a disk cannot be changed", told)
        working = self.whole.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", hotplug=True)
        self.assertEqual(self.failureResultOf(working, Refused).value.code, Code.INPUT)
