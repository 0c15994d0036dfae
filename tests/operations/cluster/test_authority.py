# SPDX-License-Identifier: BSD-2-Clause
"""The cluster's certificate authority is replaced, whatever comes in between."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.authorities import mark_exposed, trust
from ganeti.config.changes.nodes import get_certificates, set_certificates
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused, Unreachable
from ganeti.model.access import Authorities
from ganeti.opcodes.cluster import RenewCrypto, VerifyConfig
from ganeti.opcodes.node import ModifyNode
from ganeti.operations.cluster import renew, verify
from ganeti.operations.cluster.authority import RELOAD_DELAY, introduce_authority, retire_authority
from ganeti.operations.node import modify
from ganeti.operations.operation import AncillaryFile, NodeAnswers
from ganeti.paths import Paths
from ganeti.rpc.call import Call
from ganeti.rpc.node import RequestCertificate, UploadFile, UseCertificate
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.certificates import is_issued_by, key_of, new_authority
from ganeti.testing.tools import MemoryTools

OLD = new_authority(0).certificate
LOST = new_authority(99).certificate
"""Of an authority whose key is not on the master's host."""

NODES = [
    a_node("node1"),
    a_node("node2"),
    a_node("node3", master_candidate=False),
    a_node("node4", offline=True, master_candidate=False),
]
BY_HAND = RenewCrypto(cluster_certificate=True)
AS_NEEDED = RenewCrypto(shared_secrets=True)


def a_certified_cluster() -> ClusterState:
    """Nodes whose certificates are called as they are, and the first authority of the tools."""
    state = a_cluster(nodes=NODES)
    certified = together(*(set_certificates(node, node.name) for node in NODES))(state)
    return trust(OLD)(certified).settled()


class Replacing(SynchronousTestCase):
    """node1 is the master, node2 another candidate, node4 offline."""

    def setUp(self) -> None:
        answers: dict[type[Call[Any]], Any] = {RequestCertificate: "a request"}
        self.memory = MemoryTools(a_certified_cluster(), answers)
        self.memory.files = [AncillaryFile("/ca.key", b"a key", 0o600)]

    def perform(self, op: RenewCrypto) -> None:
        plan = renew.plan(op, self.memory.state(), NodeAnswers())
        self.successResultOf(renew.run(plan, self.memory.tools))

    def failure(self, op: RenewCrypto = BY_HAND) -> str:
        plan = renew.plan(op, self.memory.state(), NodeAnswers())
        return str(self.failureResultOf(renew.run(plan, self.memory.tools), Failed).value)

    def change(self, *changes: Any) -> None:
        self.successResultOf(self.memory.change(together(*changes)))

    @property
    def known(self) -> Authorities:
        known = self.memory.state().authorities
        assert known is not None
        return known

    @property
    def key(self) -> bytes:
        return self.memory.disk.contents()[Paths().authority_key]

    def used(self) -> list[str]:
        """The nodes that have been told to use new certificates."""
        return [node for node, _ in self.memory.nodes.calls(UseCertificate)]


class ReplaceTests(Replacing):
    def test_afterwards_only_the_new_one_is_trusted_and_issues(self) -> None:
        self.perform(BY_HAND)
        [new] = self.known.certificates
        self.assertNotEqual(new, OLD)
        self.assertEqual(self.key, key_of(new.encode()))
        rapi = self.memory.disk.contents()[Paths().rapi_certificate]
        self.assertTrue(is_issued_by(rapi, new.encode()))
        self.assertEqual(self.used(), ["node1", "node2", "node3"])

    def test_nodes_trust_both_before_any_uses_a_new_certificate(self) -> None:
        self.perform(BY_HAND)
        [new] = self.known.certificates
        lists = [members.authorities for members in self.memory.distributed if members]
        self.assertEqual(list(dict.fromkeys(lists)), [(new, OLD), (new,)])
        first = next(n for n, (_, call) in enumerate(self.memory.nodes.asked) if _uses(call))
        uploads = [n for n, (_, call) in enumerate(self.memory.nodes.asked) if _uploads(call)]
        self.assertLess(uploads[0], first)
        self.assertLess(first, uploads[-1])
        self.assertEqual({node for node, _ in self.memory.nodes.calls(UploadFile)}, {"node2"})

    def test_nodes_that_are_offline_have_to_join_again(self) -> None:
        self.perform(BY_HAND)
        state = self.memory.state()
        self.assertEqual(get_certificates(state, state.node("node4")), ())
        self.assertIn("must be readded before use: node4", self.said())
        for op in (
            ModifyNode(node_name="node4", offline=False),
            ModifyNode(node_name="node4", master_candidate=True),
            ModifyNode(node_name="node4", drained=True),
        ):
            with self.assertRaisesRegex(Refused, "gnt-node add --readd node4"):
                modify.plan(op, state, NodeAnswers())

    def test_the_secrets_are_replaced_only_where_they_are_exposed(self) -> None:
        secret = Paths().domain_secret
        self.perform(BY_HAND)
        self.assertNotIn(secret, self.memory.disk.contents())
        self.change(mark_exposed)
        self.perform(BY_HAND)
        self.assertIn(secret, self.memory.disk.contents())
        self.assertFalse(self.known.must_be_replaced)

    def test_what_a_demoted_candidate_knew_is_replaced_once(self) -> None:
        self.change(mark_exposed)
        self.perform(AS_NEEDED)
        first = self.known
        self.assertFalse(first.must_be_replaced)
        self.perform(AS_NEEDED)
        self.assertEqual(self.known, first)
        self.assertEqual(len(self.used()), 3)

    def test_without_recorded_certificates_it_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "first run: gnt-cluster renew-crypto"):
            renew.plan(BY_HAND, a_cluster(nodes=NODES), NodeAnswers())

    def said(self) -> str:
        return "\n".join(self.memory.progress.said)


class InterruptedTests(Replacing):
    def test_nothing_begins_while_a_node_does_not_answer(self) -> None:
        self.memory.nodes.gone = {"node3"}
        told = self.failure()
        self.assertRegex(told, r"do not answer: node3; .*\(gnt-node modify --offline=yes\)")
        self.assertEqual(self.known.certificates, (OLD,))

    def test_a_node_that_does_not_know_the_new_one_holds_up_the_rest(self) -> None:
        self.memory.uninformed = {"node3": Unreachable("node3", "gone")}
        self.assertRegex(
            self.failure(), "both authorities stay trusted.*: node3; when they are reachable"
        )
        self.assertEqual((len(self.known.certificates), self.used()), (2, []))

    def test_it_is_completed_with_the_authority_that_it_has_begun_with(self) -> None:
        self.memory.uninformed = {"node3": Unreachable("node3", "gone")}
        self.failure()
        begun, key = self.known.certificates[0], self.key
        self.memory.uninformed = {}
        for op in (AS_NEEDED, AS_NEEDED):
            self.perform(op)
            self.assertEqual((self.known.certificates, self.key), ((begun,), key))

    def test_a_candidate_without_the_key_holds_up_the_rest(self) -> None:
        self.memory.nodes.answers[UploadFile] = Failed("the disk is full")
        self.assertIn("node2", self.failure())
        self.assertEqual((len(self.known.certificates), self.used()), (2, []))

    def test_a_node_that_keeps_its_certificate_keeps_the_old_authority(self) -> None:
        self.memory.nodes.answers[UseCertificate] = _only_not("node3")
        self.assertRegex(
            self.failure(),
            "cannot renew the certificates of these nodes: node3; when they are reachable",
        )
        self.assertIn(OLD, self.known.certificates)
        del self.memory.nodes.answers[UseCertificate]
        self.perform(AS_NEEDED)
        self.assertNotIn(OLD, self.known.certificates)

    def test_a_key_that_is_not_on_this_host_is_replaced_by_a_third(self) -> None:
        self.change(trust(LOST, OLD))
        self.perform(AS_NEEDED)
        [new] = self.known.certificates
        self.assertEqual(self.key, key_of(new.encode()))

    def test_a_key_that_was_exposed_meanwhile_is_replaced_by_a_third(self) -> None:
        self.memory.uninformed = {"node3": Unreachable("node3", "gone")}
        self.failure()
        begun = self.known.certificates[0]
        self.change(mark_exposed)
        self.memory.uninformed = {}
        self.perform(AS_NEEDED)
        self.assertNotIn(begun, self.known.certificates)

    def test_a_key_is_not_used_for_which_the_masters_node_has_no_certificate(self) -> None:
        before = self.key
        self.memory.uninformed = {"node1": Unreachable("node1", "gone")}
        self.assertIn("node1", self.failure())
        self.assertEqual(self.key, before)

    def test_secrets_do_not_wait_for_nodes_and_are_not_replaced_again(self) -> None:
        self.memory.nodes.gone = {"node3"}
        self.change(mark_exposed)
        self.failure(AS_NEEDED)
        secret = self.memory.disk.contents()[Paths().domain_secret]
        self.failure(AS_NEEDED)
        self.assertEqual(self.memory.disk.contents()[Paths().domain_secret], secret)
        self.assertTrue(self.known.key_exposed)

    def test_verification_says_so_until_it_is_completed(self) -> None:
        for change in (trust(LOST, OLD), mark_exposed):
            self.setUp()
            self.change(change)
            self.assertIn("renew-crypto --new-cluster-certificate", self.verified())
            self.perform(AS_NEEDED)
            self.assertNotIn("renew-crypto", self.verified())

    def verified(self) -> str:
        """What a verification of the configuration says."""
        self.memory.progress.said.clear()
        plan = verify.plan_config(VerifyConfig(), self.memory.state(), NodeAnswers())
        self.successResultOf(verify.run_config(plan, self.memory.tools))
        return "\n".join(self.memory.progress.said)


class StepTests(Replacing):
    """The replacement up to the use of new certificates, and what comes after it."""

    def test_the_master_daemon_trusts_the_new_one_before_certificates_are_issued(self) -> None:
        began = self.memory.time.seconds()
        self.successResultOf(introduce_authority(self.memory.tools))
        self.assertEqual(self.memory.time.seconds(), began + RELOAD_DELAY)
        self.assertEqual((len(self.known.certificates), self.used()), (2, []))
        self.assertIn("the master candidates have its key", self.memory.progress.said[-2])

    def test_a_candidate_that_lost_the_key_keeps_the_old_authority(self) -> None:
        self.successResultOf(introduce_authority(self.memory.tools))
        self.memory.nodes.answers[UploadFile] = Failed("the disk is full")
        failure = self.failureResultOf(retire_authority(self.memory.tools), Failed)
        self.assertRegex(str(failure.value), "both authorities stay trusted, .*: node2; when they")
        self.assertIn(OLD, self.known.certificates)

    def test_the_newest_authority_is_the_one_that_stays(self) -> None:
        self.successResultOf(introduce_authority(self.memory.tools))
        newest = self.known.certificates[0]
        self.successResultOf(retire_authority(self.memory.tools))
        self.assertEqual(self.known.certificates, (newest,))
        self.assertEqual(self.memory.progress.said[-1], "the old authority is no longer trusted")

    def test_nothing_is_forgotten_while_all_nodes_are_online(self) -> None:
        nodes = [a_node(name) for name in ("node1", "node2")]
        state = together(*(set_certificates(node, node.name) for node in nodes))(
            a_cluster(nodes=nodes)
        )
        answers: dict[type[Call[Any]], Any] = {RequestCertificate: "a request"}
        self.memory = MemoryTools(trust(OLD)(state).settled(), answers)
        self.successResultOf(introduce_authority(self.memory.tools))
        self.assertNotIn("must be readded", "".join(self.memory.progress.said))
        for node in nodes:
            self.assertNotEqual(get_certificates(self.memory.state(), node), ())


def _uses(call: Call[Any]) -> bool:
    return isinstance(call, UseCertificate)


def _uploads(call: Call[Any]) -> bool:
    return isinstance(call, UploadFile)


def _only_not(name: str) -> Any:
    def answer(node: str, call: Call[Any]) -> Failed | None:
        return Unreachable(node, "gone") if node == name else None

    return answer
