# SPDX-License-Identifier: BSD-2-Clause
"""Every door of a real cluster: an instance is created, listed, stopped, started and removed."""

from __future__ import annotations

from typing import Any

from ganeti.luxi.methods import QueryInstances
from ganeti.model.disk import Template
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.opcodes.instance.lifecycle import RemoveInstance, ShutdownInstance, StartInstance
from tests.system.running import SharedCluster, eventually, run

ORDER = {
    "__version__": 1,
    "mode": "create",
    "instance_name": "curled",
    "disk_template": "file",
    "disks": [{"size": 16}],
    "nics": [{}],
    "os_type": "noop",
    "name_check": False,
    "ip_check": False,
}

SYSTEM_PYTHON = "/usr/bin/python3"


class DoorTests(SharedCluster):
    """One cluster; each test has an instance of its own."""

    def job(self, method: str, path: str, body: Any = None) -> None:
        """Ask for a job with curl, and follow it to its good end."""
        status, job = self.running.curl(method, path, body)
        self.assertEqual(status, 200, job)

        def end() -> Any:
            _, shown = self.running.curl("GET", f"/2/jobs/{job}")
            return shown["status"] in ("success", "error") and shown

        shown = eventually(end)
        self.assertEqual(shown["status"], "success", shown["opresult"])

    def status(self, name: str) -> Any:
        return self.running.ask(QueryInstances(names=(name,), fields=("status",)))[0][0]

    def names(self) -> list[Any]:
        rows = self.running.ask(QueryInstances(names=(), fields=("name",)))
        return [row[0] for row in rows]

    def test_the_first_instance_runs(self) -> None:
        self.assertEqual(self.status("first.trial"), "running")

    def test_curl(self) -> None:
        self.job("POST", "/2/instances", ORDER)
        _, listed = self.running.curl("GET", "/2/instances?bulk=1")
        found = {each["name"]: each["status"] for each in listed}
        self.assertEqual(found["curled"], "running")
        self.job("PUT", "/2/instances/curled/shutdown")
        self.assertEqual(self.status("curled"), "ADMIN_down")
        self.job("PUT", "/2/instances/curled/startup")
        self.assertEqual(self.status("curled"), "running")
        self.job("DELETE", "/2/instances/curled")
        self.assertNotIn("curled", self.names())

    def test_luxi(self) -> None:
        self.running.perform(
            CreateInstance(
                instance_name="asked",
                mode=CreationMode.CREATE,
                disk_template=Template.DISKLESS,
                disks=(),
                nics=(),
                os_type="noop",
                name_check=False,
                ip_check=False,
            )
        )
        self.assertEqual(self.status("asked"), "running")
        self.running.perform(ShutdownInstance(instance_name="asked"))
        self.assertEqual(self.status("asked"), "ADMIN_down")
        self.running.perform(StartInstance(instance_name="asked"))
        self.assertEqual(self.status("asked"), "running")
        self.running.perform(RemoveInstance(instance_name="asked"))
        self.assertNotIn("asked", self.names())

    def gnt(self, *arguments: str) -> str:
        done = self.running.tool("instance", *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_gnt_instance(self) -> None:
        self.gnt(
            *("add", "-t", "file", "-s", "16m", "-o", "noop"),
            *("--no-name-check", "--no-ip-check", "typed"),
        )
        wanted = ("list", "--no-headers", "-o", "name,status", "typed")
        self.assertEqual(self.gnt(*wanted).split(), ["typed", "running"])
        self.gnt("shutdown", "typed")
        self.assertEqual(self.gnt(*wanted).split(), ["typed", "ADMIN_down"])
        self.gnt("startup", "typed")
        self.assertEqual(self.gnt(*wanted).split(), ["typed", "running"])
        self.gnt("remove", "-f", "typed")
        self.assertNotIn("typed", self.gnt("list", "--no-headers", "-o", "name"))

    def test_what_is_wrong_with_a_request_is_told_at_once(self) -> None:
        status, answer = self.running.curl("POST", "/2/instances", {"colour": "red"})
        self.assertEqual((status, answer["code"]), (400, 400))
        for problem in ("colour: unknown parameter", "name: is required", "mode: is required"):
            self.assertIn(problem, answer["message"])

    def test_the_remote_api_wants_the_password(self) -> None:
        done = run(
            [
                *("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"),
                *("--cacert", self.running.cluster.master.paths.authority),
                *("-u", "quickstart:wrong", f"{self.running.cluster.rapi}/2/redistribute-config"),
                *("-X", "PUT"),
            ]
        )
        self.assertEqual(done.stdout, "401")
