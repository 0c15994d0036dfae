# SPDX-License-Identifier: BSD-2-Clause
"""The remote API asked whatever its own description allows, and much that it does not.

``python -m tests.system.fuzz --examples N --seed S`` makes a cluster with the quick start, fetches
``/2/openapi``, has Schemathesis send requests made from it and from nothing else, and prints what
was sent and what was wrong; ``test_fuzz`` is a short run of it. The same numbers send the same
requests again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core import NotSet
from schemathesis.core.failures import AcceptedNegativeData, Failure, ServerError
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import Interaction, ScenarioRecorder
from schemathesis.generation.meta import CoveragePhaseData

from ganeti.luxi.methods import QueryJobs, QueryNodes
from ganeti.opcodes.node import ModifyNode
from ganeti.opcodes.opcode import Opcode
from tests.system.running import RunningCluster, eventually
from tests.system.talking import NodeEndpoint
from tools.quickstart.daemons import daemons
from tools.quickstart.orders import FINAL

CHECKS: Mapping[str, bool] = {
    "not_a_server_error": True,
    "status_code_conformance": True,
    "content_type_conformance": True,
    "response_headers_conformance": True,
    "answer_as_described": True,
    # Ours instead, as that of Schemathesis 4.32 cannot read prefixItems in descriptions of answers.
    "response_schema_conformance": False,
    "unsupported_method": True,
    "allow_header_conformance": True,
    "ignored_auth": True,
    "missing_required_header": True,
    "negative_data_rejection": True,
    # A schema cannot tell that a name is unknown, or that query and body contradict each other.
    "positive_data_acceptance": False,
    # A job that is accepted has not been done yet: what it makes or removes is there for a while.
    "use_after_free": False,
    "ensure_resource_availability": False,
    # Every user sees everything.
    "object_level_authorization": False,
}
"""What is looked at in answers, or why not."""

NAME = "fuzz"
EXAMPLES, SEED = 1, 1
"""What the checks run: so many made up requests per operation, besides those that cover it."""

COMMON = frozenset(Opcode.__struct_fields__)
"""The parameters that all kinds of jobs have."""

LARGEST = 1024
"""MiB of a disk that is asked for, at most."""


@dataclass
class Findings:
    """What was sent, and what was wrong with the answers."""

    sent: Counter[str] = field(default_factory=Counter)
    """Requests by operation."""
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """Answers that are not as they should be, by check."""
    told: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """The first of each kind, by check, operation and title."""
    broken: list[str] = field(default_factory=list)
    """Why some requests could not be made up or sent, and what is wrong with the cluster."""
    digest: str = ""
    """Of all requests, in their order."""
    seconds: float = 0.0

    @property
    def fine(self) -> bool:
        return not self.failures and not self.broken

    def lines(self) -> Iterator[str]:
        """The figures, for people."""
        for operation, count in sorted(self.sent.items()):
            yield f"{count:7} {operation}"
        yield f"{self.sent.total():7} requests to {len(self.sent)} operations, {self.digest[:16]}"
        classes: Counter[int] = Counter()
        for status, count in self.statuses.items():
            classes[status // 100] += count
        yield "        " + ", ".join(f"{n}xx: {classes[n]}" for n in sorted({2, 3, 4, 5, *classes}))
        yield "        " + ", ".join(f"{n}: {self.statuses[n]}" for n in sorted(self.statuses))
        for check in (name for name, wanted in CHECKS.items() if wanted):
            yield f"{self.failures[check]:7} failed {check}"
        yield f"        in {self.seconds:.1f} seconds"
        yield from self.problems()

    def problems(self) -> Iterator[str]:
        """What was wrong, in full."""
        yield from self.told.values()
        yield from self.broken


class Fuzz:
    """Requests to a running cluster that come from the description of its API, and from a seed."""

    def __init__(self, running: RunningCluster, *, examples: int, seed: int) -> None:
        self.running = running
        self.findings = Findings()
        self._hash = hashlib.sha256()
        self._began = time.monotonic()
        self._daemons = self._processes()
        document = NodeEndpoint(running).ask("GET", "/2/openapi").value
        del document["paths"]["/2/events"]  # its answers do not end
        # The first user that is added closes what was open without a login until then.
        for path in [each for each in document["paths"] if each.startswith("/2/access/")]:
            del document["paths"][path]
        self.schema = schemathesis.openapi.from_dict(
            document,
            config=SchemathesisConfig.from_dict(_settings(running, examples, seed)),
        )
        self.schema.hook("filter_case")(new)
        self.schema.hook("map_case")(harmless)
        self.schema.hook("filter_failure")(counting(self.schema.raw_schema))

    def run(self) -> Findings:
        """Send everything, and see how the cluster is then."""
        self.schema.validate()
        for event in from_schema(self.schema).execute():
            if isinstance(event, events.ScenarioFinished):
                self._take(event.recorder)
            elif isinstance(event, events.NonFatalError):
                self.findings.broken.append(f"{event.label}: {event.value}")
            elif isinstance(event, events.FatalError):
                self.findings.broken.append(str(event.exception))
        self.findings.digest = self._hash.hexdigest()
        for path, methods in self.schema.raw_schema["paths"].items():
            operations = {f"{name.upper()} {path}" for name in methods if name != "parameters"}
            for each in operations - self.findings.sent.keys():
                self.findings.broken.append(f"{each} was never asked")
        self.findings.broken += self.aftermath()
        self.findings.seconds = time.monotonic() - self._began
        return self.findings

    def _take(self, recorder: ScenarioRecorder) -> None:
        for each in recorder.interactions.values():
            target = urlsplit(each.request.uri)._replace(scheme="", netloc="").geturl()
            self.findings.sent[recorder.label] += 1
            self.findings.statuses[each.response.status_code if each.response else 0] += 1
            self._hash.update(f"{each.request.method} {target} {each.request.body!r}\n".encode())
        for case, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    self.findings.failures[check.name] += 1
                    said = _told(recorder.label, check.name, recorder.interactions[case])
                    self.findings.told.setdefault(
                        (check.name, recorder.label, failure.title),
                        f"{said}\n  {failure.title}: {failure.message}",
                    )

    def aftermath(self) -> list[str]:
        """What is wrong with the cluster after all that."""
        running = self.running
        problems = []
        with suppress(AssertionError):
            eventually(lambda: not self.live())
        if live := self.live():
            problems.append(f"jobs that do not end: {live}")
        if (now := self._processes()) != self._daemons:
            problems.append(f"the daemons were {self._daemons}, and are {now}")
        for daemon in daemons(running.cluster):
            with open(daemon.log, encoding="utf-8") as log:
                problems += [f"{daemon.program}, {each}" for each in unexpected(log.read())]
        # Verification tells of instances on nodes that were set offline, and is right.
        rows = running.ask(QueryNodes(names=(), fields=("name", "offline")))
        running.perform(
            *(
                ModifyNode(node_name=row[0], offline=False, auto_promote=True)
                for row in rows
                if row[1]
            )
        )
        verified = running.tool("cluster", "verify")
        if verified.returncode != 0:
            problems.append(f"gnt-cluster verify: {verified.stdout}{verified.stderr}")
        return problems

    def live(self) -> list[int]:
        """The jobs that have not ended."""
        rows = self.running.ask(QueryJobs(ids=None, fields=("id", "status")))
        return [row[0] for row in rows if row is not None and row[1] not in FINAL]

    def _processes(self) -> dict[str, int]:
        found = {}
        for daemon in daemons(self.running.cluster):
            process = daemon.process()
            found[f"{daemon.program} of {daemon.node.name}"] = process.pid if process else 0
        return found


def unexpected(log: str) -> Iterator[str]:
    """The tracebacks in a log, each once and with how often it is there."""
    found = Counter(
        event.partition("\n")[2]
        # All lines of an event but the first begin with a tab.
        for event in re.split(r"\n(?!\t)", log)
        if "Traceback" in event
    )
    for text, times in found.items():
        yield f"{times} times:\n{text}"


def _told(operation: str, check: str, exchange: Interaction) -> str:
    answer = exchange.response
    return (
        f"{operation}: {check}\n  {exchange.request.method} {exchange.request.uri}"
        f"\n  {exchange.request.body!r}"
        f"\n  {answer.status_code if answer else 0} {answer.content[:500] if answer else b''!r}"
    )


def _settings(running: RunningCluster, examples: int, seed: int) -> dict[str, Any]:
    user, password = NodeEndpoint(running).login
    known = names(running)
    return {
        "seed": seed,
        "base-url": running.cluster.rapi,
        "tls-verify": running.cluster.master.paths.authority,
        "auth": {"basic": {"username": user, "password": password}},
        # Of one thread, so that the order is always the same.
        "workers": 1,
        "request-timeout": 60,
        "continue-on-failure": True,
        "suppress-health-check": ["all"],
        "generation": {
            "max-examples": examples,
            "no-shrink": True,
            "database": "none",
            "dictionaries": {"string": {"dictionary": "all", "probability": 0.1}},
        },
        # Names that mean something here; most of the others are made up.
        "dictionaries": {
            **{name: {"values": values} for name, values in known.items()},
            "all": {"values": [each for values in known.values() for each in values]},
        },
        "parameters": {
            f"path.{name}": {"dictionary": name, "probability": 0.6}
            for name in known
            if name != "os"
        },
        "checks": {name: {"enabled": wanted} for name, wanted in CHECKS.items()},
        "phases": {
            "examples": {"enabled": False},
            "coverage": {"extra-data-sources": {"responses": False}},
            # What is sent does not depend on answers, so that a seed replays.
            "fuzzing": {
                "extra-data-sources": {"responses": False},
                "error-feedback": {"enabled": False},
            },
            "stateful": {"enabled": False},
        },
    }


def names(running: RunningCluster) -> dict[str, list[Any]]:
    """Names of what there is in a cluster of the quick start, by the variables of paths."""
    nodes = [node.name for node in running.cluster.nodes]
    return {
        "instance_name": [f"first.{running.name}"],
        "node_name": nodes,
        "group_name": ["default"],
        "job_id": [1, 2, 3],
        "resource": ["cluster", "instance", "node", "group", "network", "job", "os", "lock"],
        "os": ["noop"],
    }


@schemathesis.check
def answer_as_described(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """The body of an answer is what the description has for its status."""
    status = str(response.status_code)
    document = case.operation.schema.raw_schema
    described = document["paths"][case.operation.path].get(case.method.lower())
    if described is None:
        return  # a method that there is not: what answers that is for another check
    found = status if status in described["responses"] else f"{status[0]}XX"
    place = f"{case.method} {case.operation.path} {found}"
    if place not in _validators:
        answer = described["responses"].get(found, {})
        if "$ref" in answer:
            answer = document["components"]["responses"][found]
        content: dict[str, Any] = next(iter(answer.get("content", {}).values()), {})
        schema = content.get("schema", {})
        whole = {"allOf": [schema], "components": document["components"]}
        _validators[place] = jsonschema_rs.Draft202012Validator(whole)
    is_json = response.headers.get("content-type", [""])[0] == "application/json"
    value = response.json() if is_json else response.text
    wrong = [each.message for each in _validators[place].iter_errors(value)]
    if wrong:
        raise AssertionError("; ".join(wrong))


_validators: dict[str, jsonschema_rs.Draft202012Validator] = {}


def harmless(_: HookContext, case: Case[Any]) -> Case[Any]:
    """Takes from a request what would reach beyond this host, or fill its disk."""
    if (body := _small(case.body)) != case.body:
        case.body = body
    for each in _created(case):
        # The host's resolver would be asked for names that are made up, and hosts be connected to.
        if each.get("name_check", True) in (True, "1", "true"):
            each["name_check"] = False
    return case


def _created(case: Case[Any]) -> list[dict[str, Any]]:
    """What in a request gives an instance a name."""
    found: Any = ()
    if case.operation.path in ("/2/instances", "/2/instances/{instance_name}/rename"):
        found = [case.body]
    elif case.operation.path == "/2/instances-multi-alloc" and isinstance(case.body, dict):
        found = case.body.get("instances")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _small(value: Any, name: str = "") -> Any:
    """A copy with small disks: a cluster may have been told to wipe new ones."""
    if isinstance(value, dict):
        return {key: _small(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_small(each) for each in value]
    return min(value, LARGEST) if name in ("size", "amount") and isinstance(value, int) else value


def counting(document: dict[str, Any]) -> Callable[..., bool]:
    """Tells what checks found that is wrong: it is not where this server means to be lenient."""
    widened = leniently(document)

    def fits(value: Any, schema: Mapping[str, Any]) -> bool:
        whole = {"allOf": [schema], "components": widened["components"]}
        return jsonschema_rs.is_valid(whole, value)

    def queried(texts: list[str], schema: Mapping[str, Any]) -> bool:
        # What is empty is as if it were not given, and null is null.
        said = [text for text in texts if text not in ("", "null")]
        return not said or fits(said if schema.get("type") == "array" else said[0], schema)

    def counts(_: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
        operation = case.operation
        # That is how many wrong credentials are refused; ``response`` is that with the right ones.
        if "got `429 Too Many Requests`" in failure.message:
            return False
        if isinstance(failure, ServerError):
            # That for the console says that it answers 503, and when.
            return str(response.status_code) not in operation.definition.raw["responses"]
        if not isinstance(failure, AcceptedNegativeData):
            return True
        described = widened["paths"][operation.path][operation.method]
        known = {each["name"]: each["schema"] for each in described.get("parameters", ())}
        body = described.get("requestBody")
        if isinstance(case.body, NotSet):
            right = body is None or not body["required"]
        else:
            content = body and body["content"]["application/json"]["schema"]
            right = body is not None and fits(case.body, content)
        query = parse_qs(urlsplit(str(response.request.url)).query, keep_blank_values=True)
        return not right or not all(
            name in known and queried(texts, known[name]) for name, texts in query.items()
        )

    return counts


def new(_: HookContext, case: Case[Any]) -> bool:
    """Whether a request is not one of those that would be the same for every kind of job.

    All kinds of jobs have these parameters of one declaration: what is wrong in them is tried with
    one kind, which halves what is sent. Requests that are made up at random have them everywhere.
    """
    if case.meta is None or not isinstance(case.meta.phase.data, CoveragePhaseData):
        return True
    place = (case.meta.phase.data.location or "").split("/")
    common = place[1:2] == ["properties"] and place[2] in COMMON
    return not common or case.operation.path == "/2/redistribute-config"


def leniently(schema: Any) -> Any:
    """A schema that takes text and numbers for what they spell, and null for what is left out.

    Clients send them, and such a request means just one thing to this server. What its description
    has is what should be sent.
    """
    if isinstance(schema, list):
        return [leniently(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    widened = {name: leniently(each) for name, each in schema.items()}
    if isinstance(properties := widened.get("properties"), dict):
        optional = properties.keys() - set(schema.get("required", ()))
        for name in optional:
            properties[name] = {"anyOf": [properties[name], {"type": "null"}]}
    kind = schema.get("type")
    spelled = _SPELLED.get(kind) if isinstance(kind, str) else None
    return {"anyOf": [widened, spelled]} if spelled else widened


_SPELLED: Mapping[str, Any] = {
    "boolean": {"enum": [0, 1, "0", "1", "true", "false"]},
    "integer": {"type": "string", "pattern": "^-?[0-9]+$"},
    "number": {"type": "string", "pattern": "^-?[0-9.eE+-]+$"},
    "null": {"const": "null"},
}


def fuzz(*, examples: int, seed: int) -> Findings:
    """What is found with a cluster of its own, of which nothing must be left."""
    running = RunningCluster(name=NAME)
    try:
        findings = Fuzz(running, examples=examples, seed=seed).run()
    finally:
        left = running.destroy()
    findings.broken += [f"left behind: {each}" for each in left]
    return findings


def main() -> int:
    """Print the figures of a fresh cluster."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.system.fuzz")
    parser.add_argument("--examples", type=int, default=EXAMPLES, metavar="N")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # What is made up depends on the order of sets.
        arguments = [sys.executable, "-m", "tests.system.fuzz", *sys.argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, "PYTHONHASHSEED": "0"})
    findings = fuzz(examples=options.examples, seed=options.seed)
    print("\n".join(findings.lines()))
    print(f"Again: python -m tests.system.fuzz --examples {options.examples} --seed {options.seed}")
    return 0 if findings.fine else 1


if __name__ == "__main__":
    sys.exit(main())
