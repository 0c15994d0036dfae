# SPDX-License-Identifier: BSD-2-Clause
"""Operations let allocators choose nodes: the built-in one, the cluster's, or a named one."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Invalid, Refused
from ganeti.model.disk import Template
from ganeti.opcodes.instance.disks import ReplaceDisks
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")
ORDER = {
    "instance_name": "new1",
    "mode": "create",
    "disk_template": "diskless",
    "disks": [],
    "nics": [{}],
    "os_type": "noop",
}


def answer(result: Any) -> str:
    return json.dumps({"success": True, "info": "", "result": result})


class AllocatorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.set_up()

    def set_up(self, **over: Any) -> None:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        instances = [an_instance("web1"), an_instance("db1", disks=[disk])]
        self.whole = WholeCluster(a_cluster(nodes=NODES, instances=instances, **over))
        self.allocators = self.whole.memory.allocators

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(op_id, **fields))

    def refusal(self, op_id: str, **fields: Any) -> list[Any]:
        error = self.failureResultOf(self.whole.do(op_id, **fields), Refused, Invalid).value
        assert isinstance(error, Refused | Invalid)
        return error.arguments()

    def test_a_named_allocator_places_a_new_instance(self) -> None:
        self.allocators["mine"] = answer(["node3"])
        nodes = self.do("OP_INSTANCE_CREATE", **ORDER, iallocator="mine")
        self.assertEqual(nodes, ["node3"])
        [request] = map(json.loads, self.whole.memory.requests)
        asked = {key: request["request"][key] for key in ("type", "name", "required_nodes")}
        self.assertEqual(asked, {"type": "allocate", "name": "new1", "required_nodes": 1})

    def test_the_default_is_the_clusters_and_a_dot_means_it(self) -> None:
        self.set_up(default_iallocator="mine", default_iallocator_params={"fast": None, "n": 2})
        self.allocators["mine"] = answer(["node2"])
        for number, asked in enumerate(({}, {"iallocator": "."})):
            order = {**ORDER, "instance_name": f"new{number}", **asked}
            self.assertEqual(self.do("OP_INSTANCE_CREATE", **order), ["node2"])

    def test_an_unknown_allocator_is_refused_but_hail_is_built_in(self) -> None:
        told, code = self.refusal("OP_INSTANCE_CREATE", **ORDER, iallocator="theirs")
        self.assertEqual(code, Code.UNKNOWN)
        self.assertIn("iallocator theirs is not installed", told)
        self.assertEqual(self.do("OP_INSTANCE_CREATE", **ORDER, iallocator="hail"), ["node2"])

    def test_an_allocator_that_finds_nothing_lacks_resources(self) -> None:
        self.allocators["mine"] = json.dumps({"success": False, "info": "full", "result": []})
        told, code = self.refusal("OP_INSTANCE_CREATE", **ORDER, iallocator="mine")
        self.assertEqual((code, told), (Code.RESOURCES, "iallocator mine found no solution: full"))

    def test_nodes_and_an_allocator_are_not_both_named(self) -> None:
        both = {"iallocator": "mine", "pnode": "node1"}
        self.assertEqual(self.refusal("OP_INSTANCE_CREATE", **ORDER, **both)[1], Code.INPUT)

    def test_instances_move_where_it_says(self) -> None:
        self.allocators["mine"] = answer(["node3"])
        self.successResultOf(self.whole.start("web1"))
        self.do("OP_INSTANCE_MIGRATE", instance_name="web1", iallocator="mine")
        self.assertEqual(self.whole.where("web1"), ["node3"])
        [request] = map(json.loads, self.whole.memory.requests)
        self.assertEqual(request["request"]["relocate_from"], ["node1"])

    def test_a_node_is_left_by_the_jobs_that_it_wants(self) -> None:
        replace = {
            "OP_ID": "OP_INSTANCE_REPLACE_DISKS",
            "instance_name": "db1",
            "mode": "replace_new_secondary",
            "remote_node": "node3",
        }
        self.allocators["mine"] = answer([[["db1", "g", ["node1", "node3"]]], [], [[replace]]])
        evacuate = {"node_name": "node2", "mode": "secondary-only", "iallocator": "mine"}
        self.do("OP_NODE_EVACUATE", **evacuate, early_release=True)
        [[opcode]] = self.whole.memory.submitted
        assert isinstance(opcode, ReplaceDisks)
        self.assertEqual((opcode.remote_node, opcode.early_release), ("node3", True))

    def test_it_hears_of_every_node_that_is_online_whatever_it_is_asked(self) -> None:
        elsewhere = a_node("node4", group="other")
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        state = a_cluster(
            nodes=[*NODES, elsewhere, a_node("node5", offline=True)],
            groups=("default", "other"),
            instances=[an_instance("web1"), an_instance("db1", disks=[disk])],
        )
        replace = {"instance_name": "db1", "mode": "replace_new_secondary"}
        asking: dict[str, dict[str, Any]] = {
            "OP_INSTANCE_CREATE": {**ORDER, "group_name": "default"},
            "OP_INSTANCE_FAILOVER": {"instance_name": "web1"},
            "OP_INSTANCE_REPLACE_DISKS": replace,
            "OP_INSTANCE_RECREATE_DISKS": {"instance_name": "db1"},
            "OP_NODE_EVACUATE": {"node_name": "node2", "mode": "secondary-only"},
        }
        for op_id, fields in asking.items():
            self.whole = WholeCluster(state)
            self.whole.memory.allocators["mine"] = json.dumps({"success": False, "info": "full"})
            self.refusal(op_id, **fields, iallocator="mine")
            [told] = [json.loads(text)["nodes"] for text in self.whole.memory.requests]
            heard_of = [name for name, node in told.items() if "total_memory" in node]
            self.assertEqual(heard_of, [*NODES, "node4"], op_id)

    def test_nodes_for_lost_disks_are_allocated_again(self) -> None:
        self.allocators["mine"] = answer(["node3", "node1"])
        self.do("OP_INSTANCE_SHUTDOWN", instance_name="db1")
        fields = {"instance_name": "db1", "iallocator": "mine", "disks": [[0, {"size": "512m"}]]}
        self.do("OP_INSTANCE_RECREATE_DISKS", **fields)
        [request] = [json.loads(text)["request"] for text in self.whole.memory.requests]
        for key, value in (
            ("type", "allocate"),
            ("name", "db1"),
            ("group_name", "default"),
            ("disk_template", "drbd"),
            ("required_nodes", 2),
            ("disk_space_total", 512 + 128),
        ):
            self.assertEqual(request[key], value, key)
        self.assertNotIn("relocate_from", request)
        self.assertEqual([disk["size"] for disk in request["disks"]], [512])
        [disk] = self.whole.state.get_disks(self.whole.state.instance("db1"))
        self.assertEqual({self.whole.state.nodes[n].name for n in disk.nodes}, {"node3", "node1"})

    def test_it_may_not_want_anything(self) -> None:
        remove = {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": "db1"}
        self.allocators["mine"] = answer([[], [], [[remove]]])
        evacuate = {"node_name": "node2", "mode": "secondary-only", "iallocator": "mine"}
        told, code = self.refusal("OP_NODE_EVACUATE", **evacuate)
        self.assertEqual(code, Code.ENVIRONMENT)
        self.assertIn("must not propose OP_INSTANCE_REMOVE", told)

    def test_what_it_is_told_and_says_can_be_looked_at(self) -> None:
        test = {"mode": "allocate", "name": "new1", "disk_template": "diskless", "disks": []}
        text = self.do("OP_TEST_ALLOCATOR", direction="in", **test)
        self.assertEqual(json.loads(text)["request"]["name"], "new1")
        lines = self.do("OP_TEST_ALLOCATOR", direction="out", **test).splitlines()
        self.assertEqual(lines[0][:14], "node2: chosen,")
        self.assertEqual(len(lines), 3)
        self.allocators["mine"] = "anything"
        said = self.do("OP_TEST_ALLOCATOR", direction="out", iallocator="mine", **test)
        self.assertEqual(said, "anything")
