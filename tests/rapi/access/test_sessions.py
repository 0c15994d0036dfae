# SPDX-License-Identifier: BSD-2-Clause
"""Browsers sign in once; other sites' pages cannot use that."""

from __future__ import annotations

from typing import Any

from ganeti.config.changes.access import revoke_token, update_user
from ganeti.luxi.server import LuxiMethods
from ganeti.master.access.sessions import IDLE, LIFETIME, MAX_OF_USER
from tests.master.access.case import a_token
from tests.rapi.access.case import SecuredCase, bearer
from tests.rapi.asking import AUTO, Answer

TOKEN = "0123456789abcdef"


def session_id(answer: Answer) -> str:
    """The id of a session, as lists show it, from the cookie that signing in has set."""
    return answer.headers["Set-Cookie"].partition("=")[2].partition("_")[0]


class SessionCase(SecuredCase):
    def sign_in(self, **how: Any) -> Answer:
        answer = self.ask("POST", "/2/access/session", **how)
        self.assertEqual(answer.status, 200, answer.body)
        return answer

    def cookie(self, answer: Answer, csrf: str | None = None) -> str:
        """The headers that a browser sends afterwards, and with ``csrf`` a page's script."""
        value = answer.headers["Set-Cookie"].partition(";")[0]
        token = "" if csrf is None else f"X-CSRF-Token: {csrf}\r\n"
        return f"Cookie: {value}\r\n{token}"

    def get(self, answer: Answer, path: str = "/2/access/session") -> Answer:
        return self.ask("GET", path, headers=self.cookie(answer))


class CookieTests(SessionCase):
    def test_a_session_is_in_a_cookie_that_scripts_and_other_sites_cannot_use(self) -> None:
        answer = self.sign_in(user="oli")
        cookie = answer.headers["Set-Cookie"]
        self.assertTrue(cookie.startswith("__Host-ganeti-session="))
        for word in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
            self.assertIn(f"; {word}", cookie)
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        self.assertEqual(answer.value["role"], "operator")

    def test_a_session_is_whoever_has_signed_in(self) -> None:
        self.put(a_token(TOKEN, "root"))
        for how, user, rows in (
            ({"user": "ann"}, "ann", 2),
            ({"headers": AUTO}, "auto", 3),
            ({"headers": bearer(TOKEN)}, "root", 3),
        ):
            session = self.sign_in(**how)
            self.assertEqual(self.get(session).value["user"], user)
            self.assertEqual(len(self.get(session, "/2/instances").value), rows)

    def test_signing_out_ends_it(self) -> None:
        session = self.sign_in(user="ann")
        headers = self.cookie(session, session.value["csrf"])
        out = self.ask("DELETE", "/2/access/session", headers=headers)
        self.assertEqual(out.status, 200)
        self.assertIn("Max-Age=0", out.headers["Set-Cookie"])
        self.assertEqual(self.get(session).status, 401)

    def test_who_guesses_a_cookie_has_no_session(self) -> None:
        session = self.sign_in(user="ann")
        value = session.headers["Set-Cookie"].partition(";")[0]
        for wrong in (value[:-1], value[:-1] + "_", value.replace("session=", "session=0"), ""):
            self.assertEqual(self.ask("GET", "/2/info", headers=f"Cookie: {wrong}\r\n").status, 401)
        twice = f"Cookie: {value}; {value}\r\n"
        self.assertEqual(self.ask("GET", "/2/info", headers=twice).status, 401)

    def test_a_session_makes_no_further_one(self) -> None:
        session = self.sign_in(user="ann")
        headers = self.cookie(session, session.value["csrf"])
        self.assertEqual(self.ask("POST", "/2/access/session", headers=headers).status, 403)


class ForgeryTests(SessionCase):
    def test_a_change_needs_the_token_in_a_header(self) -> None:
        session = self.sign_in(user="oli")
        path = "/2/instances/web1/shutdown"
        for csrf in (None, "", "0" * 64, session.value["csrf"][:-1]):
            refused = self.ask("PUT", path, headers=self.cookie(session, csrf))
            self.assertEqual(refused.status, 403, csrf)
            self.assertIn("X-CSRF-Token", refused.message)
        headers = self.cookie(session, session.value["csrf"])
        self.assertEqual(self.ask("PUT", path, headers=headers).status, 200)

    def test_a_page_of_another_site_is_refused_even_with_it(self) -> None:
        session = self.sign_in(user="oli")
        headers = self.cookie(session, session.value["csrf"])
        for origin, status in (("https://evil.example", 403), ("null", 403), ("https://x", 200)):
            answer = self.ask(
                "PUT", "/2/instances/web1/shutdown", headers=f"{headers}Origin: {origin}\r\n"
            )
            self.assertEqual(answer.status, status, origin)

    def test_the_token_of_one_session_is_not_that_of_another(self) -> None:
        first, second = self.sign_in(user="oli"), self.sign_in(user="oli")
        headers = self.cookie(first, second.value["csrf"])
        self.assertEqual(self.ask("PUT", "/2/instances/web1/shutdown", headers=headers).status, 403)

    def test_programs_need_no_such_token(self) -> None:
        self.assertEqual(self.ask("PUT", "/2/instances/web1/shutdown", user="oli").status, 200)


class OtherSessionTests(SessionCase):
    """Sessions are seen by those whose they are, and by administrators, who can end them."""

    def listed(self, **how: Any) -> list[tuple[str, str]]:
        rows = self.ask("GET", "/2/access/sessions", **how).value
        return [(row["user"], row["id"]) for row in rows]

    def test_each_user_sees_its_own_and_administrators_see_all(self) -> None:
        ann, oli = self.sign_in(user="ann"), self.sign_in(user="oli")
        of_ann, of_oli = ("ann", session_id(ann)), ("oli", session_id(oli))
        self.assertEqual(self.listed(user="ann"), [of_ann])
        self.assertEqual(self.listed(user="root"), [of_ann, of_oli])

    def test_no_list_has_the_secret_or_its_digest(self) -> None:
        session = self.sign_in(user="ann")
        (row,) = self.ask("GET", "/2/access/sessions", user="ann").value
        fields = {"id", "user", "source", "token", "created", "used", "expires"}
        self.assertEqual(row.keys(), fields)
        secret = session.headers["Set-Cookie"].partition(";")[0].rpartition("_")[2]
        self.assertNotIn(secret, str(row))

    def test_one_that_is_ended_is_refused_at_once_also_while_it_reads_events(self) -> None:
        session = self.sign_in(user="ann")
        channel, transport = self.connect()
        head = f"GET /2/events HTTP/1.1\r\nHost: x\r\n{self.cookie(session)}\r\n"
        channel.dataReceived(head.encode())
        self.cluster.pass_time(1)
        path = f"/2/access/sessions/{session_id(session)}"
        self.assertEqual(self.ask("DELETE", path, user="root").status, 200)
        self.assertEqual(self.get(session).status, 401)
        self.assertTrue(transport.disconnecting)

    def test_those_of_others_are_as_if_they_were_not_there(self) -> None:
        session = self.sign_in(user="ann")
        path = f"/2/access/sessions/{session_id(session)}"
        refused = self.ask("DELETE", path, user="oli")
        missing = self.ask("DELETE", "/2/access/sessions/0123456789abcdef", user="oli")
        self.assertEqual((refused.status, missing.status), (404, 404))
        self.assertEqual(self.get(session).status, 200)


class RestartTests(SessionCase):
    def test_a_session_survives_a_restart_of_the_master_daemon(self) -> None:
        session = self.sign_in(user="ann")
        self.restart_master()
        self.assertEqual(self.get(session).value["user"], "ann")

    def test_one_that_was_ended_does_not_come_back(self) -> None:
        session = self.sign_in(user="ann")
        headers = self.cookie(session, session.value["csrf"])
        self.ask("DELETE", "/2/access/session", headers=headers)
        self.restart_master()
        self.assertEqual(self.get(session).status, 401)

    def test_time_goes_on_while_no_master_runs(self) -> None:
        session = self.sign_in(user="ann")
        self.restart_master(after=IDLE)
        self.assertEqual(self.get(session).status, 401)

    def restart_master(self, after: float = 0.0) -> None:
        self.cluster.kill_master()
        self.cluster.pass_time(after)
        self.cluster.start_master()
        self.master = self.cluster.master
        self.methods = LuxiMethods(self.master.answers(), self.master.gate)


class ScriptTests(SessionCase):
    def test_the_script_of_a_page_is_not_challenged_to_a_dialog_of_the_browser(self) -> None:
        for method in ("GET", "POST"):
            path = "/2/access/session"
            asked = self.ask(method, path, {"x": 1} if method == "POST" else None)
            self.assertIn("Basic", asked.headers["WWW-Authenticate"])
            script = "X-Requested-With: XMLHttpRequest\r\n"
            body = {"x": 1} if method == "POST" else None
            asked = self.ask(method, path, body, headers=script)
            self.assertEqual(asked.status, 401)
            self.assertNotIn("Basic", asked.headers["WWW-Authenticate"])


class EndTests(SessionCase):
    def test_a_session_ends_with_what_was_shown_to_sign_in(self) -> None:
        self.put(a_token(TOKEN, "root"))
        by_token, by_password = self.sign_in(token=TOKEN), self.sign_in(user="ann")
        by_file = self.sign_in(headers=AUTO)
        self.change(revoke_token(TOKEN))
        self.change(update_user("ann", disabled=True))
        with open(self.users._path, "w") as file:
            file.write("auto {cleartext}another write\n")
        self.cluster.pass_time(1)
        for session in (by_token, by_password, by_file):
            self.assertEqual(self.get(session).status, 401)

    def test_an_idle_session_ends_and_one_in_use_does_not(self) -> None:
        session = self.sign_in(user="ann")
        for _ in range(3):
            self.cluster.pass_time(IDLE - 60)
            self.assertEqual(self.get(session, "/2/instances").status, 200)
        self.cluster.pass_time(IDLE)
        self.assertEqual(self.get(session).status, 401)

    def test_looking_at_events_is_no_use_of_a_session(self) -> None:
        session = self.sign_in(user="vic")
        channel, transport = self.connect()
        head = f"GET /2/events HTTP/1.1\r\nHost: x\r\n{self.cookie(session)}\r\n"
        channel.dataReceived(head.encode())
        self.cluster.pass_time(IDLE - 60)
        self.assertFalse(transport.disconnecting)
        self.cluster.pass_time(120)
        self.assertTrue(transport.disconnecting)

    def test_no_session_lasts_for_ever(self) -> None:
        session = self.sign_in(user="ann")
        for _ in range(int(LIFETIME // 900) - 1):
            self.cluster.pass_time(900)
            self.assertEqual(self.get(session, "/2/instances").status, 200)
        self.cluster.pass_time(900)
        self.assertEqual(self.get(session).status, 401)

    def test_one_user_does_not_push_out_the_sessions_of_others(self) -> None:
        other = self.sign_in(user="vic")
        sessions = [self.sign_in(user="ann") for _ in range(MAX_OF_USER + 1)]
        self.assertEqual(self.get(sessions[0]).status, 401)
        self.assertEqual(self.get(sessions[1]).status, 200)
        self.assertEqual(self.get(other).status, 200)
