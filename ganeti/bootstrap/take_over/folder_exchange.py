# SPDX-License-Identifier: BSD-2-Clause
"""The exchange of the content of a data folder, by renames within it.

The folder itself may be a mount point, and so cannot be renamed. New content is prepared in a
folder inside. The exchange moves the old content into another one, and the new content up. If it
fails, it is undone; if the process is killed, the next call continues it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ganeti.paths import Paths

PREPARED, GANETI, OURS = "adopting", "ganeti-before", "taken-over"
"""The folders inside: of new content, of Ganeti's content, and of ours after the way back."""

_OURS = re.compile(rf"{OURS}-[1-9][0-9]*")

_READY, _MOVED_OUT = ".ready", ".moved-out"
"""Markers in the folder of new content: the exchange may begin; the old content is out."""

LAST = ("config.data", "server.pem")
"""Files that are moved last, because they tell that this host is part of a cluster."""


@dataclass(frozen=True)
class FolderExchange:
    """The exchange of the content of ``data``: that of ``new`` comes, that of now goes to ``old``.

    Entries in ``staying`` are not moved.
    """

    data: str
    new: str
    old: str
    staying: Collection[str] = ()

    @property
    def under_way(self) -> bool:
        """Whether an exchange was interrupted after its beginning."""
        return any(os.path.exists(self._marker(each)) for each in (_READY, _MOVED_OUT))

    def carry_out(self) -> None:
        """Exchange the content, or continue an exchange that was interrupted.

        :raises OSError: it failed, and all is as it was before this call.
        """
        done: list[tuple[str, str]] = []
        begins = not self.under_way
        try:
            self._carry_out(done)
        except OSError:
            for old, new in reversed(done):
                os.rename(new, old)
            # The marker of an earlier call stays, as what that has moved is not moved back.
            if begins:
                os.unlink(self._marker(_READY))
            raise
        os.rmdir(f"{self.data}/{self.new}")
        _sync(self.data)

    def _carry_out(self, done: list[tuple[str, str]]) -> None:
        new, old = f"{self.data}/{self.new}", f"{self.data}/{self.old}"
        if not self.under_way:
            with open(self._marker(_READY), "wb"):
                pass
            _sync(new)
        if os.path.exists(self._marker(_READY)):
            os.makedirs(old, mode=0o700, exist_ok=True)
            # First what marks the cluster, so that no daemon starts with half of its files.
            for name in reversed(_in_order(set(os.listdir(self.data)) - self._apart())):
                _move(f"{self.data}/{name}", f"{old}/{name}", done)
            # Before the marker says that everything is out.
            _sync(self.data, old)
            _move(self._marker(_READY), self._marker(_MOVED_OUT), done)
            # Before anything new takes a place: with the old marker back after a power failure, it
            # would be moved out over what is there.
            _sync(new)
        for name in _in_order(set(os.listdir(new)) - {_READY, _MOVED_OUT}):
            _move(f"{new}/{name}", f"{self.data}/{name}", done)
        _sync(self.data, new)
        os.unlink(self._marker(_MOVED_OUT))

    def _apart(self) -> set[str]:
        """Return the entries that are not moved out."""
        return {self.new, self.old, *self.staying}

    def _marker(self, name: str) -> str:
        return f"{self.data}/{self.new}/{name}"


def exchange_for_ours(paths: Paths) -> FolderExchange:
    """Return the exchange of Ganeti's files for ours."""
    return FolderExchange(paths.data, PREPARED, GANETI, _staying(paths))


def exchange_for_ganetis(paths: Paths) -> FolderExchange:
    """Return the exchange of our files for Ganeti's, which were put aside."""
    before = _earlier(paths)
    exchange = FolderExchange(paths.data, GANETI, f"{OURS}-{len(before) + 1}", _staying(paths))
    if exchange.under_way and before:
        return replace(exchange, old=before[-1])
    return exchange


def _staying(paths: Paths) -> Collection[str]:
    """Return the entries that belong to neither: exports, and what earlier exchanges have left."""
    return (os.path.basename(paths.exports), "lost+found", *_earlier(paths))


def _earlier(paths: Paths) -> list[str]:
    """Return the folders with our files of earlier ways back, the newest last."""
    found = os.listdir(paths.data) if os.path.isdir(paths.data) else []
    numbers = sorted(int(each[len(OURS) + 1 :]) for each in found if _OURS.fullmatch(each))
    return [f"{OURS}-{number}" for number in numbers]


@contextmanager
def prepared(paths: Paths) -> Iterator[str]:
    """Make the folder for new content, and remove it if this context fails.

    What an earlier preparation has left is removed first.
    """
    made = _missing_folders(paths.data)
    folder = f"{paths.data}/{PREPARED}"
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        for each in made:
            os.rmdir(each)
        raise


def _missing_folders(path: str) -> list[str]:
    """Return the folders on the way to ``path`` that do not exist, the innermost first."""
    missing = []
    while path and not os.path.exists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing


def _in_order(names: Collection[str]) -> list[str]:
    return sorted(names, key=lambda name: (LAST.index(name) if name in LAST else -1, name))


def _move(old: str, new: str, done: list[tuple[str, str]]) -> None:
    os.rename(old, new)
    done.append((old, new))


def _sync(*folders: str) -> None:
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
