# SPDX-License-Identifier: BSD-2-Clause
"""Signing in by an OpenID provider, and what does not count as that."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from joserfc.jwk import RSAKey

from ganeti.model.users import OpenIdProvider, Role
from ganeti.rapi.openid import AGAIN_SECONDS, SIGN_IN_TIMEOUT, OpenIdClient, SignIn
from ganeti.rapi.verbs import Services
from ganeti.testing.openid import ISSUER, TestProvider
from tests.master.access.case import a_grant, a_user
from tests.rapi.access.case import HASH, SecuredCase
from tests.rapi.asking import Answer

CALLBACK = "https://cluster:5080/2/access/openid/callback"


class OpenIdCase(SecuredCase):
    def setUp(self) -> None:
        super().setUp()
        self.put(
            OpenIdProvider(
                uuid=self.master.config.state().cluster.uuid,
                issuer=ISSUER,
                client_id="ganeti",
                client_secret="s3cret",
                redirect_uri=CALLBACK,
            ),
            a_grant("group:devs", Role.OPERATOR, "team-a"),
        )

    def services(self) -> Services:
        clock = self.cluster.clock
        self.provider = TestProvider(clock.seconds, secret="s3cret")
        client = OpenIdClient(self.provider.fetch, clock.seconds, clock.seconds, self.random)
        return Services(self.random, super().services().hash_password, SignIn(client, self.wire))

    def begin(self) -> Answer:
        answer = self.ask("GET", "/2/access/openid/login")
        self.assertEqual(answer.status, 303, answer.body)
        return answer

    def come_back(
        self, begun: Answer, back: str = "", cookie: str | None = None, accept: str = "*/*"
    ) -> Answer:
        """The answer to a browser that the provider has sent back."""
        back = back or self.provider.authorize(begun.headers["Location"])
        parts = urlsplit(back)
        value = begun.headers["Set-Cookie"].partition(";")[0] if cookie is None else cookie
        headers = f"Cookie: {value}\r\nAccept: {accept}\r\n"
        return self.ask("GET", f"{parts.path}?{parts.query}", headers=headers)

    def session(self, answer: Answer) -> dict[str, Any]:
        value = answer.headers["Set-Cookie"].partition(";")[0]
        told: dict[str, Any] = self.ask(
            "GET", "/2/access/session", headers=f"Cookie: {value}\r\n"
        ).value
        return told


class SignInTests(OpenIdCase):
    def test_a_browser_goes_to_the_provider_and_comes_back_signed_in(self) -> None:
        answer = self.come_back(self.begin())
        self.assertEqual((answer.status, answer.headers["Location"]), (303, "/ui/"))
        told = self.session(answer)
        self.assertEqual(
            (told["user"], told["role"], told["limited"]), ("openid:eve", "operator", True)
        )

    def test_the_groups_decide_and_not_the_name(self) -> None:
        self.put(a_user("eve", password=HASH), a_grant("eve", Role.ADMIN))
        self.provider.claims["groups"] = ["others"]
        self.assertEqual(self.session(self.come_back(self.begin()))["code"], 403)

    def test_sessions_end_when_there_is_no_provider_any_more(self) -> None:
        answer = self.come_back(self.begin())
        self.change(lambda state: state.remove(state.openid) if state.openid else state)
        self.assertEqual(self.session(answer)["code"], 401)
        self.assertEqual(self.ask("GET", "/2/access/openid/login").status, 404)

    def test_the_secret_is_shown_to_nobody(self) -> None:
        told = self.ask("GET", "/2/access/openid", user="root")
        self.assertEqual(told.value[0]["issuer"], ISSUER)
        self.assertNotIn(b"s3cret", told.body)
        self.assertEqual(self.ask("GET", "/2/access/openid", user="vic").value, [])

    def test_new_keys_of_the_provider_are_fetched(self) -> None:
        self.come_back(self.begin())
        self.cluster.pass_time(AGAIN_SECONDS)
        self.provider.key = RSAKey.generate_key(2048, {"kid": "two"})
        self.assertEqual(self.come_back(self.begin()).status, 303)


class AttackTests(OpenIdCase):
    def refused(self, answer: Answer, status: int = 401) -> None:
        self.assertEqual(answer.status, status, answer.body)
        self.assertNotIn("ganeti-session", answer.headers.get("Set-Cookie", ""))

    def test_tokens_that_are_not_for_this_sign_in_are_refused(self) -> None:
        now = int(self.cluster.clock.seconds())
        for over in (
            {"aud": "another"},
            {"aud": ["ganeti", "another"], "azp": "another"},
            {"iss": "https://evil.example"},
            {"exp": now - 600},
            {"exp": "never"},
            {"iat": now + 600},
            {"nonce": "another"},
            {"preferred_username": ""},
            {"preferred_username": "a\u202eb"},
            {"preferred_username": ["eve"]},
        ):
            self.provider.over = over
            self.refused(self.come_back(self.begin()))

    def test_tokens_that_the_provider_has_not_signed_are_refused(self) -> None:
        self.provider.signing = RSAKey.generate_key(2048, {"kid": "one"})
        self.refused(self.come_back(self.begin()))
        for self.provider.algorithm in ("none", "HS256"):
            self.refused(self.come_back(self.begin()))

    def test_a_browser_is_not_signed_in_by_what_another_one_has_begun(self) -> None:
        mine, theirs = self.begin(), self.begin()
        back = self.provider.authorize(theirs.headers["Location"])
        self.refused(self.come_back(mine, back))
        for cookie in ("", "__Host-ganeti-openid=", "__Host-ganeti-openid=AAAA"):
            self.refused(self.come_back(mine, cookie=cookie))

    def test_a_code_works_once(self) -> None:
        begun = self.begin()
        back = self.provider.authorize(begun.headers["Location"])
        self.assertEqual(self.come_back(begun, back).status, 303)
        self.refused(self.come_back(begun, back))

    def test_the_answer_of_another_provider_is_refused(self) -> None:
        begun = self.begin()
        back = self.provider.authorize(begun.headers["Location"])
        self.refused(self.come_back(begun, back.partition("&iss=")[0] + "&iss=https://evil"))

    def test_who_takes_too_long_begins_again(self) -> None:
        begun = self.begin()
        self.cluster.pass_time(SIGN_IN_TIMEOUT + 1)
        self.refused(self.come_back(begun))

    def test_a_provider_that_does_not_answer_as_one_is_told(self) -> None:
        self.provider.mute = True
        self.assertEqual(self.ask("GET", "/2/access/openid/login").status, 502)
        self.provider.mute, self.provider.issuer = False, "https://evil.example/realm"
        self.assertEqual(self.ask("GET", "/2/access/openid/login").status, 502)

    def test_why_it_has_refused_is_told_without_control_characters(self) -> None:
        begun = self.begin()
        state = begun.headers["Location"].partition("&state=")[2].partition("&")[0]
        answer = self.come_back(
            begun, f"{CALLBACK}?state={state}&error=access_denied&error_description=no%1B%5B2J"
        )
        self.refused(answer)
        self.assertIn("no\\x1b[2J", answer.message)


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class PageTests(OpenIdCase):
    """What a person sees who is not signed in."""

    def failed(self, description: str = "no") -> Answer:
        begun = self.begin()
        state = begun.headers["Location"].partition("&state=")[2].partition("&")[0]
        said = f"state={state}&error=access_denied&error_description={quote(description)}"
        return self.come_back(begun, f"{CALLBACK}?{said}", accept=BROWSER)

    def test_a_browser_is_shown_why_and_how_to_go_on(self) -> None:
        answer = self.failed()
        self.assertEqual(answer.status, 401)
        self.assertEqual(answer.headers["Content-Type"], "text/html; charset=utf-8")
        page = answer.body.decode()
        self.assertIn("The OpenID provider has refused: no.", page)
        self.assertIn('href="/2/access/openid/login"', page)
        self.assertIn('href="/ui/"', page)

    def test_no_password_is_asked_for_in_a_dialog(self) -> None:
        self.assertNotIn("WWW-Authenticate", self.failed().headers)

    def test_what_the_provider_says_is_no_markup(self) -> None:
        answer = self.failed("<script>alert(1)</script>")
        self.assertNotIn(b"<script", answer.body)
        self.assertIn(b"&lt;script&gt;", answer.body)
        self.assertIn("default-src 'none'", answer.headers["Content-Security-Policy"])

    def test_the_address_with_the_code_goes_to_no_other_page(self) -> None:
        headers = self.failed().headers
        self.assertEqual(headers["Referrer-Policy"], "no-referrer")
        self.assertEqual(headers["Cache-Control"], "no-store")

    def test_a_provider_that_does_not_answer_is_told_in_the_same_way(self) -> None:
        self.provider.mute = True
        path = "/2/access/openid/login"
        answer = self.ask("GET", path, headers=f"Accept: {BROWSER}\r\n")
        self.assertEqual(answer.status, 502)
        self.assertIn(b"You are not signed in", answer.body)

    def test_programs_get_json(self) -> None:
        for accept in ("*/*", "application/json", "application/json, text/html"):
            answer = self.come_back(self.begin(), cookie="", accept=accept)
            self.assertIn("begin again", answer.message)
