# SPDX-License-Identifier: BSD-2-Clause
"""Runs ``qemu-img`` on qcow2 images; the format is always given, and never probed."""

from __future__ import annotations

import msgspec

from ganeti.errors import Code, Failed, Refused
from ganeti.system.interfaces import MINIMAL_PATH, IProcesses

PROGRAM = "qemu-img"
TIMEOUT = 3600.0
"""Seconds; to remove a snapshot of a large image takes minutes."""

# Errors are recognized by their messages, which must not be translated.
ENVIRONMENT = {"PATH": MINIMAL_PATH, "LC_ALL": "C"}

KNOWN_ERRORS = (
    ("No space left", Code.RESOURCES),
    ("Disk quota exceeded", Code.RESOURCES),
    ("File too large", Code.RESOURCES),
    ("Failed to get", Code.STATE),
)
"""Parts of error messages of qemu-img that mean a refusal, not a failure."""


class _Snapshot(msgspec.Struct):
    """A snapshot as ``qemu-img info`` reports it."""

    name: str


class _Information(msgspec.Struct):
    """The part of the report of ``qemu-img info`` that is read."""

    snapshots: list[_Snapshot] = []


class QemuImg:
    """Images by their absolute paths, whose headers the caller has checked; sizes in bytes."""

    def __init__(self, processes: IProcesses) -> None:
        self._processes = processes

    async def format_image(self, path: str, size: int) -> None:
        """Make an empty image of an existing file."""
        await self._run("create", "-q", "-f", "qcow2", path, str(size))

    async def set_image_size(self, path: str, size: int) -> None:
        """Set the size of an image that no guest uses."""
        await self._run("resize", "-q", "-f", "qcow2", path, str(size))

    async def save_snapshot(self, path: str, name: str) -> None:
        """Create an internal snapshot."""
        await self._run("snapshot", "-c", name, "--image-opts", _options(path))

    async def apply_snapshot(self, path: str, name: str) -> None:
        """Return to an internal snapshot, which stays."""
        await self._run("snapshot", "-a", name, "--image-opts", _options(path))

    async def delete_snapshot(self, path: str, name: str) -> None:
        """Remove an internal snapshot."""
        await self._run("snapshot", "-d", name, "--image-opts", _options(path))

    async def read_snapshot_names(self, path: str) -> list[str]:
        """Return the names of the internal snapshots, the oldest first; a guest may run."""
        out = await self._run("info", "-U", "--output=json", "--image-opts", _options(path))
        try:
            found = msgspec.json.decode(out, type=_Information)
        except msgspec.MsgspecError as e:
            raise Failed(f"{PROGRAM} info wrote no report of {path}: {e}") from e
        return [each.name for each in found.snapshots]

    async def _run(self, *arguments: str) -> bytes:
        """Run the program and return its output.

        :raises Refused: if its message is a known refusal.
        :raises Failed: for any other error, also if the program is missing.
        """
        ended = await self._processes.run([PROGRAM, *arguments], env=ENVIRONMENT, timeout=TIMEOUT)
        if ended.code == 0:
            return ended.out
        lines = ended.err.decode("utf-8", "replace").split("\n")
        said = "; ".join(each.strip() for each in lines if each.strip())
        for part, code in KNOWN_ERRORS:
            if part in said:
                raise Refused(said, code)
        raise Failed(
            f"{PROGRAM} {arguments[0]} failed: {said or f'exit code {ended.code}'}",
            Code.ENVIRONMENT,
        )


def _options(path: str) -> str:
    # Commas separate options, and are doubled in values.
    return f"driver=qcow2,file.driver=file,file.filename={path.replace(',', ',,')}"
