# SPDX-License-Identifier: BSD-2-Clause
"""What is asked of two servers of the remote API, to see where they answer differently.

These are the requests of ``rapi_document`` and ``rapi_refusals``, made such that a cluster without
mirrored disks can do them; ``peer_tables`` has more.
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
    chosen: tuple[str, ...] = ()
    """Keys of what each cluster chooses for itself."""

    @property
    def apart(self) -> frozenset[str]:
        """Keys below which the answers of two clusters have nothing to do with each other."""
        if self.path.startswith("/2/query/") and "id," in self.path:
            return frozenset(("data",))
        if self.path == "/2/jobs/{running}/wait":
            # How far it is, and what it has said, is a matter of milliseconds.
            return frozenset(("job_info", "log_entries"))
        if self.path in ("/2/jobs", "/2/jobs?bulk=1"):
            return _PER_JOB
        return frozenset(("oplog", *self.chosen))

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
        "The two halves of a move depend on each other, and each cluster signs its own data;"
        " `tests/system/test_moves_between.py` tests them."
    ),
    "…/storage… of the types lvm-pv and lvm-vg": (
        "The cluster of Debian's packages had no volume group; ours simulates one."
    ),
    "mirrored disks (drbd)": (
        "The cluster of Debian's packages ran without DRBD; instances with shared files replace"
        " them."
    ),
}
"""What is not compared, and why."""


def document() -> Iterator[Asked]:
    """The steps of the document, but for those that need a job that waits."""
    for each in STEPS:
        if each.effect not in SKIPPED and "lvm" not in each.path and not _needs_waiting(each):
            yield _of_step(each)


def held() -> Iterator[Asked]:
    """The steps that need a job that waits: for an import that nobody sends disks to."""
    yield ask("POST /2/instances", {**NEW, "name": "web3"}, said="to be exported")
    yield ask("PUT /2/instances/web3/prepare-export?mode=remote", keeps="prepared")
    yield Asked("POST", "/2/instances", _importing, keeps="running", goes_on=True)
    yield Asked("PUT", "/2/instances/web3/shutdown", _after, keeps="waiting", goes_on=True)
    for each in STEPS:
        if _needs_waiting(each):
            yield _of_step(each)
    yield ask("DELETE /2/jobs/{running}", said="running")


def _needs_waiting(each: Step) -> bool:
    return "{waiting}" in each.path or "{running}" in each.path


def _of_step(each: Step) -> Asked:
    body = _later(each.body) if callable(each.body) else portable(each.body)
    return Asked(each.method, each.path.replace("os=mini", f"os={OS}"), body)


def _after(c: Named) -> Any:
    return {"depends": [[c.known["running"], ["success"]]]}


def _importing(c: Named) -> Any:
    return {**portable(rapi_document.remote_import(c)), "source_instance_name": "web3"}


SKIPPED = (rapi_document.create_remote, rapi_document.export_remote)
"""What two clusters have to do together."""

UNCHECKED = {"name_check": False, "ip_check": False}
NEW = {**portable(CREATION), "pnode": "{node1}"}
"""The instance that most requests are about."""


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
