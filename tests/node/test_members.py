# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.node.members import MemberList
from ganeti.rpc.callers import CallerRole, Peer, RpcCaller
from ganeti.rpc.members import MemberRecords, UpdateMembers
from ganeti.rpc.quorum import VoterState
from ganeti.schema.records import replace
from ganeti.testing.disk import MemoryDisk, MemoryFiles

MEMBERS = MemberRecords(
    revision=5,
    certificates={"node1": ("aa",), "node2": ("bb",), "node3": ("cc", "dd")},
    candidates=("node1", "node2"),
)


class MemberListTests(SynchronousTestCase):
    """The list of node2, which has accepted node1 for term 3."""

    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.accepted = VoterState(term=3, master="node1")
        self.restart()

    def restart(self) -> None:
        self.trusted: list[Sequence[str]] = []
        self.refuses = False
        self.list = MemberList(
            MemoryFiles(self.disk), "/members", "node2", lambda: self.accepted, self.trust
        )

    async def trust(self, authorities: Sequence[str]) -> None:
        if self.refuses:
            raise Failed("they cannot be used")
        self.trusted.append(authorities)

    def update(self, members: MemberRecords = MEMBERS) -> int:
        revision: int = self.successResultOf(self.list.update(UpdateMembers(members=members)))
        return revision

    def role(self, fingerprint: str, name: str = "whatever") -> CallerRole:
        return self.list.identify(Peer(name, fingerprint)).role

    def test_to_a_node_without_a_list_everybody_is_a_stranger(self) -> None:
        self.assertIs(self.role("aa", "node1"), CallerRole.UNAUTHENTICATED)
        self.assertIs(self.list.identify(None).role, CallerRole.UNAUTHENTICATED)
        self.assertFalse(self.list.is_candidate())

    def test_the_certificate_decides_and_not_the_name_in_it(self) -> None:
        self.update()
        self.assertIs(self.role("ee", "node1"), CallerRole.UNAUTHENTICATED)
        caller = self.list.identify(Peer("node1", "bb"))
        self.assertEqual(caller, RpcCaller(CallerRole.CANDIDATE, "node2", local=True))

    def test_roles_follow_from_the_list_and_from_the_accepted_master(self) -> None:
        self.update()
        roles = {each: self.role(each) for each in ("aa", "bb", "cc", "dd")}
        self.assertEqual(roles, {"aa": "master", "bb": "candidate", "cc": "node", "dd": "node"})
        self.accepted = VoterState(term=4, master="node2")
        self.assertEqual((self.role("aa"), self.role("bb")), ("candidate", "master"))
        self.accepted = VoterState()
        self.assertEqual((self.role("aa"), self.role("bb")), ("candidate", "candidate"))

    def test_it_has_the_certificates_of_all_members_or_of_one(self) -> None:
        self.assertEqual(self.list.fingerprints(), set())
        self.update()
        self.assertEqual(self.list.fingerprints(), {"aa", "bb", "cc", "dd"})
        self.assertEqual(self.list.fingerprints("node3"), {"cc", "dd"})
        self.assertEqual(self.list.fingerprints("node9"), set())

    def test_a_list_outlives_the_power(self) -> None:
        self.update()
        self.disk = self.disk.after_crash()
        self.restart()
        self.assertEqual((self.list.members, self.role("cc")), (MEMBERS, CallerRole.NODE))

    def test_an_older_list_of_a_term_does_not_replace_a_newer_one(self) -> None:
        self.update()
        older = replace(MEMBERS, revision=4, candidates=("node1",))
        self.assertEqual(self.update(older), 5)
        self.assertTrue(self.list.is_candidate())

    def test_the_list_of_a_newer_term_replaces_any(self) -> None:
        self.update()
        self.accepted = VoterState(term=4, master="node1")
        self.assertEqual(self.update(replace(MEMBERS, revision=1, candidates=("node1",))), 1)
        self.assertFalse(self.list.is_candidate())

    def test_the_authorities_are_trusted_before_the_list_counts(self) -> None:
        self.update()
        self.refuses = True
        newer = replace(MEMBERS, revision=6, candidates=("node1",), authorities=("new", "old"))
        self.failureResultOf(self.list.update(UpdateMembers(members=newer)), Failed)
        self.assertEqual(self.list.members, MEMBERS)
        self.refuses = False
        self.update(newer)
        self.assertEqual(self.trusted[-1], ("new", "old"))
        self.assertEqual(self.list.members, newer)

    def test_a_list_that_was_overtaken_changes_no_authorities(self) -> None:
        self.update()
        self.trusted.clear()
        self.update(replace(MEMBERS, revision=4, authorities=("old",)))
        self.assertEqual(self.trusted, [])

    def test_a_master_cannot_lock_itself_out(self) -> None:
        self.update()
        others = replace(MEMBERS, revision=6, certificates={"node2": ("bb",)})
        update = self.list.update(UpdateMembers(members=others))
        self.assertIn("no certificate of node1", str(self.failureResultOf(update, Refused).value))
        self.assertIs(self.role("aa"), CallerRole.MASTER)

    def test_a_damaged_list_is_not_taken_for_none(self) -> None:
        for content in (b"{", b'{"x":' + b"[" * 100_000):
            self.disk.put("/members", content, 0o600, 0)
            self.assertIn("join this node", str(self.assertRaises(Failed, self.restart)))
