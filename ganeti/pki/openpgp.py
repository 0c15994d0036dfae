# SPDX-License-Identifier: BSD-2-Clause
"""OpenPGP keys and signed lists of digests, as values; ``gpgv`` does the cryptography."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from ganeti.errors import Code, Invalid, Problem, Refused

SUFFIXES = (".gpg", ".sign", ".asc", ".sig")
"""What the name of a file with a signature ends with, after the name of the signed file."""

CLEAR_SIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----"
"""Begins a text that contains its own signature (RFC 9580, section 7)."""

_ARMOR = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)
_COREUTILS = re.compile(r"([0-9a-f]{64}|[0-9a-f]{128}) [ *](?:\./)?(\S.*)")
_BSD = re.compile(r"SHA(?:256|512) \((?:\./)?(.+)\) ?= ([0-9a-f]{64}|[0-9a-f]{128})")
_KINDS = {64: "sha256", 128: "sha512"}
_SHOWN = 5


def remove_armor(text: str) -> bytes:
    """Return the binary form of the keys in ``text``, which ``gpgv`` takes as a keyring.

    :raises Invalid: there is no key in ASCII armor (RFC 9580, section 6).
    """
    keys = b"".join(_decode_block(each) for each in _ARMOR.findall(text))
    if not keys:
        raise _not_armored()
    return keys


def _decode_block(block: str) -> bytes:
    lines = [line.strip() for line in block.splitlines()]
    # Headers such as Version end with an empty line.
    body = lines[lines.index("") + 1 :] if "" in lines else lines
    try:
        # A line that begins with = is a checksum.
        return base64.b64decode("".join(s for s in body if not s.startswith("=")), validate=True)
    except binascii.Error:
        raise _not_armored() from None


def _not_armored() -> Invalid:
    return Invalid(
        [
            Problem(
                "key",
                "must be an OpenPGP public key in ASCII armor, such as gpg --armor --export prints",
            )
        ]
    )


def signed_url(signature: str) -> str:
    """Return the URL of the file that the detached signature at a URL is about.

    :raises Refused: the name does not tell.
    """
    for suffix in SUFFIXES:
        if signature.endswith(suffix):
            return signature.removesuffix(suffix)
    raise Refused(
        f"the signature {signature} contains no text, and its name does not end with one of"
        f" {', '.join(SUFFIXES)} after the name of the signed file",
        Code.INPUT,
    )


def read_status(output: bytes) -> str | None:
    """Return the fingerprint of a key with a valid signature, from ``gpgv --status-fd``.

    Signatures of unknown keys do not matter beside it; a wrong one of a known key does, and those
    of keys that have expired or were revoked do not count (GnuPG, doc/DETAILS).
    """
    found: str | None = None
    good = False
    for line in output.decode("utf-8", "replace").splitlines():
        words = line.split()
        if len(words) < 3 or words[0] != "[GNUPG:]":
            continue
        if words[1] == "BADSIG":
            return None
        if words[1] in ("GOODSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG"):
            good = words[1] == "GOODSIG"
        elif words[1] == "VALIDSIG" and good and found is None:
            found = words[-1]  # of the primary key
    return found


def find_checksum(text: str, name: str) -> str:
    """Return the digest of file ``name`` in a list of digests, ``sha256:`` or ``sha512:``.

    The list is what ``sha256sum`` prints, also with ``--tag``.

    :raises Refused: the file is not in the list.
    """
    listed = dict(_read_list(text))
    if name in listed:
        return listed[name]
    some = ", ".join(list(listed)[:_SHOWN]) or "none"
    raise Refused(
        f"the signed list has no SHA-256 or SHA-512 digest of {name}; files in it: {some}",
        Code.INPUT,
    )


def _read_list(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if found := _COREUTILS.fullmatch(line.rstrip()):
            digest, name = found.groups()
        elif found := _BSD.fullmatch(line.rstrip()):
            name, digest = found.groups()
        else:
            continue
        yield name, f"{_KINDS[len(digest)]}:{digest}"
