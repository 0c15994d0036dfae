# SPDX-License-Identifier: BSD-2-Clause
"""The form of a checkpoint in etcd: its files as MessagePack, compressed by zlib."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

from ganeti.errors import Code, Failed
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record

FAST = 1
"""The level of compression; the files are JSON, which even the fastest level makes much smaller."""


class Archive(Record):
    """The files of a checkpoint, by path below the data folder."""

    files: dict[str, bytes]
    version: int = 1


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return the files in one piece."""
    return zlib.compress(msgspec.msgpack.encode(Archive(files=dict(files))), FAST)


def unpack(data: bytes) -> Mapping[str, bytes]:
    """Return the files of a checkpoint.

    :raises Failed: the data is damaged, or of a later release.
    """
    try:
        archive = msgspec.msgpack.decode(zlib.decompress(data), type=Archive)
    except (*UNREADABLE, zlib.error) as e:
        raise Failed(f"the checkpoint in etcd cannot be read: {e}", Code.ENVIRONMENT) from None
    if archive.version != 1:
        raise Failed(
            "the checkpoint in etcd was written by a later release; run that release, or a newer"
            " one",
            Code.ENVIRONMENT,
        )
    return archive.files
