# SPDX-License-Identifier: BSD-2-Clause
"""New nodes get their certificates, each token once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography import x509
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.nodes import set_certificates
from ganeti.config.writer import ConfigWriter
from ganeti.errors import GanetiError, Invalid, Refused
from ganeti.master.enrolment import RETENTION, Enrolment
from ganeti.master.state_paths import StatePaths
from ganeti.operations.member_list import list_issued_certificates, make_member_list
from ganeti.pki.authority import Authority, create_request
from ganeti.pki.enrolment import Invitation, derive_secret, encode_token, fingerprint
from ganeti.rpc.members import MemberRecords
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.journal import MemoryJournal

NOW = 1_700_000_000.0
AUTHORITY = Authority.founded("cluster1", NOW)
_, REQUEST = create_request("whoever")
_, OTHER_REQUEST = create_request("whoever")
INVITATION = Invitation(
    cluster="cluster1",
    node="node2",
    names=("node2", "192.0.2.2"),
    master="node1",
    address="192.0.2.1",
    port=1811,
    authority=AUTHORITY.fingerprint,
    until=int(NOW) + 100,
    nonce="0123",
)
TOKEN = encode_token(INVITATION, derive_secret(AUTHORITY.key, b"a secret"))
NODE1 = a_node("node1")


class EnrolmentTests(SynchronousTestCase):
    """The master node1, whose certificate is called aa."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.disk = MemoryDisk()
        places = StatePaths("/data")
        self.disk.put(places.authority, AUTHORITY.certificate, 0o644, 0)
        self.disk.put(places.authority_key, AUTHORITY.key, 0o600, 0)
        self.disk.put(places.domain_secret, b"a secret", 0o600, 0)
        self.journal = MemoryJournal()
        state = set_certificates(NODE1, "aa")(a_cluster(nodes=[NODE1])).settled()
        self.config = ConfigWriter(state, self.journal, self.clock.seconds)
        self.enrolment = Enrolment(
            self.config,
            MemoryFiles(self.disk),
            places,
            self.issue,
            self.clock.seconds,
            self.clock,
        )
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(lambda: self.enrolment.stop())

    async def issue(self, request: bytes, names: Sequence[str]) -> bytes:
        return AUTHORITY.grant(request, names, self.clock.seconds())

    def enrol(self, token: str = TOKEN, request: bytes = REQUEST) -> dict[str, Any]:
        answer: dict[str, Any] = self.successResultOf(self.enrolment.enrol(token, request.decode()))
        return answer

    def refused(self, token: str = TOKEN, request: bytes = REQUEST) -> GanetiError:
        enrolling = self.enrolment.enrol(token, request.decode())
        error = self.failureResultOf(enrolling, GanetiError).value
        assert isinstance(error, GanetiError)
        return error

    def test_a_token_gets_a_certificate_for_the_node_that_it_invites(self) -> None:
        answer = self.enrol()
        certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
        self.assertEqual(certificate.subject.rfc4514_string(), "CN=node2")
        self.assertEqual(answer["authority"].encode(), AUTHORITY.certificate)

    def test_the_node_learns_whom_it_may_obey(self) -> None:
        members = msgspec.convert(self.enrol()["members"], MemberRecords)
        self.assertEqual(members.certificates, {"node1": ("aa",)})
        self.assertEqual(members.candidates, ("node1",))

    def test_the_certificate_is_known_before_the_node_has_it_and_gives_no_role(self) -> None:
        known = fingerprint(self.enrol()["certificate"].encode())
        self.assertEqual(list_issued_certificates(self.config.state(), "node2"), {known})
        members = make_member_list(self.config.state())
        assert members is not None
        self.assertNotIn("node2", members.certificates)

    def test_a_token_works_once(self) -> None:
        self.enrol()
        self.assertRegex(str(self.refused(request=OTHER_REQUEST)), "already used; create a new one")

    def test_an_application_whose_answer_was_lost_gets_the_same_again(self) -> None:
        self.assertEqual(self.enrol()["certificate"], self.enrol()["certificate"])

    def test_a_certificate_whose_commit_failed_is_not_given_out(self) -> None:
        self.journal.break_down()
        self.failureResultOf(self.enrolment.enrol(TOKEN, REQUEST.decode()))
        self.assertEqual(dict(self.config.state().spent_tokens), {})

    def test_a_spent_token_is_forgotten_when_it_would_not_be_valid_any_more(self) -> None:
        self.enrol()
        self.clock.advance(RETENTION)
        self.assertEqual(list(self.config.state().spent_tokens), ["0123"])
        self.clock.advance(1)
        self.assertEqual(dict(self.config.state().spent_tokens), {})
        self.assertIn("has expired", str(self.refused()))

    def test_tokens_of_one_that_knew_the_secrets_do_not_outlive_their_replacement(self) -> None:
        self.disk.put("/data/cluster-domain-secret", b"another", 0o600, 0)
        self.assertIn("was not created by this cluster's master", str(self.refused()))

    def test_a_token_is_not_spent_on_a_request_that_cannot_be_granted(self) -> None:
        self.assertIsInstance(self.refused(request=b"nonsense"), Invalid)
        self.enrol()

    def test_nonsense_and_tokens_of_others_are_refused(self) -> None:
        self.assertIsInstance(self.refused(token="x.y"), Invalid)
        self.assertIsInstance(self.refused(token=encode_token(INVITATION, b"x")), Refused)
