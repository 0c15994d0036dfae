# SPDX-License-Identifier: BSD-2-Clause
"""Nodes: their roles as words, evacuation, and units of storage."""

from __future__ import annotations

from typing import Any

from ganeti.errors import Code, Invalid, Refused
from ganeti.luxi.methods import QueryNodes, QueryObjects, SubmitSharedJob
from ganeti.opcodes.choices import StorageType
from ganeti.opcodes.node import (
    EvacuateNode,
    ListStorage,
    MigrateNode,
    ModifyNode,
    ModifyStorage,
    PowercycleNode,
    RepairStorage,
)
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.nodes import FIELDS, FLAGS, ROLES, ROUTES
from tests.rapi.routes.case import RouteCase

NODE = "/2/nodes/{node_name}"
NODE1 = {"node_name": "node1"}


class NodeCase(RouteCase):
    ROUTES = ROUTES

    def do(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Call a method of node1; the opcode of its job."""
        given = {name.replace("_promote", "-promote"): [text] for name, text in query.items()}
        self.answer(method, NODE + path, body, variables=NODE1, query=given)
        return self.job()

    def refused(self, method: str, path: str, body: object = None, **query: str) -> Invalid:
        given = {name: [text] for name, text in query.items()}
        return self.refusal(Invalid, method, NODE + path, body, variables=NODE1, query=given)


class ShowTests(NodeCase):
    def test_one_has_its_secondary_address_under_two_names(self) -> None:
        self.master.canned[QueryObjects] = [{"name": "node1", "sip": "198.51.100.1"}]
        wanted = {"name": "node1", "sip": "198.51.100.1", "secondary_ip": "198.51.100.1"}
        self.assertEqual(self.answer("GET", NODE, variables=NODE1), wanted)
        asked = QueryObjects(what="node", fields=FIELDS, names=("node1",))
        self.assertEqual(self.master.asked, [asked])

    def test_one_that_there_is_not_is_unknown(self) -> None:
        self.master.canned = {QueryObjects: [], QueryNodes: []}
        for path in (NODE, NODE + "/role"):
            error = self.refusal(Refused, "GET", path, variables=NODE1)
            self.assertEqual((str(error), error.code), ("node node1 does not exist", Code.UNKNOWN))

    def test_a_role_is_a_word(self) -> None:
        for letter, word in ROLES.items():
            self.master.canned[QueryNodes] = [[letter]]
            self.assertEqual(self.answer("GET", NODE + "/role", variables=NODE1), word)


class RoleTests(NodeCase):
    def test_each_role_but_that_of_the_master_can_be_set(self) -> None:
        for role, flags in FLAGS.items():
            wanted = ModifyNode(node_name="node1", **flags)
            self.assertEqual(self.do("PUT", "/role", role), wanted)
        self.assertEqual(set(ROLES.values()) - FLAGS.keys(), {"master"})

    def test_the_role_is_a_bare_text(self) -> None:
        for body in ("master", "Offline", None, {}, {"role": "offline"}, ["offline"]):
            error = self.refused("PUT", "/role", body)
            self.assertIn("must be one of the texts drained, master-candidate, off", str(error))

    def test_a_change_of_role_may_be_forced_and_promote_others(self) -> None:
        made = self.do("PUT", "/role", "offline", force="1", auto_promote="1")
        self.assertEqual((made.force, made.auto_promote), (True, True))


class JobTests(NodeCase):
    def test_only_second_copies_are_evacuated_unless_something_is_said(self) -> None:
        made = self.do("POST", "/evacuate")
        self.assertEqual(made, EvacuateNode(node_name="node1", mode="secondary-only"))  # type: ignore[arg-type]
        made = self.do("POST", "/evacuate", {"mode": "all", "iallocator": "hail"})
        self.assertEqual((made.mode, made.iallocator), ("all", "hail"))
        made = self.do("POST", "/evacuate", mode="primary-only", early_release="1")
        self.assertEqual((made.mode, made.early_release), ("primary-only", True))

    def test_a_migration_is_described_in_the_query_or_in_the_body(self) -> None:
        wanted = MigrateNode(node_name="node1", mode="live")  # type: ignore[arg-type]
        self.assertEqual(self.do("POST", "/migrate", mode="live"), wanted)
        self.assertEqual(self.do("POST", "/migrate", {"mode": "live"}), wanted)

    def test_both_at_once_are_refused(self) -> None:
        error = self.refused("POST", "/migrate", {"mode": "live"}, mode="live")
        self.assertIn("in the query or in the body, not in both", str(error))

    def test_a_power_cycle_may_be_forced(self) -> None:
        wanted = PowercycleNode(node_name="node1", force=True)
        self.assertEqual(self.do("POST", "/powercycle", force="1"), wanted)

    def test_the_node_is_that_of_the_path(self) -> None:
        error = self.refused("POST", "/modify", {"node_name": "node2", "offline": True})
        self.assertEqual(str(error), "node_name: is given by the path")


class StorageTests(NodeCase):
    UNIT: dict[str, Any] = {"storage_type": "lvm-pv", "name": "/dev/sda"}

    def modified(self, allocatable: bool | None) -> ModifyStorage:
        changes = {} if allocatable is None else {"allocatable": allocatable}
        kind = StorageType("lvm-pv")
        return ModifyStorage(node_name="node1", storage_type=kind, name="/dev/sda", changes=changes)

    def test_a_unit_is_changed_by_the_query_or_the_body(self) -> None:
        path = "/storage/modify"
        wanted = self.modified(False)
        self.assertEqual(self.do("PUT", path, allocatable="0", **self.UNIT), wanted)
        body = {"changes": {"allocatable": False}}
        self.assertEqual(self.do("PUT", path, body, **self.UNIT), wanted)
        self.assertEqual(self.do("PUT", path, **self.UNIT), self.modified(None))

    def test_a_unit_must_be_named(self) -> None:
        for path in ("/storage/modify", "/storage/repair"):
            error = self.refused("PUT", path)
            self.assertLessEqual({"storage_type", "name"}, {each.path for each in error.problems})

    def test_a_unit_is_repaired(self) -> None:
        made = self.do("PUT", "/storage/repair", **self.UNIT)
        assert isinstance(made, RepairStorage)
        self.assertEqual((made.storage_type, made.name), ("lvm-pv", "/dev/sda"))

    def test_clients_that_ask_for_the_same_share_a_job(self) -> None:
        self.master.canned[SubmitSharedJob] = 7
        query = {"storage_type": ["lvm-vg"], "output_fields": ["name, size"]}
        path = NODE + "/storage"
        self.assertEqual(self.answer("GET", path, variables=NODE1, query=query), 7)
        [asked] = self.master.asked
        assert isinstance(asked, SubmitSharedJob)
        [opcode] = asked.ops
        assert isinstance(opcode, ListStorage)
        self.assertEqual((opcode.nodes, opcode.output_fields), (("node1",), ("name", "size")))

    def test_a_question_that_is_a_job_is_metered(self) -> None:
        self.assertIs(self.verb("GET", NODE + "/storage").access, AccessLevel.METERED)
        self.assertIs(self.verb("PUT", NODE + "/storage/repair").access, AccessLevel.WRITE)
