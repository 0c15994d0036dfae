# SPDX-License-Identifier: BSD-2-Clause
"""Bytes become calls, and whatever comes of them is an answer."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.luxi.methods import METHODS
from ganeti.luxi.server import LuxiMethods
from ganeti.schema.documents import MAX_DEPTH


async def tags(kind: str, name: str | None) -> list[str]:
    if name == "lost":
        raise Refused("there is no instance lost", Code.UNKNOWN)
    if name == "broken":
        raise KeyError(name)
    if name == "odd":
        raise Refused("file names \udcff are bytes", Code.STATE)
    return [kind, name or ""]


class AnswerTests(SynchronousTestCase):
    def ask(self, message: bytes) -> tuple[bool, Any]:
        answer = self.successResultOf(LuxiMethods({"QueryTags": tags}).answer_message(message))
        self.assertEqual(answer[-1:], b"\x03")
        decoded = json.loads(answer[:-1])
        return decoded["success"], decoded["result"]

    def test_others_can_answer_from_some_moment_on(self) -> None:
        async def before(*_: object) -> list[str]:
            return ["before"]

        async def after(*_: object) -> list[str]:
            return ["after"]

        message = b'{"method": "QueryTags", "args": ["node", "node1"]}'
        methods = LuxiMethods({"QueryTags": before})
        methods.replace_handlers({"QueryTags": after})
        answer = self.successResultOf(methods.answer_message(message))
        self.assertIn(b"after", answer)

    def test_the_coroutine_gets_converted_arguments(self) -> None:
        asked = self.ask(b'{"method": "QueryTags", "args": ["node", "node1"]}')
        self.assertEqual(asked, (True, ["node", "node1"]))

    def test_errors_go_out_with_their_class(self) -> None:
        asked = self.ask(b'{"method": "QueryTags", "args": ["instance", "lost"]}')
        error = ["OpPrereqError", ["there is no instance lost", "unknown_entity"]]
        self.assertEqual(asked, (False, error))

    def test_what_is_not_understood_is_answered_in_plain_text(self) -> None:
        for message in (b"nonsense", b'{"method": "Nope", "args": []}'):
            success, text = self.ask(message)
            self.assertEqual((success, type(text)), (False, str))

    def test_a_method_that_nobody_answers_is_a_general_error(self) -> None:
        success, (name, _) = self.ask(b'{"method": "QueryClusterInfo", "args": []}')
        self.assertEqual((success, name), (False, "GenericError"))

    def test_the_unexpected_is_logged_under_the_reference_that_is_answered(self) -> None:
        success, (name, (text,)) = self.ask(b'{"method": "QueryTags", "args": ["a", "broken"]}')
        self.assertEqual((success, name), (False, "GenericError"))
        self.assertRegex(text, "log of the master daemon under [0-9a-f]{12}")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_a_request_that_nests_too_deep_is_answered(self) -> None:
        for depth in (MAX_DEPTH, 5000):
            args = b"[" * depth + b"]" * depth
            success, text = self.ask(b'{"method": "QueryTags", "args": %b}' % args)
            self.assertEqual((success, type(text)), (False, str))
            self.assertIn("nests more than 100 levels", text)

    def test_arguments_that_are_not_utf8_are_answered(self) -> None:
        for kind in METHODS:
            success, text = self.ask(b'{"method": "%b", "args": ["\xff"]}' % kind.encode())
            self.assertEqual((success, type(text)), (False, str), kind)

    def test_a_number_of_thousands_of_digits_is_answered(self) -> None:
        for method, others in ((b"CancelJob", b""), (b"WaitForJobChange", b", [], null")):
            args = b"9" * 5000 + others
            success, text = self.ask(b'{"method": "%b", "args": [%b]}' % (method, args))
            self.assertEqual((success, type(text)), (False, str))

    def test_an_answer_that_cannot_be_encoded_is_an_error(self) -> None:
        success, (name, (text,)) = self.ask(b'{"method": "QueryTags", "args": ["a", "odd"]}')
        self.assertEqual((success, name), (False, "GenericError"))
        self.assertIn("log of the master daemon", text)
        self.assertEqual(len(self.flushLoggedErrors(UnicodeEncodeError)), 1)

    def test_only_known_methods_can_be_answered(self) -> None:
        self.assertRaisesRegex(ValueError, "Nope", LuxiMethods, {"Nope": tags})
