# SPDX-License-Identifier: BSD-2-Clause
"""What external allocators are told, and what is made of their answers."""

from __future__ import annotations

import json
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.operations.allocation.iallocator_protocol import (
    NodeReport,
    encode_request,
    nodes_of,
    result_of,
)
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance, uuid_of

HERE = NodeReport(
    total_memory=32768,
    reserved_memory=512,
    free_memory=16000,
    total_disk=1000,
    free_disk=400,
    total_cpus=8,
    reserved_cpus=1,
    guests={"web1": 100},
)


class RequestTests(SynchronousTestCase):
    def setUp(self) -> None:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        state = a_cluster(
            nodes=["node1", a_node("node2", offline=True), "node3"],
            instances=[an_instance("web1", disks=[disk])],
        )
        present = {uuid_of("node", name): HERE for name in ("node1", "node2")}
        self.request = json.loads(encode_request(state, present, {"type": "allocate"}))

    def test_it_has_the_parts_of_the_protocol(self) -> None:
        self.assertEqual(
            set(self.request),
            {
                "version",
                "cluster_name",
                "cluster_tags",
                "enabled_hypervisors",
                "ipolicy",
                "nodegroups",
                "nodes",
                "instances",
                "request",
            },
        )
        self.assertEqual(self.request["version"], 2)
        self.assertEqual(self.request["request"], {"type": "allocate"})
        [group] = self.request["nodegroups"].values()
        self.assertEqual(set(group), {"name", "alloc_policy", "networks", "ipolicy", "tags"})

    def test_only_nodes_that_can_take_instances_have_room(self) -> None:
        nodes = self.request["nodes"]
        self.assertNotIn("free_memory", nodes["node2"])
        self.assertEqual(
            {name: node["offline"] for name, node in nodes.items()},
            {"node1": False, "node2": True, "node3": True},
            "a node of which nothing is known counts as offline",
        )
        self.assertEqual(nodes["node1"]["i_pri_up_memory"], 128)
        # web1 uses 100 of its 128 MiB now, and may use the rest later.
        self.assertEqual(nodes["node1"]["free_memory"], 16000 - 28)

    def test_a_guest_that_runs_with_more_than_is_configured_counts_with_that(self) -> None:
        state = a_cluster(nodes=["node1"], instances=[an_instance("web1")])
        present = {uuid_of("node", "node1"): replace(HERE, guests={"web1": 512})}
        node = json.loads(encode_request(state, present, {"type": "allocate"}))["nodes"]["node1"]
        self.assertEqual((node["i_pri_memory"], node["i_pri_up_memory"]), (512, 512))
        self.assertEqual(node["free_memory"], 16000)

    def test_it_is_written_in_ascii(self) -> None:
        text = encode_request(a_cluster(), {}, {"type": "\u00e9\U0001f600"})
        self.assertTrue(text.isascii())
        self.assertEqual(json.loads(text)["request"], {"type": "\u00e9\U0001f600"})

    def test_instances_say_where_they_are_and_what_they_take(self) -> None:
        web1 = self.request["instances"]["web1"]
        self.assertEqual(web1["nodes"], ["node1", "node2"])
        self.assertEqual((web1["disk_template"], web1["disk_space_total"]), ("drbd", 1152))
        [nic] = web1["nics"]
        self.assertEqual((nic["mode"], nic["bridge"]), ("bridged", "br0"))


class AnswerTests(SynchronousTestCase):
    def test_nodes_are_found_by_their_names(self) -> None:
        state = a_cluster(nodes=["node1", "node2"])
        for key in ("result", "nodes"):
            text = json.dumps({"success": True, "info": "", key: ["node2"]})
            [node] = nodes_of("mine", text, 1, state)
            self.assertEqual(node.name, "node2")

    def test_whatever_is_wrong_is_said(self) -> None:
        state = a_cluster(nodes=["node1"])
        for text, code, words in (
            ("nonsense", Code.ENVIRONMENT, "is not JSON"),
            ('{"success": true}', Code.ENVIRONMENT, "lacks success, info or result"),
            ('{"success": false, "info": "full", "result": []}', Code.RESOURCES, "full"),
            ('{"success": true, "info": "", "result": []}', Code.ENVIRONMENT, "1 nodes"),
            (
                '{"success": true, "info": "", "result": ["x"]}',
                Code.ENVIRONMENT,
                "node x does not exist",
            ),
        ):
            with self.subTest(text=text), self.assertRaisesRegex(Refused, words) as caught:
                nodes_of("mine", text, 1, state)
            self.assertEqual(caught.exception.code, code)

    def test_the_result_is_as_the_mode_has_it(self) -> None:
        text = json.dumps({"success": True, "info": "", "result": [[], [], []]})
        self.assertEqual(result_of("mine", text), [[], [], []])
