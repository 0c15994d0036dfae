# SPDX-License-Identifier: BSD-2-Clause
"""OpenPGP signatures of images, and of lists of digests as distributions publish them.

``gpgv`` verifies them: it trusts exactly the keys in the file that it is given.
"""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

from ganeti.errors import Code, Failed, Refused
from ganeti.node.downloads import fetch
from ganeti.pki.openpgp import (
    CLEAR_SIGNED,
    find_checksum,
    read_status,
    remove_armor,
    signed_url,
)
from ganeti.rpc.images import ReadSignedChecksum, SignedChecksum
from ganeti.system.interfaces import MINIMAL_PATH, IFiles, IProcesses

_GPGV = "gpgv"
_KEYRING, _SIGNATURE, _SIGNED = "keyring", "signature", "signed"


class ImageSignatures:
    """Verifies signatures in folders below ``work``, which ``unique`` makes names for."""

    def __init__(
        self, files: IFiles, processes: IProcesses, work: str, unique: Callable[[], str]
    ) -> None:
        self._files = files
        self._processes = processes
        self._work = work
        self._unique = unique

    async def read_signed_checksum(self, call: ReadSignedChecksum) -> SignedChecksum:
        """Return the digest of an image from a signed list.

        :raises Refused: the signature is not valid, or the list does not have the image.
        :raises Failed: a file cannot be downloaded.
        """
        async with self._workspace(call.key) as folder:
            signature, signed = f"{folder}/{_SIGNATURE}", f"{folder}/{_SIGNED}"
            await fetch(self._processes, call.signature, signature, "--small")
            if self._files.read(signature).startswith(CLEAR_SIGNED):
                # What gpgv writes is what was signed; around it there may be other text.
                fingerprint = await self._verify(
                    folder, call.signature, "--output", signed, signature
                )
            else:
                about = signed_url(call.signature)
                if about == call.url:
                    return SignedChecksum(checksum=None, signed_by="")
                await fetch(self._processes, about, signed, "--small")
                fingerprint = await self._verify(folder, call.signature, signature, signed)
            text = self._files.read(signed).decode("utf-8", "replace")
        name = posixpath.basename(unquote(urlsplit(call.url).path))
        return SignedChecksum(checksum=find_checksum(text, name), signed_by=fingerprint)

    async def verify_file(self, path: str, signature: str, key: str) -> str:
        """Return the fingerprint of the key that has signed a file; ``signature`` is a URL.

        :raises Refused: the signature is not valid.
        :raises Failed: it cannot be downloaded.
        """
        async with self._workspace(key) as folder:
            await fetch(self._processes, signature, f"{folder}/{_SIGNATURE}", "--small")
            return await self._verify(folder, signature, f"{folder}/{_SIGNATURE}", path)

    @asynccontextmanager
    async def _workspace(self, key: str) -> AsyncIterator[str]:
        keys = remove_armor(key)
        folder = f"{self._work}/{self._unique()}"
        await self._files.make_folder(folder, mode=0o700)
        try:
            await self._files.replace(f"{folder}/{_KEYRING}", keys, mode=0o600)
            yield folder
        finally:
            await self._files.remove_folder(folder)

    async def _verify(self, folder: str, shown: str, *arguments: str) -> str:
        argv = [_GPGV, "--status-fd", "1", "--keyring", f"{folder}/{_KEYRING}", *arguments]
        try:
            ended = await self._processes.run(
                argv, env={"PATH": MINIMAL_PATH, "GNUPGHOME": folder, "LC_ALL": "C"}
            )
        except Failed as e:
            raise Refused(f"{e}; install the package gpgv on this node", Code.ENVIRONMENT) from e
        fingerprint = read_status(ended.out)
        if fingerprint is None:
            said = ended.err.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise Refused(
                f"the signature {shown} is not valid for the given key: {said or 'no signature'};"
                " check that the key is that of the publisher, and complete",
                Code.INPUT,
            )
        return fingerprint
