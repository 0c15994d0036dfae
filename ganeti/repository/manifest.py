# SPDX-License-Identifier: BSD-2-Clause
"""The format of a manifest: what a backup is of, and the chunks of its disks.

A file has a first line in JSON with the version, and the length and SHA-256 digest of each of the
two parts that follow: the description, and the digests of chunks. So a list of backups reads little
of each. In an encrypted repository both parts are encrypted.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass

import msgspec

from ganeti.model.backups import BackupSummary, StateFile
from ganeti.repository.chunk_format import DIGEST_SIZE, ChunkCodec, Damaged
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record
from ganeti.schema.types import Lines

VERSION = 1
MAX_HEAD = 4096


class BackupDescription(Record, omit_defaults=True):
    """What a manifest says: the summary, and the instance as exports describe it.

    ``state_files`` are what a node keeps for the guest outside of its disks.
    """

    summary: BackupSummary
    description: Lines
    state_files: tuple[StateFile, ...] = ()


class _Head(msgspec.Struct):
    """The first line of a manifest."""

    version: int
    lengths: tuple[int, int]
    digests: tuple[str, str]


@dataclass(frozen=True)
class Manifest:
    """A backup with the digests of the chunks of each disk, in order."""

    description: BackupDescription
    disks: tuple[tuple[bytes, ...], ...]


def encode(manifest: Manifest, codec: ChunkCodec) -> bytes:
    """Return the content of the file of a manifest."""
    name = manifest.description.summary.id
    described = msgspec.json.encode(manifest.description)
    listed = msgspec.msgpack.encode([b"".join(chunks) for chunks in manifest.disks])
    parts = [
        codec.seal_part(zlib.compress(part), _label(name, number))
        for number, part in enumerate((described, listed))
    ]
    head = _Head(
        version=VERSION,
        lengths=(len(parts[0]), len(parts[1])),
        digests=(hashlib.sha256(parts[0]).hexdigest(), hashlib.sha256(parts[1]).hexdigest()),
    )
    return msgspec.json.encode(head) + b"\n" + b"".join(parts)


def read_description(name: str, content: bytes, codec: ChunkCodec) -> BackupDescription:
    """Return what the file of a backup says, from its begin.

    :raises Damaged: it is damaged, or that of another backup.
    """
    head, at = _read_head(content)
    part = _open(name, 0, content[at : at + head.lengths[0]], head, codec)
    try:
        found = msgspec.json.decode(part, type=BackupDescription)
    except UNREADABLE as e:
        raise Damaged(f"its description is damaged: {e}") from None
    if found.summary.id != name:
        raise Damaged(f"it is that of backup {found.summary.id}")
    return found


def decode(name: str, content: bytes, codec: ChunkCodec) -> Manifest:
    """Return the manifest in a file.

    :raises Damaged: it is damaged, or that of another backup.
    """
    head, at = _read_head(content)
    at += head.lengths[0]
    part = _open(name, 1, content[at : at + head.lengths[1]], head, codec)
    try:
        listed = msgspec.msgpack.decode(part, type=list[bytes])
    except UNREADABLE as e:
        raise Damaged(f"its list of chunks is damaged: {e}") from None
    disks = tuple(
        tuple(chunks[at : at + DIGEST_SIZE] for at in range(0, len(chunks), DIGEST_SIZE))
        for chunks in listed
    )
    return Manifest(read_description(name, content, codec), disks)


def head_size(content: bytes) -> int:
    """Return how many bytes of a file ``read_description`` needs, from the first ``MAX_HEAD``."""
    head, at = _read_head(content)
    return at + head.lengths[0]


def _read_head(content: bytes) -> tuple[_Head, int]:
    line, found, _ = content[:MAX_HEAD].partition(b"\n")
    if not found:
        raise Damaged("it is no manifest: it has no first line")
    try:
        head = msgspec.json.decode(line, type=_Head)
    except UNREADABLE as e:
        raise Damaged(f"it is no manifest: {e}") from None
    if head.version != VERSION:
        raise Damaged(f"its format has version {head.version}, this software reads {VERSION}")
    return head, len(line) + 1


def _open(name: str, number: int, part: bytes, head: _Head, codec: ChunkCodec) -> bytes:
    if len(part) != head.lengths[number] or (
        hashlib.sha256(part).hexdigest() != head.digests[number]
    ):
        raise Damaged("it is incomplete or was changed")
    try:
        return zlib.decompress(codec.unseal_part(part, _label(name, number)))
    except zlib.error as e:
        raise Damaged(f"it cannot be decompressed: {e}") from None


def _label(name: str, number: int) -> bytes:
    return f"manifest {name} {number}".encode()
