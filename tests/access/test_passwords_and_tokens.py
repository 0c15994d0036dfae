# SPDX-License-Identifier: BSD-2-Clause
"""Hashes of passwords, and the text of tokens."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.passwords import check_of, hashed, require_usable
from ganeti.access.tokens import digest_of, new_token, read_token
from ganeti.errors import Invalid


class PasswordTests(SynchronousTestCase):
    def test_a_hash_knows_its_password_and_no_other(self) -> None:
        check = check_of(hashed("correct horse", b"0" * 16))
        self.assertEqual(
            [check("correct horse"), check("correct"), check("")], [True, False, False]
        )

    def test_passwords_that_are_short_or_cannot_be_typed_are_refused(self) -> None:
        for wrong in ("short", "x" * 1025, "with\nline end"):
            self.assertRaises(Invalid, require_usable, wrong)


class TokenTests(SynchronousTestCase):
    def test_the_text_of_a_token_gives_its_id_and_the_digest_of_its_secret(self) -> None:
        token = new_token(lambda size: b"\xfb" * size)
        self.assertRegex(token.text, r"\Agnt_(fb){8}_[A-Za-z0-9_-]{43}\Z")
        self.assertEqual(read_token(token.text), (token.token_id, token.digest))
        self.assertEqual(token.digest, digest_of(token.text[-43:]))

    def test_what_is_cut_off_or_has_more_is_no_token(self) -> None:
        text = new_token(lambda size: b"\x00" * size).text
        for wrong in (text[:-1], text + "A", " " + text, text.upper(), text + "\n", ""):
            self.assertIsNone(read_token(wrong))
