# SPDX-License-Identifier: BSD-2-Clause
"""Verbs build opcodes from path, query and body, and refuse what contradicts itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Invalid, Refused
from ganeti.events.stream_position import StreamPosition
from ganeti.luxi.methods import (
    PlanJob,
    QueryNodes,
    QueryObjectPages,
    QueryObjects,
    SubmitSharedJob,
)
from ganeti.opcodes.group import AssignNodes, ModifyGroup, RemoveGroup
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from ganeti.rapi.list_pages import ListPages
from ganeti.rapi.request_arguments import LOCK, ArgumentType, QueryParameter
from ganeti.rapi.verbs import (
    ApiCall,
    ConsoleVisit,
    SharedOpcodeVerb,
    Subscription,
    Verb,
    WithHeaders,
    asks,
    lists,
    opens_console,
    parameter,
    reason_trail,
    shows,
    streams,
    submits,
)
from ganeti.schema.records import Record, replace
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import NOW, WHEN

TRAIL = ("gnt:library:rlib2:name", "", WHEN)


class VerbCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = MemoryMaster()

    def context(
        self,
        body: object = None,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, Sequence[str]] | None = None,
        **over: Any,
    ) -> ApiCall:
        return ApiCall(self.master, path or {}, query or {}, body, "name", NOW, **over)

    def answer(self, verb: Verb, body: object = None, **how: Any) -> Any:
        return self.successResultOf(verb(self.context(body, **how)))

    def refusal(self, verb: Verb, body: object = None, **how: Any) -> dict[str, str]:
        """The problems of a call, by their paths."""
        failure = self.failureResultOf(verb(self.context(body, **how)), Invalid)
        self.assertEqual(self.master.asked, [])
        return {each.path: each.message for each in failure.value.problems}


class ReadTests(VerbCase):
    RACK1 = {"group_name": "rack1"}

    def read(self, verb: submits, body: object = None, **how: Any) -> Any:
        return replace(verb.read(self.context(body, **how)), reason=())

    def test_fields_come_from_the_path_the_query_and_the_body(self) -> None:
        verb = submits(AssignNodes, query=("force",))
        made = self.read(verb, {"nodes": ["node1"]}, path=self.RACK1, query={"force": ["1"]})
        self.assertEqual(made, AssignNodes(group_name="rack1", nodes=("node1",), force=True))

    def test_the_same_value_may_be_given_twice_and_another_may_not(self) -> None:
        verb = submits(AssignNodes, query=("force",))
        how: dict[str, Any] = {"path": self.RACK1, "query": {"force": ["1"]}}
        nodes = {"nodes": ["node1"]}
        self.assertTrue(self.read(verb, {**nodes, "force": True}, **how).force)
        found = self.refusal(verb, {**nodes, "force": False}, **how)
        self.assertEqual(found, {"force": "is given twice with different values"})

    def test_null_leaves_a_field_to_the_query_or_its_default(self) -> None:
        verb = submits(ShutdownInstance, query=("timeout",))
        path = {"instance_name": "web1"}
        made = self.read(verb, {"timeout": None}, path=path, query={"timeout": ["7"]})
        self.assertEqual(made.timeout, 7)
        made = self.read(verb, {"timeout": None, "force": None}, path=path)
        self.assertEqual(made, ShutdownInstance(instance_name="web1"))

    def test_a_default_of_the_route_yields_to_the_client(self) -> None:
        verb = submits(ShutdownInstance, defaults={"timeout": 9})
        path = {"instance_name": "web1"}
        self.assertEqual(self.read(verb, path=path).timeout, 9)
        self.assertEqual(self.read(verb, {"timeout": 3}, path=path).timeout, 3)

    def test_what_is_fixed_cannot_be_given(self) -> None:
        verb = submits(AssignNodes, fixed={"nodes": ["{node_name}"]})
        path = {**self.RACK1, "node_name": "node7"}
        self.assertEqual(self.read(verb, path=path).nodes, ("node7",))
        for name in ("nodes", "group_name"):
            found = self.refusal(verb, {name: "x"}, path=path)
            self.assertEqual(found, {name: "is given by the path"})

    def test_problems_of_query_body_and_opcode_are_told_together(self) -> None:
        verb = submits(AssignNodes, query=("force",), renames={"machines": "nodes"})
        found = self.refusal(
            verb, {"machines": 7, "colour": 1}, path=self.RACK1, query={"force": ["x"], "y": ["1"]}
        )
        self.assertEqual(found.keys(), {"machines", "colour", "force", "y"})

    def test_with_alone_both_at_once_are_refused(self) -> None:
        verb = submits(AssignNodes, query=("nodes", "force"), alone=True)
        found = self.refusal(verb, {"force": True}, path=self.RACK1, query={"nodes": ["node1"]})
        self.assertIn("give parameters in the query or in the body, not in both", found.values())
        query = {"nodes": ["node1"], "dry-run": ["1"], "reason": ["x"]}
        self.assertTrue(self.read(verb, path=self.RACK1, query=query).dry_run)

    def test_a_shape_is_the_last_word(self) -> None:
        verb = submits(AssignNodes, shape=lambda document: {**document, "nodes": ["n"]})
        self.assertEqual(self.read(verb, {"nodes": ["m"]}, path=self.RACK1).nodes, ("n",))


class ReasonTests(VerbCase):
    def trail(self, body: object = None, **how: Any) -> Any:
        verb = submits(RemoveGroup)
        return verb.read(self.context(body, path={"group_name": "a"}, **how)).reason

    def test_the_reason_of_the_client_comes_before_the_resource(self) -> None:
        self.assertEqual(self.trail(), (TRAIL,))
        why = ("gnt:user", "rain", WHEN)
        self.assertEqual(self.trail(query={"reason": ["rain"]}), (why, TRAIL))
        self.assertEqual(reason_trail(self.context(), ""), [TRAIL])

    def test_a_trail_in_the_body_comes_first(self) -> None:
        found = self.trail({"reason": [["me", "why", 1]]})
        self.assertEqual(found, (("me", "why", 1), TRAIL))
        self.assertEqual(self.trail({"reason": None}), (TRAIL,))

    def test_a_reason_in_the_body_that_is_no_trail_is_refused(self) -> None:
        found = self.refusal(submits(RemoveGroup), {"reason": "x"}, path={"group_name": "a"})
        self.assertEqual(list(found), ["reason"])


class SubmitTests(VerbCase):
    PATH = {"group_name": "rack1"}

    def test_a_job_has_a_number(self) -> None:
        self.assertEqual(self.answer(submits(RemoveGroup), path=self.PATH), 1)

    def test_a_plan_submits_nothing(self) -> None:
        self.master.canned[PlanJob] = [{"summary": "X"}]
        for plan, answer in (("1", {"summary": "X"}), ("0", 1)):
            found = self.answer(submits(RemoveGroup), path=self.PATH, query={"plan": [plan]})
            self.assertEqual(found, answer)
        self.assertEqual(len(self.master.jobs), 1)

    def test_a_job_that_only_reads_is_shared(self) -> None:
        self.master.canned[SubmitSharedJob] = 7
        verb = SharedOpcodeVerb(RemoveGroup)
        self.assertEqual(self.answer(verb, path=self.PATH), 7)
        self.assertEqual(self.master.jobs, {})

    def test_what_a_query_can_have_follows_from_the_fields(self) -> None:
        kinds = {
            name: parameter(AssignNodes, name).kind for name in ("nodes", "force", "group_name")
        }
        wanted = {
            "nodes": ArgumentType.WORDS,
            "force": ArgumentType.FLAG,
            "group_name": ArgumentType.TEXT,
        }
        self.assertEqual(kinds, wanted)
        self.assertIs(parameter(ShutdownInstance, "timeout").kind, ArgumentType.NUMBER)
        names = [each.name for each in submits(ModifyGroup, query=("ndparams",)).parameters]
        self.assertEqual(names, ["ndparams", "dry-run", "plan", "reason"])


class ListTests(VerbCase):
    VERB = lists(
        "node", "nodes", ("name", "pip"), lambda f: QueryNodes(names=(), fields=f), ("id", "name")
    )

    def test_names_have_addresses(self) -> None:
        self.master.canned[QueryNodes] = [["node 1"]]
        found = msgspec.json.decode(self.answer(self.VERB))
        wanted = [{"id": "node 1", "name": "node 1", "uri": "/2/nodes/node%201"}]
        self.assertEqual(found, wanted)

    def test_details_have_a_tag(self) -> None:
        self.master.canned[QueryObjects] = {"tag": "7", "objects": [{"name": "node1"}]}
        found = self.answer(self.VERB, query={"bulk": ["1"]})
        self.assertEqual(msgspec.json.decode(found.value), [{"name": "node1"}])
        self.assertIn(("ETag", 'W/"7"'), found.headers)
        self.assertIn(("Vary", "Accept-Encoding"), found.headers)

    def test_details_that_the_client_has_are_not_sent_again(self) -> None:
        page = {"tag": "7", "size": 0, "pages": 1, "objects": None}
        self.master.canned[QueryObjectPages] = page
        found = self.answer(self.VERB, query={"bulk": ["1"]}, known=("7",))
        assert isinstance(found, WithHeaders)
        self.assertEqual(found.status, HTTPStatus.NOT_MODIFIED)
        self.assertIn(("ETag", 'W/"7"'), found.headers)
        [asked] = self.master.asked
        assert isinstance(asked, QueryObjectPages)
        self.assertEqual(asked.known, ("7",))

    def test_a_long_list_is_fetched_by_pages_of_one_tag(self) -> None:
        pages = {0: [1], 1: [2], 2: [3]}

        def page(asked: QueryObjectPages) -> object:
            return {"tag": "7", "size": 7, "pages": 3, "objects": pages[asked.page]}

        self.master.canned[QueryObjectPages] = page
        found = self.answer(self.VERB, query={"bulk": ["1"]}, known=("6",)).value
        assert isinstance(found, ListPages)
        pieces = []
        while (piece := self.successResultOf(found.next())) is not None:
            pieces.append(piece)
        self.assertEqual(pieces, [b"[1", b",2", b",3]"])
        later = [each for each in self.master.asked if isinstance(each, QueryObjectPages)][1:]
        self.assertEqual({(each.tag, each.known) for each in later}, {("7", ())})

    def test_locks_and_bodies_are_refused(self) -> None:
        self.assertEqual(list(self.refusal(self.VERB, query={"lock": ["1"]})), ["lock"])
        self.assertEqual(self.refusal(self.VERB, {"x": 1}), {"x": "unknown parameter"})
        self.assertEqual(self.refusal(self.VERB, [1]), {"": "this method accepts no body"})


class ShowTests(VerbCase):
    VERB = shows("node", "node_name", ("name",))
    PATH = {"node_name": "node1"}

    def test_one_is_shown_as_the_master_has_it(self) -> None:
        self.master.canned[QueryObjects] = [{"name": "node1"}]
        found = self.answer(self.VERB, path=self.PATH, query={"lock": ["0"]})
        self.assertEqual(msgspec.json.decode(found), {"name": "node1"})

    def test_one_that_there_is_not_is_unknown(self) -> None:
        self.master.canned[QueryObjects] = []
        failed = self.failureResultOf(self.VERB(self.context(path=self.PATH)), Refused)
        self.assertEqual(failed.value.code, Code.UNKNOWN)

    def test_locks_are_refused(self) -> None:
        found = self.refusal(self.VERB, path=self.PATH, query={"lock": ["1"]})
        self.assertIn("queries take no locks", found["lock"])


class Body(Record):
    """A body."""

    size: int = 1


async def echo(call: ApiCall, values: Any, body: Any) -> Any:
    """Return what was given."""
    return values, body


class AskTests(VerbCase):
    LIMIT = QueryParameter("limit", ArgumentType.NUMBER, "")

    def test_values_are_passed_on(self) -> None:
        verb = asks(echo, parameters=(self.LIMIT,), body=Body)
        self.assertEqual(
            self.answer(verb, {"size": "7"}, query={"limit": ["3"]}), ({"limit": 3}, Body(size=7))
        )
        self.assertEqual(self.answer(verb), ({}, Body()))

    def test_problems_of_query_and_body_are_told_together(self) -> None:
        verb = asks(echo, parameters=(self.LIMIT, LOCK), body=Body)
        found = self.refusal(verb, {"size": "x"}, query={"limit": ["x"], "lock": ["1"]})
        self.assertEqual(found.keys(), {"limit", "lock", "size"})

    def test_without_a_declared_body_there_is_none(self) -> None:
        self.assertEqual(self.answer(asks(echo)), ({}, None))
        self.assertEqual(self.refusal(asks(echo), {"a": 1}), {"a": "unknown parameter"})


class ConnectionTests(VerbCase):
    def test_a_stream_has_a_selection_and_a_position(self) -> None:
        query = {"since": ["4.1"], "kind": ["job"], "name": ["a", "b"]}
        found = self.answer(streams(), query=query)
        assert isinstance(found, Subscription)
        self.assertEqual(found.since, StreamPosition(4, 1))
        self.assertIs(self.answer(streams()).since, None)

    def test_a_position_or_kind_that_is_none_is_refused(self) -> None:
        for query in ({"since": ["x"]}, {"kind": ["vm"]}):
            self.failureResultOf(streams()(self.context(query=query)), Invalid)

    def test_a_console_needs_a_ticket(self) -> None:
        found = self.answer(opens_console(), query={"ticket": ["t"]})
        self.assertEqual(found, ConsoleVisit("t"))
        self.assertEqual(self.refusal(opens_console()), {"ticket": "is required"})
