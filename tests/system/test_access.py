# SPDX-License-Identifier: BSD-2-Clause
"""Users, roles and tokens with real daemons: through TLS, both daemons and the journal."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.system.openid_provider import let_eve_sign_in
from tests.system.running import SharedCluster, eventually, run

CREATE = ("add", "-t", "diskless", "-o", "noop", "--no-name-check", "--no-ip-check", "--no-install")


class AccessTests(SharedCluster):
    options = ("--nodes", "1")

    def tool(self, *words: str) -> str:
        done = self.running.tool("access", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def add_user(self, name: str, password: str) -> None:
        command = str(self.running.cluster.tools / "gnt-access")
        done = run([command, "user", "add", "--password-file=-", name], said=f"{password}\n")
        self.assertEqual(done.returncode, 0, done.stderr)

    def curl(self, path: str, *options: str, method: str = "GET") -> tuple[int, Any]:
        """The answer to somebody who logs in by ``options`` only."""
        status, text = self.fetch(path, *options, method=method)
        return status, json.loads(text) if text else None

    def fetch(self, path: str, *options: str, method: str = "GET") -> tuple[int, str]:
        """The status and the body of an answer."""
        cluster = self.running.cluster
        done = run(
            [
                *("curl", "-sS", "-m", "30", "-X", method, "-w", "\n%{http_code}"),
                *("--cacert", cluster.master.paths.authority, *options, f"{cluster.rapi}{path}"),
            ]
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        text, _, status = done.stdout.rpartition("\n")
        return int(status), text

    def test_a_limited_token_shows_its_instances_until_it_is_revoked(self) -> None:
        for name, team in (("web1", "team-a"), ("db1", "team-b")):
            made = self.running.tool("instance", *CREATE, "--tags", team, name)
            self.assertEqual(made.returncode, 0, made.stderr)
        self.add_user("ann", "correct horse")
        self.tool("role", "grant", "--tag=team-a", "ann", "operator")
        token = self.tool("token", "add", "--lifetime=1h", "ann")
        login = ("-H", f"Authorization: Bearer {token}")
        status, listed = self.curl("/2/instances", *login)
        self.assertEqual((status, [each["id"] for each in listed]), (200, ["web1"]))
        self.assertEqual(self.curl("/2/instances/db1", *login)[0], 404)
        self.assertEqual(self.curl("/2/instances/db1/shutdown", *login, method="PUT")[0], 404)
        status, job = self.curl("/2/instances/web1/shutdown", *login, method="PUT")
        self.assertEqual(status, 200)
        eventually(lambda: self.curl(f"/2/jobs/{job}", *login)[1]["status"] == "success")
        self.assertEqual(self.curl("/2/nodes")[0], 401)
        self.assertEqual(self.curl("/2/access/self", "-u", "ann:correct horse")[1]["user"], "ann")
        # What is revoked is revoked at once, also for who reads events, and after a restart.
        reading = subprocess.Popen(
            [
                *("curl", "-sSN", "--cacert", self.running.cluster.master.paths.authority, *login),
                f"{self.running.cluster.rapi}/2/events",
            ],
            stdout=subprocess.PIPE,
        )
        self.addCleanup(reading.wait)
        self.addCleanup(reading.kill)
        assert reading.stdout is not None
        self.addCleanup(reading.stdout.close)
        self.assertTrue(reading.stdout.readline())
        self.tool("token", "revoke", token.split("_")[1])
        self.assertEqual(self.curl("/2/instances", *login)[0], 401)
        self.assertEqual(reading.wait(30), 0)
        self.running.kill("masterd")
        self.running.quickstart("start")
        self.assertEqual(self.curl("/2/instances", *login)[0], 401)
        self.assertIn("ann", self.tool("user", "list", "--no-headers"))

    def test_a_browser_signs_in_by_a_provider_and_out_again(self) -> None:
        let_eve_sign_in(self, self.running)
        jar = self.mktemp()
        cookies = ("-b", jar, "-c", jar)
        # The browser is sent to the provider, back, and to the console.
        status, page = self.fetch("/2/access/openid/login", "-L", *cookies)
        self.assertEqual((status, page[:15]), (200, "<!doctype html>"))
        status, told = self.curl("/2/access/session", *cookies)
        self.assertEqual((status, told["user"], told["role"]), (200, "openid:eve", "admin"))
        change = "/2/tags?tag=seen"
        self.assertEqual(self.curl(change, *cookies, method="PUT")[0], 403)
        token = ("-H", f"X-CSRF-Token: {told['csrf']}")
        status, job = self.curl(change, *cookies, *token, method="PUT")
        self.assertEqual(status, 200)
        told_by = self.running.tool("cluster", "history", "--user=openid:eve").stdout
        self.assertIn(f"job {job} TAGS_SET", told_by)
        self.assertEqual(self.curl("/2/access/session", *cookies, *token, method="DELETE")[0], 200)
        self.assertEqual(self.curl("/2/access/session", *cookies)[0], 401)
