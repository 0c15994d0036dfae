# SPDX-License-Identifier: BSD-2-Clause
"""Nodes that have joined become members."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.networks import taken
from ganeti.config.changes.nodes import get_certificates
from ganeti.errors import Failed
from ganeti.master.enrolment import spend_token
from ganeti.model.access import SpentToken
from ganeti.model.cluster import CONFIG_VERSION
from ganeti.opcodes.node import AddNode
from ganeti.operations.node import add
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.node import AskVersion, VerifyNode, Version
from ganeti.testing.builders import a_cluster, a_network, a_node, uuid_of
from ganeti.testing.tools import MemoryTools

SPENT = SpentToken(
    uuid="0123", node="node2", until=9, application="x", certificate="PEM", fingerprint="new"
)
ADD = AddNode(node_name="node2", primary_ip="192.0.2.2")
VERSION = Version(protocol=CONFIG_VERSION, release="3.0")


class AddTests(SynchronousTestCase):
    """node1 is a member; node2 shows the certificate ``new``."""

    def setUp(self) -> None:
        shown: dict[type[Call[Any]], Any] = {
            AskVersion: VERSION,
            VerifyNode: {add.CLIENT_CERTIFICATE: [None, "new"]},
        }
        lan = a_network("lan", network="192.0.2.0/24")
        self.memory = MemoryTools(a_cluster(nodes=[a_node("node1")], networks=[lan]), shown)

    def add(self) -> Any:
        state = self.memory.state()
        [asked, *_] = add.questions(ADD, state)
        facts = NodeAnswers({(asked.nodes[0].uuid, AskVersion): VERSION})
        return add.run(add.plan(ADD, state, facts), self.memory.tools)

    def test_a_node_that_has_joined_by_a_token_is_known_by_its_certificate(self) -> None:
        self.successResultOf(self.memory.change(spend_token(SPENT, 0)))
        self.successResultOf(self.add())
        state = self.memory.state()
        self.assertEqual(get_certificates(state, state.node("node2")), ("new",))
        self.assertEqual(len(self.memory.distributed), 1)

    def test_its_address_is_not_given_to_instances(self) -> None:
        self.successResultOf(self.memory.change(spend_token(SPENT, 0)))
        self.assertFalse(taken(self.memory.state().network("lan"), str(ADD.primary_ip)))
        self.successResultOf(self.add())
        self.assertTrue(taken(self.memory.state().network("lan"), str(ADD.primary_ip)))

    def test_a_node_that_shows_another_certificate_is_not_added(self) -> None:
        told = self.failureResultOf(self.add(), Failed).value
        self.assertIn("which was not issued by a join token of this cluster", str(told))
        self.assertNotIn(uuid_of("node", "node2"), self.memory.state().nodes)
