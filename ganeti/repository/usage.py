# SPDX-License-Identifier: BSD-2-Clause
"""What is in use in a repository, so that the removal of backups never takes what others need.

All access to a repository is by one node daemon, whose threads share this object. A backup in
progress claims each chunk before it looks whether the chunk exists; a sweep removes only chunks
that no manifest lists, that nothing has claimed, and that were not claimed since it began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from ganeti.errors import Failed, Refused


class RepositoryUsage:
    """The claims of chunks, and the backups that are being read."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._claims: dict[str, set[bytes]] = {}
        self._reading: dict[str, int] = {}
        self._sweeping = False
        self._released: set[bytes] = set()

    @property
    def idle(self) -> bool:
        """Whether nothing is being written or read."""
        return not self._claims and not self._reading

    def begin_claims(self, backup: str) -> None:
        """Begin to claim chunks for a backup."""
        with self._lock:
            self._claims.setdefault(backup, set())

    def claim_chunks(self, backup: str, digests: Iterable[bytes]) -> None:
        """Keep chunks from being removed until the backup has ended.

        :raises Failed: it has ended.
        """
        with self._lock:
            if backup not in self._claims:
                raise Failed(f"backup {backup} was given up")
            self._claims[backup].update(digests)

    def end_claims(self, backup: str) -> None:
        """End the claims of a backup, whose manifest is stored, or is given up."""
        with self._lock:
            claimed = self._claims.pop(backup, set())
            # A sweep that runs has read the manifests before this one was among them.
            if self._sweeping:
                self._released |= claimed

    @contextmanager
    def pin_backups(self, backups: Iterable[str]) -> Iterator[None]:
        """Keep backups from being removed meanwhile."""
        names = tuple(backups)
        with self._lock:
            for name in names:
                self._reading[name] = self._reading.get(name, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                for name in names:
                    self._reading[name] -= 1
                    if not self._reading[name]:
                        del self._reading[name]

    def remove_unused(self, backups: Sequence[str], remove: Callable[[str], None]) -> None:
        """Remove backups, none of which can be read meanwhile.

        :raises Refused: one of them is being read; none is removed.
        """
        with self._lock:
            for name in backups:
                if name in self._reading:
                    raise Refused(
                        f"backup {name} is being restored or verified; try again when that has"
                        " ended"
                    )
            for name in backups:
                remove(name)

    @contextmanager
    def sweep_chunks(self) -> Iterator[Callable[[bytes, Callable[[], None]], bool]]:
        """Yield a function that removes a chunk unless it is claimed, and returns whether it did.

        Read the manifests after this has begun.

        :raises Refused: another sweep runs.
        """
        with self._lock:
            if self._sweeping:
                raise Refused("backups are being removed from this repository; try again later")
            self._sweeping = True
        try:
            yield self.remove_unclaimed
        finally:
            with self._lock:
                self._sweeping = False
                self._released.clear()

    def remove_unclaimed(self, digest: bytes, remove: Callable[[], None]) -> bool:
        """Remove a chunk unless it is claimed; return whether it was removed."""
        # The lock is held during the removal: a claim is either before it, and prevents it, or
        # after it, and finds that the chunk does not exist.
        with self._lock:
            if digest in self._released or any(
                digest in claimed for claimed in self._claims.values()
            ):
                return False
            remove()
            return True
