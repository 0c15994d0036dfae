# SPDX-License-Identifier: BSD-2-Clause
"""The files that make up the web console, kept in memory as they are sent."""

from __future__ import annotations

import base64
import filecmp
import gzip
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONTENT_TYPES: Mapping[str, str] = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
"""What is served, by the end of its name; all else in the folder is not for browsers."""

INDEX = "index.html"
WAITING = "waiting.html"
LIBRARIES = "node_modules"
LOCK = "package-lock.json"
FETCHED = ".fetched-lock.json"
"""The lock file by which the libraries were fetched; it is put beside them when all are there."""

PROGRESS = "libraries.progress"
"""What the program that fetches the libraries writes down about itself."""

MAX_PROGRESS = 2000

# No segment begins with a dot, so none leads out of the folder or to a hidden file.
_SEGMENT = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_.@-]*")
_IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True)
class File:
    """A file with the headers that depend on what is in it."""

    content: bytes
    compressed: bytes
    content_type: str
    etag: str
    inline_script: str = ""
    """The source of its import map in a content security policy, such as ``'sha256-…'``."""


class ConsoleFiles:
    """Finds the files of the console below ``folder``, and reads them when they have changed.

    The sources are in ``src`` and in the folder itself. Libraries are in ``node_modules``, of
    which only those are served that ``package.json`` lists as ``dependencies``, under ``lib``.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._cache: dict[str, tuple[tuple[int, int], File]] = {}
        self._served: frozenset[str] | None = None

    @property
    def complete(self) -> bool:
        """Whether the libraries are there in the versions of the lock file."""
        try:
            return filecmp.cmp(f"{self._folder}/{LOCK}", f"{self._folder}/{LIBRARIES}/{FETCHED}")
        except OSError:
            return False

    @property
    def progress(self) -> str:
        """What the program that fetches the libraries does, or why it has failed."""
        try:
            with open(f"{self._folder}/{PROGRESS}", encoding="utf-8", errors="replace") as file:
                return file.read(MAX_PROGRESS).strip()
        except OSError:
            return ""

    def page(self) -> File | None:
        """Return the page that every address of the console shows."""
        return self._read(INDEX if self.complete else WAITING)

    def find_file(self, segments: Sequence[str]) -> File | None:
        """Return the file at a path below ``/ui/``; None if there is none."""
        if not segments or not all(map(_SEGMENT.fullmatch, segments)):
            return None
        head, *rest = segments
        if head == "lib":
            return self._library(rest)
        if head == LIBRARIES or (rest and head != "src"):
            return None
        return self._read("/".join(segments))

    def _library(self, segments: Sequence[str]) -> File | None:
        length = 2 if segments and segments[0].startswith("@") else 1
        if "/".join(segments[:length]) not in self._dependencies():
            return None
        return self._read("/".join((LIBRARIES, *segments)))

    def _dependencies(self) -> frozenset[str]:
        if self._served is None:
            try:
                with open(f"{self._folder}/{LOCK}", "rb") as file:
                    packages = json.load(file)["packages"]
            except (OSError, ValueError, KeyError):
                # Not cached, as the file may appear later.
                return frozenset()
            prefix = f"{LIBRARIES}/"
            self._served = frozenset(
                path.removeprefix(prefix)
                for path, package in packages.items()
                if path.startswith(prefix) and not package.get("dev")
            )
        return self._served

    def _read(self, name: str) -> File | None:
        content_type = CONTENT_TYPES.get(name.rpartition(".")[2])
        if content_type is None:
            return None
        path = f"{self._folder}/{name}"
        try:
            found = os.stat(path)
            stamp = (found.st_mtime_ns, found.st_size)
            cached = self._cache.get(name)
            if cached is not None and cached[0] == stamp:
                return cached[1]
            with open(path, "rb") as opened:
                file = _file(opened.read(), content_type)
        except OSError:
            self._cache.pop(name, None)
            return None
        self._cache[name] = stamp, file
        return file


def _file(content: bytes, content_type: str) -> File:
    digest = hashlib.sha256(content).hexdigest()[:32]
    inline = ""
    if content_type.startswith("text/html"):
        import_map = _IMPORT_MAP.search(content.decode("utf-8"))
        if import_map is not None:
            hashed = hashlib.sha256(import_map[1].encode("utf-8")).digest()
            inline = f"'sha256-{base64.b64encode(hashed).decode('ascii')}'"
    return File(content, gzip.compress(content, 9, mtime=0), content_type, f'"{digest}"', inline)
