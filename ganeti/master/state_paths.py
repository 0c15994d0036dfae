# SPDX-License-Identifier: BSD-2-Clause
"""Where the master keeps its state, below one data folder; names are those of classic Ganeti."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config import access

JOBS_PER_ARCHIVE_FOLDER = 10_000


@dataclass(frozen=True)
class StatePaths:
    """The files of the master's state; ``data`` is the folder that they are all in."""

    data: str

    @property
    def config(self) -> str:
        return f"{self.data}/config.data"

    @property
    def access(self) -> str:
        """The part of the configuration that ``config.data`` has no place for."""
        return f"{self.data}/{access.NAME}"

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
        """Which commits the files hold."""
        return f"{self.journal}/checkpoint"

    @property
    def base(self) -> str:
        """``config.data`` as the master daemon has written it, to tell what was edited in it."""
        return f"{self.journal}/config.base"

    @property
    def watcher_pause(self) -> str:
        """Until when the watcher is to stay quiet."""
        return f"{self.data}/watcher.pause"

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
        """Exists while the queue takes no jobs."""
        return f"{self.queue}/drain"

    def job(self, number: int) -> str:
        return f"{self.queue}/job-{number}"

    def archived(self, number: int) -> str:
        return f"{self.queue}/archive/{number // JOBS_PER_ARCHIVE_FOLDER}/job-{number}"
