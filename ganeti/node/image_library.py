# SPDX-License-Identifier: BSD-2-Clause
"""The copies of images on this node: files that are named by the digest of their content.

A transfer writes to a file beside, which takes its name when it was verified (``accept_file``).
"""

from __future__ import annotations

import sys

import msgspec
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Refused
from ganeti.model.images import IMAGE_OS
from ganeti.node.image_signatures import ImageSignatures
from ganeti.paths import Paths
from ganeti.rpc import images as calls
from ganeti.rpc.transfers import ImageData, UploadData
from ganeti.system import image_inspector
from ganeti.system.interfaces import MINIMAL_PATH, IFiles, IProcesses
from ganeti.system.subprocess_modules import module_environment

INCOMING = ".incoming"
"""The suffix of the name of a file that is not verified yet."""

_DOWNLOAD = "download-"

MAX_DOWNLOAD_AGE = 86400.0
"""Seconds for which an interrupted download can be continued."""


class _Inspection(msgspec.Struct):
    """What ``ganeti.system.image_inspector`` prints of a file; digests that were asked for."""

    size: int
    sha256: str = ""
    sha512: str = ""
    format: str = ""
    virtual_size: int = 0
    problem: str = ""

    def digest_of(self, kind: str) -> str:
        """Return the digest of this kind."""
        return self.sha256 if kind == "sha256" else self.sha512


class ImageLibrary:
    """The images on this node, in the cache of the OS definition that installs them."""

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        processes: IProcesses,
        paths: Paths,
        signatures: ImageSignatures,
    ) -> None:
        self._files = files
        self._processes = processes
        self._folder = f"{paths.cache}/os/{IMAGE_OS}"
        self._uploads = paths.uploads
        self._signatures = signatures
        self._arriving: set[str] = set()

    async def remove_leftovers(self, now: float) -> None:
        """Remove what transfers of an earlier daemon have left, and old incomplete downloads.

        ``now`` is in seconds since the epoch.
        """
        for name in self._files.names(self._folder):
            path = f"{self._folder}/{name}"
            found = self._files.stat(path)
            if not name.endswith(INCOMING) or found is None:
                continue
            if not name.startswith(_DOWNLOAD) or found.mtime < now - MAX_DOWNLOAD_AGE:
                await self._files.remove(path)

    # --- calls

    async def check_copy(self, call: calls.CheckImage) -> calls.ImagePresence:
        kind, _, digest = call.digest.partition(":")
        name = f"{kind}-{digest}"
        path = f"{self._folder}/{name}"
        if self._files.stat(path) is not None:
            if (await self._inspect(path, kind)).digest_of(kind) == digest:
                return calls.ImagePresence.PRESENT
            self._log.warn("the content of image {path} has changed; removing it", path=path)
            await self._files.remove(path)
        return (
            calls.ImagePresence.ARRIVING if name in self._arriving else calls.ImagePresence.ABSENT
        )

    async def accept_file(self, call: calls.AcceptImage) -> calls.ImageReport:
        """Make what a transfer has written a copy of an image.

        :raises Refused: it is not what was expected, or no instance can be installed from it.
        """
        path = f"{self._folder}/{call.file}{INCOMING}"
        try:
            report = await self._accept(path, call)
        except Refused:
            # It must not be continued: a file of another version would never fit.
            await self._files.remove(path)
            raise
        await self._files.rename(path, f"{self._folder}/{report.digest.replace(':', '-')}")
        return report

    async def _accept(self, path: str, call: calls.AcceptImage) -> calls.ImageReport:
        expected = dict(each.split(":") for each in call.checksums)
        found = await self._inspect(path, *sorted({"sha256", *expected}), "--check")
        for kind, digest in expected.items():
            actual = found.digest_of(kind)
            if actual != digest:
                raise Refused(
                    f"the image has the {kind} digest {actual}, not {digest}; check the URL"
                    " and the checksum, as either may be of another version",
                    Code.INPUT,
                )
        signed_by = ""
        if call.signature:
            signed_by = await self._signatures.verify_file(path, call.signature, call.key)
        if found.problem:
            raise Refused(f"the image {found.problem}", Code.INPUT)
        return calls.ImageReport(
            digest=f"sha256:{found.sha256}",
            size=found.size,
            virtual_size=found.virtual_size,
            format=found.format,
            signed_by=signed_by,
        )

    async def remove_copy(self, call: calls.RemoveImageCopy) -> None:
        await self._files.remove(f"{self._folder}/{call.digest.replace(':', '-')}")

    async def discard_upload(self, call: calls.DiscardUpload) -> None:
        await self._files.remove(f"{self._uploads}/{call.upload}")

    async def _inspect(self, path: str, *options: str) -> _Inspection:
        """Return what is found out about a file, by a program that reads it completely.

        :raises Failed: the file cannot be read.
        """
        ended = await self._processes.run(
            [sys.executable, "-m", image_inspector.__name__, path, *options],
            env={**module_environment(), "PATH": MINIMAL_PATH},
        )
        if ended.code:
            said = ended.err.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise Failed(f"image {path} cannot be read: {said}", Code.ENVIRONMENT)
        return msgspec.json.decode(ended.out, type=_Inspection)

    # --- transfers

    async def begin_transfer(self, sink: ImageData) -> str:
        """Return the path for the data of a transfer.

        Call ``end_transfer`` when it is not needed any more.

        :raises Refused: another transfer of this image is running.
        """
        if sink.file in self._arriving:
            raise Refused(
                "another job transfers this image to this node, or did so until just now",
                Code.TEMPORARY,
            )
        self._arriving.add(sink.file)
        await self._files.make_folder(self._folder, mode=0o755)
        return f"{self._folder}/{sink.file}{INCOMING}"

    async def end_transfer(self, sink: ImageData, *, keep: bool) -> None:
        """End a transfer; ``keep`` its data if a later one can continue it."""
        self._arriving.discard(sink.file)
        if not keep or not sink.file.startswith(_DOWNLOAD):
            await self._files.remove(f"{self._folder}/{sink.file}{INCOMING}")

    def copy_path(self, source: ImageData) -> str:
        """Return the path of a copy.

        :raises Refused: there is none.
        """
        path = f"{self._folder}/{source.file}"
        if self._files.stat(path) is None:
            raise Refused(f"the image is not on this node: {path} does not exist", Code.UNKNOWN)
        return path

    def upload_path(self, source: UploadData) -> str:
        """Return the path of an upload.

        :raises Refused: it does not exist.
        """
        path = f"{self._uploads}/{source.upload}"
        if self._files.stat(path) is None:
            raise Refused("the upload has been removed; send the image again", Code.UNKNOWN)
        return path
