# SPDX-License-Identifier: BSD-2-Clause
"""Signatures of images and of lists of digests, by real programs on real files."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.server import Site
from twisted.web.static import File

from ganeti.errors import Failed, Invalid, Refused
from ganeti.node.image_signatures import ImageSignatures
from ganeti.rpc.images import ReadSignedChecksum, SignedChecksum
from ganeti.system.files import LocalFiles
from ganeti.system.processes import LocalProcesses
from tests.node.test_shipped_oses import at_once

DIGEST = "ab" * 32
SUMS = f"{DIGEST} *disk.qcow2\n"


class SignatureTests(TestCase):
    """A publisher with a key, whose files a server has."""

    def setUp(self) -> None:
        for program in ("gpg", "gpgv"):
            if shutil.which(program) is None:
                raise SkipTest(f"{program} is not installed; apt-get install {program}")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        # The path of the agent's socket, which is in it, must be short.
        self.home = Path(tempfile.mkdtemp())
        # Its agent may remove its sockets at the same time.
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.www = self.folder / "www"
        self.www.mkdir()
        self.addCleanup(self.gpg, "gpgconf", "--kill", "all")
        self.key = self.make_key("publisher")
        port = cast(Any, reactor).listenTCP(0, Site(File(str(self.www))), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.base = f"http://127.0.0.1:{port.getHost().port}"
        running: Any = reactor
        self.work = self.folder / "work"
        self.signatures = ImageSignatures(
            LocalFiles(at_once), LocalProcesses(running, running), str(self.work), lambda: "one"
        )
        self.publish("disk.qcow2", "the image")

    def gpg(self, *argv: str) -> bytes:
        env = {"PATH": os.environ["PATH"], "GNUPGHOME": str(self.home)}
        return subprocess.run(argv, env=env, check=True, capture_output=True).stdout

    def make_key(self, name: str) -> str:
        batch = ("gpg", "--batch", "--passphrase", "", "--quick-generate-key")
        self.gpg(*batch, f"{name}@example.com", "ed25519", "sign", "1d")
        return self.gpg("gpg", "--armor", "--export", f"{name}@example.com").decode()

    def publish(self, name: str, text: str) -> str:
        path = self.www / name
        path.write_text(text)
        return str(path)

    def text(self, name: str) -> str:
        return (self.www / name).read_text()

    def sign(self, path: str, name: str, kind: str, who: str = "publisher") -> None:
        user = ("--local-user", f"{who}@example.com")
        output = ("--output", str(self.www / name))
        self.gpg("gpg", "--batch", "--yes", *user, *output, kind, path)

    async def read(self, signature: str, key: str = "") -> SignedChecksum:
        call = ReadSignedChecksum(
            url=f"{self.base}/disk.qcow2", signature=f"{self.base}/{signature}", key=key or self.key
        )
        try:
            return await self.signatures.read_signed_checksum(call)
        finally:
            self.assertEqual(os.listdir(self.work) if self.work.exists() else [], [])

    async def test_the_digest_is_that_of_the_signed_list(self) -> None:
        self.sign(self.publish("SHA256SUMS", SUMS), "SHA256SUMS.gpg", "--detach-sign")
        found = await self.read("SHA256SUMS.gpg")
        self.assertEqual(found.checksum, f"sha256:{DIGEST}")
        self.assertRegex(found.signed_by, "^[0-9A-F]{40}$")

    async def test_a_list_may_contain_its_signature(self) -> None:
        self.sign(self.publish("plain", SUMS), "CHECKSUM", "--clear-sign")
        # Around what is signed, anything can be written.
        self.publish("CHECKSUM", self.text("CHECKSUM") + SUMS.replace("ab", "cd"))
        found = await self.read("CHECKSUM")
        self.assertEqual(found.checksum, f"sha256:{DIGEST}")

    async def test_an_image_may_be_signed_itself(self) -> None:
        image = str(self.www / "disk.qcow2")
        self.sign(image, "disk.qcow2.sig", "--detach-sign")
        self.assertEqual(
            await self.read("disk.qcow2.sig"), SignedChecksum(checksum=None, signed_by="")
        )
        signature = f"{self.base}/disk.qcow2.sig"
        signed_by = await self.signatures.verify_file(image, signature, self.key)
        self.assertRegex(signed_by, "^[0-9A-F]{40}$")
        self.publish("disk.qcow2", "another image")
        with self.assertRaisesRegex(Refused, "is not valid for the given key: .*BAD signature"):
            await self.signatures.verify_file(image, signature, self.key)

    async def test_a_list_that_has_changed_is_refused(self) -> None:
        self.sign(self.publish("SHA256SUMS", SUMS), "SHA256SUMS.gpg", "--detach-sign")
        self.publish("SHA256SUMS", SUMS.replace("ab", "cd"))
        with self.assertRaisesRegex(Refused, "BAD signature"):
            await self.read("SHA256SUMS.gpg")

    async def test_a_signature_of_another_key_is_refused(self) -> None:
        self.make_key("mallory")
        path = self.publish("SHA256SUMS", SUMS)
        self.sign(path, "SHA256SUMS.gpg", "--detach-sign", "mallory")
        with self.assertRaisesRegex(Refused, "check that the key is that of the publisher"):
            await self.read("SHA256SUMS.gpg")

    async def test_a_missing_file_is_said(self) -> None:
        with self.assertRaisesRegex(Failed, "SHA256SUMS.gpg cannot be downloaded: .* 404"):
            await self.read("SHA256SUMS.gpg")

    async def test_what_is_no_key_is_refused(self) -> None:
        with self.assertRaisesRegex(Invalid, "must be an OpenPGP public key"):
            await self.read("SHA256SUMS.gpg", key="hello")
