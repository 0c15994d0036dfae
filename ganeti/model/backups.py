# SPDX-License-Identifier: BSD-2-Clause
"""Backups: repositories, what is in them, and schedules."""

from __future__ import annotations

import base64
import re
import zlib
from typing import Annotated, TypeAlias

from msgspec import Meta

from ganeti.errors import Code, Failed, Refused
from ganeti.schema.records import Record
from ganeti.schema.types import BACKUP_ID, BACKUP_KEY, LABEL, Count, Line

MAX_STATE = 64 << 20
"""Maximum size of a file of a guest's state, in bytes: a bound for damaged ones."""

RepositoryName: TypeAlias = Annotated[str, Meta(pattern=LABEL, max_length=64)]
"""The name of a repository or of a schedule, which is also a label of metrics."""

BackupId: TypeAlias = Annotated[str, Meta(pattern=BACKUP_ID)]
"""The time of a backup in UTC, and random digits; also the name of its file."""

RepositoryKey: TypeAlias = Annotated[str, Meta(pattern=BACKUP_KEY)]
"""The key of a repository: 32 bytes in hexadecimal digits, or empty."""


class S3Settings(Record):
    """How a node reaches an S3-compatible store: the URL of its endpoint, and credentials."""

    endpoint: Line
    region: Line
    access_key: Line
    secret_key: Line

    def __repr__(self) -> str:
        return f"S3Settings({self.endpoint})"  # without its secret


S3_SCHEME = "s3://"
_BUCKET = re.compile(
    r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*)?)?"
)


def split_bucket(path: str) -> tuple[str, str]:
    """Return the bucket and the prefix of ``s3://BUCKET/PREFIX``; a prefix ends with a slash.

    :raises Refused: it is something else.
    """
    found = _BUCKET.fullmatch(path)
    if found is None:
        raise Refused(
            f"{path} is not s3://BUCKET/PREFIX: a bucket has lower-case letters, digits, dots and"
            " hyphens, a prefix also capitals, underscores and slashes",
            Code.INPUT,
        )
    bucket, prefix = found.groups()
    return bucket, f"{prefix}/" if prefix else ""


class BackupRepository(Record, omit_defaults=True):
    """A place in which backups are stored; ``uuid`` is its name.

    ``identity`` is what the place says it is, ``node`` the UUID of the node that uses it. ``path``
    is a folder of the node, or ``s3://BUCKET/PREFIX`` in the store of ``s3``.
    """

    uuid: RepositoryName
    identity: Line
    node: Line
    path: Line
    created: Count
    key: RepositoryKey = ""
    s3: S3Settings | None = None

    @property
    def name(self) -> str:
        return self.uuid

    def make_access(self) -> RepositoryAccess:
        """Return what the node needs to use it."""
        return RepositoryAccess(
            name=self.name, path=self.path, identity=self.identity, key=self.key, s3=self.s3
        )

    def __repr__(self) -> str:
        return f"BackupRepository({self.name})"  # without its key


class RepositoryAccess(Record, omit_defaults=True):
    """What a node needs to use a repository; see ``BackupRepository``."""

    name: Line
    path: Line
    identity: Line
    key: RepositoryKey = ""
    s3: S3Settings | None = None

    def __repr__(self) -> str:
        return f"RepositoryAccess({self.name})"  # without its key


class StoredDisk(Record, omit_defaults=True):
    """A disk in a backup: its name, and sizes in bytes.

    ``read`` is what was read of it, ``written`` what its new chunks take in the repository.
    ``incremental`` says that only what has changed since the parent was read. ``digest`` is that of
    the whole content when the backup was made, see ``ContentDigest``; older backups have none.
    """

    name: Line
    size: Count
    read: Count = 0
    written: Count = 0
    incremental: bool = False
    digest: Line = ""


class RestoreCheck(Record):
    """What the last verification of a backup by restoring it found, at a time since the epoch.

    ``problem`` is empty if what was restored is what was backed up.
    """

    at: Count
    problem: Line = ""


class StateFile(Record):
    """What a node keeps for a guest outside of its disks, such as its UEFI variables.

    ``content`` is compressed by zlib, in base64.
    """

    name: Line
    content: Line


def pack_state(name: str, content: bytes) -> StateFile:
    """Return a file of a guest's state as backups have it."""
    return StateFile(name=name, content=base64.b64encode(zlib.compress(content)).decode("ascii"))


def unpack_state(file: StateFile) -> bytes:
    """Return the content of such a file.

    :raises Failed: it is damaged, or has more than ``MAX_STATE`` bytes.
    """
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(base64.b64decode(file.content, validate=True), MAX_STATE)
    except (ValueError, zlib.error) as e:
        raise Failed(f"the file {file.name} in the backup is damaged: {e}") from None
    if not unpacker.eof:
        raise Failed(f"the file {file.name} in the backup is damaged: it is incomplete or too long")
    return content


class BackupSummary(Record, omit_defaults=True):
    """A backup in lists; ``created`` is in seconds since the epoch, the moment that it shows.

    ``uuid`` is that of the instance, ``duration`` in seconds. ``parent`` is the backup whose chunks
    were taken for what has not changed; this one does not need it any more. ``running`` says that
    the guest was running, ``frozen`` that its agent had frozen its file systems. A backup whose
    manifest cannot be read has only an ``id``, and the ``problem``. ``check`` is not a part of the
    manifest, but was found later.
    """

    id: Line
    instance: Line
    uuid: Line
    cluster: Line
    created: Count
    duration: Count = 0
    disks: tuple[StoredDisk, ...] = ()
    parent: Line = ""
    running: bool = False
    frozen: bool = False
    schedule: Line = ""
    problem: Line = ""
    check: RestoreCheck | None = None


class BackupSchedule(Record, omit_defaults=True):
    """When instances are backed up, and what is kept; ``uuid`` is its name.

    Instances are those with one of the UUIDs or tags, or all if both are empty. A backup is due
    every ``interval`` hours, counted from ``at`` minutes after midnight UTC. The newest backup of
    each instance is verified by restoring it every ``verify_days`` days; never if this is 0.
    """

    uuid: RepositoryName
    repository: RepositoryName
    created: Count
    instances: tuple[Line, ...] = ()
    tags: tuple[Line, ...] = ()
    interval: Count = 24
    at: Count = 0
    keep_last: Count = 0
    keep_daily: Count = 0
    keep_weekly: Count = 0
    keep_monthly: Count = 0
    verify_days: Count = 0

    @property
    def name(self) -> str:
        return self.uuid


def last_due(schedule: BackupSchedule, now: float) -> int:
    """Return the newest time not after ``now`` at which a schedule is due; seconds since the epoch.

    The epoch is a midnight in UTC, so that times fall on the same hours of each day.
    """
    period, offset = schedule.interval * 3600, schedule.at * 60
    return int((now - offset) // period) * period + offset


class BackupScheduleProgress(Record, omit_defaults=True):
    """When the jobs of a schedule were submitted last; ``uuid`` is its name.

    ``due`` is the time that they were due, in seconds since the epoch; ``jobs`` are their numbers.
    ``verified`` is the time when those were due that verified backups last.
    """

    uuid: RepositoryName
    due: Count
    jobs: tuple[Count, ...] = ()
    verified: Count = 0
