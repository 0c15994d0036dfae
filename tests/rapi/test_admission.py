# SPDX-License-Identifier: BSD-2-Clause
"""Who sends a request is known by one of several logins, and denials are noted without secrets."""

from __future__ import annotations

from base64 import b64encode
from http import HTTPStatus
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from ganeti.access.tokens import digest_of, new_token
from ganeti.errors import AccessDenied, Unauthenticated
from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import QueryCaller, RecordDenial
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.model.users import Role
from ganeti.rapi.admission import (
    RECORDED_BURST,
    Admission,
    RequestCredentials,
    client_address,
    credentials_of,
    file_role,
)
from ganeti.rapi.authentication import AccessLevel, Authenticator
from ganeti.rapi.cookies import Cookie, set_cookie
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.verbs import Admitted, Verb, asks
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import NodeClient

SOURCE = "192.0.2.7"
COOKIE = Cookie("0123456789abcdef", "s" * 43)
TOKEN = new_token(lambda size: b"x" * size)
BEARER = f"Bearer {TOKEN.text}".encode()


def basic(user: str, password: str) -> bytes:
    return b"Basic " + b64encode(f"{user}:{password}".encode())


async def answer(call: object, values: object, body: object) -> object:
    """Return something."""
    return None


def verb(access: AccessLevel = AccessLevel.LOGIN, **over: Any) -> Verb:
    return asks(answer, access=access, **over)


class AddressTests(SynchronousTestCase):
    PROXIES = frozenset(("192.0.2.10", "192.0.2.11"))

    def address(self, peer: str, *lines: str) -> str:
        headers = Headers({"X-Forwarded-For": list(lines)} if lines else {})
        return client_address(peer, headers, self.PROXIES)

    def test_without_a_proxy_it_is_that_of_the_connection(self) -> None:
        self.assertEqual(self.address(SOURCE), SOURCE)
        self.assertEqual(self.address(SOURCE, "198.51.100.1"), SOURCE)

    def test_a_proxy_says_whose_request_it_passes_on(self) -> None:
        self.assertEqual(self.address("192.0.2.10", SOURCE), SOURCE)
        self.assertEqual(self.address("192.0.2.10"), "192.0.2.10")

    def test_the_last_that_is_no_proxy_counts(self) -> None:
        self.assertEqual(self.address("192.0.2.10", f"127.0.0.1, {SOURCE}, 192.0.2.11"), SOURCE)
        self.assertEqual(self.address("192.0.2.10", "127.0.0.1", SOURCE), SOURCE)

    def test_what_a_proxy_says_is_bounded(self) -> None:
        self.assertEqual(self.address("192.0.2.10", "x" * 100), "x" * 64)
        self.assertEqual(self.address("192.0.2.10", " , "), "192.0.2.10")


class CredentialTests(SynchronousTestCase):
    def shown(self, **headers: str) -> RequestCredentials:
        raw = {name.replace("_", "-"): [value] for name, value in headers.items()}
        return credentials_of(Headers(raw), SOURCE, "/2/x")

    def test_a_request_may_show_nothing(self) -> None:
        shown = self.shown(host="cluster")
        self.assertEqual(shown, RequestCredentials(source=SOURCE, path="/2/x"))
        self.assertFalse(shown.anything)

    def test_a_session_is_in_a_cookie_with_a_token_of_changes(self) -> None:
        shown = self.shown(cookie=set_cookie(COOKIE, 9).partition(";")[0], x_csrf_token="abc")
        self.assertEqual((shown.cookie, shown.csrf), (COOKIE, "abc"))
        self.assertTrue(shown.anything)

    def test_a_page_of_this_server_has_its_host(self) -> None:
        for origin, same in (
            ("https://cluster:5080", True),
            ("https://CLUSTER:5080", True),
            ("https://evil.example", False),
            ("null", False),
            ("http://[x", False),
        ):
            shown = self.shown(origin=origin, host="Cluster:5080")
            self.assertEqual(shown.same_origin, same, origin)

    def test_whose_they_claim_to_be_is_told_without_secrets(self) -> None:
        for authorization, claimed in (
            (basic("ann", "secret"), "ann"),
            (BEARER, f"token {TOKEN.token_id}"),
            (b"Bearer gnt_short", "an unreadable token"),
            (b"Basic a", "unreadable credentials"),
            (b"Basic " + b64encode(b"\xff:x"), "unreadable credentials"),
        ):
            shown = RequestCredentials(authorization=authorization)
            self.assertEqual(shown.claimed, claimed)
            self.assertNotIn("secret", shown.claimed)
        self.assertEqual(RequestCredentials(cookie=COOKIE).claimed, f"session {COOKIE.session_id}")
        self.assertEqual(RequestCredentials().claimed, "")


class AdmissionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = MemoryMaster({QueryCaller: self.describe})
        self.told: Any = {"user": "ann", "role": "operator", "limited": False}
        asker = NodeClient(self.master, self.mktemp())
        self.clock: Clock = asker.clock
        authenticator = Authenticator(asker.users, asker.checker, self.clock.seconds)
        self.admission = Admission(authenticator, self.master)
        self.addCleanup(self.admission.stop)

    def describe(self, _: object) -> object:
        return self.told

    def admit(self, verb: Verb, method: str = "GET", **shown: Any) -> Admitted:
        credentials = RequestCredentials(source=SOURCE, path="/2/x", **shown)
        admitted: Admitted = self.successResultOf(self.admission.admit(verb, method, credentials))
        return admitted

    def refusal(self, error: type[Exception], verb: Verb, method: str = "GET", **shown: Any) -> Any:
        credentials = RequestCredentials(source=SOURCE, path="/2/x", **shown)
        return self.failureResultOf(self.admission.admit(verb, method, credentials), error).value


class AnonymousTests(AdmissionCase):
    def test_what_is_open_needs_no_login(self) -> None:
        for access in (AccessLevel.PUBLIC, AccessLevel.OPEN, AccessLevel.TICKET):
            admitted = self.admit(verb(access))
            self.assertEqual((admitted.user, admitted.role), ("", Role.VIEWER))
        self.assertEqual(self.master.callers, [])

    def test_everything_else_does(self) -> None:
        levels = (AccessLevel.LOGIN, AccessLevel.METERED, AccessLevel.WRITE, AccessLevel.ADMIN)
        for access in levels:
            error = self.refusal(Unauthenticated, verb(access))
            self.assertEqual(str(error), "log in with a user of this cluster")

    def test_credentials_are_not_looked_at_where_none_are_needed(self) -> None:
        self.admit(verb(AccessLevel.PUBLIC), authorization=b"Basic nonsense")


class FileUserTests(AdmissionCase):
    def test_one_that_may_write_is_an_administrator(self) -> None:
        admitted = self.admit(verb(AccessLevel.ADMIN), authorization=basic("auto", "xyz789"))
        self.assertEqual((admitted.user, admitted.role), ("auto", Role.ADMIN))
        self.assertFalse(admitted.limited)

    def test_one_that_may_read_is_a_viewer(self) -> None:
        shown: dict[str, Any] = {"authorization": basic("rita", "xyz789")}
        self.assertIs(self.admit(verb(), **shown).role, Role.VIEWER)
        for access in (AccessLevel.WRITE, AccessLevel.ADMIN):
            error = self.refusal(HttpProblem, verb(access), "PUT", **shown)
            self.assertEqual(error.status, HTTPStatus.FORBIDDEN)
            self.assertIn("user rita may only read; the option write", str(error))

    def test_a_wrong_password_is_refused_where_none_is_needed_too(self) -> None:
        for access in (AccessLevel.OPEN, AccessLevel.LOGIN):
            shown: dict[str, Any] = {"authorization": basic("auto", "wrong")}
            error = self.refusal(HttpProblem, verb(access), **shown)
            self.assertEqual(error.status, HTTPStatus.UNAUTHORIZED)


class TokenTests(AdmissionCase):
    def test_a_token_is_whoever_the_master_says(self) -> None:
        admitted = self.admit(verb(AccessLevel.WRITE), "PUT", authorization=BEARER)
        self.assertEqual((admitted.user, admitted.role), ("ann", Role.OPERATOR))
        caller = Caller(token=TOKEN.token_id, digest=TOKEN.digest, source=SOURCE)
        self.assertEqual(self.master.callers, [caller])

    def test_a_malformed_one_is_refused_without_the_master(self) -> None:
        error = self.refusal(Unauthenticated, verb(), authorization=b"bearer gnt_x")
        self.assertIn("the token is malformed", str(error))

    def test_failures_are_counted(self) -> None:
        self.told = Unauthenticated("the token is unknown")
        seen = set()
        for _ in range(100):
            credentials = RequestCredentials(authorization=BEARER, source=SOURCE)
            failed = self.failureResultOf(self.admission.admit(verb(), "GET", credentials))
            seen.add(getattr(failed.value, "status", HTTPStatus.UNAUTHORIZED))
        self.assertEqual(seen, {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})


class SessionTests(AdmissionCase):
    def test_looking_needs_the_cookie_only(self) -> None:
        for method in ("GET", "HEAD", "OPTIONS"):
            admitted = self.admit(verb(), method, cookie=COOKIE)
            self.assertEqual((admitted.user, admitted.csrf), ("ann", COOKIE.csrf))
        caller = Caller(session=COOKIE.session_id, digest=digest_of(COOKIE.secret), source=SOURCE)
        self.assertEqual(self.master.callers[0], caller)

    def test_a_change_needs_the_token_and_a_page_of_this_server(self) -> None:
        self.admit(verb(AccessLevel.WRITE), "PUT", cookie=COOKIE, csrf=COOKIE.csrf)
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            for shown in (
                {},
                {"csrf": "x"},
                {"csrf": "\xe9"},
                {"csrf": COOKIE.csrf, "same_origin": False},
            ):
                error = self.refusal(HttpProblem, verb(), method, cookie=COOKIE, **shown)
                self.assertEqual(error.status, HTTPStatus.FORBIDDEN)
                self.assertIn("X-CSRF-Token", str(error))

    def test_a_login_goes_before_a_cookie(self) -> None:
        admitted = self.admit(verb(), "PUT", cookie=COOKIE, authorization=basic("auto", "xyz789"))
        self.assertEqual((admitted.user, admitted.csrf), ("auto", ""))


class RoleTests(AdmissionCase):
    def test_a_user_without_a_role_is_told_how_to_get_one(self) -> None:
        self.told = {"user": "nix", "role": None, "limited": True}
        error = self.refusal(AccessDenied, verb(), authorization=BEARER)
        self.assertIn("user nix has no role; an administrator can grant one", str(error))

    def test_a_role_that_is_too_low_is_named(self) -> None:
        error = self.refusal(AccessDenied, verb(AccessLevel.ADMIN), authorization=BEARER)
        told = "this needs the role admin; user ann has the role operator"
        self.assertEqual(str(error), told)

    def test_what_is_about_the_whole_cluster_is_for_roles_without_limits(self) -> None:
        self.told = {"user": "ann", "role": "admin", "limited": True}
        self.assertTrue(self.admit(verb(), authorization=BEARER).limited)
        error = self.refusal(AccessDenied, verb(unlimited=True), authorization=BEARER)
        self.assertIn("the role of user ann is limited to some instances", str(error))

    def test_a_user_of_the_file_has_one_of_two_roles(self) -> None:
        users = NodeClient(self.master, self.mktemp()).users
        users.reload_if_changed()
        found = {name: users.user(name) for name in ("auto", "rita")}
        roles = {name: file_role(user) for name, user in found.items() if user is not None}
        self.assertEqual(roles, {"auto": Role.ADMIN, "rita": Role.VIEWER})


class DenialTests(AdmissionCase):
    def setUp(self) -> None:
        super().setUp()
        self.noted: list[RecordDenial] = []
        self.master.canned[RecordDenial] = lambda entry: self.noted.append(entry)

    def test_a_denial_says_who_what_and_why(self) -> None:
        self.refusal(
            HttpProblem, verb(AccessLevel.WRITE), "PUT", authorization=basic("rita", "xyz789")
        )
        [entry] = self.noted
        self.assertEqual((entry.who, entry.how), ("rita", f"from {SOURCE}"))
        self.assertEqual(entry.what, "PUT /2/x")
        self.assertIn("may only read", entry.why)

    def test_one_that_shows_nothing_is_not_noted(self) -> None:
        self.refusal(Unauthenticated, verb())
        self.assertEqual(self.noted, [])

    def test_only_refusals_of_the_caller_are(self) -> None:
        self.told = MasterNotRunning("the master daemon is not running")
        self.refusal(MasterNotRunning, verb(), authorization=BEARER)
        self.assertEqual(self.noted, [])

    def test_a_flood_of_one_source_is_noted_only_so_often(self) -> None:
        for _ in range(RECORDED_BURST + 20):
            self.refusal(HttpProblem, verb(), "PUT", cookie=COOKIE)
        self.assertEqual(len(self.noted), RECORDED_BURST)

    def test_a_note_that_cannot_be_made_changes_no_answer(self) -> None:
        self.master.canned[RecordDenial] = MasterNotRunning("the master daemon is not running")
        self.refusal(HttpProblem, verb(), "PUT", cookie=COOKIE)
