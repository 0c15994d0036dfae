# SPDX-License-Identifier: BSD-2-Clause
"""Who may do what: HTTP Basic authentication against the users file."""

from __future__ import annotations

import enum
import hashlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.web.guard import BasicCredentialFactory
from zope.interface import implementer

from ganeti.rapi.problems import Problematic
from ganeti.rapi.users import REALM, User, read_users

MOST_REMEMBERED = 1000
"""How many checked credentials are remembered, so that a slow hash costs once and not always."""

LOOK_SECONDS = 1.0
"""How often the users file is looked at, at most."""

InThread = Callable[[Callable[[], bool]], Awaitable[bool]]


class Access(enum.Enum):
    """What a method asks of its user."""

    OPEN = "nothing, unless the server wants a login from everybody"
    LOGIN = "a login"
    WRITE = "a login with the option write"


class UsersFile:
    """The users of the file ``path``, read again when it has changed."""

    _log = Logger()

    def __init__(self, path: str, seconds: Callable[[], float]) -> None:
        self._path = path
        self._seconds = seconds
        self._looked: float | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._users: dict[str, User] = {}
        self.edition = 0
        """Counts the times the file was read."""

    def user(self, name: str) -> User | None:
        """The user of that name, as the file is now (or was a second ago)."""
        self.look()
        return self._users.get(name)

    def look(self) -> None:
        """Read the file again if it may have changed and has."""
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
                    "nobody may log in: the users file {path} cannot be read: {error}",
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


@implementer(ICredentialsChecker)
class UsersFileChecker:
    """Check names and passwords against the users file; slow checks run one at a time.

    ``in_thread`` runs a check that takes a while.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, users: UsersFile, in_thread: InThread) -> None:
        self._users = users
        self._in_thread = in_thread
        self._one_at_a_time = DeferredLock()

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """Return the name of the user, or fail with ``UnauthorizedLogin``."""
        return Deferred.fromCoroutine(self._check(credentials.username, credentials.password))

    async def _check(self, name: bytes, password: bytes) -> bytes | tuple[()]:
        try:
            user = self._users.user(name.decode("utf-8"))
            if user is not None and await self._right(user, password.decode("utf-8")):
                return name
        except UnicodeDecodeError:
            pass
        raise UnauthorizedLogin

    async def _right(self, user: User, password: str) -> bool:
        if not user.slow:
            return user.check(password)
        await self._one_at_a_time.acquire()
        try:
            return await self._in_thread(lambda: user.check(password))
        finally:
            self._one_at_a_time.release()


@dataclass(frozen=True)
class _Remembered:
    edition: int
    user: User


class Authenticator:
    """Find out who sends a request, and whether that user may do what is asked for.

    What ``checker`` has said of credentials is remembered until ``users`` is read again.
    """

    def __init__(
        self, users: UsersFile, checker: ICredentialsChecker, *, login_always: bool = False
    ) -> None:
        self._users = users
        self._checker = checker
        self._login_always = login_always
        self._basic = BasicCredentialFactory(REALM.encode("ascii"))
        self._key = os.urandom(32)
        self._known: dict[bytes, _Remembered] = {}

    async def authenticate(self, header: bytes | None, access: Access) -> User | None:
        """The user of the ``Authorization`` header, None where none is needed or given.

        :raises Problematic: 401 for wrong or missing credentials, 403 for a user without the right.
        """
        if header is None:
            if access is Access.OPEN and not self._login_always:
                return None
            raise _unauthorized("log in with a user of this cluster")
        user = await self._user(header)
        if access is Access.WRITE and not user.writes:
            raise Problematic(
                HTTPStatus.FORBIDDEN,
                f"user {user.name} may only read; the option write in the users file allows more",
            )
        return user

    async def _user(self, header: bytes) -> User:
        self._users.look()
        mark = hashlib.blake2b(header, key=self._key, digest_size=16).digest()
        known = self._known.get(mark)
        if known is not None and known.edition == self._users.edition:
            return known.user
        credentials = self._credentials(header)
        edition = self._users.edition
        try:
            name = await self._checker.requestAvatarId(credentials)
        except LoginFailed:
            name = ()
        user = self._users.user(name.decode("utf-8")) if isinstance(name, bytes) else None
        if user is None:
            raise _unauthorized("user or password is wrong")
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[mark] = _Remembered(edition, user)
        return user

    def _credentials(self, header: bytes) -> IUsernamePassword:
        scheme, _, coded = header.partition(b" ")
        if scheme.lower() != self._basic.scheme:
            raise _unauthorized("log in by HTTP Basic authentication")
        try:
            credentials: IUsernamePassword = self._basic.decode(coded.strip(), None)
        except LoginFailed:
            raise _unauthorized("the credentials cannot be read") from None
        return credentials


def _unauthorized(why: str) -> Problematic:
    return Problematic(
        HTTPStatus.UNAUTHORIZED, why, (("WWW-Authenticate", f'Basic realm="{REALM}"'),)
    )
