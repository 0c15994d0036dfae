# SPDX-License-Identifier: BSD-2-Clause
"""The format of a chunk's file: compressed, and encrypted if the repository has a key.

A chunk is named by the SHA-256 digest of its contents. In an encrypted repository the digest is
keyed (HMAC, RFC 2104), as names would otherwise tell which known contents a disk has. The keys of
names and of contents are derived from the key of the repository (HKDF, RFC 5869).

A file begins with ``GCHK``, the version of the format, and flags; the rest is the body. An
encrypted body is a nonce of 12 bytes and the output of AES-256-GCM, whose additional data are the
digest and the flags: a chunk that was exchanged for another one is not accepted.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from ganeti.errors import Code, Failed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK_SIZE = 1 << 20
"""The size of a chunk in bytes; the last one of a disk may be smaller."""

KEY_SIZE = 32
"""The size of a repository's key in bytes."""

DIGEST_SIZE = 32

ZERO = bytes(DIGEST_SIZE)
"""Stands for a chunk of zeros, which has no file."""

_MAGIC, _VERSION = b"GCHK", 1
_COMPRESSED, _ENCRYPTED = 1, 2
_HEAD = len(_MAGIC) + 2
_NONCE = 12
_SAMPLE, _SAMPLES, _WORTHWHILE = 4096, 8, 0.95
"""The length and number of samples, and the part to which they must shrink."""
_LEVEL = 1
"""Disks are read faster than higher levels of zlib compress."""


class Damaged(Failed):
    """A file of a repository is damaged or missing."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Code.ENVIRONMENT)


class ChunkCodec:
    """Names, encodes and decodes chunks; ``key`` is that of the repository, or empty.

    ``random`` returns so many random bytes.
    """

    def __init__(self, key: bytes = b"", random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random
        self._name_key = _derive(key, b"names") if key else b""
        self._cipher = _make_cipher(_derive(key, b"contents")) if key else None

    @property
    def encrypts(self) -> bool:
        """Whether the repository has a key."""
        return self._cipher is not None

    def name_chunk(self, data: bytes | bytearray | memoryview) -> bytes:
        """Return the name of a chunk with this content."""
        if self._name_key:
            return hmac.digest(self._name_key, data, "sha256")
        return hashlib.sha256(data).digest()

    def encode_chunk(self, digest: bytes, data: bytes) -> bytes:
        """Return the content of the file of a chunk."""
        flags, body = 0, data
        if _is_compressible(data):
            flags, body = _COMPRESSED, zlib.compress(data, _LEVEL)
        if self._cipher is not None:
            flags |= _ENCRYPTED
            nonce = self._random(_NONCE)
            body = nonce + self._cipher.encrypt(nonce, body, digest + bytes((flags,)))
        return _MAGIC + bytes((_VERSION, flags)) + body

    def decode_chunk(self, digest: bytes, content: bytes) -> bytes:
        """Return the chunk in the content of a file.

        :raises Damaged: it is not the chunk of this name.
        """
        data = self._open(digest, content)
        if not hmac.compare_digest(self.name_chunk(data), digest):
            raise Damaged("its content does not match its name")
        return data

    def _open(self, digest: bytes, content: bytes) -> bytes:
        if len(content) < _HEAD or not content.startswith(_MAGIC):
            raise Damaged("it is not the file of a chunk")
        version, flags = content[_HEAD - 2], content[_HEAD - 1]
        if version != _VERSION:
            raise Damaged(f"its format has version {version}, this software reads {_VERSION}")
        if bool(flags & _ENCRYPTED) != self.encrypts:
            raise Damaged("it is encrypted in another way than the repository")
        body = content[_HEAD:]
        if self._cipher is not None:
            body = unseal(self._cipher, body, digest + bytes((flags,)))
        if not flags & _COMPRESSED:
            return body
        # Bounded: a damaged or forged chunk must not fill the memory.
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(body, CHUNK_SIZE + 1)
        except zlib.error as e:
            raise Damaged(f"it cannot be decompressed: {e}") from None
        if not unpacker.eof or len(data) > CHUNK_SIZE:
            raise Damaged("it is incomplete or too long")
        return data

    def seal_part(self, data: bytes, label: bytes) -> bytes:
        """Encrypt data that is not a chunk, if the repository has a key."""
        if self._cipher is None:
            return data
        nonce = self._random(_NONCE)
        return nonce + self._cipher.encrypt(nonce, data, label)

    def unseal_part(self, data: bytes, label: bytes) -> bytes:
        """Decrypt what ``seal_part`` has returned for the same label.

        :raises Damaged: it is something else, or the key is another one.
        """
        return data if self._cipher is None else unseal(self._cipher, data, label)


class ContentDigest:
    """The digest of a disk: SHA-256 of the names of its pieces of ``CHUNK_SIZE`` bytes.

    So that of a disk of which only changes were read is known, too.
    """

    def __init__(self, codec: ChunkCodec) -> None:
        self._codec = codec
        self._names = hashlib.sha256()

    def add_piece(self, data: bytes) -> None:
        """Add the next piece."""
        self._names.update(ZERO if data.count(0) == len(data) else self._codec.name_chunk(data))

    def add_name(self, name: bytes) -> None:
        """Add the name of the next piece."""
        self._names.update(name)

    def finish(self) -> str:
        """Return the digest in hexadecimal digits."""
        return self._names.hexdigest()


def unseal(cipher: AESGCM, data: bytes, label: bytes) -> bytes:
    """Decrypt a nonce and what follows.

    :raises Damaged: the data, the label or the key is not that of the encryption.
    """
    from cryptography.exceptions import InvalidTag

    if len(data) < _NONCE:
        raise Damaged("it is incomplete")
    try:
        return cipher.decrypt(data[:_NONCE], data[_NONCE:], label)
    except InvalidTag:
        raise Damaged("it was damaged, or encrypted with another key") from None


def fingerprint(key: bytes) -> str:
    """Return what identifies a key without telling it; empty for no key."""
    return _derive(key, b"fingerprint").hex()[:16] if key else ""


def _is_compressible(data: bytes) -> bool:
    """Return whether samples of a chunk become smaller: others are most of the time of a backup."""
    places = range(0, len(data), max(_SAMPLE, len(data) // _SAMPLES))
    samples = b"".join(data[at : at + _SAMPLE] for at in places)
    return len(zlib.compress(samples, _LEVEL)) < _WORTHWHILE * len(samples)


def _derive(key: bytes, purpose: bytes) -> bytes:
    """Return a key for one purpose: HKDF with SHA-256, without salt, of one block."""
    extracted = hmac.digest(bytes(DIGEST_SIZE), key, "sha256")
    return hmac.digest(extracted, b"ganeti backup " + purpose + b"\x01", "sha256")


def _make_cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
