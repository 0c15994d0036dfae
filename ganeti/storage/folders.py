# SPDX-License-Identifier: BSD-2-Clause
"""Where file disks may be: the folders an administrator allows, and nothing outside of them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ganeti.errors import Code, Refused
from ganeti.system.interfaces import IFiles

FORBIDDEN = frozenset(
    {
        "/",
        "/home",
        "/media",
        "/mnt",
        "/opt",
        "/root",
        "/srv",
        "/tmp",
        "/usr",
        "/usr/local",
        "/var",
        "/var/lib",
    }
)
"""Folders in which disks cannot be made directly: other things live there."""

SYSTEM = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/sbin",
)
"""The operating system's own trees, in which no disk can be made at any depth."""


def listed(text: str) -> tuple[str, ...]:
    """The folders that a ``file-storage-paths`` file lists: one a line, ``#`` for comments."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(_clean(line) for line in lines if line and not line.startswith("#"))


def _clean(path: str) -> str:
    return posixpath.normpath(path)


def forbidden(folder: str) -> bool:
    """Whether disks in ``folder`` would get in the way of the operating system."""
    return (
        not folder.startswith("/")
        or folder in FORBIDDEN
        or any(folder == tree or folder.startswith(tree + "/") for tree in SYSTEM)
    )


@dataclass(frozen=True)
class ResolvedPath:
    """Where a file really is on this host, and which allowed folder that is in."""

    path: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class AllowedFolders:
    """The folders of this node in which disks may be made.

    Paths are those of a host that is one node, as in the configuration; ``root`` comes before
    them here. ``listing`` is the administrator's list, which is read anew each time; while there
    is none, ``defaults`` are allowed.
    """

    files: IFiles
    resolve: Callable[[str], str]
    listing: str
    defaults: Sequence[str]
    root: str = ""

    def all(self) -> tuple[str, ...]:
        """The allowed folders; forbidden ones on the list do not count."""
        named = self._listed()
        if named is None:
            return tuple(map(_clean, self.defaults))
        return tuple(folder for folder in named if not forbidden(folder))

    def forbidden(self) -> tuple[str, ...]:
        """The folders on the administrator's list that are not accepted."""
        return tuple(folder for folder in self._listed() or () if forbidden(folder))

    def place(self, path: str) -> ResolvedPath:
        """Where the file ``path`` is.

        :raises Refused: it is in no allowed folder, or would leave it by ``..`` or a symbolic link.
        """
        folder = self._above(path)
        if path == folder:
            raise Refused(f"{path} is a folder for disks, and cannot be a disk", Code.INPUT)
        return self._place(path, folder)

    def folder(self, path: str) -> str:
        """Where the folder ``path`` is, which is an allowed one or below one.

        :raises Refused: as for ``place``.
        """
        return self._place(path, self._above(path)).path

    def _above(self, path: str) -> str:
        if not path.startswith("/") or _clean(path) != path or "\0" in path:
            raise Refused(f"{path!r} is no plain absolute path; write it without '..'", Code.INPUT)
        for folder in self.all():
            if path == folder or path.startswith(folder + "/"):
                return folder
        raise Refused(
            f"no file disks are allowed at {path}; add its folder to {self.root}{self.listing} on"
            " this node",
            Code.INPUT,
        )

    def _place(self, path: str, folder: str) -> ResolvedPath:
        here, below = self.root + folder, path[len(folder) :]
        if self.resolve(here + below) != self.resolve(here) + below:
            raise Refused(f"{path} leads out of {folder} by a symbolic link", Code.INPUT)
        return ResolvedPath(here + below, here)

    def _listed(self) -> tuple[str, ...] | None:
        listing = self.root + self.listing
        if self.files.stat(listing) is None:
            return None
        return listed(self.files.read(listing).decode("utf-8", "replace"))
