# SPDX-License-Identifier: BSD-2-Clause
"""All forms of passwords are read; what is wrong with a file is told without them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.users_file import parse_users, scrypt_line


class ReadUsersTests(SynchronousTestCase):
    def test_every_form_of_a_password_is_checked(self) -> None:
        text = "# comment\n\njack abc123\nfred {ClearText}foo555 read\n" + scrypt_line(
            "sue", "s3cret", b"0" * 16, "read,write"
        )
        users, wrong = parse_users(text)
        self.assertEqual(wrong, [])
        for name, password in (("jack", "abc123"), ("fred", "foo555"), ("sue", "s3cret")):
            self.assertTrue(users[name].check(password))
            self.assertFalse(users[name].check(password + "x"))
        self.assertEqual([users[n].writes for n in ("jack", "fred", "sue")], [False, False, True])

    def test_a_hash_holds_user_and_realm(self) -> None:
        # printf 'jack:Ganeti Remote API:abc123' | md5sum
        users, _ = parse_users("jack {HA1}54C12257EE9BE413F2F3182435514AAE")
        self.assertTrue(users["jack"].check("abc123"))
        self.assertFalse(users["jack"].check("abc"))

    def test_what_is_wrong_is_told_by_line_and_without_passwords(self) -> None:
        text = "alone\na {md5}topsecret\nb {topsecret\nc topsecret root\nd {scrypt}topsecret\n"
        users, wrong = parse_users(text)
        self.assertEqual(list(users), ["c"])
        self.assertEqual([each.split()[1].rstrip(":") for each in wrong], list("12345"))
        self.assertNotIn("topsecret", "".join(wrong) + repr(users))

    def test_a_hash_that_would_take_the_memory_is_refused(self) -> None:
        _, wrong = parse_users("a {scrypt}1073741824$8$1$MDAwMA==$MDAwMA==")
        self.assertEqual(wrong, ["line 1: the costs of this {scrypt} hash are out of bounds"])

    @given(st.text())
    def test_any_text_is_a_file_with_some_users(self, text: str) -> None:
        parse_users(text)
