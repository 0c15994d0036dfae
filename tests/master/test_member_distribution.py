# SPDX-License-Identifier: BSD-2-Clause
"""Nodes are informed of the members before they are asked anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.nodes import remove_node, set_certificates, set_role
from ganeti.config.changes.objects import update
from ganeti.config.writer import Change
from ganeti.errors import Failed, Unreachable
from ganeti.master.member_distribution import RETRY, MemberDistribution
from ganeti.model.node import Node, NodeRole
from ganeti.rpc.call import Call
from ganeti.rpc.node import AskVersion
from ganeti.testing.builders import a_cluster, a_node

NODES = [a_node(name, master_candidate=name != "node3") for name in ("node1", "node2", "node3")]


async def agreed() -> None:
    """A majority knows who votes."""


class Nodes:
    """Nodes that remember the names of the calls; those that are ``away`` do not answer."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.away: set[str] = set()
        self.hanging: Deferred[None] | None = None

    async def ask(self, node: Node, call: Call[Any]) -> Any:
        answer = (await self.ask_all([node], call))[node.uuid]
        if isinstance(answer, Failed):
            raise answer
        return answer

    async def ask_all(self, nodes: Sequence[Node], call: Any) -> Mapping[str, Any | Failed]:
        answers: dict[str, Any] = {}
        if self.hanging is not None:
            await self.hanging
        for node in nodes:
            if node.name in self.away:
                answers[node.uuid] = Unreachable(node.name, "gone")
            else:
                self.heard.append((node.name, call.wire))
                answers[node.uuid] = getattr(call, "members", None)
        return answers


class MemberDistributionTests(SynchronousTestCase):
    """Three nodes whose certificates are called as they are; node3 is no candidate."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.raw = Nodes()
        self.state = a_cluster(nodes=NODES)
        for node in NODES:
            self.state = set_certificates(node, node.name)(self.state)
        self.members = MemberDistribution(self.raw, lambda: self.state, self.clock, agreed)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.members.stop)

    def change(self, change: Change) -> None:
        self.state = change(self.state.settled())
        self.members.config_changed(self.state, self.state.edits)

    def ask(self, name: str) -> list[str]:
        """Ask a node something; answers the calls that it got."""
        self.raw.heard.clear()
        self.successResultOf(self.members.ask(self.state.node(name), AskVersion()))
        return [call for _, call in self.raw.heard]

    def test_a_node_gets_the_list_before_its_first_call_and_once(self) -> None:
        self.assertEqual(self.ask("node2"), ["members_update", "version"])
        self.assertEqual(self.ask("node2"), ["version"])

    def test_all_that_lack_the_list_get_it_first(self) -> None:
        self.ask("node2")
        self.raw.heard.clear()
        asked = list(self.state.nodes.values())
        answers = self.successResultOf(self.members.ask_all(asked, AskVersion()))
        self.assertEqual(len(answers), 3)
        self.assertEqual({call for _, call in self.raw.heard[:2]}, {"members_update"})
        self.assertEqual({call for _, call in self.raw.heard[2:]}, {"version"})

    def test_every_change_of_certificates_and_roles_is_brought(self) -> None:
        for change in (
            set_certificates(NODES[1], "node2", "new"),
            set_role(NODES[2], NodeRole.CANDIDATE),
            remove_node(NODES[2]),
        ):
            self.assertEqual(self.ask("node1")[-1:], ["version"])
            self.change(change)
            self.assertEqual(self.ask("node1"), ["members_update", "version"])

    def test_other_changes_are_not(self) -> None:
        self.ask("node2")
        self.change(update(NODES[1], powered=False))
        self.assertEqual(self.ask("node2"), ["version"])

    def test_it_is_told_who_could_not_be_informed_and_they_are_tried_again(self) -> None:
        self.raw.away = {"node3"}
        trouble = self.successResultOf(self.members.distribute())
        self.assertEqual(list(trouble), ["node3"])
        self.raw.away.clear()
        self.raw.heard.clear()
        self.clock.advance(RETRY)
        self.assertEqual(self.raw.heard, [("node3", "members_update")])

    def test_a_node_that_cannot_be_informed_is_not_asked(self) -> None:
        self.raw.away = {"node2"}
        asking = self.members.ask(self.state.node("node2"), AskVersion())
        self.failureResultOf(asking, Unreachable)
        asking_all = self.members.ask_all([self.state.node("node2")], AskVersion())
        [answer] = self.successResultOf(asking_all).values()
        self.assertIsInstance(answer, Unreachable)
        self.assertEqual(self.raw.heard, [])

    def test_nodes_that_are_offline_are_informed_when_they_are_back(self) -> None:
        self.change(set_role(NODES[2], NodeRole.OFFLINE))
        self.successResultOf(self.members.distribute())
        self.assertNotIn("node3", {name for name, _ in self.raw.heard})
        self.change(set_role(NODES[2], NodeRole.REGULAR))
        self.assertEqual(self.ask("node3"), ["members_update", "version"])

    def test_a_node_that_is_no_member_is_asked_without_ado(self) -> None:
        stranger = a_node("node9")
        self.successResultOf(self.members.ask(stranger, AskVersion()))
        self.assertEqual(self.raw.heard, [("node9", "version")])

    def test_without_a_certificate_of_the_master_nobody_gets_a_list(self) -> None:
        self.state = a_cluster(nodes=NODES, candidate_certs={})
        members = MemberDistribution(self.raw, lambda: self.state, self.clock, agreed)
        self.assertEqual(self.successResultOf(members.distribute()), {})
        self.assertEqual(self.raw.heard, [])

    def test_what_is_brought_in_the_background_ends_with_the_master(self) -> None:
        self.raw.hanging = Deferred()
        self.members.schedule_update()
        self.clock.advance(0)
        self.members.stop()
        self.assertTrue(self.raw.hanging.called)
