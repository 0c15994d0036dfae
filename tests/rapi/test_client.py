# SPDX-License-Identifier: BSD-2-Clause
"""The client library and the server understand each other, method by method."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.luxi.methods import (
    CancelJob,
    DeleteFilter,
    Query,
    QueryClusterInfo,
    QueryFields,
    QueryFilters,
    QueryGroups,
    QueryInstances,
    QueryJobs,
    QueryNetworks,
    QueryNodes,
    QueryObjects,
    QueryTags,
    ReplaceFilter,
    WaitForJobChange,
)
from ganeti.rapi.client import GanetiApiError, GanetiRapiClient
from ganeti.rapi.routes.cluster import FILTER_FIELDS
from ganeti.rapi.routes.route_table import ROUTES
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import NodeClient

ARGUMENTS: Mapping[str, Any] = {
    "action": "REJECT",
    "amount": 5,
    "bulk": True,
    "destination": "node2",
    "disk": 0,
    "disk_template": "plain",
    "disks": [],
    "fields": ["name"],
    "iallocator": "hail",
    "instances": [{"mode": "create", "name": "x", "os": "deb", "disks": [], "nics": []}],
    "job_id": 7,
    "link": "br0",
    "mode": "live",
    "network": "192.0.2.0/24",
    "nics": [],
    "nodes": ["node1"],
    "output_fields": ["name", "free"],
    "predicates": [],
    "priority": 3,
    "role": "offline",
    "storage_type": "lvm-vg",
    "tags": ["a", "b"],
    "what": "node",
}
MODES = {
    "CreateInstance": "create",
    "PrepareExport": "local",
    "ExportInstance": "local",
    "ConnectNetwork": "bridged",
    "EvacuateNode": "all",
    "ReplaceInstanceDisks": "replace_auto",
}


OURS = ("/2/access/", "/2/failover", "/2/history", "/2/notifications")
"""What clients of Ganeti know nothing of."""


class ClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.master = MemoryMaster(
            {
                QueryTags: ["a"],
                QueryObjects: [{"name": "x"}],
                QueryInstances: lambda asked: [[{"kind": "ssh"}, True]],
                QueryNodes: [["C"]],
                QueryGroups: [["x"]],
                QueryNetworks: [["x"]],
                QueryClusterInfo: {"name": "c"},
                QueryFields: {"fields": []},
                QueryJobs: lambda asked: [[7]] if asked.ids is None else [["success"] * 10],
                QueryFilters: [["x"] * len(FILTER_FIELDS)],
                ReplaceFilter: "uuid",
                DeleteFilter: lambda _: None,
                CancelJob: [True, ""],
                WaitForJobChange: [["running"], []],
                Query: {"fields": [], "data": []},
            }
        )
        asker = NodeClient(self.master, self.mktemp())

        def exchange(
            method: str, path: str, headers: Mapping[str, str], body: bytes
        ) -> tuple[int, bytes]:
            self.sent.append((method, path.partition("?")[0]))
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            answer = asker.ask(method, path, headers=lines, raw=body)
            return answer.status, answer.body

        self.client = GanetiRapiClient("x", username="auto", password="xyz789", exchange=exchange)

    def call(self, name: str, *, all_arguments: bool) -> None:
        method = getattr(self.client, name)
        arguments: dict[str, Any] = {}
        for parameter in inspect.signature(method).parameters.values():
            optional = parameter.default is not parameter.empty
            if parameter.kind is parameter.VAR_KEYWORD or (optional and not all_arguments):
                continue
            if parameter.name in ("dry_run", "bulk") or "bool" in str(parameter.annotation):
                arguments[parameter.name] = True
            elif parameter.name == "mode":
                arguments["mode"] = MODES.get(name, "live")
            elif parameter.name in ARGUMENTS:
                arguments[parameter.name] = ARGUMENTS[parameter.name]
            elif not optional:
                arguments[parameter.name] = "x"
        method(**arguments)

    def test_every_method_is_understood_by_the_server(self) -> None:
        for name in dir(GanetiRapiClient):
            if name[0].isupper():
                for all_arguments in (False, True):
                    self.call(name, all_arguments=all_arguments)

    def test_every_resource_has_a_method(self) -> None:
        self.test_every_method_is_understood_by_the_server()
        asked = {(method, len(path.split("/")), path.split("/")[-1]) for method, path in self.sent}
        missing = []
        routes = [route for route in ROUTES if not route.path.startswith(OURS)]
        for route in routes:
            for method in route.verbs:
                key = method, len(route.segments) + 1, route.segments[-1]
                last = {"{job_id}": "7", "{resource}": "node"}.get(key[2], key[2])
                last = "x" if last.startswith("{") else last
                if (method, key[1], last) not in asked:
                    missing.append((method, route.path))
        self.assertEqual(
            missing,
            [
                *(("GET", path) for path in ("/", "/2", "/2/openapi", "/metrics", "/2/events")),
                ("GET", "/2/query/{resource}"),
                # For browsers.
                ("POST", "/2/instances/{instance_name}/console-ticket"),
                ("GET", "/2/instances/{instance_name}/screenshot"),
                ("GET", "/2/instances/{instance_name}/usage"),
                ("GET", "/2/console"),
                ("GET", "/2/nodes/{node_name}/usage"),
                ("GET", "/2/job-rates"),
                # Ganeti has programs for these, hbal and hspace.
                ("GET", "/2/balance"),
                ("PUT", "/2/balance"),
                ("GET", "/2/capacity"),
                # Ganeti does not fail guests over.
                ("PUT", "/2/instances/{instance_name}/failover-policy"),
                ("PUT", "/2/nodes/{node_name}/maintenance"),
                ("PUT", "/2/nodes/{node_name}/confirm-off"),
            ],
        )

    def test_an_error_has_the_message_and_the_status(self) -> None:
        with self.assertRaisesRegex(GanetiApiError, "amount: must be") as caught:
            self.client.GrowInstanceDisk("web1", 0, -1)
        self.assertEqual(caught.exception.code, 400)

    def test_waiting_for_a_job_ends_with_the_job_or_with_patience(self) -> None:
        for status, answer in (("success", True), ("error", False), ("running", False)):
            self.master.canned[QueryJobs] = [[status] * 10]
            slept: list[float] = []
            done = self.client.WaitForJobCompletion(7, 2, 3, sleep=slept.append)
            self.assertEqual((done, slept), (answer, [2, 2] if status == "running" else []))
