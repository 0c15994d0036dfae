# SPDX-License-Identifier: BSD-2-Clause
"""Each method of the remote API document: what it asks of the master, and what it answers."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.luxi.methods import (
    CancelJob,
    Query,
    QueryClusterInfo,
    QueryInstances,
    QueryJobs,
    QueryNodes,
    QueryObjects,
    QueryTags,
    WaitForJobChange,
)
from ganeti.rapi.routes import instances, jobs, nodes
from ganeti.rapi.routes.cluster import FEATURES
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import WHEN, Answer, NodeClient

CREATION = {
    "__version__": 1,
    "mode": "create",
    "name": "web1",
    "disk_template": "plain",
    "disks": [{"size": 100}],
    "nics": [{}, {"ip": "192.0.2.1"}],
    "os": "debootstrap+default",
    "pnode": "node1",
    "start": False,
    "ip_check": False,
}
CREATED = {
    "OP_ID": "OP_INSTANCE_CREATE",
    "mode": "create",
    "instance_name": "web1",
    "disk_template": "plain",
    "disks": [{"size": 100}],
    "nics": [{}, {"ip": "192.0.2.1"}],
    "os_type": "debootstrap+default",
    "pnode": "node1",
    "start": False,
    "ip_check": False,
}
WEB1 = {"instance_name": "web1"}
NODE1 = {"node_name": "node1"}


class MethodsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = MemoryMaster(
            {
                QueryTags: ["a", "b"],
                QueryObjects: lambda asked: [{"name": "x", "sip": "192.0.2.9"}],
                QueryInstances: [["web1"], ["web 2/x"]],
                QueryNodes: lambda asked: [["C"]] if "role" in asked.fields else [["node1"]],
                QueryClusterInfo: {"name": "c", "volume_group_name": "xenvg"},
                QueryJobs: lambda asked: [[7], [3]] if asked.ids is None else [_job(asked)],
                CancelJob: [True, "Job 7 canceled"],
                WaitForJobChange: [["running"], [[1, [2, 3], "message", "x"]]],
                Query: {
                    "fields": [],
                    "data": [
                        [[0, "noop"], [0, []], [0, True], [0, False], [0, False]],
                        [[0, "deb"], [0, ["a", "b"]], [0, True], [0, False], [0, False]],
                        [[0, "bad"], [0, []], [0, False], [0, False], [0, False]],
                        [[0, "hid"], [0, []], [0, True], [0, True], [0, False]],
                    ],
                },
            }
        )
        self.asker = NodeClient(self.master, self.mktemp())

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return self.asker.ask(method, path, body, **more)

    def get(self, path: str, body: Any = None) -> Any:
        answer = self.ask("GET", path, body)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.value

    def job(self, method: str, path: str, body: Any = None) -> list[dict[str, Any]]:
        """The opcodes that a request submits, without what is as it is anyhow."""
        answer = self.ask(method, path, body)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.value, max(self.master.jobs))
        return [_said(opcode) for opcode in self.master.last_job()]

    def opcode(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        (opcode,) = self.job(method, path, body)
        return opcode


def _said(opcode: Any) -> dict[str, Any]:
    fields = {each.name: each for each in msgspec.structs.fields(opcode)}
    said = {"OP_ID": opcode.op_id}
    for name, field in fields.items():
        value = getattr(opcode, name)
        if name != "reason" and value != field.default and value not in ({}, ()):
            said[name] = msgspec.json.decode(msgspec.json.encode(value))
    return said


def _job(asked: QueryJobs) -> list[Any]:
    known = asked.ids == (7,)
    row = {"id": asked.ids and asked.ids[0], "status": "success" if known else None}
    return [row.get(name) for name in asked.fields]


class ClusterTests(MethodsCase):
    def test_the_tops_list_what_is_below(self) -> None:
        self.assertEqual(
            self.get("/"),
            [{"name": name, "uri": f"/{name}"} for name in ("2", "version")],
        )
        self.assertIn({"name": "instances", "uri": "/2/instances"}, self.get("/2"))
        # Whoever follows a list would never come to the end of this one.
        self.assertNotIn({"name": "events", "uri": "/2/events"}, self.get("/2"))

    def test_version_and_features(self) -> None:
        self.assertEqual(self.get("/version"), 2)
        self.assertEqual(self.get("/2/features"), list(FEATURES))

    def test_facts_have_their_older_names_too(self) -> None:
        self.assertEqual(
            self.get("/2/info"),
            {
                "name": "c",
                "volume_group_name": "xenvg",
                "vg_name": "xenvg",
                "drbd_helper": None,
            },
        )

    def test_redistribution_of_the_configuration(self) -> None:
        self.assertEqual(
            self.opcode("PUT", "/2/redistribute-config", {}), {"OP_ID": "OP_CLUSTER_REDIST_CONF"}
        )

    def test_operating_systems_with_their_variants(self) -> None:
        self.assertEqual(self.get("/2/os"), ["noop", "deb+a", "deb+b"])


class TagsTests(MethodsCase):
    OWNERS = (
        ("/2", "cluster", None),
        ("/2/instances/web1", "instance", "web1"),
        ("/2/nodes/node1", "node", "node1"),
        ("/2/groups/default", "nodegroup", "default"),
        ("/2/networks/net1", "network", "net1"),
    )

    def test_tags_are_listed(self) -> None:
        for path, kind, name in self.OWNERS:
            self.assertEqual(self.get(f"{path}/tags"), ["a", "b"])
            self.assertEqual(self.master.asked[-1], QueryTags(kind=kind, name=name or ""))

    def test_tags_are_added_and_removed_by_body_or_query(self) -> None:
        for path, kind, name in self.OWNERS:
            for method, op in (("PUT", "OP_TAGS_SET"), ("DELETE", "OP_TAGS_DEL")):
                expected = {"OP_ID": op, "kind": kind, "tags": ["x", "y z"], "name": name}
                if name is None:
                    del expected["name"]
                query = f"{path}/tags?tag=x&tag=y%20z"
                self.assertEqual(self.opcode(method, query), expected)
                self.assertEqual(self.opcode(method, query, {}), expected)
                self.assertEqual(self.opcode(method, f"{path}/tags", ["x", "y z"]), expected)
                dry = self.opcode(method, query + "&dry-run=1")
                self.assertEqual(dry, {**expected, "dry_run": True})

    def test_null_in_the_body_leaves_a_parameter_to_the_query(self) -> None:
        query = "/2/instances/web1/deactivate-disks?dry-run=1&force=1"
        asked = self.opcode("PUT", query, {"dry_run": None, "force": None})
        self.assertEqual((asked["dry_run"], asked["force"]), (True, True))

    def test_tags_must_be_given_once_and_as_a_list(self) -> None:
        for path, body, problem in (
            ("/2/tags", None, "tag: is required"),
            ("/2/tags?tag=a", ["b"], "given twice"),
            ("/2/tags", "b", "must be a list of tags"),
            ("/2/tags", {"tag": "b"}, "must be a list of tags"),
        ):
            answer = self.ask("PUT", path, body)
            self.assertEqual((answer.status, self.master.jobs), (400, {}))
            self.assertIn(problem, answer.message)


class InstancesTests(MethodsCase):
    def test_the_list_has_names_under_both_keys(self) -> None:
        self.assertEqual(
            self.get("/2/instances"),
            [
                {"id": "web1", "name": "web1", "uri": "/2/instances/web1"},
                {"id": "web 2/x", "name": "web 2/x", "uri": "/2/instances/web%202%2Fx"},
            ],
        )

    def test_details_come_from_the_master_as_they_are(self) -> None:
        for path, names in (
            ("?bulk=1", None),
            ("/web1", ("web1",)),
            ("/web%202%2Fx", ("web 2/x",)),
        ):
            details = self.get("/2/instances" + path)
            found = {"name": "x", "sip": "192.0.2.9"}
            self.assertEqual(details, found if names else [found])
            known = None if names else ()
            asked = QueryObjects(what="instance", fields=instances.FIELDS, names=names, known=known)
            self.assertEqual(self.master.asked[-1], asked)

    def test_several_are_created_only_if_the_request_names_them(self) -> None:
        for body in ({}, {"iallocator": "hail"}):
            answer = self.ask("POST", "/2/instances-multi-alloc", body)
            self.assertEqual((answer.status, answer.message), (400, "instances: is required"))

    def test_creation(self) -> None:
        self.assertEqual(self.opcode("POST", "/2/instances", CREATION), CREATED)
        dry = self.opcode("POST", "/2/instances?dry-run=1", CREATION)
        self.assertEqual(dry, {**CREATED, "dry_run": True})

    def test_import_and_remote_import(self) -> None:
        common: dict[str, Any] = {"__version__": 1, "name": "web1", "disks": [], "nics": []}
        for more in (
            {"mode": "import", "src_node": "node1", "src_path": "web1"},
            {
                "mode": "remote-import",
                "source_handshake": [1, 2],
                "source_x509_ca": "PEM",
                "source_instance_name": "web0",
            },
        ):
            opcode = self.opcode("POST", "/2/instances", {**common, **more})
            expected = {"OP_ID": "OP_INSTANCE_CREATE", "instance_name": "web1", **more}
            self.assertEqual({name: opcode[name] for name in expected}, expected)

    def test_each_method_submits_its_opcode(self) -> None:
        requests: tuple[tuple[str, str, Any, str, dict[str, Any]], ...] = (
            ("DELETE", "", None, "REMOVE", {}),
            ("DELETE", "?dry-run=1", {"shutdown_timeout": 5}, "REMOVE", {"shutdown_timeout": 5}),
            ("POST", "/reboot", None, "REBOOT", {"reboot_type": "hard"}),
            ("POST", "/reboot?type=soft", {}, "REBOOT", {"reboot_type": "soft"}),
            (
                "POST",
                "/reboot?ignore_secondaries=1",
                {"reboot_type": "full"},
                "REBOOT",
                {"reboot_type": "full", "ignore_secondaries": True},
            ),
            ("PUT", "/shutdown", {"timeout": 7}, "SHUTDOWN", {"timeout": 7}),
            ("PUT", "/shutdown?no_remember=1", {}, "SHUTDOWN", {"no_remember": True}),
            ("PUT", "/startup?force=1", None, "STARTUP", {"force": True}),
            (
                "POST",
                "/replace-disks?mode=replace_new_secondary&disks=0,2&iallocator=hail",
                None,
                "REPLACE_DISKS",
                {"mode": "replace_new_secondary", "disks": [0, 2], "iallocator": "hail"},
            ),
            (
                "POST",
                "/replace-disks",
                {"mode": "replace_on_primary", "disks": "1"},
                "REPLACE_DISKS",
                {"mode": "replace_on_primary", "disks": [1]},
            ),
            ("PUT", "/activate-disks?ignore_size=1", None, "ACTIVATE_DISKS", {"ignore_size": True}),
            ("PUT", "/deactivate-disks", {}, "DEACTIVATE_DISKS", {}),
            ("POST", "/disk/3/grow", {"amount": 10}, "GROW_DISK", {"disk": 3, "amount": 10}),
            ("PUT", "/migrate", {"mode": "live"}, "MIGRATE", {"mode": "live"}),
            ("PUT", "/failover", {}, "FAILOVER", {}),
            ("PUT", "/rename", {"new_name": "web2"}, "RENAME", {"new_name": "web2"}),
            ("POST", "/recreate-disks", {"disks": [0]}, "RECREATE_DISKS", {"disks": [0]}),
            (
                "PUT",
                "/modify",
                {"custom_hvparams": {"usb_devices": "a b"}},
                "SET_PARAMS",
                {"hvparams": {"usb_devices": "a,b"}},
            ),
        )
        for method, path, body, op, parameters in requests:
            opcode = self.opcode(method, f"/2/instances/web1{path}", body)
            dry = {"dry_run": True} if "dry-run" in path else {}
            self.assertEqual(opcode, {"OP_ID": f"OP_INSTANCE_{op}", **WEB1, **parameters, **dry})

    def test_details_by_a_job(self) -> None:
        queries: dict[str, dict[str, bool]] = {"": {}, "?static=1": {"static": True}}
        for query, static in queries.items():
            opcode = self.opcode("GET", f"/2/instances/web1/info{query}")
            expected = {"OP_ID": "OP_INSTANCE_QUERY_DATA", "instances": ["web1"], **static}
            self.assertEqual(opcode, expected)

    def test_a_reinstallation_stops_and_starts(self) -> None:
        started: tuple[tuple[str, Any], ...] = (
            ("?os=deb&reason=why", None),
            ("", {"os": "deb", "start": True}),
        )
        for path, body in started:
            steps = self.job("POST", f"/2/instances/web1/reinstall{path}", body)
            stop, install, start = steps
            self.assertEqual(stop, {"OP_ID": "OP_INSTANCE_SHUTDOWN", **WEB1})
            self.assertEqual(install, {"OP_ID": "OP_INSTANCE_REINSTALL", **WEB1, "os_type": "deb"})
            self.assertEqual(start, {"OP_ID": "OP_INSTANCE_STARTUP", **WEB1})
        stopped: tuple[tuple[str, Any], ...] = (
            ("?nostartup=1", None),
            ("", {"start": False}),
            ("", {"start": 0}),
        )
        for path, body in stopped:
            steps = self.job("POST", f"/2/instances/web1/reinstall{path}", body)
            self.assertEqual(len(steps), 2)

    def test_nothing_is_stopped_for_an_os_that_there_is_not(self) -> None:
        for path, body in (("?os=gentoo", None), ("", {"os": "gentoo"})):
            answer = self.ask("POST", f"/2/instances/web1/reinstall{path}", body)
            self.assertEqual((answer.status, self.master.jobs), (400, {}))
            self.assertIn("os: unknown OS definition gentoo; must be one of bad", answer.message)

    def test_exports(self) -> None:
        self.assertEqual(
            self.opcode("PUT", "/2/instances/web1/prepare-export?mode=remote"),
            {"OP_ID": "OP_BACKUP_PREPARE", **WEB1, "mode": "remote"},
        )
        body = {"mode": "local", "destination": "node2", "shutdown": False}
        self.assertEqual(
            self.opcode("PUT", "/2/instances/web1/export", body),
            {"OP_ID": "OP_BACKUP_EXPORT", **WEB1, "target_node": "node2", "shutdown": False},
        )

    def test_a_console_needs_a_running_instance(self) -> None:
        for row, status in (([{"kind": "ssh"}, True], 200), ([{"kind": "ssh"}, False], 503)):
            self.master.canned[QueryInstances] = [row]
            self.assertEqual(self.ask("GET", "/2/instances/web1/console").status, status)


class NodesTests(MethodsCase):
    def test_nodes_are_listed(self) -> None:
        self.assertEqual(self.get("/2/nodes"), [{"id": "node1", "uri": "/2/nodes/node1"}])
        self.get("/2/nodes?bulk=1")
        asked = QueryObjects(what="node", fields=nodes.FIELDS, known=())
        self.assertEqual(self.master.asked[-1], asked)

    def test_one_node_has_its_second_address_under_both_names(self) -> None:
        self.assertEqual(
            self.get("/2/nodes/node1"),
            {"name": "x", "sip": "192.0.2.9", "secondary_ip": "192.0.2.9"},
        )

    def test_a_role_is_read_and_set_as_a_text(self) -> None:
        self.assertEqual(self.get("/2/nodes/node1/role"), "master-candidate")
        expected = {"OP_ID": "OP_NODE_SET_PARAMS", **NODE1}
        roles: dict[str, dict[str, bool]] = {
            "offline": {"offline": True},
            "drained": {"drained": True},
            "master-candidate": {"master_candidate": True},
            "regular": {"master_candidate": False, "offline": False, "drained": False},
        }
        for role, flags in roles.items():
            self.assertEqual(self.opcode("PUT", "/2/nodes/node1/role", role), {**expected, **flags})
        forced = self.opcode("PUT", "/2/nodes/node1/role?force=1&auto-promote=1", "offline")
        more = {"offline": True, "force": True, "auto_promote": True}
        self.assertEqual(forced, {**expected, **more})

    def test_nobody_is_made_master(self) -> None:
        for body in ("master", "king", 1, None, {"role": "offline"}):
            answer = self.ask("PUT", "/2/nodes/node1/role", body)
            self.assertEqual(answer.status, 400)
            self.assertIn("drained, master-candidate, offline, regular", answer.message)

    def test_each_method_submits_its_opcode(self) -> None:
        unit: dict[str, Any] = {"storage_type": "lvm-vg", "name": "xenvg"}
        for method, path, body, op, parameters in (
            (
                "POST",
                "/evacuate?iallocator=hail",
                None,
                "OP_NODE_EVACUATE",
                {**NODE1, "iallocator": "hail", "mode": "secondary-only"},
            ),
            (
                "POST",
                "/evacuate",
                {"mode": "all", "remote_node": "node2"},
                "OP_NODE_EVACUATE",
                {**NODE1, "remote_node": "node2", "mode": "all"},
            ),
            ("POST", "/migrate?live=1", {}, "OP_NODE_MIGRATE", {**NODE1, "live": True}),
            ("POST", "/migrate", {"mode": "live"}, "OP_NODE_MIGRATE", {**NODE1, "mode": "live"}),
            ("POST", "/powercycle?force=1", None, "OP_NODE_POWERCYCLE", {**NODE1, "force": True}),
            ("POST", "/modify", {"drained": 1}, "OP_NODE_SET_PARAMS", {**NODE1, "drained": True}),
            (
                "GET",
                "/storage?storage_type=lvm-pv&output_fields=name,%20free",
                None,
                "OP_NODE_QUERY_STORAGE",
                {"nodes": ["node1"], "storage_type": "lvm-pv", "output_fields": ["name", "free"]},
            ),
            (
                "PUT",
                "/storage/modify?storage_type=lvm-vg&name=xenvg&allocatable=0",
                None,
                "OP_NODE_MODIFY_STORAGE",
                {**NODE1, **unit, "changes": {"allocatable": False}},
            ),
            (
                "PUT",
                "/storage/repair?storage_type=lvm-vg&name=xenvg",
                {},
                "OP_REPAIR_NODE_STORAGE",
                {**NODE1, **unit},
            ),
        ):
            opcode = self.opcode(method, f"/2/nodes/node1{path}", body)
            self.assertEqual(opcode, {"OP_ID": op, **parameters})


class JobsTests(MethodsCase):
    def test_jobs_are_listed_by_number(self) -> None:
        self.assertEqual(
            self.get("/2/jobs"), [{"id": 3, "uri": "/2/jobs/3"}, {"id": 7, "uri": "/2/jobs/7"}]
        )
        self.get("/2/jobs?bulk=1")
        asked = QueryObjects(what="job", fields=jobs.BULK_FIELDS, known=())
        self.assertEqual(self.master.asked[-1], asked)

    def test_a_job_tells_what_became_of_it(self) -> None:
        job = self.get("/2/jobs/7")
        self.assertEqual(tuple(job), jobs.FIELDS)
        self.assertEqual((job["id"], job["status"]), (7, "success"))

    def test_a_job_that_there_is_not_is_not_found(self) -> None:
        for path in ("/2/jobs/8", "/2/jobs/x", "/2/jobs/-1", "/2/jobs/9999999999999999"):
            self.assertEqual(self.ask("GET", path).status, 404)

    def test_a_job_is_canceled(self) -> None:
        answer = self.ask("DELETE", "/2/jobs/7")
        self.assertEqual(answer.value, [True, "Job 7 canceled"])

    def test_waiting_answers_with_what_has_changed(self) -> None:
        body = {"fields": ["status"], "previous_job_info": ["queued"], "previous_log_serial": 0}
        changed = {"job_info": ["running"], "log_entries": [[1, [2, 3], "message", "x"]]}
        for said in (body, None, {}):
            self.assertEqual(self.get("/2/jobs/7/wait", said), changed)

    def test_waiting_for_nothing_answers_null(self) -> None:
        body = {"fields": ["status"], "previous_job_info": ["running"]}
        self.master.canned[WaitForJobChange] = "nochange"
        self.assertIsNone(self.get("/2/jobs/7/wait", body))

    def test_waiting_for_an_ended_job_answers_what_it_ended_with(self) -> None:
        for known in (["success"], ["running"]):
            body = {"fields": ["status"], "previous_job_info": known, "previous_log_serial": 4}
            self.master.canned[WaitForJobChange] = [["success"], []]
            answer = self.get("/2/jobs/7/wait", body)
            self.assertEqual(answer, {"job_info": ["success"], "log_entries": []})


class ReasonTests(MethodsCase):
    def test_jobs_know_who_asked_and_why(self) -> None:
        self.ask("PUT", "/2/instances/web1/startup?reason=because")
        (opcode,) = self.master.last_job()
        self.assertEqual(
            opcode.reason,
            (
                ("gnt:user", "because", WHEN),
                ("gnt:library:rlib2:instances_name_startup", "", WHEN),
            ),
        )
