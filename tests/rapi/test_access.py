# SPDX-License-Identifier: BSD-2-Clause
"""Who may do what."""

from __future__ import annotations

import os

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.luxi.methods import QueryTags
from ganeti.rapi.access import Access, Authenticator, UsersFile, UsersFileChecker
from ganeti.rapi.users import scrypt_line
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import AUTO, Asker, at_once, basic

JACK = basic("jack", "abc123")


class RightsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.master = MemoryMaster({QueryTags: ["a"]})
        self.asker = Asker(self.master, self.path)

    def status(self, method: str, path: str, headers: str) -> int:
        return self.asker.ask(method, path, headers=headers).status

    def test_reading_needs_no_login(self) -> None:
        self.assertEqual(self.status("GET", "/2/tags", ""), 200)

    def test_a_wrong_login_is_refused_even_where_none_is_needed(self) -> None:
        for header in (
            basic("jack", "wrong"),
            basic("nobody", "abc123"),
            "Authorization: Bearer x\r\n",
            "Authorization: Basic ???\r\n",
            "Authorization: Basic YWJj\r\n",
        ):
            self.assertEqual(self.status("GET", "/2/tags", header), 401)

    def test_the_realm_is_the_one_that_clients_wait_for(self) -> None:
        answer = self.asker.ask("PUT", "/2/tags?tag=a", headers="")
        self.assertEqual(answer.status, 401)
        self.assertEqual(answer.headers["WWW-Authenticate"], 'Basic realm="Ganeti Remote API"')
        self.assertIn("log in", answer.message)

    def test_changing_needs_the_right_to_write(self) -> None:
        for header, status in ((JACK, 403), (basic("rita", "xyz789"), 403), (AUTO, 200)):
            self.assertEqual(self.status("PUT", "/2/tags?tag=a", header), status)
        self.assertEqual(len(self.master.jobs), 1)

    def test_some_answers_need_a_login_of_any_kind(self) -> None:
        path = "/2/query/nonsense?fields=name"
        self.assertEqual([self.status("GET", path, h) for h in ("", JACK)], [401, 404])

    def test_a_server_can_want_a_login_from_everybody(self) -> None:
        self.asker = Asker(self.master, self.path, login_always=True)
        self.assertEqual([self.status("GET", "/2/tags", h) for h in ("", JACK)], [401, 200])


class CheckerTests(SynchronousTestCase):
    """What ``twisted.cred`` asks of a checker."""

    def setUp(self) -> None:
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("jack {cleartext}abc123")
        self.checker = UsersFileChecker(UsersFile(path, lambda: 0.0), at_once)
        verifyObject(ICredentialsChecker, self.checker)

    def test_the_right_password_gives_the_name_of_the_user(self) -> None:
        login = UsernamePassword(b"jack", b"abc123")
        self.assertEqual(self.successResultOf(self.checker.requestAvatarId(login)), b"jack")

    def test_anything_else_is_unauthorized(self) -> None:
        for name, password in ((b"jack", b"abc"), (b"fred", b"abc123"), (b"jack", b"\xff")):
            login = UsernamePassword(name, password)
            self.failureResultOf(self.checker.requestAvatarId(login), UnauthorizedLogin)


class UsersFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.now = 0.0
        self.users = UsersFile(self.path, lambda: self.now)

    def write(self, text: str) -> None:
        with open(self.path + ".new", "w") as file:
            file.write(text)
        os.replace(self.path + ".new", self.path)

    def names(self, *names: str) -> list[bool]:
        self.now += 1
        return [self.users.user(name) is not None for name in names]

    def test_a_change_is_seen_within_a_second(self) -> None:
        self.write("jack a")
        self.assertEqual(self.names("jack", "fred"), [True, False])
        self.write("fred b")
        self.assertIsNotNone(self.users.user("jack"))
        self.assertEqual(self.names("jack", "fred"), [False, True])

    def test_without_a_file_nobody_is_known_until_there_is_one(self) -> None:
        self.assertEqual(self.names("jack"), [False])
        self.write("jack a")
        self.assertEqual(self.names("jack"), [True])
        os.unlink(self.path)
        self.assertEqual(self.names("jack"), [False])
        with open(self.path, "wb") as file:
            file.write(b"\xff\xff")
        self.assertEqual(self.names("jack"), [False])


class SlowHashTests(SynchronousTestCase):
    def test_a_slow_check_is_done_once_and_one_at_a_time(self) -> None:
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(scrypt_line("sue", "s3cret", b"0" * 16))
        checks: list[Deferred[bool]] = []

        async def in_thread(check: object) -> bool:
            checks.append(Deferred())
            return await checks[-1]

        users = UsersFile(path, lambda: 0.0)
        authenticate = Authenticator(users, UsersFileChecker(users, in_thread)).authenticate
        header = basic("sue", "s3cret").split(": ")[1].strip().encode()
        asked = [Deferred.fromCoroutine(authenticate(header, Access.LOGIN)) for _ in range(2)]
        self.assertEqual(len(checks), 1)
        checks[0].callback(True)
        checks[1].callback(True)
        for each in asked:
            self.successResultOf(each)
        self.successResultOf(authenticate(header, Access.LOGIN))
        self.assertEqual(len(checks), 2)

    def test_a_new_file_makes_everybody_be_checked_again(self) -> None:
        path, now = self.mktemp(), [0.0]
        header = basic("jack", "a").split(": ")[1].strip().encode()
        users = UsersFile(path, lambda: now[0])
        authenticator = Authenticator(users, UsersFileChecker(users, at_once))
        for password, right in (("a", True), ("bb", False)):
            with open(path, "w") as file:
                file.write(f"jack {password}")
            now[0] += 1
            asked = authenticator.authenticate(header, Access.OPEN)
            if right:
                self.successResultOf(asked)
            else:
                self.failureResultOf(asked)
