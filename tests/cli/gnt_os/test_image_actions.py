# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-os image``: what it sends, copies and shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_os.commands import GNT_OS
from ganeti.config.changes.images import add_image
from ganeti.luxi.methods import Query, WaitForJobChange
from ganeti.opcodes.images import AddImage, RemoveImage, RenameImage
from ganeti.opcodes.opcode import Opcode
from ganeti.paths import Paths
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster
from ganeti.views import images
from tests.cli.terminal import Terminal
from tests.config.changes.test_images import DIGEST, an_image
from tests.views.moments import a_moment

URL = "https://images.example.com/debian.qcow2"


class ImageActionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        state = add_image(an_image())(a_cluster())

        def rows(request: Query) -> Any:
            return images.IMAGES.response(request.fields, images.rows(a_moment(state)))

        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.terminal = Terminal({Query: rows}, paths=Paths(str(self.folder / "root")))

    def run_tool(self, *words: str) -> None:
        self.assertEqual(self.terminal.run(GNT_OS, *words), 0, self.terminal.err)

    def opcode(self) -> Opcode:
        return replace(self.terminal.job(), reason=())

    def test_an_image_is_downloaded_from_a_url(self) -> None:
        self.run_tool("image", "add", "--url", URL, "--checksum", DIGEST, "debian")
        expected = AddImage(image_name="debian", url=URL, checksum=DIGEST)
        self.assertEqual(self.opcode(), expected)

    def test_the_key_of_a_signature_is_sent(self) -> None:
        key = self.folder / "key"
        key.write_text("-----BEGIN\nx\n")
        self.run_tool(
            *(
                "image",
                "add",
                "--url",
                URL,
                "--signature",
                f"{URL}.sig",
                "--key",
                str(key),
                "debian",
            )
        )
        sent = self.opcode()
        assert isinstance(sent, AddImage)
        self.assertEqual((sent.signature, sent.key), (f"{URL}.sig", "-----BEGIN\nx"))

    def test_a_file_becomes_an_upload_of_this_node(self) -> None:
        image, seen = self.folder / "disk", list[bytes]()
        image.write_bytes(b"content")
        uploads = Path(self.terminal.paths.uploads)

        ended = self.terminal.canned[WaitForJobChange]

        def wait(request: WaitForJobChange) -> Any:
            seen.extend(path.read_bytes() for path in uploads.iterdir())
            return ended(request)

        self.terminal.canned[WaitForJobChange] = wait
        self.run_tool("image", "add", "--file", str(image), "mine")
        sent = self.opcode()
        assert isinstance(sent, AddImage)
        self.assertEqual((sent.image_name, sent.node, sent.url), ("mine", "node1", None))
        self.assertRegex(sent.upload or "", "^[0-9a-f]{32}$")
        self.assertEqual((seen, os.listdir(uploads)), ([b"content"], []))

    def test_a_job_that_is_not_waited_for_keeps_its_upload(self) -> None:
        image = self.folder / "disk"
        image.write_bytes(b"content")
        self.run_tool("image", "add", "--submit", "--file", str(image), "mine")
        self.assertEqual(len(os.listdir(self.terminal.paths.uploads)), 1)

    def test_a_plan_copies_nothing(self) -> None:
        self.run_tool("image", "add", "--dry-run", "--file", "/missing", "mine")
        self.assertFalse(os.path.exists(self.terminal.paths.uploads))

    def test_a_file_that_is_missing_is_said_before_anything_is_done(self) -> None:
        code = self.terminal.run(GNT_OS, "image", "add", "--file", "/missing", "mine")
        self.assertEqual((code, self.terminal.asked()), (1, []))
        self.assertIn("/missing cannot be read: No such file", self.terminal.err)

    def test_a_file_is_on_this_node(self) -> None:
        words = ("image", "add", "--file", "/x", "--node", "node2", "mine")
        self.assertEqual(self.terminal.run(GNT_OS, *words), 1)
        self.assertIn("--node is for downloads; a file is on this host", self.terminal.err)

    def test_images_are_removed_and_renamed(self) -> None:
        self.run_tool("image", "remove", "--force", "debian")
        self.assertEqual(self.opcode(), RemoveImage(image_name="debian"))
        self.run_tool("image", "rename", "debian", "bookworm")
        self.assertEqual(self.opcode(), RenameImage(image_name="debian", new_name="bookworm"))

    def test_a_list_has_sizes_and_copies(self) -> None:
        self.run_tool("image", "list", "--no-headers", "--separator=|")
        self.assertEqual(self.terminal.out, f"debian|qcow2|1|1||0|{DIGEST}\n")

    def test_the_details_are_told(self) -> None:
        self.run_tool("image", "info", "debian")
        told = yaml.safe_load(self.terminal.out)["debian"]
        self.assertEqual((told["digest"], told["size"]), (DIGEST, "10 bytes"))
        self.assertEqual(self.terminal.run(GNT_OS, "image", "info", "debian", "fedora"), 1)
        self.assertIn("fedora", self.terminal.err)
