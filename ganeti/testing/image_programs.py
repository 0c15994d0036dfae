# SPDX-License-Identifier: BSD-2-Clause
"""The programs that download and inspect images, on the disk of a host in memory."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping

from ganeti.system import download, image_inspector
from ganeti.system.image_inspector import BadImage, parse_head
from ganeti.testing.disk import MemoryDisk
from ganeti.testing.processes import Ran, Script


def raw_image(label: bytes, size: int = 4096) -> bytes:
    """Return a raw disk with a partition table, which begins with a label."""
    start = label.ljust(510, b"\0") + b"\x55\xaa"
    return start.ljust(size, b"\0")


class ImagePrograms:
    """What ``python -m`` does on a host, for the modules that are about images.

    ``internet`` has the files that can be downloaded, by URL; ``downloads`` are those that were.
    A download takes ``takes`` seconds.
    """

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk
        self.internet: Mapping[str, bytes] = {}
        self.downloads: list[str] = []
        self.takes = 0.0

    def __call__(self, ran: Ran) -> Script:
        _, _, module, *arguments = ran.argv
        if module == download.__name__:
            return self._download(*arguments)
        assert module == image_inspector.__name__, module
        return self._inspect(*arguments)

    def _download(self, url: str, path: str, *options: str) -> Script:
        self.downloads.append(url)
        if url not in self.internet:
            return Script(1, out=b"the server answers 404 Not Found; check the URL\n")
        try:
            self.disk.alive()
        except OSError as e:
            return Script(1, out=errno.errorcode[e.errno or 0].encode())
        self.disk.put(path, self.internet[url], 0o600, 0.0)
        return Script(takes=self.takes)

    def _inspect(self, path: str, *options: str) -> Script:
        content = self.disk.contents().get(path)
        if content is None:
            return Script(1, err=f"{path}: No such file or directory\n".encode())
        kinds = [each for each in options if not each.startswith("-")]
        found: dict[str, object] = {kind: hashlib.new(kind, content).hexdigest() for kind in kinds}
        found["size"] = len(content)
        try:
            form = parse_head(content[: image_inspector.HEAD], len(content))
        except BadImage as e:
            found["problem"] = str(e)
        else:
            found |= {"format": form.name, "virtual_size": form.virtual_size}
        return Script(out=json.dumps(found).encode())
