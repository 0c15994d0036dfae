# SPDX-License-Identifier: BSD-2-Clause
"""Every operation gives hooks the variables of the hooks interface, on the nodes that it names.

``PROTOCOL`` is the table of the interface, version 2; ``doc/hooks.md`` shows it to administrators.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.locking.waiting import LockWaiter
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.operation import HookCall, ResultWithCommit
from ganeti.operations.perform import Performer, collect_inputs
from ganeti.operations.registry import OPERATIONS
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_network,
    a_node,
    an_instance,
    uuid_of,
)
from ganeti.testing.processes import Script
from tests.operations.test_opportunistic import AJob
from tests.operations.whole import WholeCluster

DOCUMENT = Path(__file__).parents[2] / "doc" / "hooks.md"


class Row(NamedTuple):
    """The directory of an opcode's hooks, its own variables, and nodes before and after.

    M is the master, P the primary and S the secondary node of the instance, T another node that is
    named or comes in, and A stands for all nodes.
    """

    directory: str
    kind: str
    extra: str
    before: str
    after: str


ROLES = "OLD_PRIMARY OLD_SECONDARY NEW_PRIMARY NEW_SECONDARY"
FAILOVER = f"IGNORE_CONSISTENCY SHUTDOWN_TIMEOUT FAILOVER_CLEANUP {ROLES}"
MIGRATE = f"MIGRATE_LIVE MIGRATE_CLEANUP ALLOW_RUNTIME_CHANGES {ROLES}"
JOINING = "OP_TARGET NODE_NAME NODE_PIP NODE_SIP MASTER_CAPABLE VM_CAPABLE"
FLAGS = "OP_TARGET MASTER_CANDIDATE OFFLINE DRAINED MASTER_CAPABLE VM_CAPABLE"
NETWORK = "NETWORK_NAME NETWORK_UUID NETWORK_TAGS NETWORK_SUBNET NETWORK_GATEWAY"
CONNECTION = f"GROUP_NAME GROUP_NETWORK_MODE GROUP_NETWORK_LINK GROUP_NETWORK_VLAN {NETWORK}"

PROTOCOL: Mapping[str, Row] = {
    "OP_CLUSTER_RENAME": Row("cluster-rename", "CLUSTER", "OP_TARGET NEW_NAME", "M", "A"),
    "OP_CLUSTER_SET_PARAMS": Row("cluster-modify", "CLUSTER", "OP_TARGET NEW_VG_NAME", "M", "M"),
    "OP_GROUP_ADD": Row("group-add", "GROUP", "GROUP_NAME", "M", "M"),
    "OP_GROUP_REMOVE": Row("group-remove", "GROUP", "GROUP_NAME", "M", "M"),
    "OP_GROUP_RENAME": Row("group-rename", "GROUP", "OLD_NAME NEW_NAME", "A", "A"),
    "OP_GROUP_SET_PARAMS": Row("group-modify", "GROUP", "GROUP_NAME NEW_ALLOC_POLICY", "M", "M"),
    "OP_INSTANCE_CREATE": Row("instance-add", "INSTANCE", "ADD_MODE", "MPS", "MPS"),
    "OP_INSTANCE_FAILOVER": Row("instance-failover", "INSTANCE", FAILOVER, "MS", "MSP"),
    "OP_INSTANCE_GROW_DISK": Row("disk-grow", "INSTANCE", "DISK AMOUNT ABSOLUTE", "MPS", "MPS"),
    "OP_INSTANCE_MIGRATE": Row("instance-migrate", "INSTANCE", MIGRATE, "MPS", "MPS"),
    "OP_INSTANCE_MOVE": Row(
        "instance-move", "INSTANCE", "TARGET_NODE SHUTDOWN_TIMEOUT", "MPT", "MPT"
    ),
    "OP_INSTANCE_REBOOT": Row(
        "instance-reboot",
        "INSTANCE",
        "IGNORE_SECONDARIES REBOOT_TYPE SHUTDOWN_TIMEOUT",
        "MPS",
        "MPS",
    ),
    "OP_INSTANCE_RECREATE_DISKS": Row("instance-recreate-disks", "INSTANCE", "", "MPS", "MPS"),
    "OP_INSTANCE_REINSTALL": Row("instance-reinstall", "INSTANCE", "", "MPS", "MPS"),
    "OP_INSTANCE_REMOVE": Row("instance-remove", "INSTANCE", "SHUTDOWN_TIMEOUT", "M", "MPS"),
    "OP_INSTANCE_RENAME": Row("instance-rename", "INSTANCE", "INSTANCE_NEW_NAME", "MPS", "MPS"),
    "OP_INSTANCE_REPLACE_DISKS": Row(
        "mirrors-replace", "INSTANCE", "MODE NEW_SECONDARY OLD_SECONDARY", "MPT", "MPT"
    ),
    "OP_INSTANCE_SET_PARAMS": Row("instance-modify", "INSTANCE", "", "MPS", "MPS"),
    "OP_INSTANCE_SHUTDOWN": Row("instance-stop", "INSTANCE", "TIMEOUT", "MPS", "MPS"),
    "OP_INSTANCE_STARTUP": Row("instance-start", "INSTANCE", "FORCE", "MPS", "MPS"),
    "OP_NETWORK_ADD": Row("network-add", "NETWORK", NETWORK, "M", "M"),
    "OP_NETWORK_CONNECT": Row("network-connect", "NETWORK", CONNECTION, "A", "A"),
    "OP_NETWORK_DISCONNECT": Row("network-disconnect", "NETWORK", CONNECTION, "A", "A"),
    "OP_NETWORK_REMOVE": Row("network-remove", "NETWORK", NETWORK, "M", "M"),
    "OP_NETWORK_SET_PARAMS": Row("network-modify", "NETWORK", NETWORK, "M", "M"),
    "OP_NODE_REMOVE": Row("node-remove", "NODE", JOINING, "MPS", "MPS"),
    "OP_NODE_SET_PARAMS": Row("node-modify", "NODE", FLAGS, "MT", "MT"),
}
"""The opcodes whose hooks are run here as they are; those that need more are tested elsewhere."""

INSTANCE = frozenset(
    """
    OP_TARGET INSTANCE_NAME INSTANCE_PRIMARY INSTANCE_SECONDARIES INSTANCE_OS_TYPE INSTANCE_STATUS
    INSTANCE_MINMEM INSTANCE_MAXMEM INSTANCE_MEMORY INSTANCE_VCPUS INSTANCE_DISK_TEMPLATE
    INSTANCE_HYPERVISOR INSTANCE_TAGS INSTANCE_NIC_COUNT INSTANCE_DISK_COUNT
    INSTANCE_NIC0_UUID INSTANCE_NIC0_IP INSTANCE_NIC0_MAC INSTANCE_NIC0_MODE INSTANCE_NIC0_LINK
    INSTANCE_NIC0_VLAN INSTANCE_NIC0_BRIDGE
    INSTANCE_DISK0_UUID INSTANCE_DISK0_SIZE INSTANCE_DISK0_MODE INSTANCE_DISK0_DEV_TYPE
    """.split()  # noqa: SIM905  # forty names read better as a paragraph
)
DISK: Mapping[str, Collection[str]] = {
    "plain": ("VG", "ID"),
    "drbd": (
        *("PNODE", "SNODE", "PORT", "PMINOR", "SMINOR"),
        *("DATA_VG", "DATA_ID", "META_VG", "META_ID"),
    ),
}
_PARAMETER = re.compile(r"INSTANCE_(BE|HV)_\w+")


class ProtocolTests(SynchronousTestCase):
    """node1 is the master; db1 is mirrored from node2 to node3, web1 is on node2 alone.

    lost1 is stopped, as db1 otherwise, and its disk is gone.
    """

    def setUp(self) -> None:
        disk = a_disk("disk1", Template.DRBD, nodes=("node2", "node3"))
        plain = a_disk("disk2", Template.PLAIN, nodes=("node2",))
        db1 = an_instance("db1", node="node2", disks=[disk])
        web1 = an_instance("web1", node="node2", disks=[plain])
        gone = a_disk("disk3", Template.DRBD, nodes=("node2", "node3"))
        lost1 = an_instance("lost1", node="node2", disks=[gone], admin_state=AdminState.DOWN)
        idle = a_node("node4", master_candidate=False)
        state = a_cluster(
            nodes=["node1", "node2", "node3", idle],
            instances=[db1, web1, lost1],
            groups=["default", "spare"],
            networks=[a_network("lan")],
        )
        self.whole = WholeCluster(state)
        for name in ("db1", "web1"):
            self.successResultOf(self.whole.make_disks(name))

    def start(self, *names: str) -> None:
        """Start instances, and let their mirrors be in sync."""
        self.successResultOf(self.whole.start(*names))
        self.whole.clock.advance(1000)

    async def _hooks(self, op_id: str, fields: Mapping[str, Any]) -> tuple[HookCall, HookCall]:
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
        return before, after

    def assert_protocol(self, op_id: str, /, **fields: Any) -> None:
        """Hooks before and after the operation are what the protocol says."""
        row, there = PROTOCOL[op_id], {**NODES}
        expected = set(row.extra.split())
        before, after = self.successResultOf(self._hooks(op_id, fields))
        if row.kind == "INSTANCE":
            template = before.environment["INSTANCE_DISK_TEMPLATE"]
            expected |= INSTANCE | {f"INSTANCE_DISK0_{name}" for name in DISK[template]}
        for call in (before, after):
            self.assertEqual((call.directory, call.object_type), (row.directory, row.kind))
            names = {each for each in call.environment if not _PARAMETER.fullmatch(each)}
            self.assertEqual(names, expected)
            parameters = set(call.environment) - names
            self.assertEqual(bool(parameters), row.kind == "INSTANCE")
        self.assertEqual(_nodes(before.before), set("".join(there[each] for each in row.before)))
        self.assertEqual(_nodes(after.after), set("".join(there[each] for each in row.after)))


NODES: Mapping[str, str] = {"M": "1", "P": "2", "S": "3", "T": "4", "A": "1234"}
"""The numbers of the nodes that the letters of the table stand for."""


def _nodes(uuids: Collection[str]) -> set[str]:
    names = {uuid_of("node", f"node{number}"): number for number in NODES["A"]}
    return {names[uuid] for uuid in uuids}


class InstanceTests(ProtocolTests):
    def test_instance_add(self) -> None:
        self.assert_protocol(
            "OP_INSTANCE_CREATE",
            instance_name="new1",
            mode="create",
            disk_template="drbd",
            disks=[{"size": 64}],
            nics=[{}],
            os_type="noop",
            pnode="node2",
            snode="node3",
            name_check=False,
            ip_check=False,
        )

    def test_instance_remove(self) -> None:
        self.assert_protocol("OP_INSTANCE_REMOVE", instance_name="db1")

    def test_instance_modify(self) -> None:
        fields = {"instance_name": "db1", "beparams": {"vcpus": 2}}
        self.assert_protocol("OP_INSTANCE_SET_PARAMS", **fields)

    def test_instance_start(self) -> None:
        self.assert_protocol("OP_INSTANCE_STARTUP", instance_name="db1")

    def test_instance_stop(self) -> None:
        self.start("db1")
        self.assert_protocol("OP_INSTANCE_SHUTDOWN", instance_name="db1")

    def test_instance_reboot(self) -> None:
        self.start("db1")
        self.assert_protocol("OP_INSTANCE_REBOOT", instance_name="db1", reboot_type="hard")

    def test_instance_migrate(self) -> None:
        self.start("db1")
        self.assert_protocol("OP_INSTANCE_MIGRATE", instance_name="db1")

    def test_instance_migrate_cleanup(self) -> None:
        self.start("db1")
        self.assert_protocol("OP_INSTANCE_MIGRATE", instance_name="db1", cleanup=True)

    def test_instance_failover(self) -> None:
        self.start("db1")
        self.assert_protocol("OP_INSTANCE_FAILOVER", instance_name="db1")

    def test_instance_rename(self) -> None:
        self.stop("db1")
        fields = {"instance_name": "db1", "new_name": "db2", "name_check": False}
        self.assert_protocol("OP_INSTANCE_RENAME", ip_check=False, **fields)

    def test_instance_reinstall(self) -> None:
        self.stop("db1")
        self.assert_protocol("OP_INSTANCE_REINSTALL", instance_name="db1")

    def test_instance_move(self) -> None:
        self.stop("web1")
        fields = {"instance_name": "web1", "target_node": "node4"}
        self.assert_protocol("OP_INSTANCE_MOVE", **fields)

    def test_instance_recreate_disks(self) -> None:
        self.assert_protocol("OP_INSTANCE_RECREATE_DISKS", instance_name="lost1")

    def test_mirrors_replace(self) -> None:
        self.start("db1")
        fields = {"instance_name": "db1", "mode": "replace_new_secondary", "remote_node": "node4"}
        self.assert_protocol("OP_INSTANCE_REPLACE_DISKS", **fields)

    def test_disk_grow(self) -> None:
        self.start("db1")
        fields = {"instance_name": "db1", "disk": 0, "amount": 16}
        self.assert_protocol("OP_INSTANCE_GROW_DISK", **fields)

    def stop(self, name: str) -> None:
        """Want the instance down; it does not run."""
        self.start(name)
        self.successResultOf(self.whole.do("OP_INSTANCE_SHUTDOWN", instance_name=name))


class OtherTests(ProtocolTests):
    def test_cluster_modify(self) -> None:
        self.assert_protocol("OP_CLUSTER_SET_PARAMS", candidate_pool_size=3)

    def test_cluster_rename(self) -> None:
        self.assert_protocol("OP_CLUSTER_RENAME", name="c2.example.com")

    def test_node_remove(self) -> None:
        self.assert_protocol("OP_NODE_REMOVE", node_name="node4")

    def test_node_modify(self) -> None:
        self.assert_protocol("OP_NODE_SET_PARAMS", node_name="node4", drained=True)

    def test_groups(self) -> None:
        self.assert_protocol("OP_GROUP_ADD", group_name="east")
        self.assert_protocol("OP_GROUP_SET_PARAMS", group_name="east", alloc_policy="last_resort")
        self.assert_protocol("OP_GROUP_REMOVE", group_name="east")
        self.assert_protocol("OP_GROUP_RENAME", group_name="default", new_name="west")

    def test_networks(self) -> None:
        fields = {"network_name": "lan2", "network": "198.51.100.0/29", "gateway": "198.51.100.1"}
        self.assert_protocol("OP_NETWORK_ADD", **fields)
        self.assert_protocol("OP_NETWORK_SET_PARAMS", network_name="lan", gateway="203.0.113.2")
        how = {"network_mode": "bridged", "network_link": "br0"}
        named = {"network_name": "lan", "group_name": "default"}
        self.assert_protocol("OP_NETWORK_CONNECT", **named, **how)
        self.assert_protocol("OP_NETWORK_DISCONNECT", **named)
        self.assert_protocol("OP_NETWORK_REMOVE", network_name="lan")


class ScriptTests(SynchronousTestCase):
    """What scripts on nodes get when a whole opcode is performed."""

    def setUp(self) -> None:
        node2 = a_node("node2", master_candidate=False)
        self.whole = WholeCluster(a_cluster(nodes=["node1", node2]))
        self.perform = Performer(
            lambda: OPERATIONS,
            self.whole.memory.config,
            LockWaiter(Clock()),
            lambda configuration, progress: replace(self.whole.tools, config=configuration),
        )

    def script(self, node: str, directory: str, code: int = 0) -> str:
        """Put a script that ends with ``code`` into a directory of hooks; its path."""
        host = self.whole.hosts[node]
        folder = f"{host.paths.hooks}/{directory}"
        host.disk.add_folder(folder, 0o755)
        host.disk.put(f"{folder}/10-mine", b"#!/bin/sh\n", 0o755, 0.0)
        host.processes.programs[f"{folder}/10-mine"] = Script(code=code, out=b"no")
        return f"{folder}/10-mine"

    def environments(self, node: str, script: str) -> list[Mapping[str, str]]:
        """The environments that a script was started with."""
        started = self.whole.hosts[node].processes.ran
        return [each.env or {} for each in started if each.argv[0] == script]

    def do(self, op_id: str, **fields: Any) -> None:
        opcode = read_opcode({"OP_ID": op_id, **fields})
        self.successResultOf(Deferred.fromCoroutine(self.perform(opcode, AJob())))

    def test_a_change_of_the_configuration_is_told_on_the_master(self) -> None:
        script = self.script("node1", "config-update-post.d")
        other = self.script("node2", "config-update-post.d")
        self.do("OP_NODE_SET_PARAMS", node_name="node2", drained=True)
        [told] = self.environments("node1", script)
        self.assertEqual(self.environments("node2", other), [])
        self.assertEqual(told["GANETI_HOOKS_PATH"], "config-update")
        self.assertEqual((told["GANETI_HOOKS_PHASE"], told["GANETI_OBJECT_TYPE"]), ("post", "NODE"))
        self.assertEqual(told["GANETI_OP_CODE"], "OP_NODE_SET_PARAMS")
        self.assertEqual((told["GANETI_OP_TARGET"], told["GANETI_DRAINED"]), ("node2", "True"))
        self.assertFalse([name for name in told if name.startswith("GANETI_POST_")])

    def test_changes_of_tags_are_told_after_their_commit(self) -> None:
        script = self.script("node1", "config-update-post.d")
        self.do("OP_TAGS_SET", kind="node", name="node2", tags=["blue"])
        self.do("OP_TAGS_DEL", kind="node", name="node2", tags=["blue"])
        told = self.environments("node1", script)
        self.assertEqual([each["GANETI_OP_CODE"] for each in told], ["OP_TAGS_SET", "OP_TAGS_DEL"])
        self.assertEqual(told[0]["GANETI_OBJECT_TYPE"], "CLUSTER")

    def test_users_and_notifications_are_not_in_that_file(self) -> None:
        script = self.script("node1", "config-update-post.d")
        self.do("OP_ACCESS_USER_ADD", user_name="ann")
        self.do("OP_NOTIFICATION_ADD", notification_name="ops", url="mailto:root")
        self.assertEqual(self.environments("node1", script), [])

    def test_what_changes_nothing_is_not_told(self) -> None:
        script = self.script("node1", "config-update-post.d")
        self.do("OP_CLUSTER_VERIFY_GROUP", group_name="default")
        self.assertEqual(self.environments("node1", script), [])

    def test_one_that_fails_is_only_reported(self) -> None:
        self.script("node1", "config-update-post.d", code=1)
        self.do("OP_NODE_SET_PARAMS", node_name="node2", drained=True)
        self.assertIn("config-update-post.d/10-mine on node1 failed: no", self.whole.said)

    def test_a_node_that_leaves_runs_its_own_post_hooks_first(self) -> None:
        scripts = {name: self.script(name, "node-remove-post.d") for name in ("node1", "node2")}
        self.do("OP_NODE_REMOVE", node_name="node2")
        for name, script in scripts.items():
            [told] = self.environments(name, script)
            self.assertEqual(told["GANETI_NODE_NAME"], "node2")
            self.assertEqual(told["GANETI_POST_NODE_NAME"], "node2")
        self.whole.clock.advance(1)
        self.assertTrue(self.whole.hosts["node2"].left)


class DocumentTests(SynchronousTestCase):
    def test_administrators_find_every_opcode_in_the_document(self) -> None:
        lines = DOCUMENT.read_text().splitlines()
        for op_id, row in PROTOCOL.items():
            [line] = [each for each in lines if each.startswith(f"| `{op_id}` |")]
            _, _, directory, kind, extra, *_ = (cell.strip() for cell in line.split("|"))
            self.assertEqual((directory, kind), (row.directory, row.kind), op_id)
            self.assertLessEqual(
                set(row.extra.split()), set(re.findall(r"[A-Z_]+", extra)) | SHARED
            )


SHARED = frozenset(NETWORK.split())
"""Variables that the document describes once for all opcodes that have them."""
