# SPDX-License-Identifier: BSD-2-Clause
"""Paths of the master's state below one data folder; the names are those of classic Ganeti."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config import access_file

JOBS_PER_ARCHIVE_FOLDER = 10_000


@dataclass(frozen=True)
class StatePaths:
    """The files of the master's state; ``data`` is the folder that contains them."""

    data: str

    @property
    def config(self) -> str:
        return f"{self.data}/config.data"

    @property
    def access(self) -> str:
        """The part of the configuration that the format of ``config.data`` has no field for."""
        return f"{self.data}/{access_file.NAME}"

    @property
    def authority(self) -> str:
        return f"{self.data}/ca.pem"

    @property
    def authority_key(self) -> str:
        return f"{self.data}/ca.key"

    @property
    def domain_secret(self) -> str:
        return f"{self.data}/cluster-domain-secret"

    @property
    def journal(self) -> str:
        return f"{self.data}/journal"

    @property
    def marker(self) -> str:
        """The checkpoint marker: which commits the files contain."""
        return f"{self.journal}/checkpoint"

    @property
    def base(self) -> str:
        """``config.data`` as the master daemon wrote it, to detect edits."""
        return f"{self.journal}/config.base"

    @property
    def watcher_pause(self) -> str:
        """The time until which the watcher is paused."""
        return f"{self.data}/watcher.pause"

    def watcher_notes(self, group: str) -> str:
        """The attempts of the watcher to repair a node group, by its UUID."""
        return f"{self.data}/watcher.{group}.data"

    @property
    def queue(self) -> str:
        return f"{self.data}/queue"

    @property
    def serial(self) -> str:
        return f"{self.queue}/serial"

    @property
    def queue_version(self) -> str:
        return f"{self.queue}/version"

    @property
    def drained(self) -> str:
        """A marker file that exists while the queue is drained."""
        return f"{self.queue}/drain"

    def job(self, number: int) -> str:
        return f"{self.queue}/job-{number}"

    def archived(self, number: int) -> str:
        return f"{self.queue}/archive/{number // JOBS_PER_ARCHIVE_FOLDER}/job-{number}"
