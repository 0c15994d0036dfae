# SPDX-License-Identifier: BSD-2-Clause
"""The users file: each line has a user, a password in clear text or hashed, and options.

The formats are those of Ganeti (see ganeti-rapi(8)) and ``{scrypt}``, which is recommended: such a
file discloses no passwords.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ganeti.errors import Invalid

REALM = "Ganeti Remote API"
OPTIONS = frozenset(("read", "write"))

SCRYPT_COST = 2**14
"""CPU and memory cost of a new hash: 16 MiB and about 50 ms."""

SCRYPT_MOST = 2**17
"""The highest cost that is accepted; a check must not exhaust the memory of the host."""

Check = Callable[[str], bool]
"""Returns whether this is the user's password."""


@dataclass(frozen=True)
class User:
    """A user of the remote API; ``slow`` means that a check of the password takes tens of
    milliseconds."""

    name: str
    check: Check = field(repr=False)
    options: frozenset[str] = frozenset()
    slow: bool = False

    @property
    def writes(self) -> bool:
        """Whether the user may make changes."""
        return "write" in self.options


def read_users(text: str) -> tuple[dict[str, User], list[str]]:
    """Parse a users file; return its users, and problems without any password."""
    users: dict[str, User] = {}
    wrong: list[str] = []
    for number, line in _lines(text):
        name, password, *options = line.split(maxsplit=2) if len(line.split()) > 1 else (line, "")
        said = {option.strip() for option in "".join(options).split(",") if option.strip()}
        if not password:
            wrong.append(f"line {number} has no password")
            continue
        if unknown := said - OPTIONS:
            wrong.append(f"line {number}: unknown options {', '.join(sorted(unknown))}")
        try:
            users[name] = _user(name, password, frozenset(said & OPTIONS))
        except Invalid as e:
            users.pop(name, None)
            wrong.append(f"line {number}: {e}")
    return users, wrong


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            yield number, bare


def _user(name: str, stored: str, options: frozenset[str]) -> User:
    scheme, secret = "cleartext", stored
    if stored.startswith("{"):
        scheme, closed, secret = stored[1:].partition("}")
        if not closed:
            raise Invalid("a password that begins with { needs {cleartext} before it")
    match scheme.lower():
        case "cleartext":
            return User(name, lambda password: _same(password, secret), options)
        case "ha1":
            return User(name, lambda password: _same(ha1(name, password), secret.lower()), options)
        case "scrypt":
            return User(name, _scrypt_check(secret), options, slow=True)
    raise Invalid(f"unknown scheme {{{scheme}}}; use {{scrypt}}, {{HA1}} or {{cleartext}}")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def ha1(name: str, password: str) -> str:
    """Return the HA1 hash of HTTP digest authentication (RFC 2617) in the realm of this API."""
    text = f"{name}:{REALM}:{password}".encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def scrypt_line(name: str, password: str, salt: bytes, options: str = "") -> str:
    """Return a line for the users file with the recommended hash; ``salt`` is 16 random bytes."""
    key = _scrypt(password, SCRYPT_COST, 8, 1, salt)
    coded = "$".join(base64.b64encode(part).decode("ascii") for part in (salt, key))
    return f"{name} {{scrypt}}{SCRYPT_COST}$8$1${coded} {options}".rstrip()


def _scrypt_check(stored: str) -> Check:
    try:
        cost, block, parallel, *coded = stored.split("$")
        salt, key = (base64.b64decode(part, validate=True) for part in coded)
        numbers = int(cost), int(block), int(parallel)
    except ValueError:
        raise Invalid("the format is {scrypt}cost$block$parallel$salt$key") from None
    n, r, p = numbers
    if not (1 < n <= SCRYPT_MOST and n & (n - 1) == 0 and 0 < r <= 16 and 0 < p <= 16 and key):
        raise Invalid("the costs of this {scrypt} hash are out of range")
    return lambda password: hmac.compare_digest(_scrypt(password, n, r, p, salt, len(key)), key)


def _scrypt(password: str, n: int, r: int, p: int, salt: bytes, length: int = 32) -> bytes:
    memory = 128 * r * (n + p + 2) + 1024 * 1024
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=length)
