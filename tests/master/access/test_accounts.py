# SPDX-License-Identifier: BSD-2-Clause
"""Answers about users tell guessers nothing, and the uses of tokens are kept now and then."""

from __future__ import annotations

from functools import reduce
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.config.writer import ConfigWriter
from ganeti.errors import Code, Refused
from ganeti.journal.interfaces import Commit, Position
from ganeti.luxi.caller import Caller
from ganeti.master.access.accounts import KEEP_USES, Accounts
from ganeti.model.users import OpenIdProvider
from ganeti.testing.builders import a_cluster, uuid_of
from ganeti.testing.journal import MemoryJournal
from ganeti.testing.processes import MemoryStateFiles
from tests.master.access.case import a_token, a_user, by_token

NOON = 1_700_000_000.0


class BrokenJournal(MemoryJournal):
    """Fails as no journal should."""

    async def append(self, commit: Commit) -> Position:
        raise ZeroDivisionError


class AccountsCase(SynchronousTestCase):
    def make(self, *records: Any, journal: MemoryJournal | None = None) -> Accounts:
        self.clock = Clock()
        self.journal = journal or MemoryJournal()
        state = reduce(ClusterState.put, records, a_cluster())
        self.config = ConfigWriter(state, self.journal, self.now)
        self.accounts = Accounts(self.config, self.now, self.clock, MemoryStateFiles())
        return self.accounts

    def now(self) -> float:
        return float(NOON + self.clock.seconds())


class PasswordTests(AccountsCase):
    def password(self, user: str) -> Any:
        return self.successResultOf(self.accounts.password(user))

    def test_the_hash_of_a_user_is_its_own(self) -> None:
        self.make(a_user("ann"), a_user("bea"))
        self.assertEqual(self.password("ann"), {"known": True, "hash": "{scrypt}ann"})

    def test_a_user_who_may_not_log_in_has_always_the_same_hash_of_another(self) -> None:
        self.make(a_user("ann"), a_user("off", disabled=True), a_user("none", password=None))
        for user in ("off", "none", "lost"):
            found = self.password(user)
            self.assertFalse(found["known"])
            self.assertIn(found["hash"], ("{scrypt}ann", "{scrypt}off"))
            self.assertEqual(self.password(user), found)

    def test_unknown_names_are_spread_over_all_hashes(self) -> None:
        self.make(a_user("ann"), a_user("bea"))
        found = {self.password(f"guess{number}")["hash"] for number in range(64)}
        self.assertEqual(found, {"{scrypt}ann", "{scrypt}bea"})

    def test_without_any_password_there_is_no_hash(self) -> None:
        self.make(a_user("ann", password=None))
        self.assertEqual(self.password("ann"), {"known": False, "hash": None})


class QueryTests(AccountsCase):
    def test_sessions_are_listed_beside_what_the_configuration_has(self) -> None:
        accounts = self.make(a_user("ann"))
        accounts.sessions.open("s1", "digest", Caller(user="ann"), "ann")
        [session] = self.successResultOf(accounts.query_accounts("sessions"))
        self.assertEqual((session["id"], session["user"]), ("s1", "ann"))
        self.assertEqual(accounts.listed("sessions", "oli"), [])
        [user] = self.successResultOf(accounts.query_accounts("users"))
        self.assertEqual(user["name"], "ann")

    def test_a_session_is_ended_once(self) -> None:
        accounts = self.make()
        accounts.sessions.open("s1", "digest", Caller(user="ann"), "ann")
        self.successResultOf(accounts.end_session("s1"))
        refused = self.failureResultOf(accounts.end_session("s1"), Refused).value
        self.assertEqual(str(refused), "there is no session s1; it may have ended")
        self.assertEqual(refused.code, Code.UNKNOWN)

    def test_the_provider_is_given_with_its_secret_to_the_daemon_that_needs_it(self) -> None:
        self.assertIsNone(self.successResultOf(self.make().openid()))
        provider = OpenIdProvider(
            uuid=uuid_of("cluster", "cluster.example.com"),
            issuer="https://id",
            client_id="g",
            redirect_uri="x",
            client_secret="hidden",
        )
        found = self.successResultOf(self.make(provider).openid())
        assert found is not None
        self.assertEqual((found["issuer"], found["client_secret"]), ("https://id", "hidden"))


class UsesTests(AccountsCase):
    def use(self, *tokens: str) -> None:
        for token in tokens:
            self.accounts.callers.identify(by_token(token))

    def used(self) -> dict[str, int]:
        return {key: each.used for key, each in self.config.state().api_tokens.items()}

    def test_the_last_uses_of_some_minutes_are_one_commit(self) -> None:
        self.make(a_user("ann"), a_token("t1", "ann"), a_token("t2", "ann"))
        self.use("t1", "t2")
        self.clock.advance(60)
        self.use("t1")
        self.clock.advance(KEEP_USES - 61)
        self.assertEqual(self.used(), {"t1": 0, "t2": 0})
        self.clock.advance(1)
        self.assertEqual(self.used(), {"t1": NOON + 60, "t2": NOON})
        self.assertEqual([each.why for each in self.journal.commits], ["the last uses of tokens"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_use_after_that_is_kept_later(self) -> None:
        self.make(a_user("ann"), a_token("t1", "ann"))
        for _ in range(2):
            self.use("t1")
            self.clock.advance(KEEP_USES)
        self.assertEqual(self.used(), {"t1": NOON + KEEP_USES})

    def test_a_full_disk_is_not_reported_by_each_use(self) -> None:
        self.make(a_user("ann"), a_token("t1", "ann"))
        self.journal.break_down()
        self.use("t1")
        self.clock.advance(KEEP_USES)
        self.assertEqual(self.used(), {"t1": 0})
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_any_other_failure_is_logged(self) -> None:
        self.make(a_user("ann"), a_token("t1", "ann"), journal=BrokenJournal())
        self.use("t1")
        self.clock.advance(KEEP_USES)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_nothing_is_kept_after_a_stop(self) -> None:
        self.make(a_user("ann"), a_token("t1", "ann"))
        self.use("t1")
        self.accounts.stop()
        self.accounts.stop()
        self.assertEqual((self.clock.getDelayedCalls(), self.journal.commits), ([], []))
