# SPDX-License-Identifier: BSD-2-Clause
"""Bad requests to every resource of the remote API document, and what each is answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.system.rapi_document import CREATION, METHODS, RESOURCES
from tests.system.talking import NOTHING, NodeEndpoint

SENT_WITH = {"PUT", "POST"}
BODILESS = {"/2/nodes/[node_name]/role"}
"""Where a body is no object."""


@dataclass(frozen=True)
class Bad:
    """A request that must be refused: with an HTTP status, or by the job that it submits.

    ``refusal`` is the status, or the classification of the job's error; ``says`` are words that
    the message must have: which field or entity, and what to do.
    """

    method: str
    path: str
    refusal: int | str
    says: tuple[str, ...]
    body: Any = NOTHING


def bad(line: str, refusal: int | str, *says: str, body: Any = NOTHING) -> Bad:
    method, path = line.split(" ", 1)
    return Bad(method, path, refusal, says, body)


NAMES = {"[instance_name]": "web1", "[node_name]": "{node2}", "[job_id]": "1"}


def path_of(uri: str) -> str:
    """A path of a resource with names that there are."""
    for variable, name in NAMES.items():
        uri = uri.replace(variable, name)
    return uri


def wrong_methods() -> Iterator[Bad]:
    """A method that means nothing, for each resource."""
    for uri, methods in RESOURCES.items():
        for method in ("POST", "PUT", "DELETE", "GET"):
            if method not in methods.split():
                yield bad(f"{method} {path_of(uri)}", 405, method, *methods.split())
                break


def unknown_parameters() -> Iterator[Bad]:
    """Parameters that there are not, in the query of each method and in the body of each object."""
    for method, uri in METHODS:
        yield bad(f"{method} {path_of(uri)}?nonsense=1", 400, "nonsense")
        if method in SENT_WITH and uri not in BODILESS and not uri.endswith("/tags"):
            yield bad(f"{method} {path_of(uri)}", 400, "nonsense", body={"nonsense": 1})


def bodies() -> Iterator[Bad]:
    """Bodies that are not JSON, are too deep, or are something else than they must be."""
    for method, uri in METHODS:
        if method not in SENT_WITH:
            continue
        path = path_of(uri)
        yield bad(f"{method} {path}", 400, "JSON", body=b"{")
        yield bad(f"{method} {path}", 400, body=b"[" * 5000)
        yield bad(f"{method} {path}", 400, "must be", body=17)


def unknown_entities() -> Iterator[Bad]:
    """Instances, nodes and jobs that there are not."""
    for method, uri in METHODS:
        kind = next((each for each in NAMES if each in uri), None)
        if kind is None:
            continue
        name = {"[instance_name]": "web9", "[node_name]": "node9", "[job_id]": "999999"}[kind]
        path = uri.replace(kind, name) + QUERIES.get((method, uri), "")
        said = (name,)
        submits = method != "GET" or uri.endswith(("/info", "/storage"))
        if kind == "[job_id]":
            yield bad(f"{method} {path}", 404, *said)
        else:
            refusal: int | str = "unknown_entity" if submits else 404
            body = BODIES.get((method, uri), NOTHING)
            yield bad(f"{method} {path}", refusal, *said, body=body)


QUERIES = {
    ("POST", "/2/instances/[instance_name]/replace-disks"): "?mode=replace_auto",
    ("PUT", "/2/instances/[instance_name]/prepare-export"): "?mode=local",
    ("DELETE", "/2/instances/[instance_name]/tags"): "?tag=one",
    ("GET", "/2/nodes/[node_name]/storage"): "?storage_type=file&output_fields=name",
    ("PUT", "/2/nodes/[node_name]/storage/modify"): "?storage_type=lvm-pv&name=x&allocatable=1",
    ("PUT", "/2/nodes/[node_name]/storage/repair"): "?storage_type=lvm-vg&name=x",
    ("DELETE", "/2/nodes/[node_name]/tags"): "?tag=one",
}
BODIES: dict[tuple[str, str], Any] = {
    ("PUT", "/2/instances/[instance_name]/export"): {"destination": "{node1}", "shutdown": True},
    ("PUT", "/2/instances/[instance_name]/tags"): ["one"],
    ("PUT", "/2/nodes/[node_name]/tags"): ["one"],
    ("PUT", "/2/nodes/[node_name]/role"): "regular",
}

MISSING = (
    bad("POST /2/instances", 400, "__version__", "name", "mode", body={}),
    bad("POST /2/instances", 400, "disks", "nics", body={"__version__": 1, "mode": "create"}),
    bad("POST /2/instances/web1/replace-disks", 400, "mode"),
    bad("PUT /2/instances/web1/prepare-export", 400, "mode"),
    bad("PUT /2/instances/web1/export", 400, "destination", body={}),
    bad("DELETE /2/tags", 400, "tag"),
    bad("DELETE /2/instances/web1/tags", 400, "tag"),
    bad("DELETE /2/nodes/{node2}/tags", 400, "tag"),
    bad("PUT /2/nodes/{node2}/role", 400, "regular", "offline"),
    bad("GET /2/nodes/{node2}/storage?storage_type=file", 400, "output_fields"),
    bad("PUT /2/nodes/{node2}/storage/modify?storage_type=lvm-pv&allocatable=1", 400, "name"),
    bad("PUT /2/nodes/{node2}/storage/modify?name=/dev/pretend1", 400, "storage_type"),
    bad("PUT /2/nodes/{node2}/storage/repair?storage_type=lvm-vg", 400, "name"),
)

TYPES = (
    bad("GET /2/instances?bulk=yes", 400, "bulk", "0 or 1"),
    bad("GET /2/instances?bulk=True", 400, "bulk", "0 or 1"),
    bad("GET /2/nodes?bulk=2", 400, "bulk", "0 or 1"),
    bad("GET /2/jobs?bulk=-1", 400, "bulk", "0 or 1"),
    bad("GET /2/instances/web1/info?static=maybe", 400, "static", "0 or 1"),
    bad("GET /2/instances?lock=1", 400, "lock"),
    bad("GET /2/jobs/first", 404, "/2/jobs/first"),
    bad("GET /2/jobs/1/wait", 400, "fields", body={"fields": "status"}),
    bad("GET /2/jobs/1/wait", 400, "previous_log_serial", body={"previous_log_serial": "x"}),
    bad("PUT /2/instances/web1/startup?force=yes", 400, "force", "0 or 1"),
    bad("PUT /2/instances/web1/startup?dry-run=x", 400, "dry-run", "0 or 1"),
    bad("PUT /2/instances/web1/startup?force=1&force=0", 400, "force", "more than once"),
    bad("PUT /2/instances/web1/shutdown", 400, "timeout", body={"timeout": "long"}),
    bad("PUT /2/instances/web1/shutdown", 400, "timeout", body={"timeout": -1}),
    bad("POST /2/instances/web1/reboot?type=warm", 400, "type", "soft"),
    bad("POST /2/instances/web1/reboot?ignore_secondaries=no", 400, "ignore_secondaries"),
    bad("POST /2/instances/web1/reinstall?nostartup=no", 400, "nostartup"),
    bad("POST /2/instances/web1/reinstall", 400, "os", body={"os": 3}),
    bad("POST /2/instances/web1/reinstall?os=mini", 400, "query", "body", body={"os": "mini"}),
    bad("POST /2/instances/web1/replace-disks?mode=some", 400, "mode", "replace_auto"),
    bad("POST /2/instances/web1/replace-disks?mode=replace_auto&disks=a", 400, "disks"),
    bad("PUT /2/instances/web1/activate-disks?ignore_size=x", 400, "ignore_size"),
    bad("PUT /2/instances/web1/prepare-export?mode=both", 400, "mode", "remote"),
    bad("PUT /2/instances/web1/tags", 400, "tag", body={"tag": "one"}),
    bad("PUT /2/instances/web1/tags", 400, "tag", body=[1]),
    bad("PUT /2/nodes/{node2}/role", 400, "regular", "drained", body="king"),
    bad("PUT /2/nodes/{node2}/role", 400, "regular", "drained", body=["regular"]),
    bad("PUT /2/nodes/{node2}/role?force=x", 400, "force", body="regular"),
    bad("POST /2/nodes/{node2}/migrate?live=often", 400, "live"),
    bad("POST /2/nodes/{node2}/evacuate?mode=everything", 400, "mode", "secondary-only"),
    bad("GET /2/nodes/{node2}/storage?storage_type=tape&output_fields=name", 400, "storage_type"),
    bad(
        "PUT /2/nodes/{node2}/storage/modify?storage_type=lvm-pv&name=x&allocatable=ja",
        *(400, "allocatable"),
    ),
    bad("POST /2/instances?dry-run=x", 400, "dry-run", body=CREATION),
    bad("POST /2/instances", 400, "__version__", "1", body={**CREATION, "__version__": 0}),
    bad("POST /2/instances", 400, "mode", "create", body={**CREATION, "mode": "conjure"}),
    bad("POST /2/instances", 400, "disks", body={**CREATION, "disks": "two"}),
    bad("POST /2/instances", 400, "colour", body={**CREATION, "nics": [{"colour": "red"}]}),
    bad("POST /2/instances", 400, "start", body={**CREATION, "start": "yes"}),
    bad("POST /2/instances", 400, "disk_template", body={**CREATION, "disk_template": "tape"}),
    bad("POST /2/instances", 400, "beparams", body={**CREATION, "beparams": []}),
    bad("POST /2/instances", 400, "hypervisor", body={**CREATION, "hypervisor": "vapour"}),
)

NEW = {**CREATION, "name": "web8", "pnode": "{node1}", "snode": "{node2}"}
CONTENTS = (
    bad("PUT /2/instances/web1/tags", "wrong_input", "tags[0]", body=["two words"]),
    bad("PUT /2/tags", "wrong_input", "tags[1]", "128", body=["one", "x" * 200]),
    bad("POST /2/instances", "wrong_input", "name", body={**NEW, "name": "no name"}),
    bad("POST /2/instances", "wrong_input", "size", body={**NEW, "disks": [{"size": "huge"}]}),
    bad("POST /2/instances", "wrong_input", "size", body={**NEW, "disks": [{"mode": "rw"}]}),
    bad(
        "POST /2/instances",
        *("wrong_input", "mode", "ro"),
        body={**NEW, "disks": [{"size": 1, "mode": "x"}]},
    ),
    bad("POST /2/instances", "wrong_input", "mac", body={**NEW, "nics": [{"mac": "zz"}]}),
    bad("POST /2/instances", "wrong_input", "ip", body={**NEW, "nics": [{"ip": "here"}]}),
)
"""Values of the right type that mean nothing: the job that is submitted says so."""

STATES = (
    bad("POST /2/instances", "already_exists", "web1", body={**NEW, "name": "web1"}),
    bad("POST /2/instances", "unknown_entity", "node9", body={**NEW, "pnode": "node9"}),
    bad("POST /2/instances", "unknown_entity", "gentoo", body={**NEW, "os": "gentoo"}),
    bad(
        "POST /2/instances",
        *("wrong_input", "hvparams", "wings", "known are"),
        body={**NEW, "hvparams": {"wings": 2}},
    ),
    bad("POST /2/instances", "wrong_input", "wings", body={**NEW, "beparams": {"wings": 2}}),
    bad("POST /2/instances", "wrong_input", "snode", body={**NEW, "snode": "{node1}"}),
    bad("POST /2/instances", "wrong_state", "{node3}", body={**NEW, "pnode": "{node3}"}),
    bad(
        "POST /2/instances",
        *("insufficient_resources", "MiB"),
        body={**NEW, "disks": [{"size": 1000000}], "pnode": None, "snode": None},
    ),
    bad(
        "POST /2/instances/web1/replace-disks?mode=replace_new_secondary",
        *("wrong_input", "remote_node", "iallocator"),
    ),
    bad(
        "POST /2/instances/web1/replace-disks?mode=replace_new_secondary&remote_node={node1}",
        *("wrong_input", "{node1}"),
    ),
    bad(
        "POST /2/instances/web1/replace-disks?mode=replace_on_primary&disks=7",
        *("wrong_input", "7"),
    ),
    bad("POST /2/instances/first.trial/replace-disks?mode=replace_auto", "wrong_input", "file"),
    bad("PUT /2/instances/web1/deactivate-disks", "wrong_state", "web1", "is running"),
    bad("PUT /2/instances/web1/reinstall", 405, "POST"),
    bad("POST /2/instances/web1/reinstall?os=gentoo&nostartup=1", 400, "os", "gentoo", "mini"),
    bad("POST /2/nodes/{node2}/evacuate?remote_node={node2}", "wrong_input", "{node2}"),
    bad("POST /2/nodes/{node2}/evacuate?remote_node=node9", "unknown_entity", "node9"),
    bad("PUT /2/nodes/{node1}/role", "wrong_state", "is the master", body="offline"),
    bad(
        "GET /2/nodes/{node2}/storage?storage_type=file&output_fields=colour",
        "wrong_input",
        "colour",
    ),
    bad(
        "PUT /2/nodes/{node2}/storage/modify?storage_type=lvm-pv&name=/dev/none&allocatable=1",
        *("unknown_entity", "/dev/none"),
    ),
    bad(
        "PUT /2/nodes/{node2}/storage/modify?storage_type=file&name=/srv&allocatable=1",
        *("wrong_input", "allocatable"),
    ),
    bad(
        "PUT /2/nodes/{node2}/storage/repair?storage_type=lvm-pv&name=/dev/pretend1",
        *("wrong_input", "lvm-vg"),
    ),
    bad(
        "PUT /2/nodes/{node2}/storage/repair?storage_type=lvm-vg&name=none",
        "unknown_entity",
        "none",
    ),
    bad("DELETE /2/instances/web1/tags?tag=never", "unknown_entity", "never"),
    bad("DELETE /2/tags?tag=never", "unknown_entity", "never"),
    bad("DELETE /2/nodes/{node2}/tags?tag=never", "unknown_entity", "never"),
)
"""Requests that mean something, but not as things are; node 3 is offline, web1 runs."""

UNREACHABLE = (
    bad("PUT /2/instances/web2/shutdown", "internal_error", "{node2}"),
    bad("POST /2/instances/web2/reboot", "internal_error", "{node2}"),
    bad("PUT /2/instances/web1/startup", "internal_error", "{node2}"),
    bad("PUT /2/instances/web2/activate-disks", "internal_error", "{node2}"),
    bad(
        "GET /2/nodes/{node2}/storage?storage_type=file&output_fields=name",
        "internal_error",
        "{node2}",
    ),
    bad(
        "PUT /2/nodes/{node2}/storage/modify?storage_type=lvm-pv&name=/dev/pretend1&allocatable=0",
        *("internal_error", "{node2}"),
    ),
    bad(
        "PUT /2/nodes/{node2}/storage/repair?storage_type=lvm-vg&name=pretend",
        "internal_error",
        "{node2}",
    ),
    bad(
        "POST /2/instances/web1/replace-disks?mode=replace_on_secondary",
        "internal_error",
        "{node2}",
    ),
    bad(
        "POST /2/instances",
        "internal_error",
        "{node2}",
        body={**NEW, "pnode": "{node2}", "snode": "{node1}"},
    ),
)
"""While the daemon of node 2, where web2 runs, is dead and nobody has set the node offline."""


def answer_to(door: NodeEndpoint, each: Bad, names: dict[str, str]) -> str:
    """What is wrong with the answer to a bad request; nothing if it is as it should be."""
    sent = _filled(each.body, names) if each.body is not NOTHING else NOTHING
    answer = door.ask(each.method, each.path.format(**names), sent)
    if isinstance(each.refusal, int):
        if answer.status != each.refusal:
            return f"{answer.status} {answer.value}"
        message = answer.message
    elif answer.status != 200 or not isinstance(answer.value, int):
        return f"{answer.status} {answer.value}"
    else:
        ended = door.job(answer.value)
        _, message, code = ended.error
        if ended.status != "error" or code != each.refusal:
            return f"{ended}"
    missing = [word for word in each.says if word.format(**names) not in message]
    return f"no {missing} in: {message}" if missing or not message else ""


def _filled(body: Any, names: dict[str, str]) -> Any:
    if isinstance(body, str):
        return body.format(**names) if body.startswith("{") else body
    if isinstance(body, dict):
        return {key: _filled(value, names) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, names) for value in body]
    return body
