# SPDX-License-Identifier: BSD-2-Clause
"""Who may do what: HTTP Basic authentication against the users file."""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.rapi.problems import Problematic
from ganeti.rapi.rate_limits import RateLimit
from ganeti.rapi.users import REALM, User, read_users

MOST_REMEMBERED = 1000
"""How many checked credentials are remembered, so that a slow hash costs once and not always."""

LOOK_SECONDS = 1.0
"""How often the users file is looked at, at most."""

METERED_BURST = 1000
"""How many metered requests each user may make at once; scripts ask about every instance."""

METERED_PER_SECOND = 10.0
"""How many metered requests each user may make in the long run."""

InThread = Callable[[Callable[[], bool]], Awaitable[bool]]


class Access(enum.Enum):
    """What a method asks of its user."""

    OPEN = "nothing, unless the server wants a login from everybody"
    LOGIN = "a login"
    METERED = "a login; each user can do this only so often"
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


@dataclass(frozen=True)
class _Remembered:
    edition: int
    user: User


class Doorkeeper:
    """Lets requests pass, or says why not; slow checks run one at a time by ``in_thread``."""

    def __init__(
        self,
        users: UsersFile,
        in_thread: InThread,
        seconds: Callable[[], float],
        *,
        login_always: bool = False,
    ) -> None:
        self._users = users
        self._metered = RateLimit(
            "requests that submit jobs only to read",
            seconds,
            burst=METERED_BURST,
            per_second=METERED_PER_SECOND,
        )
        self._in_thread = in_thread
        self._login_always = login_always
        self._one_at_a_time = DeferredLock()
        self._key = os.urandom(32)
        self._known: dict[bytes, _Remembered] = {}

    async def admit(self, header: str | None, access: Access) -> User | None:
        """The user of the ``Authorization`` header, None where none is needed or given.

        :raises Problematic: 401 for wrong or missing credentials, 403 for a user without the
            right, 429 for one who asks too often.
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
        if access is Access.METERED:
            self._metered.take(user.name)
        return user

    async def _user(self, header: str) -> User:
        self._users.look()
        mark = hashlib.blake2b(header.encode(), key=self._key, digest_size=16).digest()
        known = self._known.get(mark)
        if known is not None and known.edition == self._users.edition:
            return known.user
        name, password = _credentials(header)
        user = self._users.user(name)
        edition = self._users.edition
        if user is None or not await self._right(user, password):
            raise _unauthorized("user or password is wrong")
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[mark] = _Remembered(edition, user)
        return user

    async def _right(self, user: User, password: str) -> bool:
        if not user.slow:
            return user.check(password)
        await self._one_at_a_time.acquire()
        try:
            return await self._in_thread(lambda: user.check(password))
        finally:
            self._one_at_a_time.release()


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        raise _unauthorized("log in by HTTP Basic authentication")
    try:
        text = base64.b64decode(coded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _unauthorized("the credentials cannot be read") from None
    name, colon, password = text.partition(":")
    if not colon:
        raise _unauthorized("the credentials cannot be read")
    return name, password


def _unauthorized(why: str) -> Problematic:
    return Problematic(
        HTTPStatus.UNAUTHORIZED, why, (("WWW-Authenticate", f'Basic realm="{REALM}"'),)
    )
