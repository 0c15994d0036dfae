# SPDX-License-Identifier: BSD-2-Clause
"""Authentication and authorization: HTTP Basic authentication (RFC 7617) with the users file."""

from __future__ import annotations

import enum
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.guard import BasicCredentialFactory
from zope.interface import implementer

from ganeti.rapi.login_limits import FailureLimit, InThread, SlowChecks, source_of
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.rate_limits import RateLimit
from ganeti.rapi.users import REALM, User, read_users

MAX_REMEMBERED = 1000
"""How many checked credentials are cached, as a slow hash should be computed once and not for each
request: this many that were right, and this many that were wrong."""

WRONG = "wrong user or password"

LOOK_SECONDS = 1.0
"""Minimum time between two checks whether the users file has changed, in seconds."""

T = TypeVar("T")

METERED_BURST = 1000
"""How many metered requests a user may make in a burst; scripts query each instance in turn."""

METERED_PER_SECOND = 10.0
"""How many metered requests a user may make per second in the long run."""


class AuthenticationRealm(enum.Enum):
    """The login that a method requires; the value is the text in the description of the API."""

    OPEN = "no login, unless the server requires one for all requests"
    LOGIN = "a login"
    METERED = "a login; the rate of these requests is limited for each user"
    WRITE = "a login with the option write"


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
        self.look()
        return self._users.get(name)

    def stand_in(self, name: str, key: bytes) -> User | None:
        """Return a user to check the password of an unknown ``name`` against; None if there are no
        users. The same name always gets the same user. ``key`` is a secret, so that clients cannot
        compute which.
        """
        if not self._users:
            return None
        digest = hashlib.blake2b(name.encode(), key=key, digest_size=8).digest()
        names = sorted(self._users)
        return self._users[names[int.from_bytes(digest) % len(names)]]

    def look(self) -> None:
        """Read the file again if it has changed since the last check."""
        now = self._seconds()
        if self._looked is not None and now - self._looked < LOOK_SECONDS:
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
            self._users, wrong = read_users(file.read())
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


@implementer(ICredentialsChecker)
class UsersFileChecker:
    """Checks user names and passwords against the users file.

    Slow checks run on other threads by ``in_thread``, alternating between sources; concurrent
    requests with the same credentials share one check.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, users: UsersFile, in_thread: InThread) -> None:
        self._users = users
        self._checks = SlowChecks(in_thread)
        self._key = os.urandom(32)
        self._attempts: dict[tuple[bytes, int], list[Deferred[bool]]] = {}

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """Return the name of the user.

        The Deferred fails with ``UnauthorizedLogin``, or with :class:`HttpProblem` if there are too
        many logins.
        """
        return Deferred.fromCoroutine(self._checked_name(credentials))

    async def _checked_name(self, login: Any) -> bytes | tuple[()]:
        try:
            name, password = login.username.decode("utf-8"), login.password.decode("utf-8")
        except UnicodeDecodeError:
            raise UnauthorizedLogin from None
        user = self._users.user(name)
        # An unknown name costs as much as the check of some user, so that the time of a refusal
        # does not reveal which users exist.
        checked = user or self._users.stand_in(name, self._key)
        right = checked is not None and await self._check(checked, password, login)
        if user is None or not right:
            raise UnauthorizedLogin
        return bytes(login.username)

    async def _check(self, user: User, password: str, login: Any) -> bool:
        if not user.slow:
            return user.check(password)
        said = b"\0".join((login.username, login.password))
        mark = hashlib.blake2b(said, key=self._key, digest_size=16).digest()
        attempt = mark, self._users.edition
        under_way = attempt in self._attempts
        waiting = self._attempts.setdefault(attempt, [])
        waiter: Deferred[bool] = Deferred(waiting.remove)
        waiting.append(waiter)
        if not under_way:
            checking = self._checks.run(getattr(login, "source", ""), lambda: user.check(password))
            Deferred.fromCoroutine(checking).addBoth(self._end, attempt)
        return await waiter

    def _end(self, result: bool | Failure, attempt: tuple[bytes, int]) -> None:
        for waiter in tuple(self._attempts.pop(attempt)):
            if not waiter.called:
                waiter.callback(result)


@dataclass(frozen=True)
class _Remembered:
    edition: int
    user: User


class Authenticator:
    """Authenticates requests, and authorizes the user for the access level of a method.

    Results of ``checker`` are cached until the users file changes.
    """

    def __init__(
        self,
        users: UsersFile,
        checker: ICredentialsChecker,
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
        self._known: OrderedDict[bytes, _Remembered] = OrderedDict()
        # The edition of the users file for which the credentials were wrong.
        self._refused: OrderedDict[bytes, int] = OrderedDict()

    async def authenticate(
        self, header: bytes | None, access: AuthenticationRealm, host: str = ""
    ) -> User | None:
        """Return the user of an ``Authorization`` header; None if no login is required or given.

        ``host`` is the address of the client.

        :raises HttpProblem: 401 for wrong or missing credentials, 403 if the user lacks the option,
            429 if the user or its network exceeds a rate limit, 503 if there are too many logins.
        """
        if header is None:
            if access is AuthenticationRealm.OPEN and not self._login_always:
                return None
            raise _unauthorized(
                "authentication required: send the name and password of a user of this cluster"
            )
        user = await self._user(header, source_of(host))
        if access is AuthenticationRealm.WRITE and not user.writes:
            raise HttpProblem(
                HTTPStatus.FORBIDDEN,
                f"user {user.name} has read-only access; add the option write in the users file to"
                " allow changes",
            )
        if access is AuthenticationRealm.METERED:
            self._metered.take(user.name)
        return user

    async def _user(self, header: bytes, source: str) -> User:
        self._users.look()
        mark = hashlib.blake2b(header, key=self._key, digest_size=16).digest()
        known = self._known.get(mark)
        if known is not None and known.edition == self._users.edition:
            self._known.move_to_end(mark)
            return known.user
        name, login = self._login(header, source)
        # Repeating wrong credentials gives an attacker no information, so it is not counted: a
        # script with an old password gets the same refusal each time.
        edition = self._users.edition
        if self._refused.get(mark) == edition:
            raise _unauthorized(WRONG)
        self._failures.check(source, name)
        try:
            await self._checker.requestAvatarId(login)
        except LoginFailed:
            user = None
        else:
            user = self._users.user(name)
        if user is None:
            self._failures.count(source, name)
            _remember(self._refused, mark, edition)
            raise _unauthorized(WRONG)
        _remember(self._known, mark, _Remembered(edition, user))
        return user

    def _login(self, header: bytes, source: str) -> tuple[str, Login]:
        scheme, _, coded = header.partition(b" ")
        if scheme.lower() != self._basic.scheme:
            raise _unauthorized("only HTTP Basic authentication is supported")
        try:
            sent = self._basic.decode(coded.strip(), None)
            name = sent.username.decode("utf-8")
            sent.password.decode("utf-8")
        except (LoginFailed, UnicodeDecodeError):
            raise _unauthorized("malformed credentials") from None
        return name, Login(sent.username, sent.password, source)


def _remember(known: OrderedDict[bytes, T], mark: bytes, what: T) -> None:
    known[mark] = what
    known.move_to_end(mark)
    if len(known) > MAX_REMEMBERED:
        known.popitem(last=False)


def _unauthorized(why: str) -> HttpProblem:
    return HttpProblem(
        HTTPStatus.UNAUTHORIZED, why, (("WWW-Authenticate", f'Basic realm="{REALM}"'),)
    )
