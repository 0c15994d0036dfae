# SPDX-License-Identifier: BSD-2-Clause
"""A receiver of notifications in a process of its own, which fails or hangs when it is told to.

``python -m tests.system.webhook_receiver FOLDER PORT`` listens on loopback; port 0 is a free one,
which is written to ``FOLDER/port``. Each accepted message is a line of ``FOLDER/accepted``: its ID
and its kind. ``FOLDER/behavior`` has the word ``accept``, ``fail`` or ``hang``. Messages whose
signature does not verify with the secret in ``FOLDER/secret`` are written as ``forged``.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HANG_SECONDS = 60


class Receiver(BaseHTTPRequestHandler):
    """Accepts messages, as the file says."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_POST(self) -> None:
        """Receive a message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        behavior = (self.folder / "behavior").read_text()
        if behavior == "hang":
            time.sleep(HANG_SECONDS)
            return
        if behavior == "fail":
            self._answer(503)
            return
        kind = json.loads(body)["kind"] if self._is_genuine(body) else "forged"
        with (self.folder / "accepted").open("a") as file:
            file.write(f"{self.headers['webhook-id']} {kind}\n")
        self._answer(204)

    def _is_genuine(self, body: bytes) -> bool:
        """Verify the signature independently of the code that makes it."""
        secret = (self.folder / "secret").read_text().strip()
        key = base64.b64decode(secret.removeprefix("whsec_"))
        head = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}."
        digest = hmac.digest(key, head.encode() + body, hashlib.sha256)
        fresh = abs(time.time() - int(self.headers["webhook-timestamp"])) < 300
        expected = "v1," + base64.b64encode(digest).decode()
        return fresh and hmac.compare_digest(expected, self.headers["webhook-signature"])

    def _answer(self, status: int) -> None:
        with contextlib.suppress(OSError):  # the master was killed
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write no log."""


def main(folder: Path, port: int) -> None:
    """Serve until the process is ended."""
    Receiver.folder = folder
    server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    server.daemon_threads = True
    (folder / "port").write_text(str(server.server_port))
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
