# SPDX-License-Identifier: BSD-2-Clause
"""A node daemon's whole site on loopback, called with real certificates of every role."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

import msgspec
from twisted.internet import reactor as installed
from twisted.internet.defer import maybeDeferred
from twisted.internet.ssl import Certificate
from twisted.internet.task import deferLater
from twisted.internet.tcp import Connection
from twisted.trial.unittest import TestCase
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.iweb import IPolicyForHTTPS

from ganeti.daemon.connections.node_certificate import NodePolicy, NodeServerTLS, get_peer
from ganeti.node.enrolment import EnrolmentForwarder
from ganeti.paths import Paths
from ganeti.pki.authority import Authority
from ganeti.pki.enrolment import AUTHORITY_CALL, ENROL_CALL, fingerprint
from ganeti.rpc.agent import HttpTransport, TlsEndpoints
from ganeti.rpc.callers import CallerRole
from ganeti.rpc.members import MemberRecords, UpdateMembers
from ganeti.rpc.node import AskVersion, RunPowerHelper, StopMaster
from ganeti.rpc.node_client import TransportError
from ganeti.rpc.quorum import DescribeVote, RequestVote
from ganeti.rpc.site import RpcSite
from ganeti.rpc.wire import CallRequest, encode_request
from ganeti.schema.records import replace
from ganeti.system.connection_errors import explain
from ganeti.testing.builders import a_node
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.host import MemoryHost
from tools.permissions import calls

reactor: Any = installed
NOW = time.time()
OURS, THEIRS = Authority.founded("ours", NOW), Authority.founded("ours", NOW)
ROLES = {
    "node1": CallerRole.MASTER,
    "node2": CallerRole.CANDIDATE,
    "node3": CallerRole.NODE,
    "node4": CallerRole.UNAUTHENTICATED,
}
"""The callers, all with certificates of the authority; node4 has been removed. node1 is called."""

PEMS = {name: OURS.credentials([name, "127.0.0.1"], NOW).pem for name in ROLES}
OTHER = OURS.credentials(["node1"], NOW).pem
EXPIRED = OURS.credentials(["node1"], NOW - 10**6, life=timedelta(days=1)).pem
FOREIGN = THEIRS.credentials(["node1"], NOW).pem
MEMBERS = MemberRecords(
    revision=1,
    certificates={
        **{name: (fingerprint(PEMS[name]),) for name in ("node1", "node2", "node3")},
        "node9": (fingerprint(EXPIRED), fingerprint(FOREIGN)),
    },
    candidates=("node1", "node2", "node9"),
)
NODE = a_node("node1", primary_ip="127.0.0.1")
TERM = 3
UNREADABLE = b"[]"
"""The body of a call that is never carried out: who may make the call is told what is wrong."""


class RoleTests(TestCase):
    """node1 has accepted itself as the master of term 3."""

    def setUp(self) -> None:
        self.host = MemoryHost("node1")
        parts = self.host.parts
        self.successResultOf(parts.voter.request(RequestVote(term=TERM, master="node1")))
        self.successResultOf(self.inform(MEMBERS))
        paths = self.place(PEMS["node1"])
        enrolment = EnrolmentForwarder(MemoryFiles(self.host.disk), self.host.paths, self.nobody)
        self.site = RpcSite(self.host.answers, get_peer, parts.members, reactor, enrolment.open())
        tls = NodeServerTLS(paths)
        self.port: Any = reactor.listenSSL(0, self.site, tls, interface="127.0.0.1")
        self.ways: list[HttpTransport] = []
        self.addCleanup(self.stop)

    async def stop(self) -> None:
        for way in self.ways:
            way.close()
        await self.site.shut_down()
        await maybeDeferred(self.port.stopListening)
        while any(isinstance(each, Connection) for each in reactor.getReaders()):
            await deferLater(reactor, 0.005)

    async def nobody(self, _: object) -> None:
        """No master daemon runs here."""

    async def inform(self, members: MemberRecords) -> None:
        await self.host.parts.candidacy.update(UpdateMembers(members=members))

    def place(self, credentials: bytes) -> Paths:
        paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(paths.data)
        for path, content in (
            (paths.authority, OURS.certificate),
            (paths.node_certificate, credentials),
        ):
            with open(path, "wb") as file:
                file.write(content)
        return paths

    def way(self, credentials: bytes | None) -> HttpTransport:
        policy: IPolicyForHTTPS
        if credentials is None:
            policy = BrowserLikePolicyForHTTPS(Certificate.loadPEM(OURS.certificate))
        else:
            policy = NodePolicy(self.place(credentials))
        endpoints = TlsEndpoints(reactor, policy, self.port.getHost().port)
        way = HttpTransport(endpoints, reactor, explain=explain)
        self.ways.append(way)
        return way

    async def call(self, way: HttpTransport, request: CallRequest) -> str:
        """Make a call; answers what came of it."""
        try:
            answer = msgspec.json.decode(await way.exchange(NODE, request))
        except TransportError as e:
            return str(e)
        return "done" if answer[0] else str(answer[1][0])

    async def allowed(self, credentials: bytes | None) -> set[str]:
        """The names of the calls that the owner of a certificate may make."""
        way, found = self.way(credentials), set()
        names = (AUTHORITY_CALL, ENROL_CALL, *(call.wire for call in calls()))
        for name in names:
            outcome = await self.call(way, CallRequest(name, TERM, UNREADABLE))
            if "403" not in outcome and outcome != "UnclaimedTerm":
                self.assertIn(outcome, ("done", "OpPrereqError", "ParameterError"), name)
                found.add(name)
        return found

    def declared(self, role: CallerRole) -> set[str]:
        return {AUTHORITY_CALL, ENROL_CALL} | {
            call.wire for call in calls() if role in call.callers
        }

    async def test_every_member_may_make_the_calls_of_its_role_and_no_others(self) -> None:
        for name, role in ROLES.items():
            self.assertEqual(await self.allowed(PEMS[name]), self.declared(role), name)

    async def test_who_shows_no_certificate_is_a_stranger(self) -> None:
        self.assertEqual(await self.allowed(None), {AUTHORITY_CALL, ENROL_CALL})

    async def test_a_certificate_that_was_not_recorded_gives_no_role(
        self,
    ) -> None:
        outcome = await self.call(self.way(OTHER), encode_request(AskVersion(), TERM))
        self.assertIn("403: the certificate of node1", outcome)

    async def test_certificates_that_do_not_verify_open_no_connection(self) -> None:
        for pem, why in ((EXPIRED, "has expired"), (FOREIGN, "issued by another cluster")):
            outcome = await self.call(self.way(pem), encode_request(AskVersion(), TERM))
            self.assertIn(why, outcome)

    async def test_a_removed_node_is_refused_on_the_connection_that_it_has(self) -> None:
        way = self.way(PEMS["node3"])
        question = encode_request(DescribeVote(), 0)
        self.assertEqual(await self.call(way, question), "done")
        left = {name: known for name, known in MEMBERS.certificates.items() if name != "node3"}
        await self.inform(replace(MEMBERS, revision=2, certificates=left))
        self.assertIn("403", await self.call(way, question))

    async def test_a_demoted_candidate_ends_no_master_any_more(self) -> None:
        way = self.way(PEMS["node2"])
        self.assertEqual(await self.call(way, encode_request(StopMaster(), TERM)), "done")
        await self.inform(replace(MEMBERS, revision=2, candidates=("node1",)))
        self.assertIn(
            "403: node_stop_master", await self.call(way, encode_request(StopMaster(), TERM))
        )

    async def test_a_plain_node_cannot_depose_the_master(self) -> None:
        claim = encode_request(RequestVote(term=TERM + 1, master="node3", elected=True), TERM)
        outcome = await self.call(self.way(PEMS["node3"]), claim)
        self.assertIn("403: vote_request may only be called by roles candidate, master", outcome)
        self.assertEqual(self.host.parts.voter.term(), TERM)

    async def test_the_master_that_was_replaced_hears_of_the_newer_term(self) -> None:
        claim = encode_request(RequestVote(term=TERM + 1, master="node2", elected=True), 0)
        self.assertEqual(await self.call(self.way(PEMS["node2"]), claim), "done")
        outcome = await self.call(self.way(PEMS["node1"]), encode_request(AskVersion(), TERM))
        self.assertEqual(outcome, "OldTerm")

    async def test_no_node_runs_a_power_helper_for_a_master_elsewhere(self) -> None:
        claim = encode_request(RequestVote(term=TERM + 1, master="node2", elected=True), 0)
        way = self.way(PEMS["node2"])
        await self.call(way, claim)
        run = RunPowerHelper(oob_program="/bin/sh", command="-c", remote_node="id", timeout=1)
        outcome = await self.call(way, encode_request(run, TERM + 1))
        self.assertIn("403: run_oob may only be called by the master on its own node", outcome)

    async def test_a_removed_node_is_refused_on_a_new_connection(self) -> None:
        way = self.way(PEMS["node3"])
        question = encode_request(DescribeVote(), 0)
        await self.call(way, question)
        way.close()
        await deferLater(reactor, 0.02)
        left = {"node1": MEMBERS.certificates["node1"]}
        await self.inform(replace(MEMBERS, revision=2, certificates=left))
        self.assertIn("403", await self.call(way, question))
