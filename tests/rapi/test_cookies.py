# SPDX-License-Identifier: BSD-2-Clause
"""Cookies of sessions are taken as they were given, or not at all."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.cookies import (
    NAME,
    Cookie,
    cookie_value,
    read_cookie,
    session_cookie,
    set_cookie,
)

COOKIE = Cookie("0123456789abcdef", "s" * 43)
VALUE = f"{COOKIE.session_id}_{COOKIE.secret}"


def header(*pairs: str) -> bytes:
    return "; ".join(pairs).encode("latin-1")


class ReadTests(SynchronousTestCase):
    def test_what_was_set_is_read_again(self) -> None:
        pair = set_cookie(COOKIE, 60).partition(";")[0]
        self.assertEqual(session_cookie([header(pair)]), COOKIE)

    def test_another_form_is_no_session(self) -> None:
        for value in (
            "",
            VALUE[:-1],
            VALUE + "x",
            VALUE + "\n",
            VALUE.replace("_", "-", 1),
            VALUE.upper(),
            f'"{VALUE}"',
        ):
            self.assertIs(read_cookie(value), None, value)

    def test_a_session_is_found_among_other_cookies(self) -> None:
        pair = f"{NAME}={VALUE}"
        for headers in (
            [header("a=1", pair, "b=2")],
            [header("a=1"), header(pair)],
            [b"a=1;" + pair.encode() + b";b"],
        ):
            self.assertEqual(session_cookie(headers), COOKIE)

    def test_a_session_that_comes_twice_is_none(self) -> None:
        pair = f"{NAME}={VALUE}"
        for headers in (
            [header(pair, pair)],
            [header(pair), header(pair)],
            [header(pair, f"{NAME}=")],
        ):
            self.assertIs(session_cookie(headers), None)

    def test_a_name_must_be_the_whole_name(self) -> None:
        for name in (f"x{NAME}", f"{NAME}x", NAME.lower(), NAME.removeprefix("__Host-")):
            self.assertIs(cookie_value([header(f"{name}={VALUE}")], NAME), None, name)

    def test_a_value_may_have_an_equals_sign(self) -> None:
        self.assertEqual(cookie_value([b"a=b=c; d"], "a"), "b=c")
        self.assertEqual(cookie_value([b"a="], "a"), "")

    @given(some.lists(some.binary()))
    def test_no_headers_break_it(self, headers: list[bytes]) -> None:
        found = session_cookie(headers)
        self.assertTrue(found is None or isinstance(found, Cookie))


class SetTests(SynchronousTestCase):
    def test_scripts_other_sites_and_plain_http_do_not_get_it(self) -> None:
        attributes = set_cookie(COOKIE, 60).split("; ")[1:]
        wanted = ["Max-Age=60", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"]
        self.assertEqual(attributes, wanted)

    def test_the_prefix_binds_it_to_this_host(self) -> None:
        self.assertTrue(NAME.startswith("__Host-"))
        self.assertNotIn("Domain", set_cookie(COOKIE, 60))

    def test_it_is_taken_away_by_an_empty_one(self) -> None:
        self.assertTrue(set_cookie(None, 0).startswith(f"{NAME}=; Max-Age=0; "))


class TokenTests(SynchronousTestCase):
    def test_the_token_of_changes_follows_from_the_secret_alone(self) -> None:
        other = Cookie("f" * 16, COOKIE.secret)
        self.assertEqual(COOKIE.csrf, other.csrf)
        self.assertNotEqual(COOKIE.csrf, Cookie(COOKIE.session_id, "t" * 43).csrf)

    def test_it_is_not_the_digest_that_the_cluster_keeps(self) -> None:
        self.assertNotEqual(COOKIE.csrf, sha256(COOKIE.secret.encode()).hexdigest())
        self.assertRegex(COOKIE.csrf, "^[0-9a-f]{64}$")
