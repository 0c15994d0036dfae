# SPDX-License-Identifier: BSD-2-Clause
"""A server of the remote API that is compared with another: what it is asked, and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.system.likeness import named
from tests.system.peer_requests import Asked, portable
from tests.system.rapi_document import CREATION, names
from tests.system.running import eventually
from tests.system.talking import NOTHING, RemoteApi
from tools.quickstart.orders import FINAL

TIMEOUT = 400.0
"""Seconds for a job: an import that an earlier run has left waits for minutes until it gives up."""


@dataclass(frozen=True)
class Seen:
    """What a request came to: an answer, and the job that it may have made, when it had ended."""

    status: int
    headers: Mapping[str, str]
    value: Any
    job: Mapping[str, Any] | None = None

    @property
    def error(self) -> str:
        """Class and classification of the first error of the job."""
        match self._failure:
            case [str(kind), [_, str(code)]]:
                return f"{kind} {code}"
            case [str(kind), [*_]]:
                return str(kind)
        return ""

    @property
    def _failure(self) -> Any:
        """What the first opcode that failed has for a result."""
        if self.job is None:
            return None
        statuses = zip(self.job["opstatus"], self.job["opresult"], strict=True)
        return next((result for status, result in statuses if status == "error"), None)

    @property
    def ending(self) -> str:
        """How the job ended."""
        return f"{self.job['status']} {self.error}".strip() if self.job else ""

    @property
    def text(self) -> str:
        """What is said about what did not work."""
        if self.status != 200:
            return str(self.value.get("message") if isinstance(self.value, dict) else self.value)
        return str(self._failure[1][0]) if self.error else ""


@dataclass
class Server:
    """One of the two, with what has to be known to ask it the same as the other."""

    api: RemoteApi
    logins: Mapping[str, tuple[str, str] | None]
    known: dict[str, Any] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def value(self, method: str, path: str, body: Any = NOTHING) -> Any:
        answer = self.api.ask(method, path, body)
        assert answer.status == 200, f"{method} {path}: {answer.status} {answer.value}"
        return answer.value

    def meet(self) -> None:
        """Learn what its cluster and its nodes are called."""
        facts = self.value("GET", "/2/info")
        others = [each["id"] for each in self.value("GET", "/2/nodes")]
        self.nodes = sorted(others, key=lambda name: (name != facts["master"], name))
        self.names = {name: f"{{node{n}}}" for n, name in enumerate(self.nodes, 1)}
        self.names[facts["name"]] = "{cluster}"

    def node(self, number: int) -> str:
        return self.nodes[number - 1]

    def see(self, asked: Asked) -> Seen:
        """Send a request, and wait for what it starts."""
        said = names(self)
        body = asked.body(self) if callable(asked.body) else filled(asked.body, said)
        raw = self.api.send(
            asked.method,
            filled(asked.path, said),
            body,
            login=self.logins[asked.login],
            headers=asked.headers,
        )
        value = self._read(raw.body)
        if asked.goes_on:
            self.known[asked.keeps] = value
            return Seen(raw.status, raw.headers, {"id": value})
        if raw.status == 200 and type(value) is int and asked.path != "/version":
            job = self.ended(value)
            self.known[asked.keeps] = job["opresult"][-1]
            return Seen(raw.status, raw.headers, value, named(job, self.names))
        if raw.status == 200:
            self.known[asked.keeps] = value
        return Seen(raw.status, raw.headers, named(value, self.names))

    def _read(self, body: bytes) -> Any:
        try:
            return json.loads(body) if body else "nothing"
        except ValueError:
            return "no JSON"

    def ended(self, number: int) -> Any:
        """A job when it has ended, and those that it has submitted."""

        def final() -> Any:
            job = self.value("GET", f"/2/jobs/{number}")
            return job if job["status"] in FINAL else None

        job = eventually(final, TIMEOUT)
        for result in job["opresult"]:
            if isinstance(result, dict) and "jobs" in result:
                result["jobs"] = [
                    [taken, self.ended(each)["status"]] for taken, each in result["jobs"]
                ]
        return job

    def done(self, method: str, path: str, body: Any = NOTHING) -> None:
        job = self.ended(self.value(method, path, body))
        assert job["status"] == "success", f"{method} {path} {body}: {job}"

    def empty(self) -> None:
        """Remove what an earlier run has left."""
        for row in self.value("GET", "/2/filters"):
            self.value("DELETE", f"/2/filters/{row['uuid']}")
        for row in self.value("GET", "/2/instances"):
            self.done("DELETE", f"/2/instances/{row['id']}")
        for owner in ("/2", *(f"/2/nodes/{name}" for name in self.nodes)):
            if tags := self.value("GET", f"{owner}/tags"):
                self.done("DELETE", f"{owner}/tags?tag={'&tag='.join(tags)}")

    def mend(self, offline: bool) -> None:
        """Make everything as refusals want to find it, whatever the last request has done."""
        roles = {2: "master-candidate", 3: "offline" if offline else "master-candidate"}
        rows = {each["name"]: each for each in self.value("GET", "/2/instances?bulk=1")}
        one = {"disk_template": "file", "disks": [{"size": 8}], "nics": [], "snode": None}
        wanted = {"web1": (1, {}), "web2": (2, one), "first.trial": (1, one)}
        for number, role in roles.items():
            path = f"/2/nodes/{self.node(number)}/role"
            if self.value("GET", path) != role:
                self.done("PUT", f"{path}?force=1", role)
        for name, row in rows.items():
            number, _ = wanted.get(name, (0, {}))
            if not number or (row["pnode"], row["status"]) != (self.node(number), "running"):
                self.done("DELETE", f"/2/instances/{name}")
        for name, (number, over) in wanted.items():
            row = rows.get(name)
            if row is None or (row["pnode"], row["status"]) != (self.node(number), "running"):
                body = {**CREATION, **over, "name": name, "pnode": self.node(number)}
                self.done("POST", "/2/instances", portable(body))


def filled(body: Any, said: Mapping[str, Any]) -> Any:
    """A body or path with the cluster's own names."""
    if isinstance(body, str):
        for name, value in said.items():
            body = body.replace(f"{{{name}}}", str(value))
        return body
    if isinstance(body, dict):
        return {key: filled(value, said) for key, value in body.items()}
    if isinstance(body, list):
        return [filled(value, said) for value in body]
    return body
