# SPDX-License-Identifier: BSD-2-Clause
"""Where volumes of external storage are attached, and the records of that on this node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from ganeti.errors import Failed
from ganeti.system.interfaces import IFiles

_HYPERVISOR = re.compile(r"[a-zA-Z0-9-]+")

MAX_OUTPUT = 64 << 10
"""The bytes that a script may print to say where a volume is: some paths, not data."""


@dataclass(frozen=True)
class Attachment:
    """An attached volume: the path of its device, and a URI for hypervisors by name.

    ``path`` is empty if the volume is accessible by URIs only.
    """

    path: str
    uris: Mapping[str, str] = field(default_factory=dict)


def parse_attachment(output: bytes) -> Attachment:
    """Return what the output of an ``attach`` script says.

    The first line is a path, or empty; each further line is ``HYPERVISOR:URI``, with the name in
    upper or lower case (ganeti-extstorage-interface(7)).

    :raises ValueError: it says something else, with the reason.
    """
    if len(output) > MAX_OUTPUT:
        raise ValueError(f"{len(output)} bytes, which is no path: {output[:60]!r}...")
    try:
        lines = output.decode().splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"what is not UTF-8 text: {output[:60]!r}") from None
    path, *others = lines or [""]
    if path and (not path.startswith("/") or not path.isprintable()):
        raise ValueError(f"{path[:200]!r} instead of an absolute path")
    uris = {}
    for line in filter(None, others):
        hypervisor, colon, uri = line.partition(":")
        if not colon or not _HYPERVISOR.fullmatch(hypervisor) or not uri or not uri.isprintable():
            raise ValueError(f"{line[:200]!r} instead of HYPERVISOR:URI in a further line")
        uris[hypervisor.lower()] = uri
    if not path and not uris:
        raise ValueError("neither a path nor a URI")
    return Attachment(path, uris)


class AttachmentRecords:
    """The records of attached volumes, one file each, in a folder that a reboot empties.

    Nothing else tells which volumes are attached: there is no script for that question.
    """

    def __init__(self, files: IFiles, folder: str) -> None:
        self._files = files
        self._folder = folder

    def record_path(self, volume: str) -> str:
        """Return the path of the record of a volume."""
        return f"{self._folder}/{volume}"

    def read_record(self, volume: str) -> Attachment | None:
        """Return where a volume is attached; None if it is not.

        :raises Failed: the record is damaged.
        """
        if self._files.stat(self.record_path(volume)) is None:
            return None
        try:
            return msgspec.json.decode(self._files.read(self.record_path(volume)), type=Attachment)
        except msgspec.MsgspecError as e:
            raise Failed(
                f"the record {self.record_path(volume)} is damaged: {e}; remove it, and attach the"
                " disk again"
            ) from None

    async def write_record(self, volume: str, attachment: Attachment) -> None:
        """Record where a volume is attached."""
        await self.prepare_folder()
        await self._files.replace(self.record_path(volume), msgspec.json.encode(attachment))

    async def forget_attachment(self, volume: str) -> None:
        """Record that a volume is not attached."""
        await self._files.remove(self.record_path(volume))

    async def prepare_folder(self) -> None:
        """Create the folder of the records."""
        if self._files.stat(self._folder) is None:
            await self._files.make_folder(self._folder)
