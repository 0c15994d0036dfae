# SPDX-License-Identifier: BSD-2-Clause
"""Users, tokens, sessions and sign-in: secrets are answered once, and kept as hashes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ganeti.access.tokens import DEFAULT_LIFETIME, digest_of, read_token
from ganeti.errors import Code, Invalid, Refused, Unauthenticated
from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import (
    CloseSession,
    EndSession,
    OpenSession,
    QueryAccess,
    QueryCaller,
    QueryHistory,
)
from ganeti.model.users import Role
from ganeti.opcodes.access import AddUser, GrantRole, ModifyUser, RemoveUser
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.openid import COOKIE
from ganeti.rapi.routes.access import CONSOLE, NOT_STORED, ROUTES
from ganeti.rapi.verbs import Admitted, Services, WithHeaders
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import NOW
from tests.rapi.routes.case import RouteCase

USERS, USER = "/2/access/users", "/2/access/users/{user_name}"
TOKENS, SESSION = "/2/access/tokens", "/2/access/session"
LOGIN, CALLBACK = "/2/access/openid/login", "/2/access/openid/callback"
ANN = Admitted(Caller(user="ann", source="192.0.2.7"), "ann", Role.OPERATOR, limited=True)
TOLD = {"user": "ann", "role": "operator", "limited": True, "token": None}


@dataclass
class Redirect:
    location: str
    cookie: str


class MemorySignIn:
    """A provider that lets everyone in as ``master``; ``finished`` are the attempts."""

    def __init__(self, master: IMaster) -> None:
        self.master = master
        self.there = True
        self.finished: list[tuple[str, Mapping[str, str], str]] = []

    async def available(self) -> bool:
        return self.there

    async def start_sign_in(self) -> Redirect:
        return Redirect("https://id.example/authorize?x", "the-cookie")

    async def finish_sign_in(self, cookie: str, said: Mapping[str, str], source: str) -> IMaster:
        self.finished.append((cookie, said, source))
        return self.master


class AccessRouteCase(RouteCase):
    ROUTES = ROUTES

    def setUp(self) -> None:
        super().setUp()
        self.hashed: list[tuple[str, str]] = []
        self.drawn = 0
        self.openid: MemorySignIn | None = MemorySignIn(self.master)

    async def hash_password(self, password: str, source: str) -> str:
        self.hashed.append((password, source))
        return "{scrypt}hash"

    def random(self, size: int) -> bytes:
        self.drawn += 1
        return bytes([self.drawn]) * size

    def answer(self, method: str, path: str, body: object = None, **how: Any) -> Any:
        return super().answer(method, path, body, **self.with_services(how))

    def refusal(self, error: Any, method: str, path: str, body: object = None, **how: Any) -> Any:
        return super().refusal(error, method, path, body, **self.with_services(how))

    def with_services(self, how: dict[str, Any]) -> dict[str, Any]:
        services = Services(self.random, self.hash_password, self.openid)
        return {"admitted": ANN, "services": services, **how}


class UserTests(AccessRouteCase):
    def test_the_password_of_a_new_user_is_hashed_in_the_turn_of_its_client(self) -> None:
        body = {"user_name": "bea", "password": "correct horse", "note": "x"}
        self.assertEqual(self.answer("POST", USERS, body), 1)
        wanted = AddUser(user_name="bea", password_hash="{scrypt}hash", note="x")
        self.assertEqual(self.job(), wanted)
        self.assertEqual(self.hashed, [("correct horse", "192.0.2.7")])

    def test_a_user_without_a_password_needs_no_hash(self) -> None:
        self.answer("POST", USERS, {"user_name": "bea"})
        self.assertEqual(self.job(), AddUser(user_name="bea", password_hash=None))
        self.assertEqual(self.hashed, [])

    def test_a_password_that_is_unusable_is_not_hashed(self) -> None:
        for password in ("short", "x" * 1025):
            body = {"user_name": "bea", "password": password}
            self.refusal(Invalid, "POST", USERS, body)
        self.assertEqual(self.hashed, [])

    def test_the_hash_itself_cannot_be_given(self) -> None:
        body = {"user_name": "bea", "password_hash": "{scrypt}mine"}
        error = self.refusal(Invalid, "POST", USERS, body)
        self.assertEqual([each.path for each in error.problems], ["password_hash"])

    def test_a_change_has_only_what_was_given(self) -> None:
        variables = {"user_name": "bea"}
        for body, fields in (
            ({"disabled": True}, {"disabled": True}),
            ({"remove_password": True}, {"remove_password": True}),
            ({"password": "correct horse"}, {"password_hash": "{scrypt}hash"}),
            ({"note": ""}, {"note": ""}),
        ):
            self.answer("PUT", USER, body, variables=variables)
            self.assertEqual(self.job(), ModifyUser(user_name="bea", **fields))

    def test_a_user_is_removed(self) -> None:
        self.answer("DELETE", USER, variables={"user_name": "bea"})
        self.assertEqual(self.job(), RemoveUser(user_name="bea"))

    def test_roles_are_granted(self) -> None:
        body = {"subject": "bea", "role": "viewer", "tags": ["a"]}
        self.answer("POST", "/2/access/roles", body)
        wanted = GrantRole(subject="bea", role=Role.VIEWER, tags=("a",))
        self.assertEqual(self.job(), wanted)

    def test_lists_are_what_the_master_shows_the_caller(self) -> None:
        self.master.canned[QueryAccess] = lambda request: [{"what": request.what}]
        for name in ("users", "roles", "tokens", "sessions", "openid"):
            self.assertEqual(self.answer("GET", f"/2/access/{name}"), [{"what": name}])


class TokenTests(AccessRouteCase):
    def test_the_text_of_a_token_is_answered_and_its_digest_is_kept(self) -> None:
        told = self.answer("POST", TOKENS, {})
        job = self.job()
        self.assertEqual(read_token(told["token"]), (job.token_id, job.digest))
        self.assertEqual((told["job_id"], told["id"]), (1, job.token_id))

    def test_it_is_of_the_caller_with_all_of_its_rights_unless_limited(self) -> None:
        self.answer("POST", TOKENS, {})
        job = self.job()
        found = (job.user_name, job.role, job.lifetime, job.tags)
        self.assertEqual(found, ("ann", Role.ADMIN, DEFAULT_LIFETIME, ()))
        body = {"user_name": "bea", "role": "viewer", "lifetime": 60, "owners": ["bea"]}
        self.answer("POST", TOKENS, body)
        job = self.job()
        self.assertEqual((job.user_name, job.role, job.lifetime), ("bea", "viewer", 60))
        self.assertEqual(job.owners, ("bea",))

    def test_a_lifetime_is_positive_and_a_role_is_one_of_three(self) -> None:
        body = {"lifetime": 0, "role": "root"}
        error = self.refusal(Invalid, "POST", TOKENS, body)
        self.assertEqual({each.path for each in error.problems}, {"lifetime", "role"})


class SessionTests(AccessRouteCase):
    def setUp(self) -> None:
        super().setUp()
        self.master.canned = {
            OpenSession: 3600.5,
            QueryCaller: TOLD,
            CloseSession: lambda _: None,
            EndSession: lambda _: None,
        }

    def test_a_session_has_a_cookie_whose_secret_is_kept_as_a_digest(self) -> None:
        found = self.answer("POST", SESSION)
        assert isinstance(found, WithHeaders)
        secret = base64.urlsafe_b64encode(b"\x01" * 32).rstrip(b"=").decode()
        headers = dict(found.headers)
        self.assertIn(f"={'02' * 8}_{secret}; Max-Age=3600; ", headers["Set-Cookie"])
        self.assertIn(NOT_STORED, found.headers)
        opened = OpenSession(session="02" * 8, digest=digest_of(secret))
        self.assertEqual(self.master.asked[0], opened)

    def test_the_answer_says_who_has_signed_in_until_when(self) -> None:
        value: Any = self.answer("POST", SESSION).value
        csrf = value.pop("csrf")
        self.assertEqual(value, {**TOLD, "expires": NOW + 3600.5})
        self.assertRegex(csrf, "^[0-9a-f]{64}$")

    def test_the_caller_is_told_who_it_is(self) -> None:
        self.assertEqual(self.answer("GET", SESSION), TOLD)
        self.assertEqual(self.answer("GET", "/2/access/self"), TOLD)
        token = Admitted(Caller(token="0123"), "ann", None, csrf="xyz")
        told = {**TOLD, "role": None, "limited": False, "token": "0123", "csrf": "xyz"}
        self.assertEqual(self.answer("GET", SESSION, admitted=token), told)

    def test_signing_out_removes_the_cookie(self) -> None:
        admitted = Admitted(Caller(session="0123", digest="x"), "ann", Role.VIEWER)
        found = self.answer("DELETE", SESSION, admitted=admitted)
        [(name, value)] = found.headers
        self.assertEqual(name, "Set-Cookie")
        self.assertIn("=; Max-Age=0; ", value)
        self.assertEqual(self.master.asked, [CloseSession()])

    def test_without_a_session_there_is_nothing_to_end(self) -> None:
        error = self.refusal(Refused, "DELETE", SESSION)
        self.assertEqual(error.code, Code.UNKNOWN)
        self.assertEqual(self.master.asked, [])

    def test_a_session_is_ended_by_its_id(self) -> None:
        path = "/2/access/sessions/{session_id}"
        self.assertIs(self.answer("DELETE", path, variables={"session_id": "0123"}), None)
        self.assertEqual(self.master.asked, [EndSession(session="0123")])


class OpenIdTests(AccessRouteCase):
    def test_whether_one_can_sign_in_by_a_provider_is_told_to_all(self) -> None:
        provider = self.openid
        assert provider is not None
        self.assertEqual(self.answer("GET", "/2/access/sign-in"), {"openid": True})
        provider.there = False
        self.assertEqual(self.answer("GET", "/2/access/sign-in"), {"openid": False})
        self.openid = None
        self.assertEqual(self.answer("GET", "/2/access/sign-in"), {"openid": False})

    def test_without_a_provider_there_is_no_such_resource(self) -> None:
        self.openid = None
        for path in (LOGIN, CALLBACK):
            error = self.refusal(Refused, "GET", path, cookies=(f"{COOKIE}=x".encode(),))
            self.assertEqual(str(error), "this cluster has no OpenID provider")
            self.assertEqual(error.code, Code.UNKNOWN)

    def test_a_browser_is_sent_to_the_provider_with_a_cookie(self) -> None:
        found = self.answer("GET", LOGIN)
        headers = dict(found.headers)
        self.assertEqual(found.status, HTTPStatus.SEE_OTHER)
        self.assertEqual(headers["Location"], "https://id.example/authorize?x")
        self.assertTrue(headers["Set-Cookie"].startswith(f"{COOKIE}=the-cookie; Max-Age="))
        for word in ("Secure", "HttpOnly", "SameSite=Lax"):
            self.assertIn(f"; {word}", headers["Set-Cookie"])
        self.assertEqual(headers["Cache-Control"], "no-store")

    def test_a_browser_that_comes_back_gets_a_session_of_who_has_signed_in(self) -> None:
        provider = self.openid
        assert provider is not None
        other = MemoryMaster({OpenSession: 60.0, QueryCaller: {**TOLD, "user": "openid:eve"}})
        provider.master = other
        query = {"code": ["c"], "state": ["s"]}
        cookies = (f"{COOKIE}=the-cookie".encode(),)
        found = self.answer("GET", CALLBACK, query=query, cookies=cookies)
        attempt = ("the-cookie", {"code": "c", "state": "s"}, "192.0.2.7")
        self.assertEqual(provider.finished, [attempt])
        self.assertEqual((found.status, found.value), (HTTPStatus.SEE_OTHER, None))
        self.assertIn(("Location", CONSOLE), found.headers)
        over, session = (value for key, value in found.headers if key == "Set-Cookie")
        self.assertTrue(over.startswith(f"{COOKIE}=; Max-Age=0; "))
        self.assertIn("Max-Age=60; ", session)
        self.assertEqual([type(each) for each in other.asked], [OpenSession, QueryCaller])
        self.assertEqual(self.master.asked, [])

    def test_one_that_did_not_begin_here_gets_none(self) -> None:
        error = self.refusal(Unauthenticated, "GET", CALLBACK, query={"code": ["c"]})
        self.assertIn("signing in was not begun here", str(error))
        provider = self.openid
        assert provider is not None
        self.assertEqual(provider.finished, [])


class HistoryTests(AccessRouteCase):
    def test_filters_are_those_of_the_request(self) -> None:
        self.master.canned[QueryHistory] = []
        query = {"name": ["web1"], "user": ["ann"], "since": ["1"], "until": ["2"], "limit": ["3"]}
        self.assertEqual(self.answer("GET", "/2/history", query=query), [])
        wanted = QueryHistory(name="web1", user="ann", since=1, until=2, limit=3)
        self.assertEqual(self.master.asked, [wanted])

    def test_without_filters_there_are_a_hundred_entries(self) -> None:
        self.master.canned[QueryHistory] = []
        self.answer("GET", "/2/history")
        self.assertEqual(self.master.asked, [QueryHistory(limit=100)])


class LevelTests(AccessRouteCase):
    def test_only_what_signs_in_is_public(self) -> None:
        public = {
            route.path
            for route in ROUTES
            for verb in route.verbs.values()
            if verb.access is AccessLevel.PUBLIC
        }
        self.assertEqual(public, {"/2/access/sign-in", LOGIN, CALLBACK})

    def test_users_and_roles_are_changed_by_administrators(self) -> None:
        own = {TOKENS, f"{TOKENS}/{{token_id}}", SESSION, "/2/access/sessions/{session_id}"}
        for route in ROUTES:
            for method, verb in route.verbs.items():
                if method != "GET" and route.path not in own:
                    self.assertIs(verb.access, AccessLevel.ADMIN, f"{method} {route.path}")
