# SPDX-License-Identifier: BSD-2-Clause
"""Every method of the remote API document at work, each seen through another door.

``python -m tests.system.rapi_document`` makes a cluster with the quick start and prints the table;
``test_rapi_document`` is the same run as a test.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ganeti.luxi.methods import (
    QueryClusterInfo,
    QueryInstances,
    QueryJobs,
    QueryNodes,
    QueryTags,
    SubmitJob,
)
from ganeti.opcodes.test import Delay
from tests.system.running import RunningCluster, eventually
from tests.system.talking import NOTHING, Ended, NodeEndpoint, pretended

RESOURCES: Mapping[str, str] = {
    "/": "GET",
    "/2": "GET",
    "/2/info": "GET",
    "/2/redistribute-config": "PUT",
    "/2/features": "GET",
    "/2/instances": "GET POST",
    "/2/instances/[instance_name]": "GET DELETE",
    "/2/instances/[instance_name]/info": "GET",
    "/2/instances/[instance_name]/reboot": "POST",
    "/2/instances/[instance_name]/shutdown": "PUT",
    "/2/instances/[instance_name]/startup": "PUT",
    "/2/instances/[instance_name]/reinstall": "POST",
    "/2/instances/[instance_name]/replace-disks": "POST",
    "/2/instances/[instance_name]/activate-disks": "PUT",
    "/2/instances/[instance_name]/deactivate-disks": "PUT",
    "/2/instances/[instance_name]/prepare-export": "PUT",
    "/2/instances/[instance_name]/export": "PUT",
    "/2/instances/[instance_name]/tags": "GET PUT DELETE",
    "/2/jobs": "GET",
    "/2/jobs/[job_id]": "GET DELETE",
    "/2/jobs/[job_id]/wait": "GET",
    "/2/nodes": "GET",
    "/2/nodes/[node_name]": "GET",
    "/2/nodes/[node_name]/evacuate": "POST",
    "/2/nodes/[node_name]/migrate": "POST",
    "/2/nodes/[node_name]/role": "GET PUT",
    "/2/nodes/[node_name]/storage": "GET",
    "/2/nodes/[node_name]/storage/modify": "PUT",
    "/2/nodes/[node_name]/storage/repair": "PUT",
    "/2/nodes/[node_name]/tags": "GET PUT DELETE",
    "/2/os": "GET",
    "/2/tags": "GET PUT DELETE",
    "/version": "GET",
}
"""The resources of the document, and the methods that it describes of each."""

METHODS = [(method, uri) for uri, methods in RESOURCES.items() for method in methods.split()]
_PATTERNS = {uri: re.compile(re.sub(r"\[\w+\]", "[^/]+", uri)) for uri in RESOURCES}


def resource_of(path: str) -> str:
    """The resource of the document that a path is one of."""
    [found] = [uri for uri, each in _PATTERNS.items() if each.fullmatch(path.partition("?")[0])]
    return found


class Cluster:
    """The cluster that the document is tried on, and what is remembered between the steps."""

    def __init__(self, running: RunningCluster) -> None:
        self.running = running
        self.door = NodeEndpoint(running)
        self.known: dict[str, Any] = {}
        self.value: Any = None
        self.job = Ended(0, "", [])

    def node(self, number: int) -> str:
        return self.running.cluster.node(number).name

    def instance(self, name: str, *fields: str) -> list[Any]:
        """Fields of an instance from the master's socket; nothing if there is none."""
        rows = self.running.ask(QueryInstances(names=(), fields=("name", *fields)))
        return next((row[1:] for row in rows if row[0] == name), [])

    def node_fields(self, number: int, *fields: str) -> list[Any]:
        [row] = self.running.ask(QueryNodes(names=(self.node(number),), fields=fields))
        return row

    def tags(self, kind: str, name: str) -> list[str]:
        return self.running.ask(QueryTags(kind=kind, name=name))

    def gnt(self, tool: str, *arguments: str) -> str:
        """What a tool prints."""
        done = self.running.tool(tool, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def volumes(self, number: int) -> dict[str, Path]:
        """The files that are a node's volumes, by name."""
        return {path.name: path for path in pretended(self.running, number).glob("volumes/*/*")}

    def data_of(self, name: str, number: int) -> Path:
        """The file with the node's copy of an instance's first disk."""
        [uuids] = self.instance(name, "disk.uuids")
        assert uuids
        found = [path for path in self.volumes(number).values() if path.match("*.disk0_data")]
        [path] = found
        return path


class Named(Protocol):
    """What bodies are made of: names of nodes, and what earlier answers said."""

    known: dict[str, Any]

    def node(self, number: int) -> str: ...


Body = Callable[[Named], Any]
Check = Callable[[Cluster], str]


@dataclass(frozen=True)
class Step:
    """A request, what its answer must be, and how its effect shows elsewhere."""

    method: str
    path: str
    body: Any
    answer: Check
    effect: Check

    @property
    def resource(self) -> str:
        return resource_of(self.path)


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    step: Step
    request: str
    status: int
    answer: str
    effect: str
    problem: str = ""


STEPS: list[Step] = []


def a_job(cluster: Cluster) -> str:
    """The answer is the number of a job that succeeds."""
    assert isinstance(cluster.value, int), cluster.value
    cluster.job = ended = cluster.door.job(cluster.value)
    assert ended.status == "success", ended
    return f"job {ended.number}: success"


def a_value(cluster: Cluster) -> str:
    """The answer is a document, which is shown."""
    return _short(cluster.value)


def step(line: str, body: Any = NOTHING, answer: Check = a_job) -> Callable[[Check], Check]:
    """Declare a step; the function tells the effect, and raises if it is not there."""
    method, path = line.split(" ", 1)

    def declare(effect: Check) -> Check:
        STEPS.append(Step(method, path, body, answer, effect))
        return effect

    return declare


def equal(found: Any, wanted: Any) -> None:
    assert found == wanted, f"{found!r} is not {wanted!r}"


def has(found: Container[Any], *wanted: Any) -> None:
    missing = [each for each in wanted if each not in found]
    assert not missing, f"{missing} not in {found!r}"


def _short(value: Any, length: int = 76) -> str:
    text = json.dumps(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


# The server itself


@step("GET /version", answer=a_value)
def _version(c: Cluster) -> str:
    equal(c.value, 2)
    return "the version of the paths below /2"


@step("GET /", answer=a_value)
def _top(c: Cluster) -> str:
    names = [each["name"] for each in c.value]
    has(names, "2", "version")
    equal([sorted(each) for each in c.value], [["name", "uri"]] * len(c.value))
    return "each uri answers: " + _statuses(c, c.value)


@step("GET /2", answer=a_value)
def _second(c: Cluster) -> str:
    has([each["name"] for each in c.value], "info", "instances", "jobs", "nodes", "os", "tags")
    return "each uri answers: " + _statuses(
        c, [each for each in c.value if each["uri"] in RESOURCES]
    )


def _statuses(c: Cluster, listed: list[dict[str, str]]) -> str:
    found = {each["uri"]: c.door.ask("GET", each["uri"]).status for each in listed}
    wanted = {uri: 405 if RESOURCES.get(uri) == "PUT" else 200 for uri in found}
    equal(found, wanted)
    return ", ".join(f"{uri} {status}" for uri, status in found.items())


@step("GET /2/features", answer=a_value)
def _features(c: Cluster) -> str:
    has(c.value, "instance-create-reqv1")
    return "creation requests of version 1 work, see below"


INFO = (
    *("config_version", "name", "software_version", "os_api_version", "export_version"),
    *("candidate_pool_size", "enabled_hypervisors", "hvparams", "default_hypervisor", "master"),
    *("architecture", "protocol_version", "beparams"),
)
"""What the document's example of the cluster's facts has."""


@step("GET /2/info", answer=a_value)
def _info(c: Cluster) -> str:
    has(c.value, *INFO)
    has(c.value["beparams"]["default"], "auto_balance", "vcpus", "memory")
    facts = c.running.ask(QueryClusterInfo())
    equal({name: c.value[name] for name in INFO}, {name: facts[name] for name in INFO})
    return f"LUXI says the same of {facts['name']}, master {facts['master']}"


@step("GET /2/os", answer=a_value)
def _oses(c: Cluster) -> str:
    # The host may have more.
    equal([name for name in c.value if name in ("mini", "noop")], ["mini", "noop"])
    equal(c.gnt("os", "list", "--no-headers").split(), c.value)
    return "gnt-os list shows the same"


@step("PUT /2/redistribute-config")
def _redistribute(c: Cluster) -> str:
    copy = Path(c.running.cluster.node(2).paths.data) / "ssconf_cluster_name"
    equal(copy.read_text().strip(), c.running.cluster.name)
    assert time.time() - copy.stat().st_mtime < 60
    return "node 2 has fresh ssconf files"


# Instances


CREATION: dict[str, Any] = {
    "__version__": 1,
    "mode": "create",
    "name": "web1",
    "disk_template": "drbd",
    "disks": [{"size": 24}, {"size": 8, "mode": "rw"}],
    "nics": [{}, {"ip": "192.0.2.10", "mode": "bridged", "link": "br1"}],
    "os": "mini",
    "force_variant": False,
    "start": True,
    "ip_check": False,
    "name_check": False,
    "hypervisor": "fake",
    "hvparams": {},
    "beparams": {"memory": 64, "vcpus": 2},
}


def _creation(**over: Any) -> Body:
    def body(c: Named) -> Any:
        made = {**CREATION, **over}
        names = {key: c.node(made[key]) for key in ("pnode", "snode", "src_node") if key in made}
        return {**made, **names}

    return body


@step("POST /2/instances?dry-run=1", _creation(pnode=1, snode=2))
def _create_dry(c: Cluster) -> str:
    equal(c.instance("web1"), [])
    equal(c.job.result, [c.node(1), c.node(2)])
    return "nothing is made; the job's result is the list of its nodes"


@step("POST /2/instances", _creation(pnode=1, snode=2))
def _create(c: Cluster) -> str:
    equal(c.job.result, [c.node(1), c.node(2)])
    fields = ("status", "pnode", "snodes", "disk.sizes", "nic.ips")
    found = c.instance("web1", *fields)
    equal(found, ["running", c.node(1), [c.node(2)], [24, 8], [None, "192.0.2.10"]])
    equal(c.data_of("web1", 1).read_bytes()[:9], b"mini web1")
    equal(c.data_of("web1", 2).read_bytes()[:9], b"mini web1")
    return "LUXI: running on node 1; both copies of its disk have what the OS script wrote"


@step(
    "POST /2/instances",
    {
        **CREATION,
        "name": "web2",
        "disk_template": "file",
        "disks": [{"size": 16}],
        "nics": [{}],
        "iallocator": ".",
        "file_storage_dir": "web",
        "file_driver": "loop",
    },
)
def _create_placed(c: Cluster) -> str:
    [status, node] = c.instance("web2", "status", "pnode")
    equal(status, "running")
    number = int(node.partition(".")[0].removeprefix("node"))
    [disk] = Path(c.running.cluster.node(number).paths.file_storage).glob("web/web2/*")
    equal(disk.read_bytes()[:9], b"mini web2")
    return f"the allocator chose node {number}, which has the file web/web2/{disk.name[-10:]}"


LISTED = (
    *("status", "disk_usage", "nic.bridges", "name", "tags", "beparams", "disk.sizes", "pnode"),
    *("nic.macs", "snodes", "disk_template", "admin_state", "os", "oper_state"),
)
"""What the document's example of an instance has."""


@step("GET /2/instances", answer=a_value)
def _instances(c: Cluster) -> str:
    listed = sorted(each["name"] for each in c.value)
    equal([each["uri"] for each in c.value], [f"/2/instances/{each['name']}" for each in c.value])
    equal(sorted(c.gnt("instance", "list", "--no-headers", "-o", "name").split()), listed)
    return "gnt-instance list shows the same names"


@step("GET /2/instances?bulk=1", answer=a_value)
def _instances_bulk(c: Cluster) -> str:
    for each in c.value:
        has(each, *LISTED)
        has(each["beparams"], "vcpus", "memory")
        equal([each["status"], each["pnode"]], c.instance(each["name"], "status", "pnode"))
    return f"LUXI says the same of all {len(c.value)}"


@step("GET /2/instances/web1", answer=a_value)
def _instance(c: Cluster) -> str:
    has(c.value, *LISTED)
    [bulk] = [e for e in c.door.ask("GET", "/2/instances?bulk=1").value if e["name"] == "web1"]
    equal(c.value, bulk)
    return "the same as in the list"


@step("GET /2/instances/web1/info")
def _info_live(c: Cluster) -> str:
    described = c.job.result["web1"]
    equal((described["run_state"], described["config_state"]), ("up", "up"))
    has(described["disks"][0], "pstatus", "sstatus")
    assert described["disks"][0]["pstatus"] is not None
    return "the job's result has the state of the guest and of both copies of its disks"


@step("GET /2/instances/web1/info?static=1")
def _info_static(c: Cluster) -> str:
    described = c.job.result["web1"]
    equal((described["run_state"], described["disks"][0]["pstatus"]), (None, None))
    return "the job's result has what is configured, and no state"


@step("PUT /2/instances/web1/shutdown?dry-run=1")
def _shutdown_dry(c: Cluster) -> str:
    equal(c.instance("web1", "status"), ["running"])
    return "LUXI: it runs on"


@step("PUT /2/instances/web1/shutdown")
def _shutdown(c: Cluster) -> str:
    equal(c.instance("web1", "status", "oper_state"), ["ADMIN_down", False])
    return "LUXI: ADMIN_down"


@step("PUT /2/instances/web1/deactivate-disks")
def _deactivate(c: Cluster) -> str:
    path = c.door.done("GET", "/2/instances/web1/info").result["web1"]["disks"][0]["pstatus"]
    assert not path or not path[0], path
    return "the description of the instance shows no device"


@step("PUT /2/instances/web1/activate-disks?ignore_size=1")
def _activate(c: Cluster) -> str:
    [row, *_] = c.job.result
    equal((row[0], row[1]), (c.node(1), "disk/0"))
    equal(row[2], str(c.data_of("web1", 1)))
    return f"the job's result has each disk's device, which is there: …{row[2][-12:]}"


@step("PUT /2/instances/web1/startup?force=0")
def _startup(c: Cluster) -> str:
    equal(c.instance("web1", "status"), ["running"])
    return "LUXI: running"


@step("POST /2/instances/web1/reboot?type=hard&ignore_secondaries=0")
def _reboot(c: Cluster) -> str:
    equal(c.instance("web1", "status"), ["running"])
    has(c.gnt("job", "info", str(c.job.number)), "OP_INSTANCE_REBOOT", "reboot_type: hard")
    return "LUXI: running; gnt-job info has the reboot"


@step("POST /2/instances/web1/reinstall?os=mini&nostartup=1")
def _reinstall(c: Cluster) -> str:
    equal(c.instance("web1", "status"), ["ADMIN_down"])
    equal(c.data_of("web1", 1).read_bytes()[:9], b"mini web1")
    return "its disk, which the test had overwritten, was written by the OS script; stopped"


@step("POST /2/instances/web1/reinstall", {"os": "mini", "start": True})
def _reinstall_started(c: Cluster) -> str:
    equal(c.instance("web1", "status"), ["running"])
    return "the same with a body as later clients send it; running"


def _replaced(c: Cluster, *nodes: int) -> None:
    """Both copies are the same and current, on these nodes."""
    equal(c.instance("web1", "pnode", "snodes"), [c.node(nodes[0]), [c.node(nodes[1])]])
    for number in nodes:
        equal(c.data_of("web1", number).read_bytes()[:9], b"mini web1")
    disk = c.door.done("GET", "/2/instances/web1/info").result["web1"]["disks"][0]
    for side in ("pstatus", "sstatus"):
        assert disk[side][5] is False, disk[side]  # not degraded


@step("POST /2/instances/web1/replace-disks?mode=replace_on_primary&disks=0,1")
def _replace_primary(c: Cluster) -> str:
    _replaced(c, 1, 2)
    return "node 1 has new volumes with the same content; both copies current"


@step("POST /2/instances/web1/replace-disks?mode=replace_on_secondary")
def _replace_secondary(c: Cluster) -> str:
    _replaced(c, 1, 2)
    return "node 2 has new volumes with the same content; both copies current"


@step("POST /2/instances/web1/replace-disks?mode=replace_new_secondary&remote_node={node3}")
def _replace_new(c: Cluster) -> str:
    _replaced(c, 1, 3)
    equal(c.volumes(2), {})
    return "the second copy is on node 3, and node 2 has nothing left of it"


@step(
    "POST /2/instances/web1/replace-disks",
    {"mode": "replace_new_secondary", "iallocator": "."},
)
def _replace_placed(c: Cluster) -> str:
    _replaced(c, 1, 2)
    return "the allocator chose node 2 for the second copy"


@step("POST /2/instances/web1/replace-disks?mode=replace_auto")
def _replace_auto(c: Cluster) -> str:
    _replaced(c, 1, 2)
    return "the copy on node 2, whose file the test had removed, was built anew"


# Tags


def _tag_steps(kind: str, path: str, name: str) -> None:
    def owner(c: Cluster) -> str:
        return path.format(**names(c))

    def shown(c: Cluster) -> list[str]:
        return c.tags(kind, name.format(**names(c)))

    @step(f"PUT {path}/tags?dry-run=1", ["no"])
    def _dry(c: Cluster) -> str:
        equal(shown(c), [])
        return "LUXI: no tags"

    @step(f"PUT {path}/tags", ["tag1", "tag2", "tag3"])
    def _add(c: Cluster) -> str:
        equal(sorted(shown(c)), ["tag1", "tag2", "tag3"])
        return "LUXI: tag1 tag2 tag3"

    @step(f"GET {path}/tags", answer=a_value)
    def _get(c: Cluster) -> str:
        equal(sorted(c.value), ["tag1", "tag2", "tag3"])
        return "as they were set"

    @step(f"DELETE {path}/tags?tag=tag1&tag=tag2")
    def _delete(c: Cluster) -> str:
        equal(shown(c), ["tag3"])
        return "LUXI: tag3"


_tag_steps("cluster", "/2", "")
_tag_steps("instance", "/2/instances/web1", "web1")
_tag_steps("node", "/2/nodes/{node2}", "{node2}")


# Exports, imports, and moves between clusters (here from this one to itself)


@step("PUT /2/instances/web1/prepare-export?mode=local")
def _prepare_local(c: Cluster) -> str:
    equal(c.job.result, None)
    return "nothing has to be prepared for an export to a node"


@step(
    "PUT /2/instances/web1/export",
    lambda c: {
        "mode": "local",
        "destination": c.node(3),
        "shutdown": True,
        "remove_instance": False,
    },
)
def _export(c: Cluster) -> str:
    folder = Path(c.running.cluster.node(3).paths.exports) / "web1"
    has([each.name for each in folder.iterdir()], "config.ini")
    equal(c.job.result, [True, [True, True]])
    [status] = c.instance("web1", "status")
    equal(status, "running")
    return f"node 3 has {', '.join(sorted(each.name[-12:] for each in folder.iterdir()))}"


@step("POST /2/instances", _creation(name="web3", mode="import", src_node=3, src_path="web1"))
def _import(c: Cluster) -> str:
    [status, node] = c.instance("web3", "status", "pnode")
    equal(status, "running")
    return f"LUXI: running on {node.partition('.')[0]}, with the content of web1's disks"


@step("PUT /2/instances/web3/prepare-export?mode=remote")
def _prepare_remote(c: Cluster) -> str:
    has(c.job.result, "handshake", "x509_key_name", "x509_ca")
    c.known["prepared"] = c.job.result
    return "the job's result has a handshake, the name of a key, and a signed certificate"


def remote_import(c: Named) -> Any:
    prepared = c.known["prepared"]
    return {
        **CREATION,
        "name": "web4",
        "mode": "remote-import",
        "pnode": c.node(2),
        "disk_template": "file",
        "source_handshake": prepared["handshake"],
        "source_x509_ca": prepared["x509_ca"],
        "source_instance_name": "web3",
    }


def _destinations(c: Cluster) -> str:
    """The job goes on; its log says where each disk is received."""
    c.known["importing"] = number = c.value
    said = eventually(lambda: _said(c, number))
    c.known["destinations"] = said
    return f"job {number}, which waits for the disks"


def _said(c: Cluster, number: int) -> Any:
    [row] = c.running.ask(QueryJobs(ids=(number,), fields=("status", "oplog")))
    assert row is not None
    status, log = row
    assert status not in ("error", "canceled"), c.door.job(number)
    entries = [entry for entry in log[0] if entry[2] == "remote-import"]
    return entries[0][3] if entries else None


@step("POST /2/instances", remote_import, answer=_destinations)
def create_remote(c: Cluster) -> str:
    has(c.known["destinations"], "disks", "x509_ca")
    return "the job's log says where each disk is received, signed"


@step(
    "PUT /2/instances/web3/export",
    lambda c: {
        "mode": "remote",
        "destination": c.known["destinations"]["disks"],
        "shutdown": True,
        "remove_instance": True,
        "x509_key_name": c.known["prepared"]["x509_key_name"],
        "destination_x509_ca": c.known["destinations"]["x509_ca"],
    },
)
def export_remote(c: Cluster) -> str:
    equal(c.door.job(c.known["importing"]).status, "success")
    equal(c.instance("web3"), [])
    equal(c.instance("web4", "status", "pnode"), ["running", c.node(2)])
    return "web3 is gone, and web4 runs on node 2 with its disks"


# Jobs


@step("GET /2/jobs", answer=a_value)
def _jobs(c: Cluster) -> str:
    equal([sorted(each) for each in c.value], [["id", "uri"]] * len(c.value))
    shown = [int(number) for number in c.gnt("job", "list", "--no-headers", "-o", "id").split()]
    equal([each["id"] for each in c.value], sorted(shown))
    return f"gnt-job list shows the same {len(shown)}"


@step("GET /2/jobs?bulk=1", answer=a_value)
def _jobs_bulk(c: Cluster) -> str:
    for each in c.value:
        has(each, "id", "ops", "status", "summary", "opstatus")
    return f"what is known of all {len(c.value)}"


@step("GET /2/jobs/{waiting}", answer=a_value)
def _job(c: Cluster) -> str:
    has(c.value, "id", "status", "ops", "opstatus", "opresult")
    equal((c.value["status"], c.value["ops"][0]["OP_ID"]), ("queued", "OP_INSTANCE_SHUTDOWN"))
    return "it waits for another job, as the test wanted"


@step(
    "GET /2/jobs/{waiting}/wait",
    {"fields": ["status"], "previous_job_info": None, "previous_log_serial": None},
    answer=a_value,
)
def _wait(c: Cluster) -> str:
    has(c.value, "job_info", "log_entries")
    equal(c.value["job_info"], ["queued"])
    return "the status at once, as none was known yet"


@step(
    "GET /2/jobs/{running}/wait",
    {"fields": ["status"], "previous_job_info": ["running"], "previous_log_serial": None},
    answer=a_value,
)
def _wait_for_nothing(c: Cluster) -> str:
    equal(c.value, None)
    return "null, after ten seconds without a change"


@step("DELETE /2/jobs/{waiting}", answer=a_value)
def _cancel(c: Cluster) -> str:
    equal(c.value[0], True)
    ended = c.door.job(c.known["waiting"])
    equal((ended.status, c.instance("web1", "status")), ("canceled", ["running"]))
    c.door.ask("DELETE", f"/2/jobs/{c.known['running']}")
    c.door.job(c.known["running"])
    return "LUXI: canceled, and web1 runs on"


# Nodes


NODE = (
    *("pinst_cnt", "mfree", "mtotal", "name", "tags", "mnode", "dtotal", "sinst_cnt", "dfree"),
    "offline",
)
"""What the document's example of a node has."""


@step("GET /2/nodes", answer=a_value)
def _nodes(c: Cluster) -> str:
    equal(c.value, [{"id": c.node(n), "uri": f"/2/nodes/{c.node(n)}"} for n in (1, 2, 3)])
    return "the nodes of the quick start"


@step("GET /2/nodes?bulk=1", answer=a_value)
def _nodes_bulk(c: Cluster) -> str:
    for each in c.value:
        has(each, *NODE)
        assert each["mtotal"] > 0 and each["dtotal"] > 0, each
    return f"memory and disk space of all {len(c.value)}"


@step("GET /2/nodes/{node1}", answer=a_value)
def _node(c: Cluster) -> str:
    has(c.value, *NODE)
    equal([c.value["role"], c.value["pinst_cnt"]], c.node_fields(1, "role", "pinst_cnt"))
    return "LUXI says the same"


@step("GET /2/nodes/{node1}/role", answer=a_value)
def _role(c: Cluster) -> str:
    equal(c.value, "master")
    return "LUXI: M"


def _role_step(role: str, letter: str, query: str = "") -> None:
    @step("PUT /2/nodes/{node3}/role" + query, role)
    def _set(c: Cluster) -> str:
        equal(c.node_fields(3, "role"), [letter])
        equal(c.door.ask("GET", f"/2/nodes/{c.node(3)}/role").value, role)
        return f"LUXI: {letter}"


_role_step("drained", "D")
_role_step("offline", "O")
_role_step("regular", "R", "?force=1")
_role_step("master-candidate", "C")


@step("POST /2/nodes/{node1}/migrate?live=1", answer=a_job)
def _migrate(c: Cluster) -> str:
    _jobs_within(c)
    equal(c.instance("web1", "pnode", "snodes", "status"), [c.node(2), [c.node(1)], "running"])
    return "LUXI: web1 runs on node 2; its copy on node 1 is the second one"


@step("POST /2/nodes/{node1}/evacuate?remote_node={node3}")
def _evacuate(c: Cluster) -> str:
    _jobs_within(c)
    equal(c.instance("web1", "pnode", "snodes"), [c.node(2), [c.node(3)]])
    equal([name for name in c.volumes(1) if "disk0_data" in name], [])
    return "LUXI: the second copy of web1 is on node 3, and nothing is left on node 1"


@step("POST /2/nodes/{node3}/evacuate?iallocator=.")
def _evacuate_placed(c: Cluster) -> str:
    _jobs_within(c)
    equal(c.instance("web1", "pnode", "snodes"), [c.node(2), [c.node(1)]])
    return "LUXI: the allocator chose node 1 for the second copy of web1"


def _jobs_within(c: Cluster) -> None:
    """The jobs that a job has submitted succeed, too."""
    jobs = c.job.result["jobs"]
    assert jobs, c.job
    for taken, number in jobs:
        assert taken, number
        ended = c.door.job(number)
        assert ended.status == "success", ended


@step("GET /2/nodes/{node1}/storage?storage_type=file&output_fields=node,type,name,size,free,used")
def _storage_file(c: Cluster) -> str:
    [row] = [row for row in c.job.result if row[2].endswith("/file-storage")]
    equal(row[:2], [c.node(1), "file"])
    assert row[3] > 0, row
    return f"the folder {row[2]}, {row[4]} of {row[3]} MiB free"


@step("GET /2/nodes/{node1}/storage?storage_type=lvm-pv&output_fields=name,size,allocatable")
def _storage_pv(c: Cluster) -> str:
    equal(c.job.result, [["/dev/pretend1", 10240, True], ["/dev/pretend2", 10240, True]])
    return "the devices that this node pretends to have"


@step("GET /2/nodes/{node1}/storage?storage_type=lvm-vg&output_fields=name,size,free")
def _storage_vg(c: Cluster) -> str:
    [[name, size, free]] = c.job.result
    equal((name, size), ("pretend", 20480))
    return f"one volume group, {free} MiB free"


@step("PUT /2/nodes/{node1}/storage/modify?storage_type=lvm-pv&name=/dev/pretend2&allocatable=0")
def _storage_modify(c: Cluster) -> str:
    devices = json.loads((pretended(c.running, 1) / "devices.json").read_bytes())
    equal([device["allocatable"] for device in devices], [True, False])
    return "nothing new is made on the device"


@step("PUT /2/nodes/{node1}/storage/repair?storage_type=lvm-vg&name=pretend")
def _storage_repair(c: Cluster) -> str:
    devices = json.loads((pretended(c.running, 1) / "devices.json").read_bytes())
    equal([device["name"] for device in devices], ["/dev/pretend1"])
    return "the device that the test had broken is taken out of the group"


# The end


@step("DELETE /2/instances/web1?dry-run=1")
def _delete_dry(c: Cluster) -> str:
    equal(c.instance("web1", "status"), ["running"])
    return "LUXI: it runs on"


@step("DELETE /2/instances/web1")
def _delete(c: Cluster) -> str:
    equal(c.instance("web1"), [])
    left = [name for number in (1, 2, 3) for name in c.volumes(number)]
    equal(left, [])
    return "LUXI does not know it; no node has anything of its disks"


# What the test does before a step, so that there is something to be seen.


def _overwrite(c: Cluster) -> None:
    with open(c.data_of("web1", 1), "r+b") as disk:
        disk.write(b"something else")


def _break_copy(c: Cluster) -> None:
    c.data_of("web1", 2).unlink()


def _forget_settings(c: Cluster) -> None:
    (Path(c.running.cluster.node(2).paths.data) / "ssconf_cluster_name").unlink()


def _make_wait(c: Cluster) -> None:
    """A job that runs for long, and one that waits for it."""
    c.known["running"] = first = c.running.ask(SubmitJob(ops=(Delay(duration=100.0),)))
    eventually(lambda: c.running.ask(QueryJobs(ids=(first,), fields=("status",))) == [["running"]])
    body = {"depends": [[first, ["success"]]]}
    c.known["waiting"] = c.door.ask("PUT", "/2/instances/web1/shutdown", body).value


def _break_device(c: Cluster) -> None:
    path = pretended(c.running, 1) / "devices.json"
    first, second = json.loads(path.read_bytes())
    path.write_text(json.dumps([first, {**second, "missing": True}]))


BEFORE: Mapping[Check, Callable[[Cluster], None]] = {
    _reinstall: _overwrite,
    _replace_auto: _break_copy,
    _redistribute: _forget_settings,
    _job: _make_wait,
    _storage_repair: _break_device,
}


def names(cluster: Named) -> dict[str, Any]:
    """What stands for names and numbers in the paths of steps."""
    return {**{f"node{n}": cluster.node(n) for n in (1, 2, 3)}, **cluster.known}


def perform(each: Step, cluster: Cluster) -> Row:
    """Do one step; what is not as it should be is the row's problem."""
    request, status, answer = f"{each.method} {each.path}", 0, ""
    try:
        if before := BEFORE.get(each.effect):
            before(cluster)
        path = each.path.format(**names(cluster))
        body = each.body(cluster) if callable(each.body) else each.body
        request = f"{each.method} {path}" + ("" if body is NOTHING else f" {_short(body)}")
        answered = cluster.door.ask(each.method, path, body)
        status, cluster.value = answered.status, answered.value
        if status != 200:
            return Row(each, request, status, _short(cluster.value), "", str(cluster.value))
        answer = each.answer(cluster)
        return Row(each, request, status, answer, each.effect(cluster))
    except Exception as e:
        # Whatever it is, the table says so, and the other steps have their chance.
        return Row(each, request, status, answer, "", f"{type(e).__name__}: {e}")


def run(running: RunningCluster) -> list[Row]:
    """Do every step, in their order."""
    cluster = Cluster(running)
    return [perform(each, cluster) for each in STEPS]


def table(rows: Iterable[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = ["| method | request | status | answer | effect |", "|---|---|---|---|---|"]
    for row in rows:
        method = f"{row.step.method} {row.step.resource}"
        effect = f"**{row.problem}**" if row.problem else row.effect
        cells = (method, f"`{row.request}`", str(row.status), row.answer, effect)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table of a fresh cluster."""
    running = RunningCluster()
    try:
        rows = run(running)
    finally:
        left = running.destroy()
    print(table(rows))
    shown = {(row.step.method, row.step.resource) for row in rows if not row.problem}
    print(f"\n{len(shown & set(METHODS))} of {len(METHODS)} methods, {len(rows)} requests")
    return 1 if left or any(row.problem for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
