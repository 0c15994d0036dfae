# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, GanetiError, ProtocolError, Refused, RemoteError
from ganeti.rpc.node import AskVersion, Version
from ganeti.rpc.wire import OldTerm, StaleHandle, encode_request, failure, result_of, success

VERSION = Version(protocol=1, release="3.0")


class AnswerTests(SynchronousTestCase):
    def test_a_result_comes_back_as_the_type_that_the_call_declares(self) -> None:
        self.assertEqual(result_of(AskVersion(), success(VERSION)), VERSION)

    def test_an_error_comes_back_with_its_kind_and_code(self) -> None:
        answer = failure(Refused("no such disk", Code.UNKNOWN))
        error = self.assertRaises(Refused, result_of, AskVersion(), answer)
        self.assertEqual((str(error), error.code), ("no such disk", Code.UNKNOWN))

    def test_an_error_of_an_unknown_kind_keeps_its_name(self) -> None:
        error = self.assertRaises(
            RemoteError, result_of, AskVersion(), b'[false, ["FromTheFuture", ["words"]]]'
        )
        self.assertEqual((error.name, str(error)), ("FromTheFuture", "words"))

    def test_a_newer_master_shows_as_an_error_of_its_own(self) -> None:
        self.assertRaises(OldTerm, result_of, AskVersion(), failure(OldTerm("term 3")))

    def test_a_handle_that_is_not_valid_shows_as_a_failure_that_can_be_told_from_others(
        self,
    ) -> None:
        answer = failure(StaleHandle("opened again", Code.ENVIRONMENT))
        error = self.assertRaises(StaleHandle, result_of, AskVersion(), answer)
        self.assertEqual((str(error), error.code), ("opened again", Code.ENVIRONMENT))

    def test_a_result_of_another_type_is_no_answer(self) -> None:
        self.assertRaises(ProtocolError, result_of, AskVersion(), b'[true, {"protocol": "x"}]')

    def test_an_error_of_no_form_is_no_answer(self) -> None:
        for answer in (b"[false, 7]", b'[false, ["Nope", {}]]', b"[false, []]"):
            error = self.assertRaises(ProtocolError, result_of, AskVersion(), answer)
            self.assertEqual(str(error), "the answer to version is neither a result nor an error")

    @given(st.binary() | st.sampled_from([b"[true", b"[true,1,2]", b"[false]", b"{}", b"[]"]))
    def test_nonsense_is_an_error_on_purpose(self, answer: bytes) -> None:
        self.assertRaises(GanetiError, result_of, AskVersion(), answer)


class RequestTests(SynchronousTestCase):
    def test_a_request_has_the_name_the_term_and_the_fields_of_a_call(self) -> None:
        request = encode_request(AskVersion(), 7)
        self.assertEqual((request.name, request.term, request.body), ("version", 7, b"{}"))
