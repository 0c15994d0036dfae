# SPDX-License-Identifier: BSD-2-Clause
"""Hooks are told what is going to be, and afterwards what has become of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.model.node import Node
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.operation import HookCall, ResultWithCommit
from ganeti.operations.perform import collect_inputs
from ganeti.operations.registry import OPERATIONS
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_group,
    a_network,
    a_node,
    an_instance,
    uuid_of,
)
from tests.operations.whole import WholeCluster

LAN = a_network("lan", mac_prefix="aa:11:22")
ORDER: Mapping[str, Any] = {
    "instance_name": "new1",
    "mode": "create",
    "disk_template": "drbd",
    "disks": [{"size": 64, "name": "data"}, {"size": 32, "mode": "ro"}],
    "nics": [{}, {"network": "lan", "ip": "pool"}],
    "os_type": "noop",
    "pnode": "node1",
    "snode": "node2",
    "beparams": {"maxmem": 256, "minmem": 128},
    "tags": ["b", "a"],
    "name_check": False,
    "ip_check": False,
}


class HookTests(SynchronousTestCase):
    """web1 is a stopped instance with a disk and a card."""

    def setUp(self) -> None:
        self.whole = WholeCluster(self.state())
        self.successResultOf(self.whole.make_disks("web1"))

    def state(self) -> ClusterState:
        disk = a_disk("disk1", Template.PLAIN)
        web1 = an_instance("web1", disks=[disk], admin_state=AdminState.DOWN)
        group = a_group("default", networks={LAN.uuid: {"mode": "bridged", "link": "br1"}})
        nodes: list[Node | str] = ["node1", "node2", a_node("node3", master_candidate=False)]
        return a_cluster(nodes=nodes, instances=[web1], groups=[group], networks=[LAN])

    async def _performed(self, op_id: str, fields: Mapping[str, Any]) -> list[HookCall]:
        whole, opcode = self.whole, read_opcode({"OP_ID": op_id, **fields})
        operation = OPERATIONS[type(opcode)]
        facts = await collect_inputs(
            operation, opcode, whole.state, whole.tools, whole.tools.ids.uuid()
        )
        plan = operation.plan(opcode, whole.state, facts)
        before = operation.hooks(plan, whole.state)
        result = await operation.run(plan, whole.tools)
        if isinstance(result, ResultWithCommit):
            await whole.tools.config.change(result.change)
        after = operation.hooks(plan, whole.state)
        assert before is not None
        assert after is not None
        return [before, after]

    def performed(self, op_id: str, **fields: Any) -> tuple[dict[str, str], dict[str, str]]:
        """The variables of the pre and the post hooks of an operation that is carried out."""
        before, after = self.successResultOf(self._performed(op_id, fields))
        return dict(before.environment), dict(after.environment)

    def assertTold(self, told: Mapping[str, str], expected: Mapping[str, str]) -> None:
        self.assertEqual({name: told.get(name) for name in expected}, dict(expected))


class AddTests(HookTests):
    def test_the_new_instance_is_told_whole(self) -> None:
        before, after = self.performed("OP_INSTANCE_CREATE", **ORDER)
        state = self.whole.state
        made = state.instance("new1")
        data, other = state.get_disks(made)
        first, second = made.nics
        expected = {
            "OP_TARGET": "new1",
            "ADD_MODE": "create",
            "INSTANCE_NAME": "new1",
            "INSTANCE_PRIMARY": "node1",
            "INSTANCE_SECONDARIES": "node2",
            "INSTANCE_OS_TYPE": "noop",
            "INSTANCE_STATUS": "up",
            "INSTANCE_MINMEM": "128",
            "INSTANCE_MAXMEM": "256",
            "INSTANCE_MEMORY": "256",
            "INSTANCE_VCPUS": "1",
            "INSTANCE_DISK_TEMPLATE": "drbd",
            "INSTANCE_HYPERVISOR": "fake",
            "INSTANCE_TAGS": "a b",
            "INSTANCE_BE_maxmem": "256",
            "INSTANCE_NIC_COUNT": "2",
            "INSTANCE_NIC0_MAC": first.mac,
            "INSTANCE_NIC0_UUID": first.uuid,
            "INSTANCE_NIC0_MODE": "bridged",
            "INSTANCE_NIC0_BRIDGE": "br0",
            "INSTANCE_NIC1_MAC": second.mac,
            "INSTANCE_NIC1_IP": "203.0.113.2",
            "INSTANCE_NIC1_LINK": "br1",
            "INSTANCE_NIC1_NETWORK_NAME": "lan",
            "INSTANCE_NIC1_NETWORK_SUBNET": "203.0.113.0/29",
            "INSTANCE_DISK_COUNT": "2",
            "INSTANCE_DISK0_NAME": "data",
            "INSTANCE_DISK0_UUID": data.uuid,
            "INSTANCE_DISK0_SIZE": "64",
            "INSTANCE_DISK0_MODE": "rw",
            "INSTANCE_DISK0_DEV_TYPE": "drbd",
            "INSTANCE_DISK0_PNODE": "node1",
            "INSTANCE_DISK0_SNODE": "node2",
            "INSTANCE_DISK0_PORT": str(data.logical_id[2]),
            "INSTANCE_DISK0_PMINOR": "0",
            "INSTANCE_DISK0_SMINOR": "0",
            "INSTANCE_DISK0_DATA_VG": "vg0",
            "INSTANCE_DISK0_DATA_ID": str(data.children[0].logical_id[1]),
            "INSTANCE_DISK1_UUID": other.uuid,
            "INSTANCE_DISK1_MODE": "ro",
            "INSTANCE_DISK1_PMINOR": "1",
        }
        self.assertTold(before, expected)
        self.assertTold(after, expected)
        self.assertEqual(before, after)
        self.assertTrue(second.mac.startswith("aa:11:22"))

    def test_hooks_run_on_the_nodes_that_are_chosen(self) -> None:
        order = {**ORDER, "pnode": None, "snode": None}
        before, _ = self.successResultOf(self._performed("OP_INSTANCE_CREATE", order))
        made = self.whole.state.instance("new1")
        there = {made.primary_node, *self.whole.state.get_secondaries(made)}
        self.assertEqual(set(before.before), {uuid_of("node", "node1"), *there})

    def test_one_that_does_not_start_is_down(self) -> None:
        before, after = self.performed("OP_INSTANCE_CREATE", **ORDER, start=False)
        self.assertEqual((before["INSTANCE_STATUS"], after["INSTANCE_STATUS"]), ("down", "down"))

    def test_secrets_of_disks_are_not_planned(self) -> None:
        self.performed("OP_INSTANCE_CREATE", **ORDER)
        state = self.whole.state
        secrets = {disk.logical_id[5] for disk in state.get_disks(state.instance("new1"))}
        self.assertEqual([len(each) for each in secrets], [40, 40])


class ModifyTests(HookTests):
    def modify(self, **fields: Any) -> tuple[dict[str, str], dict[str, str]]:
        return self.performed("OP_INSTANCE_SET_PARAMS", instance_name="web1", **fields)

    def test_new_values_are_told_before_they_hold(self) -> None:
        before, after = self.modify(
            beparams={"memory": 512, "vcpus": 4}, os_name="noop", offline=True
        )
        expected = {
            "INSTANCE_MAXMEM": "512",
            "INSTANCE_VCPUS": "4",
            "INSTANCE_BE_vcpus": "4",
            "INSTANCE_STATUS": "offline",
        }
        self.assertTold(before, expected)
        self.assertEqual(before, after)

    def test_new_cards_and_disks_are_told(self) -> None:
        before, after = self.modify(
            nics=[["add", -1, {"network": "lan", "ip": "203.0.113.6"}]],
            disks=[["add", -1, {"size": 8}], ["modify", 0, {"name": "root"}]],
        )
        expected = {
            "INSTANCE_NIC_COUNT": "2",
            "INSTANCE_NIC1_IP": "203.0.113.6",
            "INSTANCE_NIC1_NETWORK_NAME": "lan",
            "INSTANCE_DISK_COUNT": "2",
            "INSTANCE_DISK0_NAME": "root",
            "INSTANCE_DISK1_SIZE": "8",
        }
        self.assertTold(before, expected)
        self.assertEqual(before, after)

    def test_a_disk_that_goes_is_not_told(self) -> None:
        before, after = self.modify(disks=[["add", -1, {"size": 8}], ["remove", 0, {}]])
        self.assertTold(before, {"INSTANCE_DISK_COUNT": "1", "INSTANCE_DISK0_SIZE": "8"})
        self.assertEqual(before, after)


class OtherTests(HookTests):
    def test_a_network_as_it_will_be(self) -> None:
        fields = {"network_name": "lan", "gateway": "203.0.113.5", "mac_prefix": "aa:33:44"}
        before, after = self.performed("OP_NETWORK_SET_PARAMS", **fields)
        expected = {"NETWORK_GATEWAY": "203.0.113.5", "NETWORK_MAC_PREFIX": "aa:33:44"}
        self.assertTold(before, expected)
        self.assertTold(after, expected)

    def test_a_node_as_it_will_be(self) -> None:
        fields = {"node_name": "node3", "drained": True, "master_capable": False}
        before, after = self.performed("OP_NODE_SET_PARAMS", **fields)
        expected = {"DRAINED": "True", "OFFLINE": "False", "MASTER_CAPABLE": "False"}
        self.assertTold(before, expected)
        self.assertEqual(before, after)

    def test_a_disk_before_and_after_it_grows(self) -> None:
        fields = {"instance_name": "web1", "disk": 0, "amount": 16}
        before, after = self.performed("OP_INSTANCE_GROW_DISK", **fields)
        self.assertTold(before, {"DISK": "0", "AMOUNT": "16", "INSTANCE_DISK0_SIZE": "1024"})
        self.assertTold(after, {"INSTANCE_DISK0_SIZE": "1040"})
