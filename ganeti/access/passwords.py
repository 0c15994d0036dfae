# SPDX-License-Identifier: BSD-2-Clause
"""Passwords as hashes of scrypt (RFC 7914), ``{scrypt}cost$block$parallel$salt$key``."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

from ganeti.errors import Invalid

SCHEME = "{scrypt}"

SCRYPT_COST = 2**14
"""CPU and memory cost of a new hash: 16 MiB and some fifty milliseconds."""

SCRYPT_MAX = 2**17
"""The highest cost that is computed; a check must not take the host's memory."""

SALT_BYTES = 16

MIN_LENGTH = 8
"""How many characters a new password has at least (NIST SP 800-63B, section 5.1.1.2)."""

MAX_LENGTH = 1024

Check = Callable[[str], bool]
"""Whether this is the password."""


def require_usable(password: str) -> None:
    """Refuse a new password that is too short, or that clients could not send.

    :raises Invalid: it is one.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Invalid(f"a password must have {MIN_LENGTH} to {MAX_LENGTH} characters")
    if any(ord(each) < 0x20 or ord(each) == 0x7F for each in password):
        raise Invalid("a password must not contain control characters")


def hashed(password: str, salt: bytes) -> str:
    """Return the hash of a password; ``salt`` is 16 random bytes. This takes some time."""
    key = _scrypt(password, SCRYPT_COST, 8, 1, salt)
    coded = "$".join(base64.b64encode(part).decode("ascii") for part in (salt, key))
    return f"{SCHEME}{SCRYPT_COST}$8$1${coded}"


def check_of(stored: str) -> Check:
    """Return what checks passwords against a hash.

    :raises Invalid: it is none, or one that takes too much to compute.
    """
    try:
        cost, block, parallel, *coded = stored.removeprefix(SCHEME).split("$")
        salt, key = (base64.b64decode(part, validate=True) for part in coded)
        numbers = int(cost), int(block), int(parallel)
    except ValueError:
        raise Invalid("the form is {scrypt}cost$block$parallel$salt$key") from None
    n, r, p = numbers
    if not (1 < n <= SCRYPT_MAX and n & (n - 1) == 0 and 0 < r <= 16 and 0 < p <= 16 and key):
        raise Invalid("the costs of this {scrypt} hash are out of bounds")
    return lambda password: hmac.compare_digest(_scrypt(password, n, r, p, salt, len(key)), key)


def _scrypt(password: str, n: int, r: int, p: int, salt: bytes, length: int = 32) -> bytes:
    # The default limit of OpenSSL is too low for the higher costs.
    memory = 128 * r * (n + p + 2) + 1024 * 1024
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=length)
