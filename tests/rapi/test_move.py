# SPDX-License-Identifier: BSD-2-Clause
"""Moving instances between clusters: who is asked for what, and what happens when one fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.client import GanetiRapiClient
from ganeti.rapi.move import MoveFailed, Mover, Wishes

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


class Cluster:
    """A remote API that answers what a test has put in, and remembers what it was asked."""

    def __init__(self, jobs: Mapping[int, list[Any]]) -> None:
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
        return 200, msgspec.json.encode(self._answer(method, place))

    def _answer(self, method: str, place: str) -> Any:
        if place.endswith("/wait"):
            return self._jobs[int(place.split("/")[3])].pop(0)
        if method == "GET":
            return ABOUT
        if method == "DELETE":
            return [True, "it is being canceled"]
        number, self._next = self._next, self._next + 1
        return number


def ended(status: str, result: Any, *entries: Any) -> dict[str, Any]:
    return {"job_info": [status, [result]], "log_entries": list(entries)}


def says(kind: str, payload: Any) -> dict[str, Any]:
    return {"job_info": ["running", [None]], "log_entries": [[1, [0, 0], kind, payload]]}


class MoveTests(SynchronousTestCase):
    def move(self, source: Cluster, destination: Cluster, wishes: Wishes) -> list[str]:
        self.said: list[str] = []
        mover = Mover(source.client(), "old", destination.client(), "new", self.said.append)
        return mover.move("web1", wishes)

    def test_disks_go_where_the_destination_awaits_them(self) -> None:
        source = Cluster({1: [ended("success", PREPARED)], 2: [ended("success", [True, [True]])]})
        awaited = [None, says("remote-import", TARGET), ended("success", ["node9"])]
        destination = Cluster({7: awaited})
        self.assertEqual(self.move(source, destination, Wishes(name="web9")), ["node9"])
        _, place, order = destination.asked[0]
        self.assertEqual((place, order["name"]), ("/2/instances", "web9"))
        self.assertEqual(order["source_handshake"], PREPARED["handshake"])
        _, place, export = next(each for each in source.asked if each[1].endswith("/export"))
        self.assertEqual(export["destination"], TARGET["disks"])
        self.assertEqual(export["destination_x509_ca"], "OTHER CA")
        self.assertTrue(export["remove_instance"])

    def test_a_source_that_fails_ends_the_destinations_job(self) -> None:
        broken = ended("error", ["OpExecError", ["disk 0 cannot be read"]])
        source = Cluster({1: [ended("success", PREPARED)], 2: [broken]})
        gone = ended("canceled", None)
        destination = Cluster({7: [says("remote-import", TARGET), gone]})
        with self.assertRaisesRegex(MoveFailed, "job 2 of old .* disk 0 cannot be read"):
            self.move(source, destination, Wishes())
        self.assertIn(("DELETE", "/2/jobs/7", None), destination.asked)

    def test_a_destination_that_refuses_is_told_with_its_words(self) -> None:
        source = Cluster({1: [ended("success", PREPARED)]})
        refusal = ended("error", ["OpPrereqError", ["there is no node for it", "wrong_state"]])
        with self.assertRaisesRegex(MoveFailed, "there is no node for it"):
            self.move(source, Cluster({7: [refusal]}), Wishes())
        self.assertFalse(any(place.endswith("/export") for _, place, _ in source.asked))

    def test_messages_of_both_sides_are_shown_with_their_cluster(self) -> None:
        sent = ended("success", [True, [True]], [2, [0, 0], "message", "sent 20 MiB"])
        source = Cluster({1: [ended("success", PREPARED)], 2: [sent]})
        destination = Cluster({7: [says("remote-import", TARGET), ended("success", ["n"])]})
        self.move(source, destination, Wishes())
        self.assertIn("old: sent 20 MiB", self.said)
