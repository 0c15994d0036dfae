# SPDX-License-Identifier: BSD-2-Clause
"""An OpenID provider as a process on loopback: ``python -m tests.system.openid_provider``.

It prints its address, and signs everybody in as eve of the group devs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from twisted.trial.unittest import SynchronousTestCase

from ganeti.testing.openid import TestProvider
from tests.system.running import RunningCluster
from tools.quickstart.place import TREE


def let_eve_sign_in(case: SynchronousTestCase, running: RunningCluster) -> None:
    """Start a provider for the time of a test, by which administrators of a cluster sign in."""
    provider = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.system.openid_provider"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TREE)},
        text=True,
    )
    case.addCleanup(provider.wait)
    case.addCleanup(provider.kill)
    assert provider.stdout is not None
    case.addCleanup(provider.stdout.close)
    issuer = provider.stdout.readline().strip()
    secret = case.mktemp()
    with open(secret, "w") as file:
        file.write("s3cret")
    callback = f"{running.cluster.rapi}/2/access/openid/callback"
    client = ("--client-id=ganeti", f"--client-secret-file={secret}")
    for words in (
        ("openid", "set", *client, f"--redirect-uri={callback}", issuer),
        ("role", "grant", "group:devs", "admin"),
    ):
        done = running.tool("access", *words)
        case.assertEqual(done.returncode, 0, done.stderr)


def main() -> None:
    """Serve until the process is ended."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    issuer = f"http://127.0.0.1:{server.server_address[1]}"
    provider = TestProvider(time.time, issuer, secret="s3cret")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith("/authorize"):
                self._answer("GET", b"")
                return
            self.send_response(302)
            self.send_header("Location", provider.authorize(self.path))
            self.end_headers()

        def do_POST(self) -> None:
            self._answer("POST", self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, method: str, body: bytes) -> None:
            status, document = provider.answer(method, self.path, dict(self.headers), body)
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # its name there
            pass

    server.RequestHandlerClass = Handler
    print(issuer, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
