# SPDX-License-Identifier: BSD-2-Clause
"""Who may do what."""

from __future__ import annotations

import os
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.luxi.methods import QueryTags
from ganeti.rapi.authentication import (
    METERED_BURST,
    AccessLevel,
    Authenticator,
    UsersFile,
    UsersFileChecker,
)
from ganeti.rapi.login_limits import MAX_CONCURRENT_CHECKS, MAX_WAITING_PER_SOURCE
from ganeti.rapi.users_file import scrypt_line
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import AUTO, NodeClient, at_once, basic

JACK = basic("jack", "abc123")


class RightsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.master = MemoryMaster({QueryTags: ["a"]})
        self.asker = NodeClient(self.master, self.path)

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
        self.assertIn("log in with a user of this cluster", answer.message)

    def test_changing_needs_the_right_to_write(self) -> None:
        for header, status in ((JACK, 403), (basic("rita", "xyz789"), 403), (AUTO, 200)):
            self.assertEqual(self.status("PUT", "/2/tags?tag=a", header), status)
        self.assertEqual(len(self.master.jobs), 1)

    def test_some_answers_need_a_login_of_any_kind(self) -> None:
        path = "/2/query/nonsense?fields=name"
        self.assertEqual([self.status("GET", path, h) for h in ("", JACK)], [401, 404])

    def test_a_read_that_is_a_job_needs_a_login_and_is_metered_by_user(self) -> None:
        path = "/2/instances/web1/info"
        self.assertEqual([self.status("GET", path, h) for h in ("", JACK)], [401, 200])
        self.assertEqual(len(self.master.jobs), 1)
        for _ in range(METERED_BURST - 1):
            self.status("GET", path, JACK)
        refused = self.asker.ask("GET", path, headers=JACK)
        self.assertEqual((refused.status, refused.headers["Retry-After"]), (429, "1"))
        self.assertEqual(self.status("GET", path, basic("rita", "xyz789")), 200)
        self.asker.clock.advance(1)
        self.assertEqual(self.status("GET", path, JACK), 200)

    def test_a_server_can_want_a_login_from_everybody(self) -> None:
        self.asker = NodeClient(self.master, self.path, login_always=True)
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
    def setUp(self) -> None:
        self.path = self.mktemp()
        with open(self.path, "w") as file:
            file.write(scrypt_line("sue", "s3cret", b"0" * 16))
        self.checks: list[Deferred[bool]] = []
        self.clock = Clock()
        users = UsersFile(self.path, self.clock.seconds)
        checker = UsersFileChecker(users, self.in_thread)
        self.authenticator = Authenticator(users, checker, self.clock.seconds)

    async def in_thread(self, check: object) -> bool:
        self.checks.append(Deferred())
        return await self.checks[-1]

    def login(self, name: str, password: str, host: str = "192.0.2.1") -> Deferred[Any]:
        header = basic(name, password).split(": ")[1].strip().encode()
        authenticating = self.authenticator.authenticate(header, AccessLevel.LOGIN, host)
        return Deferred.fromCoroutine(authenticating)

    def test_the_same_login_on_many_connections_is_checked_once(self) -> None:
        asked = [self.login("sue", "s3cret") for _ in range(50)]
        self.assertEqual(len(self.checks), 1)
        self.checks[0].callback(True)
        for each in [*asked, self.login("sue", "s3cret")]:
            self.assertEqual(self.successResultOf(each).name, "sue")
        self.assertEqual(len(self.checks), 1)

    def test_a_check_that_began_before_the_file_changed_is_not_shared(self) -> None:
        before = self.login("sue", "s3cret")
        with open(self.path, "a") as file:
            file.write("\njack a\n")
        self.clock.advance(1)
        after = self.login("sue", "s3cret")
        self.checks[0].callback(True)
        self.successResultOf(before)
        self.checks[1].callback(False)
        self.failureResultOf(after)

    def test_an_unknown_name_takes_what_a_known_one_takes(self) -> None:
        unknown = self.login("nobody", "s3cret")
        self.assertEqual(len(self.checks), 1)
        self.checks[0].callback(True)  # the check of somebody else's password
        self.assertEqual(self.failureResultOf(unknown).value.status, 401)

    def test_a_flood_of_logins_keeps_its_own_kind_waiting(self) -> None:
        flood = [self.login("sue", f"guess{number}") for number in range(100)]
        refused = [each for each in flood if each.called]
        self.assertEqual({self.failureResultOf(each).value.status for each in refused}, {429})
        self.assertEqual(len(refused), 100 - MAX_CONCURRENT_CHECKS - MAX_WAITING_PER_SOURCE)
        other = self.login("sue", "s3cret", "192.0.2.2")
        for number, check in enumerate(self.checks):
            check.callback(number == MAX_CONCURRENT_CHECKS + 1)  # the second that was made to wait
        self.assertEqual(self.successResultOf(other).name, "sue")
        for each in set(flood) - set(refused):
            self.assertEqual(self.failureResultOf(each).value.status, 401)

    def test_a_wrong_login_is_checked_once_and_refused_each_time(self) -> None:
        for _ in range(50):
            failed = self.login("sue", "old")
            if not failed.called:
                self.checks[-1].callback(False)
            self.assertEqual(self.failureResultOf(failed).value.status, 401)
        self.assertEqual(len(self.checks), 1)

    def test_failures_use_up_the_share_of_a_name_at_its_address_only(self) -> None:
        for number in range(10):
            failed = self.login("sue", f"guess{number}")
            self.checks[-1].callback(False)
            self.assertEqual(self.failureResultOf(failed).value.status, 401)
        for name, host, status in (("sue", "192.0.2.1", 429), ("sue", "192.0.2.2", 401)):
            failed = self.login(name, "wrong", host)
            if not failed.called:
                self.checks[-1].callback(False)
            self.assertEqual(self.failureResultOf(failed).value.status, status)
        self.clock.advance(5)
        asked = self.login("sue", "s3cret")
        self.checks[-1].callback(True)
        self.assertEqual(self.successResultOf(asked).name, "sue")


class NewFileTests(SynchronousTestCase):
    def test_a_new_file_makes_everybody_be_checked_again(self) -> None:
        path, now = self.mktemp(), [0.0]
        header = basic("jack", "a").split(": ")[1].strip().encode()
        users = UsersFile(path, lambda: now[0])
        checker = UsersFileChecker(users, at_once)
        authenticator = Authenticator(users, checker, lambda: now[0])
        for password, right in (("a", True), ("bb", False)):
            with open(path, "w") as file:
                file.write(f"jack {password}")
            now[0] += 1
            asked = authenticator.authenticate(header, AccessLevel.OPEN)
            if right:
                self.successResultOf(asked)
            else:
                self.failureResultOf(asked)
