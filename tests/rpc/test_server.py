# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, GanetiError, Invalid, Refused
from ganeti.rpc.callers import CallerRole, Forbidden, RpcCaller
from ganeti.rpc.node import AskVersion, DelayCall, Version
from ganeti.rpc.quorum import Ballot, RequestVote, VoterState
from ganeti.rpc.server import CallHandlers, UnknownCall
from ganeti.rpc.wire import CallRequest, OldTerm, UnclaimedTerm, encode_request, result_of
from ganeti.schema.documents import MAX_DEPTH

VERSION = Version(protocol=1, release="3.0")


async def version(_: AskVersion) -> Version:
    return VERSION


class AnswersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.answers = CallHandlers(lambda: 5)

    async def answer(self, request: CallRequest, caller: RpcCaller | None = None) -> bytes:
        return await self.answers.answer_call(request, caller)

    def refused(self, request: CallRequest, call: AskVersion | DelayCall) -> GanetiError:
        answer = self.successResultOf(self.answer(request))
        error: GanetiError = self.assertRaises(GanetiError, result_of, call, answer)
        return error

    def test_a_call_is_answered_by_what_was_registered_for_it(self) -> None:
        self.answers.to(AskVersion, version)
        answer = self.successResultOf(self.answer(encode_request(AskVersion(), 5)))
        self.assertEqual(result_of(AskVersion(), answer), VERSION)

    def test_an_unknown_call_is_said_to_be_unknown(self) -> None:
        self.failureResultOf(self.answer(encode_request(AskVersion(), 5)), UnknownCall)

    def test_a_master_of_an_older_term_is_refused_by_both_numbers(self) -> None:
        self.answers.to(AskVersion, version)
        error = self.refused(encode_request(AskVersion(), 4), AskVersion())
        self.assertIsInstance(error, OldTerm)
        self.assertRegex(str(error), "term 4, .* term 5")

    def test_a_newer_term_must_be_claimed_first(self) -> None:
        self.answers.to(AskVersion, version)
        error = self.refused(encode_request(AskVersion(), 6), AskVersion())
        self.assertIsInstance(error, UnclaimedTerm)

    def test_a_request_for_a_vote_is_heard_whatever_its_term(self) -> None:
        ballot = Ballot(granted=True, state=VoterState(term=9, master="node2"))

        async def grant(_: RequestVote) -> Ballot:
            return ballot

        self.answers.to(RequestVote, grant)
        request = RequestVote(term=9, master="node2")
        answer = self.successResultOf(self.answer(encode_request(request, 9)))
        self.assertEqual(result_of(request, answer), ballot)

    def test_a_vote_for_one_that_cannot_be_the_master_is_refused(self) -> None:
        self.answers.to(RequestVote, None)  # type: ignore[arg-type]  # never called
        plain = RpcCaller(CallerRole.NODE, "node2")
        self.assertRaises(Forbidden, self.answers.authorize, RequestVote.wire, 5, plain)

    def test_a_candidate_asks_for_votes_for_itself_only(self) -> None:
        self.answers.to(RequestVote, None)  # type: ignore[arg-type]  # never called
        request = encode_request(RequestVote(term=9, master="node2"), 0)
        told = self.failureResultOf(
            self.answer(request, RpcCaller(CallerRole.CANDIDATE, "node3")), Forbidden
        ).value
        self.assertEqual(str(told), "node node3 cannot request votes for node node2")

    def test_a_term_that_no_reader_could_keep_whole_is_invalid(self) -> None:
        self.answers.to(RequestVote, None)  # type: ignore[arg-type]  # never called
        for term in (-1, 2**53, 10**4000):
            body = b'{"term": %d, "master": "node2"}' % term
            answer = self.successResultOf(self.answer(CallRequest(RequestVote.wire, 0, body)))
            request = RequestVote(term=0, master="node2")
            self.assertRaises(Invalid, result_of, request, answer)

    def test_every_problem_of_a_bad_body_is_listed(self) -> None:
        async def wait(_: DelayCall) -> None: ...

        self.answers.to(DelayCall, wait)
        error = self.refused(CallRequest("test_delay", 5, b'{"colour": 1}'), DelayCall(duration=1))
        self.assertIsInstance(error, Invalid)
        self.assertRegex(str(error), "test_delay: duration: is required; .*colour")

    def test_a_body_that_is_no_object_is_told(self) -> None:
        self.answers.to(AskVersion, version)
        error = self.refused(CallRequest("version", 5, b"[]"), AskVersion())
        self.assertEqual(str(error), "version: must be an object, not a list")

    def test_a_body_that_is_no_json_is_refused(self) -> None:
        self.answers.to(AskVersion, version)
        error = self.refused(CallRequest("version", 5, b"\xff{"), AskVersion())
        self.assertIsInstance(error, Invalid)

    def test_a_body_that_nests_too_deep_is_refused(self) -> None:
        self.answers.to(AskVersion, version)
        for depth in (MAX_DEPTH + 1, 100_000):
            error = self.refused(CallRequest("version", 5, b"[" * depth), AskVersion())
            self.assertIsInstance(error, Invalid)
            self.assertIn("nested more than 100 levels", str(error))

    def test_an_error_on_purpose_travels_as_it_is(self) -> None:
        async def refuse(_: AskVersion) -> Version:
            raise Refused("not today")

        self.answers.to(AskVersion, refuse)
        error = self.refused(encode_request(AskVersion(), 5), AskVersion())
        self.assertEqual((type(error), str(error)), (Refused, "not today"))

    def test_an_accident_is_logged_and_told_without_its_details(self) -> None:
        async def stumble(_: AskVersion) -> Version:
            raise ZeroDivisionError("secret")

        self.answers.to(AskVersion, stumble)
        error = self.refused(encode_request(AskVersion(), 5), AskVersion())
        self.assertIsInstance(error, Failed)
        self.assertNotIn("secret", str(error))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
