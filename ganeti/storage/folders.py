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
class AllowedFolders:
    """The folders of this node in which disks may be made.

    ``listing`` is the path of the administrator's list, which is read anew each time; while there
    is none, ``defaults`` are allowed.
    """

    files: IFiles
    resolve: Callable[[str], str]
    listing: str
    defaults: Sequence[str]

    def all(self) -> tuple[str, ...]:
        """The allowed folders; forbidden ones on the list do not count."""
        named = self._listed()
        if named is None:
            return tuple(map(_clean, self.defaults))
        return tuple(folder for folder in named if not forbidden(folder))

    def forbidden(self) -> tuple[str, ...]:
        """The folders on the administrator's list that are not accepted."""
        return tuple(folder for folder in self._listed() or () if forbidden(folder))

    def home(self, path: str) -> str:
        """The allowed folder that ``path`` is below.

        :raises Refused: it is in none, or would leave it by ``..`` or a symbolic link.
        """
        if not path.startswith("/") or _clean(path) != path or "\0" in path:
            raise Refused(f"{path!r} is no plain absolute path; write it without '..'", Code.INPUT)
        for folder in self.all():
            if path.startswith(folder + "/"):
                below = path[len(folder) :]
                if self.resolve(path) != self.resolve(folder) + below:
                    raise Refused(f"{path} leads out of {folder} by a symbolic link", Code.INPUT)
                return folder
        raise Refused(
            f"no file disks are allowed at {path}; add its folder to {self.listing} on this node",
            Code.INPUT,
        )

    def _listed(self) -> tuple[str, ...] | None:
        if self.files.stat(self.listing) is None:
            return None
        return listed(self.files.read(self.listing).decode("utf-8", "replace"))
