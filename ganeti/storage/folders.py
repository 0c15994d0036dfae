# SPDX-License-Identifier: BSD-2-Clause
"""The directories in which an administrator allows file disks."""

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
"""Directories in which disks cannot be created directly, as they contain other files."""

SYSTEM_TREES = (
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
"""Directories of the operating system, in which disks cannot be created at any depth."""


def listed(text: str) -> tuple[str, ...]:
    """Parse a ``file-storage-paths`` file: one directory per line, ``#`` starts a comment."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(_normalize(line) for line in lines if line and not line.startswith("#"))


def _normalize(path: str) -> str:
    return posixpath.normpath(path)


def forbidden(folder: str) -> bool:
    """Return whether disks in ``folder`` could damage the operating system."""
    return (
        # A relative path would depend on the working directory of the daemon.
        not folder.startswith("/")
        or folder in FORBIDDEN
        or any(folder == tree or folder.startswith(tree + "/") for tree in SYSTEM_TREES)
    )


@dataclass(frozen=True)
class ResolvedPath:
    """The real path of a file on this host, and the allowed directory that contains it."""

    path: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class AllowedFolders:
    """The directories of this node in which disks may be created.

    Paths are as in the configuration; on this host ``root`` is prepended. ``listing`` is the
    administrator's list, which is read each time; if it does not exist, ``defaults`` are allowed.
    ``contents`` says in messages what the directories are for.
    """

    files: IFiles
    resolve: Callable[[str], str]
    listing: str
    defaults: Sequence[str]
    root: str = ""
    contents: str = "file disks"

    def allowed(self) -> tuple[str, ...]:
        """Return the allowed directories, without forbidden ones."""
        named = self._read_listing()
        if named is None:
            return tuple(map(_normalize, self.defaults))
        return tuple(folder for folder in named if not forbidden(folder))

    def forbidden(self) -> tuple[str, ...]:
        """Return the directories in the administrator's list that are forbidden."""
        return tuple(folder for folder in self._read_listing() or () if forbidden(folder))

    def resolve_file(self, path: str) -> ResolvedPath:
        """Return the location of the file ``path``.

        :raises Refused: if it is in no allowed directory, or leaves it by ``..`` or a symbolic
            link.
        """
        folder = self._find_allowed_folder(path)
        if path == folder:
            raise Refused(
                f"{path} is a directory for disks, and cannot be a disk itself", Code.INPUT
            )
        return self._resolve(path, folder)

    def folder(self, path: str) -> str:
        """Return the real path of the directory ``path``, an allowed one or below one.

        :raises Refused: as for ``resolve_file``.
        """
        return self._resolve(path, self._find_allowed_folder(path)).path

    def _find_allowed_folder(self, path: str) -> str:
        # Before the comparison of prefixes, which "..", "//" and "/./" would defeat.
        if not path.startswith("/") or _normalize(path) != path or "\0" in path:
            raise Refused(
                f"{path!r} is not a normalized absolute path; write it without '..'", Code.INPUT
            )
        for folder in self.allowed():
            # With the slash, so that /srv/disks does not allow /srv/disks2.
            if path == folder or path.startswith(folder + "/"):
                return folder
        raise Refused(
            f"{self.contents} are not allowed at {path}; add its directory to"
            f" {self.root}{self.listing} on this node",
            Code.INPUT,
        )

    def _resolve(self, path: str, folder: str) -> ResolvedPath:
        # The allowed directory may be a link, which its administrator has made; below it, disks
        # come from the configuration, and a link could lead anywhere.
        here, below = self.root + folder, path[len(folder) :]
        if self.resolve(here + below) != self.resolve(here) + below:
            raise Refused(f"{path} leaves {folder} by a symbolic link", Code.INPUT)
        return ResolvedPath(here + below, here)

    def _read_listing(self) -> tuple[str, ...] | None:
        listing = self.root + self.listing
        # Without a list the defaults are allowed; with an empty one, nothing is.
        if self.files.stat(listing) is None:
            return None
        return listed(self.files.read(listing).decode("utf-8", "replace"))
