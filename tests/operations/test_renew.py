# SPDX-License-Identifier: BSD-2-Clause
"""Nodes get new keys and certificates."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.nodes import get_certificates, set_certificates
from ganeti.errors import Failed, Refused, Unreachable
from ganeti.opcodes.cluster import RenewCrypto
from ganeti.operations.cluster import renew
from ganeti.operations.operation import NodeAnswers
from ganeti.paths import Paths
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.call import Call
from ganeti.rpc.node import RequestCertificate, UseCertificate
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.tools import A_CERTIFICATE, MemoryTools

Answers = dict[type[Call[Any]], Any]

NODES = [
    a_node("node1"),
    a_node("node2", master_candidate=False),
    a_node("node3", offline=True, master_candidate=False),
]


class RenewTests(SynchronousTestCase):
    def setUp(self) -> None:
        answers: Answers = {RequestCertificate: "a request", UseCertificate: None}
        self.memory = MemoryTools(a_cluster(nodes=NODES), answers)
        op = RenewCrypto(node_certificates=True)
        self.plan = renew.plan(op, self.memory.state(), NodeAnswers())

    def test_every_node_that_is_online_gets_one_for_its_name_and_address(self) -> None:
        self.successResultOf(renew.run(self.plan, self.memory.tools))
        online = [self.memory.state().node(name) for name in ("node1", "node2")]
        self.assertEqual(
            self.memory.issued,
            [(b"a request", (node.name, node.primary_ip)) for node in online],
        )
        used = self.memory.nodes.calls(UseCertificate)
        self.assertEqual([node for node, _ in used], ["node1", "node2"])

    def test_candidates_are_known_by_their_new_certificates(self) -> None:
        self.successResultOf(renew.run(self.plan, self.memory.tools))
        state = self.memory.state()
        known = {state.node("node1").uuid: fingerprint(A_CERTIFICATE)}
        self.assertEqual(dict(state.cluster.candidate_certs), known)

    def test_old_certificates_are_good_until_the_new_ones_are_used_and_not_longer(self) -> None:
        change = set_certificates(self.memory.state().node("node2"), "old")
        self.successResultOf(self.memory.change(change))
        self.successResultOf(renew.run(self.plan, self.memory.tools))
        new = fingerprint(A_CERTIFICATE)
        lists = [members for members in self.memory.distributed if members]
        self.assertEqual(
            [members.certificates["node2"] for members in lists], [("old", new), (new,)]
        )

    def test_the_master_keeps_its_own_if_a_node_would_not_know_the_new_one(self) -> None:
        self.memory.uninformed = {"node2": Failed("gone")}
        failure = self.failureResultOf(renew.run(self.plan, self.memory.tools), Failed)
        self.assertIn("cannot renew the certificates of these nodes: node1", str(failure.value))
        self.assertIn(
            "cannot announce the new certificate to node2", "".join(self.memory.progress.said)
        )
        self.assertEqual([node for node, _ in self.memory.nodes.calls(UseCertificate)], ["node2"])

    def test_of_a_node_that_does_not_say_which_it_uses_both_are_good(self) -> None:
        self.memory.nodes.answers[UseCertificate] = Unreachable("node2", "gone")
        change = set_certificates(self.memory.state().node("node2"), "old")
        self.successResultOf(self.memory.change(change))
        self.failureResultOf(renew.run(self.plan, self.memory.tools), Failed)
        known = get_certificates(self.memory.state(), self.memory.state().node("node2"))
        self.assertEqual(known, ("old", fingerprint(A_CERTIFICATE)))

    def test_a_node_that_fails_keeps_its_own_and_does_not_stop_the_others(self) -> None:
        memory = MemoryTools(a_cluster(nodes=NODES), {RequestCertificate: Unreachable("x", "gone")})
        failure = self.failureResultOf(renew.run(self.plan, memory.tools), Failed)
        self.assertIn("node1, node2", str(failure.value))
        self.assertEqual(len(memory.progress.said), 2)

    def test_the_secrets_of_the_candidates_are_replaced_without_the_certificates(self) -> None:
        plan = renew.plan(RenewCrypto(shared_secrets=True), self.memory.state(), NodeAnswers())
        self.successResultOf(renew.run(plan, self.memory.tools))
        self.assertIn(Paths().rapi_certificate, self.memory.disk.contents())
        self.assertEqual(self.memory.issued, [])

    def test_what_is_not_there_is_not_renewed(self) -> None:
        for op in (RenewCrypto(), RenewCrypto(renew_ssh_keys=True)):
            self.assertRaises(Refused, renew.plan, op, self.memory.state(), NodeAnswers())
