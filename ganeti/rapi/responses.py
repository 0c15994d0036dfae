# SPDX-License-Identifier: BSD-2-Clause
"""The answers in the description of the API: results, and errors by status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ganeti.rapi.api_metrics import MetricsVerb
from ganeti.rapi.routes.route import Route
from ganeti.rapi.upload_verbs import receives_image
from ganeti.rapi.verbs import Verb, asks, lists, opens_console, shows, streams, submits

# JSON Schema, whose keywords have values of all types.
Schema: TypeAlias = dict[str, Any]


def _object_schema(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


ERROR: Schema = {
    "type": "object",
    "properties": {
        "code": {"type": "integer", "description": "The HTTP status."},
        "message": {"type": "string", "description": "What is wrong, and what to do."},
        "explain": {"type": "string", "description": "The general meaning of the status."},
    },
    "required": ["code", "message", "explain"],
    "additionalProperties": False,
}

_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}

PLAN_SCHEMA: Schema = {
    **_object_schema(
        {
            "opcode": {"type": "string"},
            "summary": {"type": "string"},
            "steps": {**_TEXTS, "description": "What would be done, in sentences."},
            "locks": {
                "type": "array",
                "items": _object_schema({"name": {"type": "string"}, "mode": {"type": "string"}}),
            },
            "asked": {**_TEXTS, "description": "The nodes that were asked for the plan."},
            "nodes": {**_TEXTS, "description": "The nodes that the job would lock."},
            "irreversible": {"description": "What is lost for good.", "type": ["string", "null"]},
            "preview": {"description": "What a dry run answers."},
        }
    ),
    "description": "With plan=1: what the job would do.",
}

_CONTENT: Schema = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}

_ERRORS: Mapping[str, str] = {
    "400": "The request is invalid; the message lists all problems.",
    "401": "The credentials are wrong or missing.",
    "403": "The user is not authorized for this request.",
    "404": "The object does not exist.",
    "408": "The request did not arrive in time.",
    "409": "The cluster is not in a state in which that can be done.",
    "413": "The body is too long.",
    "414": "The request line is too long.",
    "415": "The body is not JSON in UTF-8.",
    "422": "A name does not resolve.",
    "426": "This is only served over a WebSocket.",
    "431": "The headers are too long.",
    "429": "The client has exceeded a rate limit; the header Retry-After has the seconds to wait.",
    "5XX": "The cluster cannot answer now, or an internal error occurred.",
}
"""Reasons for each status that any request may be answered with."""

ERRORS: Schema = {
    status: {"description": why, "content": _CONTENT} for status, why in _ERRORS.items()
}
"""These answers as components that operations refer to."""

_CONDITIONAL_ERRORS = frozenset(("404", "409", "422", "426"))

_OF_PLANS = frozenset(("404", "409", "422"))
"""Why a plan is refused."""


UPLOAD_ERRORS: Mapping[str, str] = {
    "416": "These are not the bytes that are missing; the message says how many have arrived.",
    "507": "The node has no space for the image.",
}


def errors(route: Route, verb: Verb) -> Schema:
    """Return the error answers of an operation, by status."""
    found = _ERRORS.keys() - _CONDITIONAL_ERRORS
    if route.variables:
        found |= {"404"}
    if isinstance(verb, submits):
        found |= _OF_PLANS
    if isinstance(verb, opens_console):
        found |= {"409", "426"}
    described: Schema = {
        status: {"$ref": f"#/components/responses/{status}"} for status in sorted(found)
    }
    if isinstance(verb, receives_image):
        described |= {"409": {"$ref": "#/components/responses/409"}}
        for code, why in UPLOAD_ERRORS.items():
            described[code] = {"description": why, "content": _CONTENT}
    if isinstance(verb, lists):
        described["304"] = {"description": "The client has the present list, by If-None-Match."}
    if isinstance(verb, asks):
        for status, why in verb.errors.items():
            described[str(int(status))] = {"description": why, "content": _CONTENT}
    return described


def result(verb: Verb, answers: Mapping[object, Schema]) -> Schema:
    """Return the schema of an operation's result; ``answers`` has those of declared types."""
    number = {"type": "integer", "minimum": 1, "description": "The ID of the job."}
    if isinstance(verb, receives_image):
        return number
    if isinstance(verb, submits):
        return {"anyOf": [number, PLAN_SCHEMA]}
    if isinstance(verb, lists):
        name = {"type": "integer" if verb.what == "job" else "string"}
        brief = {**dict.fromkeys(verb.keys, name), "uri": {"type": "string"}}
        return {
            "type": "array",
            "items": {"anyOf": [_object_schema(brief), _fields_schema(verb.fields)]},
        }
    if isinstance(verb, shows):
        return _fields_schema(verb.fields)
    if isinstance(verb, streams):
        return {"type": "string", "description": "Each event has an id, a kind, and JSON data."}
    if isinstance(verb, opens_console):
        return {"type": "string", "description": "The handshake of a WebSocket, status 101."}
    if isinstance(verb, MetricsVerb):
        return {"type": "string", "description": "Lines in the text format of Prometheus."}
    assert isinstance(verb, asks)
    return answers[verb.result]


def _fields_schema(names: Iterable[str]) -> Schema:
    """Return the schema of an object with fields of queries, whose values have many types."""
    return _object_schema({name: {} for name in names})
