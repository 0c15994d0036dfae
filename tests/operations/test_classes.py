# SPDX-License-Identifier: BSD-2-Clause
"""Each class of errors that the remote API document names comes of a real situation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, GanetiError
from ganeti.model.disk import Template
from ganeti.testing.builders import a_cluster, a_node, an_instance
from ganeti.testing.storage import MemoryVolumes
from tests.operations.whole import WholeCluster

ORDER: dict[str, Any] = {
    "OP_ID": "OP_INSTANCE_CREATE",
    "instance_name": "new1",
    "mode": "create",
    "disk_template": "plain",
    "disks": [{"size": 1024}],
    "nics": [{}],
    "os_type": "noop",
    "pnode": "node1",
}


def start(name: str) -> dict[str, Any]:
    return {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": name}


def nothing(whole: WholeCluster) -> None:
    """Everything is well."""


def unresolved(whole: WholeCluster) -> None:
    whole.hosts["node1"].names.unknown.add("new1")


def full(whole: WholeCluster) -> None:
    volumes = whole.volumes["node1"]
    assert isinstance(volumes, MemoryVolumes)
    volumes.room = 10


def silent(whole: WholeCluster) -> None:
    whole.network.vanish("node1")


def without_system(whole: WholeCluster) -> None:
    host = whole.hosts["node1"]
    host.disk.put(f"{host.paths.os_search_path[0]}/noop/ganeti_api_version", b"5\n", 0o644, 0.0)


MAC = an_instance("web1").instance.nics[0].mac

SITUATIONS: dict[Code, list[tuple[str, Callable[[WholeCluster], None], dict[str, Any]]]] = {
    Code.RESOLVER: [("the name does not resolve", unresolved, ORDER)],
    Code.RESOURCES: [
        ("the disk is full", full, ORDER),
        ("no node has so much memory", nothing, {**ORDER, "beparams": {"memory": 32768}}),
    ],
    Code.INPUT: [
        ("a disk has no size", nothing, {**ORDER, "disks": [{}]}),
        ("the policy forbids it", nothing, {**ORDER, "beparams": {"vcpus": 99}}),
    ],
    Code.STATE: [
        ("its node is offline", nothing, start("away1")),
        ("the new node is offline", nothing, {**ORDER, "pnode": "node2"}),
        (
            "it does not run",
            nothing,
            {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "web1", "target_node": "node3"},
        ),
    ],
    Code.UNKNOWN: [
        ("there is no such instance", nothing, start("web9")),
        ("there is no such node", nothing, {**ORDER, "pnode": "node9"}),
        ("there is no such OS", nothing, {**ORDER, "os_type": "plan9"}),
    ],
    Code.EXISTS: [("there is such an instance", nothing, {**ORDER, "instance_name": "web1"})],
    Code.NOT_UNIQUE: [("the MAC address is used", nothing, {**ORDER, "nics": [{"mac": MAC}]})],
    Code.INTERNAL: [("the node does not answer", silent, start("web1"))],
    Code.ENVIRONMENT: [("the OS definition is broken", without_system, ORDER)],
}


class ClassTests(SynchronousTestCase):
    def whole(self) -> WholeCluster:
        nodes = [a_node("node1"), a_node("node2", offline=True), a_node("node3")]
        instances = [an_instance("web1"), an_instance("away1", node="node2")]
        templates = (Template.PLAIN.value, Template.DISKLESS.value)
        return WholeCluster(
            a_cluster(nodes=nodes, instances=instances, enabled_disk_templates=templates)
        )

    def test_every_situation_has_its_class_and_changes_nothing(self) -> None:
        for code, situations in SITUATIONS.items():
            for words, happens, opcode in situations:
                with self.subTest(code=code.value, situation=words):
                    whole = self.whole()
                    happens(whole)
                    before = whole.state.instances
                    fields = {name: value for name, value in opcode.items() if name != "OP_ID"}
                    working = whole.do(opcode["OP_ID"], **fields)
                    error = self.failureResultOf(working, GanetiError).value
                    assert isinstance(error, GanetiError)
                    told, found = error.arguments()
                    self.assertEqual(found, code, told)
                    self.assertEqual(whole.state.instances, before)

    def test_no_class_is_missing(self) -> None:
        self.assertEqual(set(SITUATIONS), set(Code) - {Code.TEMPORARY})
