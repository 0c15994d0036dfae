# SPDX-License-Identifier: BSD-2-Clause
"""HTTP Basic authentication against the users file and the cluster's users."""

from __future__ import annotations

import enum
import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.guard import BasicCredentialFactory
from zope.interface import implementer

from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import QueryPassword
from ganeti.luxi.unreachable import NoAnswer
from ganeti.rapi.login_limits import FailureLimit, InThread, SlowChecks, source_network
from ganeti.rapi.problems import CHALLENGES, HttpProblem
from ganeti.rapi.rate_limits import RateLimit
from ganeti.rapi.users_file import REALM, User, account, parse_users
from ganeti.schema.types import USER_NAME

MAX_CACHED_LOGINS = 1000
"""How many checked credentials are cached, as a slow hash should be computed once and not for each
request: this many that were right, and this many that were wrong."""

WRONG = "wrong user or password"

WRONG_SECONDS = 10.0
"""For how long the same wrong credentials are refused without a look."""

CHECK_INTERVAL = 1.0
"""Minimum time between two checks whether the users file has changed, in seconds."""

T = TypeVar("T")

METERED_BURST = 1000
"""How many metered requests a user may make in a burst; scripts query each instance in turn."""

METERED_PER_SECOND = 10.0
"""How many metered requests a user may make per second in the long run."""


class AccessLevel(enum.Enum):
    """The login that a method requires; the value is the text in the description of the API."""

    PUBLIC = "nothing"
    OPEN = "nothing, unless the server wants a login from everybody"
    TICKET = "a ticket, which took a login to get"
    LOGIN = "a login"
    METERED = "a login; each user can do this only so often"
    WRITE = "a login with the option write, or as an operator"
    ADMIN = "a login with the option write, or as an administrator"


class UsersFile:
    """The users in the file ``path``, which is read again when it has changed."""

    _log = Logger()

    def __init__(self, path: str, seconds: Callable[[], float]) -> None:
        self._path = path
        self._seconds = seconds
        self._looked: float | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._users: dict[str, User] = {}
        self.edition = 0
        """How many times the file was read; cached checks are valid for one edition."""

    def user(self, name: str) -> User | None:
        """Return the user of that name as of the current file, at most a second old."""
        self.reload_if_changed()
        return self._users.get(name)

    def choose_decoy(self, name: str, key: bytes, others: Sequence[User] = ()) -> User | None:
        """Return a user, or one of ``others``, whose check takes the place of one for an unknown
        name, always the same for a name; None if there are no users. ``key`` keeps others from
        finding out which.
        """
        users = [*(self._users[known] for known in sorted(self._users)), *others]
        if not users:
            return None
        digest = hashlib.blake2b(name.encode(), key=key, digest_size=8).digest()
        return users[int.from_bytes(digest) % len(users)]

    def reload_if_changed(self) -> None:
        """Read the file again if it has changed since the last check."""
        now = self._seconds()
        if self._looked is not None and now - self._looked < CHECK_INTERVAL:
            return
        first = self._looked is None
        self._looked = now
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._read()
            self._stamp = stamp
        except (OSError, UnicodeDecodeError) as e:
            # Logged once, and not with every check.
            if self._stamp is not None or first:
                self._log.error(
                    "no user can log in: the users file {path} cannot be read: {error}",
                    path=self._path,
                    error=e,
                )
                self.edition += 1
            self._stamp, self._users = None, {}

    def _read(self) -> None:
        with open(self._path, encoding="utf-8") as file:
            self._users, wrong = parse_users(file.read())
        self.edition += 1
        self._log.info("{n} users in {path}", n=len(self._users), path=self._path)
        for each in wrong:
            self._log.warn("{path}: {problem}", path=self._path, problem=each)


class Login(UsernamePassword):
    """The user name and password that a client sent; ``source`` is the network of the client."""

    username: bytes
    password: bytes

    def __init__(self, username: bytes, password: bytes, source: str = "") -> None:
        super().__init__(username, password)
        self.source = source


class UserLookup(Protocol):
    """The users of the cluster, besides those of the users file."""

    async def lookup(self, name: str) -> tuple[User | None, User | None]:
        """Return the user of that name, if it may log in by a password; and else a stand-in."""
        ...


class NoAccounts:
    """The cluster has no users."""

    async def lookup(self, name: str) -> tuple[User | None, User | None]:
        return None, None


@dataclass(frozen=True)
class MasterAccounts:
    """The users that the master knows."""

    master: IMaster

    async def lookup(self, name: str) -> tuple[User | None, User | None]:
        # An invalid name is looked up as one that no user has: it must take as long.
        known = name if re.match(USER_NAME, name) else "-"
        try:
            told = await self.master.ask(QueryPassword(user=known))
        except NoAnswer:
            return None, None  # those of the users file are known without it
        if told["hash"] is None:
            return None, None
        found = account(name, told["hash"])
        return (found, None) if told["known"] else (None, found)


@implementer(ICredentialsChecker)
class UsersFileChecker:
    """Check names and passwords against the users file, and then against the cluster's accounts.

    Slow checks run on other threads by ``in_thread``, alternating between sources; concurrent
    requests with the same credentials share one check.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(
        self, users: UsersFile, in_thread: InThread, accounts: UserLookup | None = None
    ) -> None:
        self._users = users
        self._accounts = accounts or NoAccounts()
        self.checks = SlowChecks(in_thread)
        self._key = os.urandom(32)
        self._attempts: dict[tuple[bytes, int, str], list[Deferred[bool]]] = {}

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """Return the name of the user.

        The Deferred fails with ``UnauthorizedLogin``, or with :class:`HttpProblem` if there are too
        many logins.
        """
        return Deferred.fromCoroutine(self._authenticate(credentials))

    async def _authenticate(self, login: Any) -> bytes | tuple[()]:
        return (await self.user_of(login)).name.encode()

    async def user_of(self, login: Any) -> User:
        """Return the user.

        :raises UnauthorizedLogin: the name or the password is wrong.
        :raises HttpProblem: too many log in.
        """
        try:
            name, password = login.username.decode("utf-8"), login.password.decode("utf-8")
        except UnicodeDecodeError:
            raise UnauthorizedLogin from None
        user = self._users.user(name)
        # Asked for every name, so that it does not tell which are in the file.
        known, other = await self._accounts.lookup(name)
        user = user or known
        # An unknown name costs what the check of some user costs, so that the time that a refusal
        # takes does not tell which names there are.
        others = () if other is None else (other,)
        checked = user or self._users.choose_decoy(name, self._key, others)
        right = checked is not None and await self._check(checked, password, login)
        if user is None or not right:
            raise UnauthorizedLogin
        return user

    async def _check(self, user: User, password: str, login: Any) -> bool:
        if not user.slow:
            return user.check(password)
        said = b"\0".join((login.username, login.password))
        mark = hashlib.blake2b(said, key=self._key, digest_size=16).digest()
        attempt = mark, self._users.edition, user.proof
        under_way = attempt in self._attempts
        waiting = self._attempts.setdefault(attempt, [])
        # A client that disconnects only gives up its own wait: others may need the result.
        waiter: Deferred[bool] = Deferred(waiting.remove)
        waiting.append(waiter)
        if not under_way:
            checking = self.checks.run(getattr(login, "source", ""), lambda: user.check(password))
            Deferred.fromCoroutine(checking).addBoth(self._finish_attempt, attempt)
        return await waiter

    def _finish_attempt(self, result: bool | Failure, attempt: tuple[bytes, int, str]) -> None:
        for waiter in tuple(self._attempts.pop(attempt)):
            if not waiter.called:
                waiter.callback(result)


@dataclass(frozen=True)
class _CachedLogin:
    edition: int
    user: User


class Authenticator:
    """Authenticates requests, and authorizes the user for the access level of a method.

    Results of ``checker`` are cached until the users file changes.
    """

    def __init__(
        self,
        users: UsersFile,
        checker: UsersFileChecker,
        seconds: Callable[[], float],
        *,
        login_always: bool = False,
    ) -> None:
        self._users = users
        self._checker = checker
        self._metered = RateLimit(
            "requests that submit jobs only to read",
            seconds,
            burst=METERED_BURST,
            per_second=METERED_PER_SECOND,
        )
        self._login_always = login_always
        self._failures = FailureLimit(seconds)
        self._basic = BasicCredentialFactory(REALM.encode("ascii"))
        self._key = os.urandom(32)
        self._known: OrderedDict[bytes, _CachedLogin] = OrderedDict()
        # The edition of the file in which the credentials were wrong, and when that was.
        self._refused: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        self.seconds = seconds

    async def authenticate(
        self, header: bytes | None, access: AccessLevel, host: str = ""
    ) -> User | None:
        """Return the user of an ``Authorization`` header; None if no login is required or given.

        ``host`` is the address of the client.

        :raises HttpProblem: 401 for wrong or missing credentials, 403 if the user lacks the option,
            429 if the user or its network exceeds a rate limit, 503 if there are too many logins.
        """
        if access is AccessLevel.TICKET:
            return None
        if header is None:
            if self.anonymous(access):
                return None
            raise _unauthorized("log in with a user of this cluster")
        user = await self.user_of(header, host)
        if access is AccessLevel.METERED:
            self.meter(user.name)
        return user

    def anonymous(self, access: AccessLevel) -> bool:
        """Return whether it needs no login."""
        return access in (AccessLevel.PUBLIC, AccessLevel.TICKET) or (
            access is AccessLevel.OPEN and not self._login_always
        )

    def meter(self, name: str) -> None:
        """Count a metered request of a user.

        :raises HttpProblem: 429 for one who makes too many.
        """
        self._metered.reject_or_count(name)

    async def user_of(self, header: bytes, host: str) -> User:
        """The user of an ``Authorization`` header with a name and a password.

        :raises HttpProblem: 401 for wrong credentials, 429 for one who fails too often, 503 if too
            many log in.
        """
        source = source_network(host)
        # Before the lookup, as a cached login must not outlive its line in the file.
        self._users.reload_if_changed()
        mark = self._mark(header)
        known = self._known.get(mark)
        if known is not None and known.edition == self._users.edition:
            self._known.move_to_end(mark)
            return known.user
        name, login = self._parse_header(header, source)
        # The same guess again tells nothing new, and costs nothing: a script with an old password
        # is refused each time. Not for long, as passwords of the cluster's users may be changed.
        edition, now = self._users.edition, self.seconds()
        before, when = self._refused.get(mark, (-1, 0.0))
        if before == edition and now - when < WRONG_SECONDS:
            raise _unauthorized(WRONG)
        self._failures.check(source, name)
        try:
            user = await self._checker.user_of(login)
        except LoginFailed:
            self._failures.count_failure(source, name)
            _cache(self._refused, mark, (edition, self.seconds()))
            raise _unauthorized(WRONG) from None
        # If the file has changed during the check, this is out of date at once.
        _cache(self._known, mark, _CachedLogin(edition, user))
        return user

    def forget_credentials(self, header: bytes) -> None:
        """Check these credentials again when they are shown next."""
        self._known.pop(self._mark(header), None)

    def require_patience(self, host: str, name: str) -> None:
        """Refuse clients that have shown too many wrong credentials.

        :raises HttpProblem: 429, with the time to wait.
        """
        self._failures.check(source_network(host), name)

    def count_failure(self, host: str, name: str) -> None:
        """Note that a client has shown wrong credentials."""
        self._failures.count_failure(source_network(host), name)

    def require_unchanged(self, name: str, proof: str) -> None:
        """Refuse a session of a user whose line in the users file is another one by now.

        :raises HttpProblem: 401.
        """
        user = self._users.user(name)
        if user is None or user.proof != proof:
            raise _unauthorized("the session has ended; sign in again")

    def _mark(self, header: bytes) -> bytes:
        return hashlib.blake2b(header, key=self._key, digest_size=16).digest()

    def _parse_header(self, header: bytes, source: str) -> tuple[str, Login]:
        scheme, _, coded = header.partition(b" ")
        if scheme.lower() != self._basic.scheme:
            raise _unauthorized("log in by HTTP Basic authentication, or by a token as Bearer")
        try:
            sent = self._basic.decode(coded.strip(), None)
            name = sent.username.decode("utf-8")
            sent.password.decode("utf-8")
        except (LoginFailed, UnicodeDecodeError):
            raise _unauthorized("malformed credentials") from None
        return name, Login(sent.username, sent.password, source)


def _cache(known: OrderedDict[bytes, T], mark: bytes, what: T) -> None:
    known[mark] = what
    known.move_to_end(mark)
    if len(known) > MAX_CACHED_LOGINS:
        known.popitem(last=False)


def _unauthorized(why: str) -> HttpProblem:
    return HttpProblem(HTTPStatus.UNAUTHORIZED, why, CHALLENGES)
