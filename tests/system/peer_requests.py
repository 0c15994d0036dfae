# SPDX-License-Identifier: BSD-2-Clause
"""What is asked of two servers of the remote API, to see where they answer differently.

The requests are those of ``rapi_document`` and ``rapi_refusals``, made such that a cluster without
mirrored disks can do them, and more for the resources that the document does not have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.system import rapi_document, rapi_refusals
from tests.system.rapi_document import CREATION, STEPS, Body, Named, Step
from tests.system.rapi_refusals import Bad
from tests.system.talking import NOTHING

OS = "noop"
"""An OS definition that both clusters have."""


@dataclass(frozen=True)
class Asked:
    """A request as both servers get it; what is in braces has a name of each cluster's own."""

    method: str
    path: str
    body: Any = NOTHING
    login: str = "writer"
    headers: Mapping[str, str] = field(default_factory=dict)
    keeps: str = ""
    """What the answer is remembered as, or the result of its job."""
    goes_on: bool = False
    """Whether its job is not waited for."""
    said: str = ""
    """What is said about it besides."""

    @property
    def apart(self) -> frozenset[str]:
        """Keys below which the answers of two clusters have nothing to do with each other."""
        if self.path.startswith("/2/query/") and "id," in self.path:
            return frozenset(("data",))
        if self.path == "/2/jobs/{running}/wait":
            # How far it is, and what it has said, is a matter of milliseconds.
            return frozenset(("job_info", "log_entries"))
        return _PER_JOB if self.path in ("/2/jobs", "/2/jobs?bulk=1") else frozenset(("oplog",))

    @property
    def label(self) -> str:
        parts = [self.method, self.path]
        if self.body is not NOTHING:
            parts.append(_shown(self.body))
        return " ".join(parts) + (f" ({self.said})" if self.said else "")


_PER_JOB = frozenset(("ops", "opstatus", "status", "summary", "start_ts", "end_ts", "oplog", "uri"))


def _shown(body: Any) -> str:
    if callable(body):
        return "{…}"
    if isinstance(body, bytes):
        return ascii(body[:20])[2:-1] + ("…" if len(body) > 20 else "")
    if isinstance(body, dict) and "__version__" in body:
        # What is not as in all other creations.
        plain = portable(CREATION)
        less = {key: value for key, value in body.items() if plain.get(key, NOTHING) != value}
        return f"{{…, {json.dumps(less)[1:]}" if less else "{…}"
    return json.dumps(body)


def portable(body: Any) -> Any:
    """A body such that clusters without mirrored disks can do it: shared files move as well."""
    if isinstance(body, dict):
        made = {key: portable(value) for key, value in body.items()}
        if made.get("os") == "mini":
            made["os"] = OS
        if made.get("disk_template") == "drbd":
            made["disk_template"] = "sharedfile"
            if made.get("snode") != made.get("pnode"):
                made.pop("snode", None)
        if "destination" in made:
            # Without snapshots, an export takes as long as the instance is stopped.
            made["long_sleep"] = True
        return made
    return body


def _later(body: Body) -> Body:
    def made(c: Named) -> Any:
        return portable(body(c))

    return made


def ask(line: str, body: Any = NOTHING, **more: Any) -> Asked:
    method, path = line.split(" ", 1)
    return Asked(method, path, body, **more)


LEFT_OUT: Mapping[str, str] = {
    "POST /2/instances as a remote import, PUT …/export to another cluster": (
        "The two halves of a move need each other, and each cluster signs for itself;"
        " `tests/system/test_moves_between.py` has them."
    ),
    "…/storage… of the types lvm-pv and lvm-vg": (
        "The cluster of Debian's packages had no volume group; ours pretends to have one."
    ),
    "mirrored disks (drbd)": (
        "The cluster of Debian's packages ran without DRBD; instances with shared files stand in."
    ),
}
"""What is not compared, and why."""


def document() -> Iterator[Asked]:
    """The steps of the document, but for those that need a job that waits."""
    for each in STEPS:
        if each.effect not in SKIPPED and not {"lvm", "{waiting}", "{running}"} & words(each.path):
            yield _of_step(each)


def held() -> Iterator[Asked]:
    """The steps that need a job that waits: for an import that nobody sends disks to."""
    yield ask("POST /2/instances", {**NEW, "name": "web3"}, said="to be exported")
    yield ask("PUT /2/instances/web3/prepare-export?mode=remote", keeps="prepared")
    yield Asked("POST", "/2/instances", _importing, keeps="running", goes_on=True)
    yield Asked("PUT", "/2/instances/web3/shutdown", _after, keeps="waiting", goes_on=True)
    for each in STEPS:
        if {"{waiting}", "{running}"} & words(each.path):
            yield _of_step(each)
    yield ask("DELETE /2/jobs/{running}", said="running")


def words(path: str) -> set[str]:
    return {word for word in ("lvm", "{waiting}", "{running}") if word in path}


def _of_step(each: Step) -> Asked:
    body = _later(each.body) if callable(each.body) else portable(each.body)
    return Asked(each.method, each.path.replace("os=mini", f"os={OS}"), body)


def _after(c: Named) -> Any:
    return {"depends": [[c.known["running"], ["success"]]]}


def _importing(c: Named) -> Any:
    return {**portable(rapi_document.remote_import(c)), "source_instance_name": "web3"}


SKIPPED = (rapi_document._create_remote, rapi_document._export_remote)

FACTS = (
    *(ask(f"GET /2/{kind}?bulk=1") for kind in ("instances", "nodes", "groups", "networks")),
    *(ask(f"GET /2/query/{kind}/fields") for kind in sorted(("instance", "node", "group"))),
    *(ask(f"GET /2/query/{kind}/fields") for kind in ("network", "job", "filter", "export")),
    *(ask(f"GET /2/query/{kind}/fields") for kind in ("os", "lock", "extstorage", "cluster")),
)

UNCHECKED = {"name_check": False, "ip_check": False}
NEW = {**portable(CREATION), "pnode": "{node1}"}


def _lan(path: str) -> str:
    return f"/2/networks/lan{path}"


ALL_OF = {
    "instance": ("name", "status", "pnode", "admin_state", "be/memory", "hv/nosuch", "disk.count"),
    "node": ("name", "role", "group", "pinst_cnt", "powered", "nosuch"),
    "group": ("name", "alloc_policy", "node_cnt", "pinst_list"),
    "network": ("name", "network", "free_count", "map"),
    "job": ("id", "status", "summary"),
    "lock": ("name", "mode", "owner", "pending"),
    "os": ("name", "valid", "variants"),
    "export": ("node", "export"),
    "filter": ("uuid", "priority", "action"),
    "extstorage": ("name",),
    "cluster": ("name",),
    "nosuch": ("name",),
}

LATER = (
    ask("GET /2/instances/web1"),
    # Groups
    ask("GET /2/groups"),
    ask("POST /2/groups?dry-run=1", {"name": "racks"}),
    ask("POST /2/groups", {"name": "racks"}),
    ask("POST /2/groups", {"name": "racks"}, said="once more"),
    ask("POST /2/groups", {"name": "shelves", "colour": "red"}),
    ask("GET /2/groups?bulk=1", said="two groups"),
    ask("GET /2/groups/racks"),
    ask("GET /2/groups/nosuch"),
    ask("PUT /2/groups/racks/modify", {"alloc_policy": "last_resort"}),
    ask("PUT /2/groups/racks/modify", {}),
    ask("PUT /2/groups/racks/modify", {"alloc_policy": "whenever"}),
    ask("PUT /2/groups/nosuch/modify", {"alloc_policy": "last_resort"}),
    ask("PUT /2/groups/racks/tags?tag=red&tag=blue"),
    ask("GET /2/groups/racks/tags"),
    ask("DELETE /2/groups/racks/tags?tag=red"),
    ask("PUT /2/groups/racks/assign-nodes", {"nodes": ["{node3}"]}),
    ask("PUT /2/groups/racks/assign-nodes", {"nodes": ["node9"]}),
    ask("GET /2/groups/racks", said="with a node"),
    ask("DELETE /2/groups/racks", said="with a node"),
    ask("PUT /2/groups/default/assign-nodes", {"nodes": ["{node3}"]}),
    ask("PUT /2/groups/racks/rename", {"new_name": "default"}),
    ask("PUT /2/groups/racks/rename", {"new_name": "shelves"}),
    ask("DELETE /2/groups/shelves"),
    ask("DELETE /2/groups/default"),
    ask("DELETE /2/groups/nosuch"),
    # Networks
    ask(
        "POST /2/networks",
        {"name": "lan", "network": "198.51.100.0/24", "gateway": "198.51.100.1", "tags": ["one"]},
    ),
    ask("POST /2/networks", {"name": "lan", "network": "198.51.100.0/24"}),
    ask("POST /2/networks", {"name": "wan", "network": "198.51.100"}),
    ask("POST /2/networks", {"name": "wan"}),
    ask("GET /2/networks"),
    ask("GET /2/networks?bulk=1", said="one network"),
    ask(f"GET {_lan('')}"),
    ask("GET /2/networks/nosuch"),
    ask(
        f"PUT {_lan('/connect')}",
        {"group_name": "default", "network_mode": "bridged", "network_link": "br0"},
    ),
    ask(f"PUT {_lan('/connect')}", {"group_name": "default"}),
    ask(f"PUT {_lan('/modify')}", {"add_reserved_ips": ["198.51.100.7"]}),
    ask(f"PUT {_lan('/modify')}", {"add_reserved_ips": ["192.0.2.7"]}),
    ask(f"GET {_lan('')}", said="connected"),
    ask(f"PUT {_lan('/tags')}?tag=two"),
    ask(f"GET {_lan('/tags')}"),
    ask(f"DELETE {_lan('/tags')}?tag=two"),
    ask(
        "PUT /2/instances/web1/modify",
        {"nics": [["add", {"network": "lan", "ip": "pool"}]], "hotplug": False},
    ),
    ask("GET /2/instances/web1", said="with a network"),
    ask(f"PUT {_lan('/disconnect')}", {"group_name": "default"}, said="in use"),
    ask("PUT /2/instances/web1/modify", {"nics": [["remove", -1, {}]]}),
    ask(f"PUT {_lan('/disconnect')}", {"group_name": "default"}),
    ask(f"DELETE {_lan('')}"),
    ask(f"DELETE {_lan('')}", said="once more"),
    # Rules for jobs
    ask("GET /2/filters"),
    ask(
        "POST /2/filters",
        {"priority": 3, "predicates": [["jobid", [">", "id", 1000000]]], "action": "REJECT"},
        keeps="rule",
    ),
    ask("GET /2/filters?bulk=1"),
    ask("GET /2/filters/{rule}"),
    ask(
        "PUT /2/filters/{rule}",
        {"priority": 4, "predicates": [["jobid", [">", "id", 1000000]]], "action": "ACCEPT"},
        keeps="rule",
    ),
    ask("GET /2/filters/{rule}", said="changed"),
    ask("DELETE /2/filters/{rule}"),
    ask("GET /2/filters/{rule}", said="removed"),
    ask("DELETE /2/filters/{rule}", said="removed"),
    ask("POST /2/filters", {"priority": -1}),
    ask("POST /2/filters", {"action": "DANCE"}),
    ask("POST /2/filters", {"predicates": [["colour", ["=", "red"]]]}),
    # Questions
    *(ask(f"GET /2/query/{kind}?fields={','.join(fields)}") for kind, fields in ALL_OF.items()),
    ask("GET /2/query/instance"),
    ask("GET /2/query/nosuch/fields"),
    ask("GET /2/query/node/fields?fields=name,nosuch"),
    ask("PUT /2/query/instance", {"fields": ["name"], "qfilter": ["=", "name", "web1"]}),
    ask("PUT /2/query/instance", {"fields": ["name"], "filter": ["=", "name", "web1"]}),
    ask("PUT /2/query/instance?fields=name", {"qfilter": ["=~", "name", "^web[12]$"]}),
    ask("PUT /2/query/node", {"fields": ["name"], "qfilter": ["|", ["?", "offline"]]}),
    ask("PUT /2/query/node", {"fields": ["name"], "qfilter": ["nosuch", "name", "x"]}),
    ask("PUT /2/query/node", {"fields": ["name"], "qfilter": ["=", "nosuch", "x"]}),
    ask("PUT /2/query/node", {"qfilter": ["=", "name", "x"]}),
    ask("PUT /2/query/node", {"fields": "name"}),
    # More of instances
    ask("PUT /2/instances/web1/modify", {"beparams": {"vcpus": 1}}),
    ask("PUT /2/instances/web1/modify", {"custom_beparams": {"vcpus": 1}}),
    ask("PUT /2/instances/web1/modify", {}),
    ask("PUT /2/instances/web1/modify", {"beparams": {"wings": 2}}),
    ask("PUT /2/instances/web1/modify", {"osparams": {"debug": "1"}}),
    ask("PUT /2/instances/web1/modify", {"disks": [["add", {"size": 8}]]}),
    ask("PUT /2/instances/web1/modify", {"disks": [["remove", 2, {}]]}),
    ask("PUT /2/instances/web1/modify", {"disks": [["remove", 9, {}]]}),
    ask("PUT /2/instances/web1/modify", {"nics": [["modify", 0, {"ip": "192.0.2.99"}]]}),
    ask("GET /2/instances/web1", said="changed"),
    ask("POST /2/instances/web1/disk/0/grow", {"amount": 8}),
    ask("POST /2/instances/web1/disk/0/grow", {"amount": -8}),
    ask("POST /2/instances/web1/disk/9/grow", {"amount": 8}),
    ask("POST /2/instances/web1/disk/0/grow", {}),
    ask("GET /2/instances/web1/console"),
    ask("GET /2/instances/web9/console"),
    ask("PUT /2/instances/web1/migrate", {"mode": "live"}),
    ask("PUT /2/instances/web1/migrate", {"mode": "live", "target_node": "{node2}"}),
    ask("PUT /2/instances/web1/migrate", {"mode": "swim", "target_node": "{node2}"}),
    ask("PUT /2/instances/web1/failover", {"target_node": "{node1}"}),
    ask("PUT /2/instances/web1/failover", {"target_node": "{node1}"}, said="to where it is"),
    ask("POST /2/instances/web1/recreate-disks", {}, said="running"),
    ask("PUT /2/instances/web1/rename", {"new_name": "web5", **UNCHECKED}, said="running"),
    ask("PUT /2/instances/web1/shutdown", {"timeout": 5}),
    ask("PUT /2/instances/web1/shutdown", said="stopped already"),
    ask("GET /2/instances/web1/console", said="stopped"),
    ask("GET /2/instances/web1", said="stopped"),
    ask("PUT /2/instances/web1/migrate", {"target_node": "{node2}"}, said="stopped"),
    ask("POST /2/instances/web1/recreate-disks", {}),
    ask("PUT /2/instances/web1/rename", {"new_name": "web5", **UNCHECKED}),
    ask("PUT /2/instances/web5/rename", {"new_name": "web1", **UNCHECKED}),
    ask("PUT /2/instances/web1/rename", {"new_name": "web6", "name_check": False}),
    ask("PUT /2/instances/web6/rename", {"new_name": "web1", **UNCHECKED}),
    ask("POST /2/instances/web1/reboot", said="stopped"),
    ask("PUT /2/instances/web1/shutdown?no_remember=1"),
    ask("PUT /2/instances/web1/startup", {"beparams": {"vcpus": 1}}),
    ask("PUT /2/instances/web1/startup", said="running"),
    ask("PUT /2/instances/web1/startup?no_remember=1", said="running"),
    ask("PUT /2/instances/web1/modify", {"offline": True}, said="running"),
    ask(
        "POST /2/instances-multi-alloc",
        {
            "instances": [
                {
                    "instance_name": name,
                    "mode": "create",
                    "disk_template": "diskless",
                    "disks": [],
                    "nics": [],
                    "os_type": OS,
                    "beparams": {"memory": 32},
                    "name_check": False,
                    "ip_check": False,
                    "hypervisor": "fake",
                }
                for name in ("many1", "many2")
            ],
            "iallocator": "hail",
        },
    ),
    ask("POST /2/instances-multi-alloc", {"instances": []}),
    ask("GET /2/instances/many1"),
    ask("DELETE /2/instances/many1"),
    ask("DELETE /2/instances/many2"),
    ask("DELETE /2/instances/many2", said="once more"),
    # More of nodes and of the cluster
    ask("POST /2/nodes/{node3}/modify", {"ndparams": {"spindle_count": 2}}),
    ask("POST /2/nodes/{node3}/modify", {}),
    ask("POST /2/nodes/{node3}/modify", {"vm_capable": "maybe"}),
    ask("POST /2/nodes/{node1}/modify", {"drained": True}),
    ask("GET /2/nodes/{node3}", said="changed"),
    ask("POST /2/nodes/{node1}/powercycle"),
    ask("POST /2/nodes/{node3}/evacuate", {"mode": "all"}),
    ask("POST /2/nodes/{node3}/evacuate", {}),
    ask("POST /2/nodes/{node2}/evacuate", {"mode": "primary-only", "iallocator": "hail"}),
    ask("GET /2/nodes/node9"),
    ask("PUT /2/modify", {"beparams": {"vcpus": 1}}),
    ask("PUT /2/modify", {}),
    ask("PUT /2/modify", {"candidate_pool_size": 0}),
    ask("PUT /2/modify", {"compression_tools": ["gzip"]}),
    ask("PUT /2/modify", {"colour": "red"}),
    ask("PUT /2/tags?tag=one&tag=two"),
    ask("PUT /2/tags", said="without a tag"),
    ask("DELETE /2/tags?tag=one&tag=two"),
    ask("GET /2/jobs/999999"),
    ask("GET /2/jobs/999999/wait", {"fields": ["status"]}),
    ask("GET /2/jobs/1/wait"),
    ask("DELETE /2/jobs/1", said="ended"),
    ask("PUT /2/instances/web1/startup", {"depends": [[999999, ["success"]]]}),
    ask("PUT /2/instances/web1/startup?reason=because", said="running, with a reason"),
    ask("GET /2/instances/web1", said="at the end"),
)

JSON = {"Content-Type": "application/json"}

HTTP = (
    ask("GET /2/info", login="nobody"),
    ask("GET /2/info", login="stranger"),
    ask("GET /2/info", login="reader"),
    ask("GET /2/query/node?fields=name", login="nobody"),
    ask("GET /2/query/node?fields=name", login="reader"),
    ask("GET /2/query/node?fields=name", login="plain"),
    ask("PUT /2/tags?tag=x", login="nobody"),
    ask("PUT /2/tags?tag=x", login="stranger"),
    ask("PUT /2/tags?tag=x", login="reader"),
    ask("GET /2/jobs/1/wait", {"fields": ["status"]}, login="nobody"),
    ask("GET /2/instances/web1/info", login="nobody"),
    ask("GET /2/nodes/{node1}/storage?storage_type=file&output_fields=name", login="nobody"),
    ask("GET /2/instances/web1/console", login="nobody"),
    ask("GET /2/nosuch", login="nobody"),
    ask("DELETE /2/info", login="nobody"),
    ask("POST /2/instances", b"{nope", login="nobody"),
    ask("POST /2/instances", b"{nope", login="reader"),
    ask("GET /2/info", headers={"Authorization": "Bearer abc"}, login="nobody", said="Bearer"),
    ask("GET /2/info", headers={"Authorization": "Basic !!"}, login="nobody", said="no base64"),
    ask("GET /2/nosuch"),
    ask("GET /nosuch"),
    ask("GET /2/instances/"),
    ask("GET //2//info"),
    ask("GET /2/instances/we%62%31"),
    ask("GET /2/instances/no%20name"),
    ask("HEAD /version"),
    ask("OPTIONS /2/instances"),
    ask("PATCH /2/instances/web1"),
    ask("FROB /version"),
    ask("get /version"),
    ask("POST /2/groups", b'{"name": "x"}', headers={"Content-Type": "text/plain"}, said="text"),
    ask(
        "PUT /2/query/node",
        b'{"fields": ["name"]}',
        headers={"Content-Type": "application/json; charset=utf-8"},
        said="charset",
    ),
    ask(
        "PUT /2/query/node",
        b'{"fields": ["name"]}',
        headers={"Content-Type": "APPLICATION/JSON"},
        said="capitals",
    ),
    ask("PUT /2/query/node", b"\xff\xfe", said="no UTF-8"),
    ask("PUT /2/query/node", b'{"fields": ["name"], "fields": ["role"]}', said="a key twice"),
    ask("PUT /2/query/node", b"NaN", said="not a number"),
    ask("GET /2/instances?bulk="),
    ask("GET /2/instances?bulk"),
    ask("GET /2/instances?bulk=0"),
    ask("GET /2/groups?bulk=1&bulk=0"),
    ask("GET /2/info", {"some": "body"}),
    ask("GET /version", headers={"If-None-Match": "*"}, said="If-None-Match"),
    ask("GET /version", headers={"Expect": "100-continue"}, said="Expect"),
    ask("GET /version", headers={"X-Long": "x" * 5000}, said="a header of 5000 bytes"),
    ask("GET /2/instances/" + "x" * 300),
    ask("GET /version?" + "x" * 9000, said="a path of 9000 bytes"),
)


def refusals() -> Iterator[Asked]:
    """Wrong input of every kind; web1 runs on node 1, web2 on node 2, and node 3 is offline."""
    tables = (
        *(rapi_refusals.wrong_methods(), rapi_refusals.unknown_parameters()),
        *(rapi_refusals.bodies(), rapi_refusals.MISSING, rapi_refusals.TYPES),
        *(rapi_refusals.unknown_entities(), rapi_refusals.CONTENTS, rapi_refusals.STATES),
    )
    for table in tables:
        for each in table:
            if "lvm" not in each.path:
                yield _of(each)


def _of(each: Bad) -> Asked:
    return Asked(each.method, each.path, portable(each.body))
