# SPDX-License-Identifier: BSD-2-Clause
"""The member list of nodes, and what is done about secrets that a former candidate knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Unreachable
from ganeti.model.access import Authorities, NodeCertificates, SpentToken
from ganeti.opcodes.cluster import RedistributeConfig, RenewCrypto
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.member_list import (
    distribute_member_list,
    list_issued_certificates,
    make_member_list,
    replace_secrets,
)
from ganeti.rpc.members import MemberRecords
from ganeti.testing.builders import a_cluster, a_node, uuid_of
from ganeti.testing.tools import MemoryTools


def a_token(number: int, node: str) -> SpentToken:
    fields: dict[str, Any] = {"until": 1, "application": "", "certificate": ""}
    return SpentToken(uuid=f"token{number}", node=node, fingerprint=f"joined{number}", **fields)


def recorded(**fingerprints: Sequence[str]) -> ClusterState:
    """Return three nodes, of which node3 is no candidate, with these certificates."""
    state = a_cluster(nodes=["node1", "node2", a_node("node3", master_candidate=False)])
    for name, known in fingerprints.items():
        uuid = uuid_of("node", name)
        state = state.put(NodeCertificates(uuid=uuid, fingerprints=tuple(known)))
    return state


class MemberListTests(SynchronousTestCase):
    def test_it_has_the_nodes_with_a_recorded_certificate(self) -> None:
        state = recorded(node3=["c"], node1=["a", "b"])
        expected = MemberRecords(
            revision=state.serial_no,
            certificates={"node1": ("a", "b"), "node3": ("c",)},
            candidates=("node1", "node2"),
        )
        self.assertEqual(make_member_list(state), expected)

    def test_there_is_none_that_would_reject_the_master(self) -> None:
        self.assertIsNone(make_member_list(recorded(node2=["b"])))
        self.assertIsNone(make_member_list(recorded()))

    def test_trusted_authorities_are_in_their_order(self) -> None:
        state = recorded(node1=["a"])
        trusted = Authorities(uuid=state.cluster.uuid, certificates=("new", "old"))
        members = make_member_list(state.put(trusted))
        assert members is not None
        self.assertEqual(members.authorities, ("new", "old"))

    def test_certificates_of_candidates_in_a_configuration_of_other_software_count(self) -> None:
        certificates = {uuid_of("node", "node1"): "old"}
        members = make_member_list(a_cluster(candidate_certs=certificates))
        assert members is not None
        self.assertEqual(members.certificates, {"node1": ("old",)})


class IssuedTests(SynchronousTestCase):
    def test_certificates_of_a_member_and_of_its_join_tokens_count(self) -> None:
        state = recorded(node1=["a", "b"])
        for number, node in enumerate(("node1", "node2", "node9")):
            state = state.put(a_token(number, node))
        for name, expected in (
            ("node1", {"a", "b", "joined0"}),
            ("node2", {"joined1"}),
            ("node3", set()),
            ("node9", {"joined2"}),
        ):
            self.assertEqual(list_issued_certificates(state, name), expected)


class ToolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory = MemoryTools(recorded(node1=["a"]))

    def test_secrets_are_replaced_by_a_job(self) -> None:
        self.successResultOf(replace_secrets("node2", self.memory.tools))
        expected = [[RenewCrypto(shared_secrets=True), RedistributeConfig()]]
        self.assertEqual(self.memory.submitted, expected)
        [said] = self.memory.progress.said
        self.assertTrue(said.startswith("node node2 knows the keys of the cluster's authority"))
        self.assertTrue(said.endswith("the cluster domain secret: job 1 replaces them"))

    def test_a_job_that_is_not_accepted_is_told(self) -> None:
        async def reject(jobs: Sequence[Sequence[Opcode]]) -> list[tuple[bool, int | str]]:
            return [(False, "the queue is drained")]

        tools = dataclasses.replace(self.memory.tools, submit=reject)
        self.successResultOf(replace_secrets("node2", tools))
        [said] = self.memory.progress.said
        self.assertTrue(said.endswith("cannot replace them: the queue is drained"))

    def test_nodes_that_do_not_have_the_list_yet_are_told(self) -> None:
        self.successResultOf(distribute_member_list(self.memory.tools))
        self.assertEqual(self.memory.progress.said, [])
        self.memory.uninformed["node2"] = Unreachable("node2", "timed out")
        self.successResultOf(distribute_member_list(self.memory.tools))
        first = (
            "node node2 does not have the new member list yet, and gets it before any other call"
        )
        expected = [f"{first}: node node2 is unreachable: timed out"]
        self.assertEqual(self.memory.progress.said, expected)
        self.assertEqual(self.memory.distributed, [make_member_list(self.memory.state())] * 2)
