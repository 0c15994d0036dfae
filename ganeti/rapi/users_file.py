# SPDX-License-Identifier: BSD-2-Clause
"""The users file: each line has a user, a password in clear text or hashed, and options.

The formats are those of Ganeti (see ganeti-rapi(8)) and ``{scrypt}``, which is recommended: such a
file discloses no passwords.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field

from ganeti.access.passwords import Check, check_of, hashed
from ganeti.access.tokens import digest_of
from ganeti.errors import Invalid

REALM = "Ganeti Remote API"
OPTIONS = frozenset(("read", "write"))


@dataclass(frozen=True)
class User:
    """A user of the API; ``slow`` says that checking the password takes a while.

    ``proof`` is a digest of what the password is checked against. A user with an ``account`` is
    one of the cluster and not of the users file, and has the roles that were granted there.
    """

    name: str
    check: Check = field(repr=False)
    options: frozenset[str] = frozenset()
    slow: bool = False
    proof: str = field(default="", repr=False)
    account: bool = False

    @property
    def writes(self) -> bool:
        """Whether the user may make changes."""
        return "write" in self.options


def parse_users(text: str) -> tuple[dict[str, User], list[str]]:
    """Parse a users file; return its users, and problems without any password."""
    users: dict[str, User] = {}
    wrong: list[str] = []
    for number, line in _content_lines(text):
        name, password, *options = line.split(maxsplit=2) if len(line.split()) > 1 else (line, "")
        said = {option.strip() for option in "".join(options).split(",") if option.strip()}
        if not password:
            wrong.append(f"line {number} has no password")
            continue
        if unknown := said - OPTIONS:
            wrong.append(f"line {number}: unknown options {', '.join(sorted(unknown))}")
        try:
            users[name] = _parse_user(name, password, frozenset(said & OPTIONS))
        except Invalid as e:
            # An earlier line with this name must not count instead.
            users.pop(name, None)
            wrong.append(f"line {number}: {e}")
    return users, wrong


def _content_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            yield number, bare


def account(name: str, stored: str) -> User:
    """Return the user of the cluster whose password has this hash.

    :raises Invalid: it is none.
    """
    return User(name, check_of(stored), slow=True, proof=digest_of(stored), account=True)


def _parse_user(name: str, stored: str, options: frozenset[str]) -> User:
    # Changed options end sessions, too.
    proof = digest_of(f"{stored} {','.join(sorted(options))}")
    scheme, secret = "cleartext", stored
    if stored.startswith("{"):
        scheme, closed, secret = stored[1:].partition("}")
        if not closed:
            raise Invalid("a password that begins with { needs {cleartext} before it")
    match scheme.lower():
        case "cleartext":
            return User(name, lambda password: _equal(password, secret), options, proof=proof)
        case "ha1":
            check = secret.lower()
            return User(
                name, lambda password: _equal(ha1(name, password), check), options, proof=proof
            )
        case "scrypt":
            return User(name, check_of(secret), options, slow=True, proof=proof)
    raise Invalid(f"unknown scheme {{{scheme}}}; use {{scrypt}}, {{HA1}} or {{cleartext}}")


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def ha1(name: str, password: str) -> str:
    """Return the HA1 hash of HTTP digest authentication (RFC 2617) in the realm of this API."""
    text = f"{name}:{REALM}:{password}".encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def scrypt_line(name: str, password: str, salt: bytes, options: str = "") -> str:
    """A line for the users file with the recommended hash; ``salt`` is 16 random bytes."""
    return f"{name} {hashed(password, salt)} {options}".rstrip()
