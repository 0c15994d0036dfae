# SPDX-License-Identifier: BSD-2-Clause
"""Messages come out as they went in, however they are cut."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid, ProtocolError, QueueFull, Refused, to_wire
from ganeti.luxi import framing
from ganeti.luxi.framing import END, MessageBuffer
from ganeti.luxi.methods import QueryTags

MESSAGES = st.lists(st.binary(max_size=20).map(lambda data: data.replace(END, b"")))


class BufferTests(SynchronousTestCase):
    @given(MESSAGES, st.lists(st.integers(1, 7)))
    def test_messages_come_out_whole_however_they_are_cut(
        self, messages: list[bytes], cuts: list[int]
    ) -> None:
        buffer, received = MessageBuffer(), []
        left = b"".join(message + END for message in messages)
        for cut in [*cuts, len(left)]:
            received += buffer.receive(left[:cut])
            left = left[cut:]
        self.assertEqual(received, messages)

    def test_a_message_that_does_not_end_is_refused_at_the_limit(self) -> None:
        buffer = MessageBuffer(limit=8)
        self.assertEqual(buffer.receive(b"12345678" + END + b"12345"), [b"12345678"])
        self.assertRaisesRegex(ProtocolError, "longer than 8 bytes", buffer.receive, b"6789")


class EnvelopeTests(SynchronousTestCase):
    def test_a_request_is_read_with_whatever_else_it_says(self) -> None:
        envelope = framing.read_envelope(b'{"version": 3000000, "method": "Query", "args": [1]}')
        self.assertEqual((envelope.method, bytes(envelope.args)), ("Query", b"[1]"))

    def test_what_is_no_request_is_refused_with_the_reason(self) -> None:
        for message in (b"", b"GET / HTTP/1.1", b"[]", b'{"args": []}', b'{"method": 1}', b"\xff"):
            self.assertRaisesRegex(
                ProtocolError, "request cannot be decoded", framing.read_envelope, message
            )

    def test_a_request_holds_no_end_inside(self) -> None:
        sent = framing.request("QueryTags", QueryTags(kind="node", name="a\x03b"))
        self.assertEqual(sent.count(END), 1)
        self.assertTrue(sent.endswith(END))


class AnswerTests(SynchronousTestCase):
    def test_encoded_results_pass_through_both_ends_untouched(self) -> None:
        sent = framing.success(msgspec.Raw(b'[ {"a": 1.50} ]'))
        self.assertEqual(bytes(framing.result_of(sent[:-1])), b'[ {"a": 1.50} ]')

    def test_long_results_pass_through_as_short_ones_do(self) -> None:
        long = b"[" + b" " * framing.LONG + b"]"
        for sent in (
            framing.success(msgspec.Raw(long)),
            b'{"result":%b,"success":true}\x03' % long,
            b'{"success": true, "result": %b}\x03' % long,
        ):
            self.assertEqual(bytes(framing.result_of(sent[:-1])), long)

    def test_long_errors_are_errors(self) -> None:
        sent = framing.failure(to_wire(Refused("no" * framing.LONG)))
        self.assertRaises(Refused, framing.result_of, sent[:-1])

    def test_errors_keep_their_class(self) -> None:
        for error in (Refused("no"), QueueFull("full")):
            sent = framing.failure(to_wire(error))
            self.assertRaises(type(error), framing.result_of, sent[:-1])

    def test_plain_text_means_that_the_request_was_not_understood(self) -> None:
        sent = framing.failure("unknown method")
        self.assertRaisesRegex(Invalid, "unknown method", framing.result_of, sent[:-1])

    def test_nonsense_is_not_taken_for_an_answer(self) -> None:
        deep = b'{"success":false,"result":' + b"[" * 5000 + b"]" * 5000 + b"}"
        for message in (b"", b"{}", b'{"success": 1, "result": 2}', b"\xff\xfe", deep):
            self.assertRaises(ProtocolError, framing.result_of, message)

    def test_a_long_answer_is_read_when_it_is_decoded(self) -> None:
        for inside in (b"[" * 100_000, b"1," * 50_000):
            result = framing.result_of(b'{"success":true,"result":' + inside + b"}")
            self.assertRaisesRegex(ProtocolError, "cannot be decoded", framing.decoded, result)
