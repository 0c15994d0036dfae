# SPDX-License-Identifier: BSD-2-Clause
"""Moving instances between clusters: who is asked for what, and what happens when one fails."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.client import GanetiRapiClient
from ganeti.rapi.following import JobFailed
from ganeti.rapi.following import RemoteCluster as Following
from ganeti.rapi.move import InstanceMover, MoveFailed, MoveOptions, main

ABOUT = {
    "name": "web1",
    "disk_template": "file",
    "disk.sizes": [10, 20],
    "nic.macs": ["aa:00:00:00:00:01"],
    "nic.ips": [None],
    "nic.modes": ["bridged"],
    "nic.links": ["br0"],
    "os": "noop",
    "custom_hvparams": {},
    "custom_beparams": {"maxmem": 64},
    "admin_state": "up",
}
PREPARED = {"handshake": [0, "h", "s"], "x509_key_name": ["k", "h", "s"], "x509_ca": "CA"}
TARGET = {"disks": [["node9", 1234, "magic", "h", "s"]], "x509_ca": "OTHER CA"}

AWAY = "away"
NOTHING = MoveOptions()


class Cluster:
    """A remote API that answers what a test has put in, and remembers what it was asked."""

    def __init__(self, jobs: Mapping[int, list[Any]], *, without: str = "") -> None:
        self._without = without
        self.asked: list[tuple[str, str, Any]] = []
        self._jobs = {number: list(answers) for number, answers in jobs.items()}
        self._next = min(jobs)

    def client(self) -> GanetiRapiClient:
        return GanetiRapiClient("cluster", exchange=self)

    def __call__(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        place = urlsplit(path).path
        self.asked.append((method, place, msgspec.json.decode(body) if body else None))
        answer = self._answer(method, place)
        if answer is AWAY:
            return 502, b'{"message": "the master is away"}'
        if method == "GET" and self._without and place.endswith(self._without):
            return 404, b'{"message": "there is no such instance"}'
        return 200, msgspec.json.encode(answer)

    def _answer(self, method: str, place: str) -> Any:
        if place.endswith("/wait"):
            return self._jobs[int(place.split("/")[3])].pop(0)
        if method == "GET":
            return ABOUT
        if method == "DELETE" and "/jobs/" in place:
            return [True, "it is being canceled"]
        number, self._next = self._next, self._next + 1
        return number


def ended(status: str, result: Any, *entries: Any) -> dict[str, Any]:
    return {"job_info": [status, [result]], "log_entries": list(entries)}


def says(kind: str, payload: Any) -> dict[str, Any]:
    return {"job_info": ["running", [None]], "log_entries": [[1, [0, 0], kind, payload]]}


MOVED = ended("success", None)
SENT = ended("success", [True, [True]], [2, [0, 0], "message", "sent 20 MiB"])


class MoveTests(SynchronousTestCase):
    """Jobs of the source are numbered from 1, those of the destination from 7."""

    def move(
        self, source: Cluster, destination: Cluster, wishes: MoveOptions = NOTHING
    ) -> list[str]:
        self.said: list[str] = []
        say, sleep = self.said.append, self.slept.append
        mover = InstanceMover(
            Following(source.client(), "old", say, sleep),
            Following(destination.client(), "new", say, sleep),
        )
        return mover.move("web1", wishes)

    def setUp(self) -> None:
        self.slept: list[float] = []

    def places(self, cluster: Cluster) -> list[str]:
        """What was changed."""
        return [f"{method} {place}" for method, place, _ in cluster.asked if method != "GET"]

    def test_it_is_removed_here_when_it_runs_there(self) -> None:
        source = Cluster({1: [ended("success", PREPARED)], 2: [MOVED], 3: [SENT], 4: [MOVED]})
        awaited = [None, says("remote-import", TARGET), ended("success", ["node9"])]
        destination = Cluster({7: awaited, 8: [MOVED]})
        self.assertEqual(self.move(source, destination, MoveOptions(name="web9")), ["node9"])
        self.assertEqual(
            self.places(source),
            [
                "PUT /2/instances/web1/prepare-export",
                "PUT /2/instances/web1/shutdown",
                "PUT /2/instances/web1/export",
                "DELETE /2/instances/web1",
            ],
        )
        self.assertEqual(
            self.places(destination), ["POST /2/instances", "PUT /2/instances/web9/startup"]
        )
        _, _, order = destination.asked[0]
        self.assertEqual((order["name"], order["start"]), ("web9", False))
        self.assertEqual(order["source_handshake"], PREPARED["handshake"])
        _, _, export = next(each for each in source.asked if each[1].endswith("/export"))
        self.assertEqual(export["destination"], TARGET["disks"])
        self.assertEqual(export["destination_x509_ca"], "OTHER CA")
        self.assertFalse(export["remove_instance"])

    def test_one_that_is_kept_runs_here_and_not_there(self) -> None:
        source = Cluster({1: [ended("success", PREPARED)], 2: [MOVED], 3: [SENT], 4: [MOVED]})
        destination = Cluster({7: [says("remote-import", TARGET), ended("success", ["n"])]})
        self.move(source, destination, MoveOptions(keep_source=True))
        self.assertEqual(self.places(source)[-1], "PUT /2/instances/web1/startup")
        self.assertEqual(self.places(destination), ["POST /2/instances"])

    def test_a_source_that_fails_goes_on_as_before(self) -> None:
        broken = ended("error", ["OpExecError", ["disk 0 cannot be read"]])
        source = Cluster({1: [ended("success", PREPARED)], 2: [MOVED], 3: [broken], 4: [MOVED]})
        gone = ended("canceled", None)
        destination = Cluster({7: [says("remote-import", TARGET), gone]}, without="web1")
        with self.assertRaisesRegex(
            MoveFailed, "job 3 of old .* disk 0 cannot be read; the instance is s"
        ):
            self.move(source, destination)
        self.assertEqual(self.places(source)[-1], "PUT /2/instances/web1/startup")
        self.assertEqual(self.places(destination), ["POST /2/instances", "DELETE /2/jobs/7"])

    def test_what_is_half_there_is_removed(self) -> None:
        source = Cluster({1: [ended("success", PREPARED)], 2: [MOVED], 3: [SENT], 4: [MOVED]})
        lost = ended("error", ["OpExecError", ["the master was started again"]])
        destination = Cluster({7: [says("remote-import", TARGET), lost], 8: [MOVED]})
        with self.assertRaisesRegex(MoveFailed, "the master was started again"):
            self.move(source, destination)
        self.assertEqual(self.places(destination)[-1], "DELETE /2/instances/web1")
        self.assertEqual(self.places(source)[-1], "PUT /2/instances/web1/startup")

    def test_one_that_does_not_start_there_comes_back(self) -> None:
        source = Cluster({1: [ended("success", PREPARED)], 2: [MOVED], 3: [SENT], 4: [MOVED]})
        arrived = ended("success", ["n"])
        broken = ended("error", ["OpExecError", ["no memory"]])
        destination = Cluster(
            {7: [says("remote-import", TARGET), arrived], 8: [broken], 9: [MOVED]}
        )
        with self.assertRaisesRegex(MoveFailed, "no memory; the instance is still at old"):
            self.move(source, destination)
        self.assertEqual(self.places(destination)[-1], "DELETE /2/instances/web1")
        self.assertNotIn("DELETE /2/instances/web1", self.places(source))

    def test_one_that_may_run_there_is_not_started_here(self) -> None:
        source = Cluster({1: [ended("success", PREPARED)], 2: [MOVED], 3: [SENT]})
        arrived, broken = ended("success", ["n"]), ended("error", ["OpExecError", ["who knows"]])
        destination = Cluster(
            {7: [says("remote-import", TARGET), arrived], 8: [broken], 9: [broken]}
        )
        with self.assertRaisesRegex(MoveFailed, "who knows"):
            self.move(source, destination)
        self.assertEqual(self.places(source)[-1], "PUT /2/instances/web1/export")
        self.assertIn("old: web1 remains stopped: it may be running at new", self.said)

    def test_one_that_cannot_be_removed_here_is_said_to_be_at_both(self) -> None:
        broken = ended("error", ["OpExecError", ["node1 is away"]])
        source = Cluster({1: [ended("success", PREPARED)], 2: [MOVED], 3: [SENT], 4: [broken]})
        destination = Cluster(
            {7: [says("remote-import", TARGET), ended("success", ["n"])], 8: [MOVED]}
        )
        with self.assertRaisesRegex(MoveFailed, "complete at new, and is stopped but still"):
            self.move(source, destination)

    def test_a_cluster_that_is_away_for_a_moment_is_asked_again(self) -> None:
        source = Cluster({1: [AWAY, AWAY, ended("success", PREPARED)]})
        destination = Cluster({7: [ended("error", ["OpPrereqError", ["no", "wrong_state"]])]})
        with self.assertRaisesRegex(JobFailed, "no"):
            self.move(source, destination)
        self.assertEqual(self.slept, [1.0, 1.0])

    def test_a_destination_that_refuses_is_told_with_its_words(self) -> None:
        source = Cluster({1: [ended("success", PREPARED)]})
        refusal = ended("error", ["OpPrereqError", ["there is no node for it", "wrong_state"]])
        with self.assertRaisesRegex(JobFailed, "there is no node for it"):
            self.move(source, Cluster({7: [refusal]}))
        self.assertEqual(self.places(source), ["PUT /2/instances/web1/prepare-export"])

    def test_messages_of_both_sides_are_shown_with_their_cluster(self) -> None:
        source = Cluster({1: [ended("success", PREPARED)], 2: [MOVED], 3: [SENT], 4: [MOVED]})
        destination = Cluster(
            {7: [says("remote-import", TARGET), ended("success", ["n"])], 8: [MOVED]}
        )
        self.move(source, destination)
        self.assertIn("old: sent 20 MiB", self.said)


class CommandTests(SynchronousTestCase):
    """What is refused before a cluster is asked anything."""

    def run_command(self, *words: str) -> tuple[int, str]:
        """The exit code, and what was written to the standard error."""
        err, code = io.StringIO(), 2
        with redirect_stderr(err), redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            code = main(["src.example", "dest.example", *words])
        return code, err.getvalue()

    def test_a_new_name_is_for_one_instance(self) -> None:
        code, told = self.run_command("--dest-instance-name", "web9", "web1", "web2")
        self.assertEqual(code, 1)
        self.assertIn("can be used with a single instance only", told)

    def test_files_that_cannot_be_read_are_named(self) -> None:
        for option in ("--src-password-file", "--dest-ca-file"):
            code, told = self.run_command(option, "/nonexistent", "web1")
            self.assertEqual(code, 1)
            self.assertTrue(told.startswith("Failure: "), told)

    def test_a_file_that_is_no_certificate_is_refused(self) -> None:
        path = Path(self.mktemp())
        path.write_text("no certificate")
        code, told = self.run_command("--src-ca-file", str(path), "web1")
        self.assertEqual((code, told.startswith("Failure: ")), (1, True))

    def test_parameters_are_pairs(self) -> None:
        for option in ("-B", "-H"):
            code, told = self.run_command(option, "vcpus", "web1")
            self.assertEqual(code, 2)
            self.assertIn(f"argument {option}/", told)

    def test_at_least_one_instance_is_named(self) -> None:
        self.assertEqual(self.run_command()[0], 2)
