# SPDX-License-Identifier: BSD-2-Clause
"""What the description of the API says of answers: their results, and the statuses of errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ganeti.rapi.metrics import exposes
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import Verb, asks, lists, shows, streams, submits

Schema = dict[str, Any]

ERROR: Schema = {
    "type": "object",
    "properties": {
        "code": {"type": "integer", "description": "The HTTP status."},
        "message": {"type": "string", "description": "What was wrong, and what to do."},
        "explain": {"type": "string", "description": "What the status means in general."},
    },
    "required": ["code", "message", "explain"],
    "additionalProperties": False,
}

_CONTENT: Schema = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}

_ERRORS: Mapping[str, str] = {
    "400": "The request means nothing; the message has everything that is wrong.",
    "401": "There is no such login, or one is needed.",
    "403": "This user may not do that.",
    "404": "There is nothing of that name.",
    "408": "The request did not arrive in time.",
    "413": "The body is too long.",
    "414": "The first line is too long.",
    "415": "The body is not JSON in UTF-8.",
    "431": "The headers are too long.",
    "429": "This client asks too often; the header Retry-After says how many seconds to wait.",
    "5XX": "The cluster cannot answer now, or something broke.",
}
"""Why a request is answered with which status, whatever it asks for."""

ERRORS: Schema = {
    status: {"description": why, "content": _CONTENT} for status, why in _ERRORS.items()
}
"""These answers, for operations to refer to."""

_SOMETIMES = frozenset(("404",))


def errors(route: Route, verb: Verb) -> Schema:
    """The answers of an operation that are errors, by status."""
    found = _ERRORS.keys() - _SOMETIMES
    if route.variables:
        found |= {"404"}
    described: Schema = {
        status: {"$ref": f"#/components/responses/{status}"} for status in sorted(found)
    }
    if isinstance(verb, asks):
        for status, why in verb.errors.items():
            described[str(int(status))] = {"description": why, "content": _CONTENT}
    return described


def result(verb: Verb, answers: Mapping[Any, Schema]) -> Schema:
    """The schema of what an operation answers; ``answers`` has those of declared types."""
    if isinstance(verb, submits):
        return {"type": "integer", "minimum": 1, "description": "The number of the job."}
    if isinstance(verb, lists):
        name = {"type": "integer" if verb.what == "job" else "string"}
        brief = {**dict.fromkeys(verb.keys, name), "uri": {"type": "string"}}
        return {"type": "array", "items": {"anyOf": [_object(brief), _fields(verb.fields)]}}
    if isinstance(verb, shows):
        return _fields(verb.fields)
    if isinstance(verb, streams):
        return {"type": "string", "description": "Each has an id, a kind, and JSON as data."}
    if isinstance(verb, exposes):
        return {"type": "string", "description": "Lines in the text format of Prometheus."}
    assert isinstance(verb, asks)
    return answers[verb.result]


def _fields(names: Iterable[str]) -> Schema:
    """An object with fields of the query language, whose values are of many kinds."""
    return _object({name: {} for name in names})


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
