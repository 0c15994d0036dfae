# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from collections.abc import Sequence

import msgspec
from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError, Invalid, Refused
from ganeti.node.enrolment import Enrolment
from ganeti.pki.authority import Authority, new_request
from ganeti.pki.enrolment import (
    AUTHORITY_CALL,
    ENROL_CALL,
    Application,
    Invitation,
    secret_of,
    token_of,
)
from ganeti.rpc.members import Members
from ganeti.testing.disk import MemoryDisk, MemoryFiles

NOW = 1_700_000_000.0
AUTHORITY = Authority.founded("cluster1", NOW)
_, REQUEST = new_request("whoever")
_, OTHER_REQUEST = new_request("whoever")
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
MEMBERS = Members(revision=1, certificates={"node1": ("aa",)}, candidates=("node1",))
TOKEN = token_of(INVITATION, secret_of(AUTHORITY.key))


class EnrolmentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = NOW
        self.disk = MemoryDisk()
        self.disk.put("/ca.pem", AUTHORITY.certificate, 0o644, 0)
        self.disk.put("/ca.key", AUTHORITY.key, 0o600, 0)
        self.enrolment = self.started()

    def started(self) -> Enrolment:
        return Enrolment(
            MemoryFiles(self.disk),
            lambda: self.now,
            self.issue,
            certificate="/ca.pem",
            key="/ca.key",
            spent="/enrolled",
            members=lambda: MEMBERS,
        )

    async def issue(self, request: bytes, names: Sequence[str]) -> bytes:
        return AUTHORITY.grant(request, names, self.now)

    def apply(self, token: str = TOKEN, request: bytes = REQUEST) -> x509.Certificate:
        application = Application(token=token, request=request.decode())
        body = msgspec.json.encode(application)
        said, result = msgspec.json.decode(self.successResultOf(self.enrolment.enrol(body)))
        self.assertTrue(said)
        self.assertEqual(result["authority"].encode(), AUTHORITY.certificate)
        self.assertEqual(msgspec.convert(result["members"], Members), MEMBERS)
        return x509.load_pem_x509_certificate(result["certificate"].encode())

    def refused(self, body: bytes) -> GanetiError:
        error = self.failureResultOf(self.enrolment.enrol(body), GanetiError).value
        assert isinstance(error, GanetiError)
        return error

    def application(self, token: str = TOKEN, request: bytes = REQUEST) -> bytes:
        return msgspec.json.encode(Application(token=token, request=request.decode()))

    def test_two_calls_are_open_to_strangers(self) -> None:
        self.assertEqual(set(self.enrolment.open()), {AUTHORITY_CALL, ENROL_CALL})

    def test_everybody_may_see_the_authority(self) -> None:
        answer = self.successResultOf(self.enrolment.authority(b""))
        self.assertEqual(msgspec.json.decode(answer), [True, AUTHORITY.certificate.decode()])

    def test_a_token_gets_a_certificate_for_the_node_that_it_invites(self) -> None:
        self.assertEqual(self.apply().subject.rfc4514_string(), "CN=node2")

    def test_a_token_works_once_even_after_a_restart(self) -> None:
        self.apply()
        self.enrolment = self.started()
        error = self.refused(self.application(request=OTHER_REQUEST))
        self.assertRegex(str(error), "used already; make a new one")

    def test_an_application_whose_answer_was_lost_is_granted_again(self) -> None:
        self.apply()
        self.apply()

    def test_an_old_token_is_refused_and_forgotten(self) -> None:
        self.apply()
        self.now += 100
        self.assertIsInstance(self.refused(self.application()), Refused)
        self.now -= 50
        later = msgspec.structs.replace(INVITATION, nonce="4567", until=int(NOW) + 900)
        self.apply(token_of(later, secret_of(AUTHORITY.key)), OTHER_REQUEST)
        self.now += 200
        last = msgspec.structs.replace(INVITATION, nonce="89ab", until=int(NOW) + 900)
        self.apply(token_of(last, secret_of(AUTHORITY.key)), OTHER_REQUEST)
        kept = msgspec.json.decode(self.disk.contents()["/enrolled"])
        self.assertEqual([each["nonce"] for each in kept], ["4567", "89ab"])

    def test_a_token_is_not_spent_on_a_request_that_cannot_be_granted(self) -> None:
        self.assertIsInstance(self.refused(self.application(request=b"nonsense")), Invalid)
        self.apply()

    def test_nonsense_is_refused(self) -> None:
        self.assertIsInstance(self.refused(b"{"), Invalid)
        self.assertIsInstance(self.refused(self.application(token="x.y")), Invalid)

    def test_a_node_without_the_key_says_who_can_help(self) -> None:
        self.successResultOf(MemoryFiles(self.disk).remove("/ca.key"))
        self.assertIn("make the token on the master", str(self.refused(self.application())))
