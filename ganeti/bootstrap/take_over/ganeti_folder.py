# SPDX-License-Identifier: BSD-2-Clause
"""The folder of a cluster that Ganeti runs, ``/var/lib/ganeti`` or a copy of it; only read."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from ganeti.bootstrap.foreign_folder import is_foreign
from ganeti.config.formats import loaded
from ganeti.config.reservations import Reservation, separate_reservations
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Refused, to_wire
from ganeti.jobs.job import Job, JobEvent, JobStatus, decode
from ganeti.paths import Paths
from ganeti.schema.documents import UNREADABLE

EARLIEST = 2_070_000
"""The first version whose configuration can be taken over; 2.7."""

_JOB = re.compile(r"job-([1-9][0-9]*)")
_STEPS: Mapping[JobStatus, JobEvent] = {
    JobStatus.QUEUED: JobEvent.CANCEL,
    JobStatus.WAITING: JobEvent.RESTARTED,
    JobStatus.CANCELING: JobEvent.RESTARTED,
    JobStatus.RUNNING: JobEvent.RESTARTED,
}
"""How an unfinished job comes to its end: what has not started is canceled."""


class FolderPaths(Paths):
    """Paths of a node whose data folder is elsewhere, as that of a copy."""

    def __init__(self, folder: str, root: str = "") -> None:
        super().__init__(root)
        self.data = folder


@dataclass(frozen=True)
class GanetiFolder:
    """What a folder of Ganeti has; ``version`` is that of its configuration.

    ``damaged`` are the files of jobs that cannot be read.
    """

    paths: Paths
    version: int
    state: ClusterState
    reservations: Sequence[Reservation]
    jobs: Sequence[Job]
    damaged: Sequence[str]

    @property
    def unfinished(self) -> Sequence[Job]:
        """The jobs that have not ended."""
        return [job for job in self.jobs if not job.is_final]

    @cached_property
    def archived(self) -> Sequence[str]:
        """The files of archived jobs, relative to the queue."""
        top = self.paths.queue
        return [
            os.path.relpath(f"{folder}/{name}", top)
            for folder, _, names in os.walk(f"{top}/archive")
            for name in names
            if _JOB.fullmatch(name)
        ]

    @property
    def users(self) -> int:
        """The number of users of the remote API."""
        lines = (self.read(self.paths.rapi_users) or b"").splitlines()
        return sum(1 for line in lines if line.strip() and not line.lstrip().startswith(b"#"))

    @property
    def serial(self) -> int:
        """The last job ID that was assigned."""
        text = (self.read(f"{self.paths.queue}/serial") or b"").strip()
        return max((int(text) if text.isdigit() else 0, *(job.id for job in self.jobs)))

    @property
    def drained(self) -> bool:
        """Whether the queue accepts no new jobs."""
        return os.path.exists(f"{self.paths.queue}/drain")

    @staticmethod
    def read(path: str) -> bytes | None:
        """Return the content of a file; None if it does not exist."""
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None


def read_folder(folder: str, *, configuration: str | None = None) -> GanetiFolder:
    """Read the folder of a cluster that Ganeti runs, perhaps with another ``configuration`` file.

    :raises Refused: there is no such cluster, or its configuration is not one of Ganeti's.
    :raises Invalid: the configuration has problems; the message has all of them.
    """
    paths = FolderPaths(os.path.abspath(folder))
    text = GanetiFolder.read(configuration or paths.config_file)
    if text is None:
        raise Refused(
            f"{paths.config_file} does not exist: give the folder /var/lib/ganeti of the master of"
            " a cluster that Ganeti runs, or a copy of it",
            Code.INPUT,
        )
    if not is_foreign(paths):
        raise Refused(
            f"{folder} is the folder of a cluster of this software, not of one that Ganeti runs;"
            " there is nothing to take over",
            Code.EXISTS,
        )
    version, state, reservations = _read_configuration(text)
    jobs, damaged = _read_jobs(paths.queue)
    return GanetiFolder(paths, version, state, reservations, jobs, damaged)


def _read_configuration(text: bytes) -> tuple[int, ClusterState, Sequence[Reservation]]:
    try:
        document: object = msgspec.json.decode(text)
    except UNREADABLE as e:
        raise Invalid(
            f"config.data is damaged: {e}; copy it from another master candidate or a backup"
        ) from None
    version = document.get("version") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(version, int) or version < EARLIEST:
        raise Refused(
            f"config.data has version {_format_version(version)}; clusters of Ganeti 2.7 to 3.1 can"
            " be taken over: upgrade it with Ganeti first",
        )
    document, reservations = separate_reservations(document)
    state = loaded(msgspec.json.encode(document), ids=lambda: str(uuid.uuid4()))
    return version, state, reservations


def _format_version(version: object) -> str:
    if not isinstance(version, int):
        return "none"
    return f"{version // 1_000_000}.{version // 10_000 % 100}"


def describe_version(folder: GanetiFolder) -> str:
    """Return the version of the configuration, such as 2.16."""
    return _format_version(folder.version)


def _read_jobs(queue: str) -> tuple[Sequence[Job], Sequence[str]]:
    jobs, damaged = [], []
    for path in _job_files(queue):
        content = GanetiFolder.read(path)
        try:
            jobs.append(decode(content or b""))
        except Invalid:
            damaged.append(path)
    return sorted(jobs, key=lambda job: job.id), damaged


def _job_files(queue: str) -> Iterator[str]:
    if os.path.isdir(queue):
        for name in sorted(os.listdir(queue)):
            if _JOB.fullmatch(name):
                yield f"{queue}/{name}"


def end_job(job: Job, now: float) -> Job:
    """Return an unfinished job of Ganeti's as one that has ended: nothing continues it here."""
    while (index := job.current) is not None:
        status = job.ops[index].status
        result = to_wire(Failed(_INTERRUPTED)) if status is JobStatus.RUNNING else None
        job = job.after(_STEPS[status], now, result)
    return job


_INTERRUPTED = (
    "the cluster was taken over from Ganeti before this job had ended; check what it has changed"
    " before you submit it again"
)
