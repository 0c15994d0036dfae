# SPDX-License-Identifier: BSD-2-Clause
"""Talking to the remote API of a running cluster as a plain HTTP client does."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ganeti.luxi.methods import WaitForJobChange
from tests.system.running import RunningCluster
from tools.quickstart.founding import RAPI_USER
from tools.quickstart.orders import FINAL

NOTHING: Any = object()
"""No body at all, where None would be the body ``null``."""


@dataclass(frozen=True)
class Answer:
    """What a request is answered with: ``value`` is the document that the body is."""

    status: int
    headers: Mapping[str, str]
    value: Any

    @property
    def message(self) -> str:
        """What an error says, of one that has the form of an error."""
        if set(self.value) != {"code", "message", "explain"} or self.value["code"] != self.status:
            raise AssertionError(f"{self.status} without the form of an error: {self.value}")
        return str(self.value["message"])


@dataclass(frozen=True)
class Ended:
    """A job that has ended, with the result or the error of its last opcode that has one."""

    number: int
    status: str
    results: list[Any]

    @property
    def result(self) -> Any:
        return self.results[-1]

    @property
    def error(self) -> tuple[str, str, str]:
        """Class, text and classification of the first error."""
        for result in self.results:
            match result:
                case [str(kind), [str(text), str(code)]]:
                    return kind, text, code
                case [str(kind), [str(text)]]:
                    return kind, text, ""
        return "", "", ""


@dataclass(frozen=True)
class Raw:
    """What a request is answered with, byte by byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RemoteApi:
    """A remote API of which only address and login are known; each request is a connection."""

    def __init__(self, url: str, login: tuple[str, str], context: ssl.SSLContext) -> None:
        self.address = urlsplit(url)
        self.login = login
        self.context = context

    def send(
        self,
        method: str,
        path: str,
        body: Any = NOTHING,
        *,
        login: tuple[str, str] | None = NOTHING,
        headers: Mapping[str, str] | None = None,
    ) -> Raw:
        """Send a request, with a JSON ``body`` or one of bytes as they are."""
        said = dict(headers or {})
        login = self.login if login is NOTHING else login
        if login is not None:
            said["Authorization"] = f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"
        content = b""
        if body is not NOTHING:
            said.setdefault("Content-Type", "application/json")
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPSConnection(
            self.address.hostname or "", self.address.port, timeout=60, context=self.context
        )
        with closing(connection):
            connection.request(method, path, body=content or None, headers=said)
            answer = connection.getresponse()
            text = answer.read()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Raw(answer.status, named, text)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = NOTHING,
        *,
        login: tuple[str, str] | None = NOTHING,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request, and read the document of the answer."""
        raw = self.send(method, path, body, login=login, headers=headers)
        return Answer(raw.status, raw.headers, json.loads(raw.body) if raw.body else None)


class NodeEndpoint(RemoteApi):
    """The remote API of a cluster of the quick start, which is known from inside, too."""

    def __init__(self, running: RunningCluster) -> None:
        self.running = running
        super().__init__(
            running.cluster.rapi,
            (RAPI_USER, running.cluster.password_file.read_text().strip()),
            self._trust(),
        )

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.running.cluster.master.paths.authority)

    def send(self, *request: Any, **more: Any) -> Raw:
        """Send a request; the authority may have been replaced since the last one."""
        self.context = self._trust()
        return super().send(*request, **more)

    def admit(self, name: str, password: str, *rights: str) -> None:
        """Add a user; the daemon reads the file again as it has changed."""
        with open(self.running.cluster.master.paths.rapi_users, "a", encoding="utf-8") as users:
            users.write(" ".join((name, password, *rights)) + "\n")

    def job(self, number: int) -> Ended:
        """A job when it has ended, seen through the master's socket."""
        fields, known = ("status", "opresult"), None
        with self.running.client() as client:
            while True:
                change = WaitForJobChange(job_id=number, fields=fields, prev_job_info=known)
                answer = client.ask(change)
                assert answer is not None, f"there is no job {number}"
                if answer != "nochange":
                    known = answer[0]
                    if known[0] in FINAL:
                        return Ended(number, *known)

    def done(self, method: str, path: str, body: Any = NOTHING) -> Ended:
        """Have something done that is a job, to its end."""
        answer = self.ask(method, path, body)
        if answer.status != 200 or not isinstance(answer.value, int):
            raise AssertionError(f"{method} {path}: {answer.status} {answer.value}")
        return self.job(answer.value)


def pretended(running: RunningCluster, node: int) -> Path:
    """The folder with a node's pretended volumes and devices."""
    return Path(running.cluster.pretend) / running.cluster.node(node).name
