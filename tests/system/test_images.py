# SPDX-License-Identifier: BSD-2-Clause
"""Images on real nodes: downloaded once, copied between nodes, uploaded by curl."""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which

from twisted.trial.unittest import SkipTest

from ganeti.testing.image_programs import raw_image
from tests.system.running import SharedCluster, eventually, run

LARGE = 64 << 20


class ImageTests(SharedCluster):
    options = ("--nodes", "3")

    def setUp(self) -> None:
        if which("qemu-img") is None:
            raise SkipTest("qemu-img is not installed; apt-get install qemu-utils")
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def said(self, name: str, *arguments: str) -> str:
        done = self.running.tool(name, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def make(self, seed: int, size: int = 4 << 20) -> tuple[Path, str]:
        """Return a raw image and its digest."""
        content = bytearray(raw_image(b"", size))
        content[512:] = random.Random(seed).randbytes(size - 512)
        path = self.folder / f"disk{seed}"
        path.write_bytes(content)
        return path, f"sha256:{hashlib.sha256(content).hexdigest()}"

    def serve(self, path: Path) -> tuple[str, list[str]]:
        """Serve a file; return its URL, and the requests for it."""
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(path.stat().st_size))
                self.end_headers()
                self.wfile.write(path.read_bytes())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def stop() -> None:
            server.shutdown()
            thread.join()
            server.server_close()

        self.addCleanup(stop)
        return f"http://127.0.0.1:{server.server_address[1]}/disk", asked

    def copies(self) -> dict[int, list[str]]:
        """The files of images on each node."""
        found = {}
        for number in (1, 2, 3):
            folder = Path(self.running.cluster.node(number).paths.cache, "os", "image")
            found[number] = sorted(os.listdir(folder)) if folder.exists() else []
        return found

    def test_an_image_is_downloaded_once_and_installed_on_any_node(self) -> None:
        path, digest = self.make(1)
        url, asked = self.serve(path)
        self.said("os", "image", "add", "--url", url, "--checksum", digest, "one")
        node = self.running.cluster.node(3)
        self.said(
            *("instance", "add", "-t", "file", "-s", "8m", "-o", "image", "-O", "image=one"),
            *("-n", node.name, "--no-name-check", "--no-ip-check", "--no-start"),
            *("--ignore-ipolicy", "one.trial"),
        )
        [disk] = Path(node.paths.file_storage, "one.trial").iterdir()
        self.assertEqual(disk.read_bytes()[: 4 << 20], path.read_bytes())
        file = digest.replace(":", "-")
        self.assertEqual((asked, self.copies()), (["/disk"], {1: [file], 2: [file], 3: [file]}))
        listed = self.said("os", "image", "list", "--no-headers", "-o", "name,inst_list,node_cnt")
        self.assertEqual(listed.split(), ["one", "one.trial", "3"])
        self.said("instance", "remove", "-f", "one.trial")
        self.said("os", "image", "remove", "-f", "one")
        self.assertEqual(self.copies(), {1: [], 2: [], 3: []})

    def test_an_upload_that_breaks_off_goes_on(self) -> None:
        path, digest = self.make(2)
        url = f"{self.running.cluster.rapi}/2/images/two/upload"
        curl = ("curl", "-sS", "--cacert", self.running.cluster.master.paths.authority)
        login = ("--netrc-file", str(self.running.cluster.curl_file))
        run([*curl, *login, "--limit-rate", "1M", "-m", "2", "-T", str(path), url])
        status, told = self.running.curl("GET", "/2/images/two/upload")
        self.assertEqual(status, 200)
        self.assertTrue(0 < told["received"] < path.stat().st_size, told)
        done = run(
            [
                *curl,
                *login,
                "-C",
                str(told["received"]),
                "-T",
                str(path),
                f"{url}?checksum={digest}",
            ]
        )
        self.said("job", "watch", str(json.loads(done.stdout)))
        self.assertEqual(self.running.curl("GET", "/2/images/two")[1]["digest"], digest)
        self.said("os", "image", "remove", "-f", "two")

    def test_a_node_that_is_lost_while_it_gets_a_copy_is_replaced(self) -> None:
        path, digest = self.make(3, LARGE)
        url, _ = self.serve(path)
        number = self.said(
            *("os", "image", "add", "--submit", "--print-jobid"),
            *("--url", url, "--checksum", digest, "three"),
        ).split()[0]
        folder = Path(self.running.cluster.node(2).paths.cache, "os", "image")
        eventually(lambda: folder.exists() and os.listdir(folder))
        self.running.kill("noded", 2)
        done = self.running.tool("job", "watch", number)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.running.daemon("noded", 2).start()
        eventually(lambda: not list(folder.glob("*.incoming")))
        self.said("os", "image", "remove", "-f", "three")
