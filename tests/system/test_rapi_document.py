# SPDX-License-Identifier: BSD-2-Clause
"""The remote API document, line by line, against a cluster of the quick start."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from ganeti.luxi.methods import QueryClusterInfo, QueryInstances, QueryJobs, QueryNodes
from ganeti.opcodes.node import ModifyNode
from tests.system import rapi_refusals
from tests.system.rapi_document import CREATION, METHODS, RESOURCES, Cluster, Row, run
from tests.system.rapi_refusals import Bad, answer_to
from tests.system.running import SharedCluster, eventually
from tests.system.running import run as run_program
from tests.system.talking import NOTHING, NodeEndpoint


class MethodTests(SharedCluster):
    """Every method does its work."""

    rows: ClassVar[list[Row]] = []

    def setUp(self) -> None:
        super().setUp()
        if not self.rows:
            type(self).rows = run(self.running)

    def problems(self, *, exports: bool) -> list[str]:
        return [
            f"{row.request}: {row.status} {row.problem}"
            for row in self.rows
            if row.problem and exports is (row in self.moved)
        ]

    @property
    def moved(self) -> list[Row]:
        """The rows about exports, imports, and what comes between."""
        numbers = [n for n, row in enumerate(self.rows) if "export" in row.step.path]
        return self.rows[min(numbers) : max(numbers) + 1]

    def test_the_document_has_so_many(self) -> None:
        self.assertEqual((len(RESOURCES), len(METHODS)), (33, 43))

    def test_each_was_tried(self) -> None:
        tried = {(row.step.method, row.step.resource) for row in self.rows}
        self.assertEqual(tried, set(METHODS))

    def test_each_does_what_it_says(self) -> None:
        self.assertEqual(self.problems(exports=False), [])

    def test_instances_are_exported_and_imported(self) -> None:
        self.assertEqual(self.problems(exports=True), [])


class ExampleTests(SharedCluster):
    """The examples work as printed, but for the name of the cluster.

    Clients learn of its certificate authority as they do on a host where nobody installed it.
    """

    options = ("--nodes", "1")

    def said(self, *command: str) -> Any:
        """What a command prints."""
        authority = self.running.cluster.master.paths.authority
        home = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, home)
        with open(f"{home}/.wgetrc", "w", encoding="utf-8") as settings:
            settings.write(f"ca_certificate = {authority}\n")
        trust = {"HOME": home, "SSL_CERT_FILE": authority, "CURL_CA_BUNDLE": authority}
        done = run_program(list(command), environment=trust)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    @property
    def url(self) -> str:
        return f"{self.running.cluster.rapi}/2/info"

    def test_wget(self) -> None:
        if shutil.which("wget") is None:
            self.skipTest("needs wget")
        self.assertEqual(self.said("wget", "-q", "-O", "-", self.url)["name"], "trial")

    def test_curl(self) -> None:
        self.assertEqual(self.said("curl", self.url)["name"], "trial")

    def test_python(self) -> None:
        # As printed, in the Python of today: urllib2 became urllib.request, print a function.
        program = (
            "import urllib.request\n"
            f"f = urllib.request.urlopen('{self.url}')\n"
            "print(f.read().decode())\n"
        )
        self.assertEqual(self.said(sys.executable, "-c", program)["name"], "trial")


class RefusalTests(SharedCluster):
    """Bad requests are refused with the right status and a useful text, and change nothing.

    web1 runs on nodes 1 and 2, web2 on node 2, and node 3 is offline; node 4 votes, too.
    """

    options = ("--nodes", "4")
    ready: ClassVar[bool] = False

    def setUp(self) -> None:
        super().setUp()
        self.door = NodeEndpoint(self.running)
        self.cluster = Cluster(self.running)
        self.names = {f"node{n}": self.cluster.node(n) for n in (1, 2, 3)}
        if not self.ready:
            type(self).ready = True
            nodes = {"pnode": self.names["node1"], "snode": self.names["node2"]}
            self.create("web1", **nodes)
            one = {"disks": [{"size": 8}], "nics": [], "disk_template": "file"}
            self.create("web2", **one, pnode=self.names["node2"])
            self.running.perform(ModifyNode(node_name=self.names["node3"], offline=True))

    def create(self, name: str, **over: Any) -> None:
        ended = self.door.done("POST", "/2/instances", {**CREATION, "name": name, **over})
        self.assertEqual(ended.status, "success", ended)

    def everything(self) -> Any:
        """All that a request could change."""
        instances = ("name", "admin_state", "pnode", "snodes", "tags", "disk.uuids", "beparams")
        nodes = ("name", "role", "tags", "pinst_list", "sinst_list")
        return (
            self.running.ask(QueryInstances(names=(), fields=instances)),
            self.running.ask(QueryNodes(names=(), fields=nodes)),
            self.running.ask(QueryClusterInfo()),
            [sorted(self.cluster.volumes(number)) for number in (1, 2, 3)],
        )

    def jobs(self) -> int:
        return len(self.running.ask(QueryJobs(ids=None, fields=("id",))))

    def refused(self, table: Iterable[Bad]) -> None:
        rows = tuple(table)
        before, jobs = self.everything(), self.jobs()
        wrong = [
            f"{each.method} {each.path} {each.body if each.body is not NOTHING else ''}: {problem}"
            for each in rows
            if (problem := answer_to(self.door, each, self.names))
        ]
        self.assertEqual(wrong, [], "\n".join(wrong))
        self.assertEqual(self.everything(), before)
        submitted = sum(isinstance(each.refusal, str) for each in rows)
        self.assertEqual(self.jobs() - jobs, submitted)

    def test_wrong_methods(self) -> None:
        self.refused(rapi_refusals.wrong_methods())

    def test_unknown_parameters(self) -> None:
        self.refused(rapi_refusals.unknown_parameters())

    def test_bodies_that_make_no_sense(self) -> None:
        self.refused(rapi_refusals.bodies())

    def test_bodies_that_are_not_said_to_be_json(self) -> None:
        for method, uri in METHODS:
            if method in rapi_refusals.SENT_WITH:
                path = rapi_refusals.path_of(uri).format(**self.names)
                answer = self.door.ask(method, path, b"{}", headers={"Content-Type": "text/plain"})
                self.assertEqual(answer.status, 415)
                self.assertIn("application/json", answer.message)

    def test_missing_parameters(self) -> None:
        self.refused(rapi_refusals.MISSING)

    def test_wrong_types(self) -> None:
        self.refused(rapi_refusals.TYPES)

    def test_values_that_mean_nothing(self) -> None:
        self.refused(rapi_refusals.CONTENTS)

    def test_unknown_entities(self) -> None:
        self.refused(each for each in rapi_refusals.unknown_entities() if "export" not in each.path)

    def test_wrong_states(self) -> None:
        self.refused(rapi_refusals.STATES)

    def test_unreachable_nodes(self) -> None:
        self.running.kill("noded", 2)
        try:
            self.refused(rapi_refusals.UNREACHABLE)
        finally:
            self.assertEqual(self.running.quickstart("start").returncode, 0)


CLASSES = {
    "resolver_error",
    "insufficient_resources",
    "wrong_input",
    "wrong_state",
    "unknown_entity",
    "already_exists",
    "resource_not_unique",
    "internal_error",
    "environment_error",
}
"""The document's classification of errors."""


class ClassificationTests(SharedCluster):
    """Each of the document's nine classes comes out of a real situation."""

    options = ("--nodes", "3")
    seen: ClassVar[set[str]] = set()

    def setUp(self) -> None:
        super().setUp()
        self.door = NodeEndpoint(self.running)
        self.body = {
            **CREATION,
            "name": "web7",
            "disk_template": "file",
            "disks": [{"size": 8}],
            "nics": [],
            "pnode": self.running.cluster.node(1).name,
        }

    def failure(self, code: str, method: str, path: str, body: Any = NOTHING) -> str:
        """The text of a job's error of this class."""
        ended = self.door.done(method, path, body)
        kind, text, found = ended.error
        self.assertEqual((ended.status, found), ("error", code), text)
        self.assertEqual(kind, "OpPrereqError" if "prereq" in kind.lower() else kind)
        self.seen.add(code)
        return text

    def creation(self, code: str, **over: Any) -> str:
        return self.failure(code, "POST", "/2/instances", {**self.body, **over})

    def test_a_name_that_the_resolver_does_not_know(self) -> None:
        said = self.creation("resolver_error", name="nobody.invalid", name_check=True)
        self.assertIn("nobody.invalid does not resolve", said)

    def test_more_disk_than_there_is(self) -> None:
        said = self.creation("insufficient_resources", disks=[{"size": 10**9}])
        self.assertIn("MiB of disk free", said)

    def test_values_that_mean_nothing(self) -> None:
        self.assertIn("size", self.creation("wrong_input", disks=[{"size": "huge"}]))

    def test_a_migration_of_an_instance_that_is_down(self) -> None:
        ended = self.door.done("POST", "/2/instances", {**self.body, "name": "web1"})
        self.assertEqual(ended.status, "success", ended)
        path = "/2/instances/web1"
        self.door.done("PUT", f"{path}/shutdown")
        said = self.failure("wrong_state", "PUT", f"{path}/migrate", {})
        self.assertIn("web1", said)
        self.assertEqual(self.door.done("DELETE", path).status, "success")

    def test_an_instance_that_there_is_not(self) -> None:
        path = "/2/instances/web9/info"
        self.assertIn("web9", self.failure("unknown_entity", "GET", path))

    def test_an_instance_that_there_is_already(self) -> None:
        self.assertIn("first.trial", self.creation("already_exists", name="first.trial"))

    def test_a_hardware_address_that_another_has(self) -> None:
        macs = self.door.ask("GET", "/2/instances/first.trial").value["nic.macs"]
        said = self.creation("resource_not_unique", nics=[{"mac": macs[0]}])
        self.assertIn(macs[0], said)

    def test_a_node_that_does_not_answer_and_is_not_set_offline(self) -> None:
        self.running.kill("noded", 2)
        try:
            node = self.running.cluster.node(2).name
            path = f"/2/nodes/{node}/storage?storage_type=file&output_fields=name"
            self.assertIn(node, self.failure("internal_error", "GET", path))
        finally:
            self.assertEqual(self.running.quickstart("start").returncode, 0)

    def test_a_disk_of_a_node_that_breaks(self) -> None:
        folder = Path(self.running.cluster.node(1).paths.file_storage) / "broken"
        folder.write_text("a file, where a folder must be")
        self.addCleanup(folder.unlink)
        self.creation("environment_error", file_storage_dir="broken")

    def test_there_is_no_other_class(self) -> None:
        """Named so that it comes after the others, which trial runs by their names."""
        if len(self.seen) >= len(CLASSES) - 1:
            self.assertLessEqual(self.seen, CLASSES)


class RightsTests(SharedCluster):
    """Who may do what. Requests are such that nothing comes of them for those who may."""

    options = ("--nodes", "1")

    def setUp(self) -> None:
        super().setUp()
        self.door = NodeEndpoint(self.running)
        digest = hashlib.md5(b"jessica:Ganeti Remote API:abc123").hexdigest()
        self.door.admit("jack", "abc123")
        self.door.admit("fred", "{cleartext}foo555")
        self.door.admit("autocreator", "xyz789", "write")
        self.door.admit("jessica", f"{{HA1}}{digest}", "write")

    def asked(self, login: tuple[str, str] | None) -> dict[tuple[str, str], int]:
        """The status of every method that a login gets."""
        path_of = rapi_refusals.path_of
        node = self.running.cluster.node(1).name
        statuses = {}
        for method, uri in METHODS:
            path = path_of(uri).format(node2=node) + "?nonsense=1"
            answer = self.door.ask(method, path, login=login)
            statuses[method, uri] = answer.status
            if answer.status == 401:
                realm = answer.headers["www-authenticate"]
                self.assertEqual(realm, 'Basic realm="Ganeti Remote API"')
            self.assertTrue(answer.message)
        return statuses

    def expected(self, *, reading: int, writing: int) -> dict[tuple[str, str], int]:
        return {(method, uri): reading if method == "GET" else writing for method, uri in METHODS}

    def test_nobody_reads_and_changes_nothing(self) -> None:
        # What is answered by a job needs a login.
        jobs = {("GET", uri): 401 for method, uri in METHODS if uri.endswith(("/info", "/storage"))}
        jobs.pop(("GET", "/2/info"))
        expected = self.expected(reading=400, writing=401) | jobs
        self.assertEqual(self.asked(None), expected)

    def test_users_without_options_read(self) -> None:
        eventually(lambda: self.door.ask("GET", "/2/info", login=("jack", "abc123")).status == 200)
        for login in (("jack", "abc123"), ("fred", "foo555")):
            self.assertEqual(self.asked(login), self.expected(reading=400, writing=403))

    def test_users_with_write_do_everything(self) -> None:
        for login in (("autocreator", "xyz789"), ("jessica", "abc123")):
            self.assertEqual(self.asked(login), self.expected(reading=400, writing=400))

    def test_a_wrong_password_opens_nothing(self) -> None:
        for login in (("jack", "wrong"), ("nobody", "abc123"), ("jessica", digest_of_nobody())):
            self.assertEqual(self.asked(login), self.expected(reading=401, writing=401))

    def test_everybody_must_log_in_if_so_told(self) -> None:
        daemon = self.running.daemon("rapi")
        self.running.kill("rapi")
        daemon.start("--require-authentication")
        try:
            self.assertEqual(self.asked(None), self.expected(reading=401, writing=401))
            login = ("jack", "abc123")
            self.assertEqual(self.asked(login), self.expected(reading=400, writing=403))
        finally:
            self.running.kill("rapi")
            daemon.start()


def digest_of_nobody() -> str:
    return "{HA1}7046452df2cbb530877058712cf17bd4"
