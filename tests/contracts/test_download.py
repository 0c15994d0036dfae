# SPDX-License-Identifier: BSD-2-Clause
"""Downloads from a real server, which misbehaves."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.system.download import DownloadFailed, download, main

CONTENT = bytes(range(256)) * 4096


class MisbehavingServer(BaseHTTPRequestHandler):
    """Serves ``CONTENT`` below paths that say what goes wrong."""

    breaks = 0
    ranges: list[str]

    def do_GET(self) -> None:
        kind = type(self)
        where = self.headers.get("Range", "")
        kind.ranges.append(where)
        if self.path.startswith("/to-"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to-"))
            self.end_headers()
            return
        if self.path != "/disk":
            self.send_error(404)
            return
        start = int(where.removeprefix("bytes=").removesuffix("-")) if where else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if where else 200)
        data = CONTENT[start:]
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if kind.breaks:
            kind.breaks -= 1
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            with contextlib.suppress(ConnectionError):  # the client may have enough
                self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class DownloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        handler: Any = type("Handler", (MisbehavingServer,), {"ranges": [], "breaks": 0})
        self.server = handler
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.base = f"http://127.0.0.1:{server.server_address[1]}"
        self.path = Path(self.mktemp()).absolute()

        def stop() -> None:
            server.shutdown()
            thread.join()
            server.server_close()

        self.addCleanup(stop)

    def refusal(self, work: Callable[[], None]) -> str:
        with self.assertRaises(DownloadFailed) as caught:
            work()
        return str(caught.exception)

    def test_a_file_is_written_and_its_size_announced(self) -> None:
        hears, says = os.pipe()
        download(f"{self.base}/disk", str(self.path), announce=says)
        self.assertEqual(self.path.read_bytes(), CONTENT)
        self.assertEqual(os.read(hears, 100), b"%d\n" % len(CONTENT))
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        for each in (hears, says):
            os.close(each)

    def test_an_interrupted_download_goes_on(self) -> None:
        self.server.breaks = 2
        download(f"{self.base}/disk", str(self.path))
        self.assertEqual(self.path.read_bytes(), CONTENT)
        half = len(CONTENT) // 2
        self.assertEqual(self.server.ranges, ["", f"bytes={half}-", f"bytes={half * 3 // 2}-"])

    def test_a_complete_file_is_not_downloaded_again(self) -> None:
        self.path.write_bytes(CONTENT)
        download(f"{self.base}/disk", str(self.path))
        self.assertEqual(self.path.read_bytes(), CONTENT)

    def test_another_download_to_the_same_file_is_waited_for(self) -> None:
        self.path.write_bytes(CONTENT[:1000])
        lock = self.path.open("rb")
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        other = threading.Thread(target=download, args=(f"{self.base}/disk", str(self.path)))
        other.start()
        self.assertEqual(self.server.ranges, [])
        lock.close()
        other.join()
        self.assertEqual((self.path.read_bytes(), self.server.ranges), (CONTENT, ["bytes=1000-"]))

    def test_a_download_that_never_began_leaves_no_file(self) -> None:
        self.refusal(lambda: download(f"{self.base}/missing", str(self.path)))
        self.assertFalse(self.path.exists())

    def test_what_the_server_refuses_is_said(self) -> None:
        said = self.refusal(lambda: download(f"{self.base}/missing", str(self.path)))
        self.assertEqual(said, "the server answers 404 Not Found; check the URL")

    def test_a_server_that_cannot_be_reached_is_said(self) -> None:
        said = self.refusal(lambda: download("http://127.0.0.1:1/disk", str(self.path)))
        self.assertIn("Connection refused; check the URL, and that this node reaches", said)

    def test_a_large_file_is_not_taken_for_a_small_one(self) -> None:
        said = self.refusal(lambda: download(f"{self.base}/disk", str(self.path), most=1000))
        self.assertEqual(said, "it is longer than 1000 bytes")
        self.assertEqual(main([f"{self.base}/disk", str(self.path), "--small"]), 0)

    def test_redirects_lead_to_http_only(self) -> None:
        download(f"{self.base}/to-{self.base}/disk", str(self.path))
        self.assertEqual(self.path.read_bytes(), CONTENT)
        said = self.refusal(lambda: download(f"{self.base}/to-file:///etc/passwd", self.mktemp()))
        self.assertIn("Redirection to url 'file:///etc/passwd' is not allowed", said)
