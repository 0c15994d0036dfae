# SPDX-License-Identifier: BSD-2-Clause
"""The description of the API for programs (OpenAPI 3.1), made from the routes."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from ganeti import __version__
from ganeti.rapi.access import Access
from ganeti.rapi.arguments import LOCK, Kind, Parameter
from ganeti.rapi.routes.route import DIGITS, Route
from ganeti.rapi.verbs import Verb, asks, lists, shows, submits

Schema = dict[str, Any]

_REF = "#/components/schemas/{name}"

_QUERY: dict[Kind, Schema] = {
    Kind.FLAG: {"type": "integer", "enum": [0, 1]},
    Kind.NUMBER: {"type": "integer", "minimum": 0},
    Kind.TEXT: {"type": "string"},
    Kind.WORDS: {"type": "string", "description": "Words with commas between."},
    Kind.MANY: {"type": "array", "items": {"type": "string"}},
}

_ERROR: Schema = {
    "type": "object",
    "properties": {
        "code": {"type": "integer", "description": "The HTTP status."},
        "message": {"type": "string", "description": "What was wrong, and what to do."},
        "explain": {"type": "string", "description": "What the status means in general."},
    },
    "required": ["code", "message", "explain"],
}

_ANY_OBJECT: Schema = {"type": "object"}

_BODIES: dict[str, Schema] = {
    "_tags": {"type": "array", "items": {"type": "string"}},
    "_flags": {
        "type": "string",
        "enum": ["drained", "master-candidate", "offline", "regular"],
    },
}
"""Bodies that are no objects, by what reads them."""


def description(routes: Iterable[Route]) -> Schema:
    """The OpenAPI document for ``routes``."""
    routes = tuple(routes)
    kinds = sorted(
        {
            verb.opcode
            for route in routes
            for verb in route.verbs.values()
            if isinstance(verb, submits)
        }
        | {
            verb.body
            for route in routes
            for verb in route.verbs.values()
            if isinstance(verb, asks) and verb.body is not None
        },
        key=lambda kind: kind.__name__,
    )
    _, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ganeti remote API",
            "version": __version__,
            "description": "Jobs are submitted and answered by their number; /2/jobs/{job_id}"
            " tells what became of them.",
        },
        "security": [{}, {"basic": []}],
        "paths": {route.path: _path(route, components) for route in routes},
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "responses": {
                "Error": {
                    "description": "It was not done.",
                    "content": {"application/json": {"schema": _reference("Error")}},
                }
            },
        },
    }


def _reference(name: str) -> Schema:
    return {"$ref": _REF.format(name=name)}


def _path(route: Route, components: dict[str, Schema]) -> Schema:
    described: Schema = {
        method.lower(): _operation(route, method, verb, components)
        for method, verb in route.verbs.items()
    }
    if route.variables:
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": _variable(name)}
            for name in route.variables
        ]
    return described


def _variable(name: str) -> Schema:
    if name in DIGITS:
        return {"type": "integer", "minimum": 0}
    return {"type": "string", "minLength": 1}


def _operation(route: Route, method: str, verb: Verb, components: dict[str, Schema]) -> Schema:
    described: Schema = {
        "operationId": _operation_id(route, method),
        "summary": verb.doc,
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {"application/json": {"schema": _result(verb)}},
            },
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if verb.parameters:
        described["parameters"] = [_parameter(each) for each in verb.parameters]
    if (body := _body(verb, route, components)) is not None:
        described["requestBody"] = {
            "content": {"application/json": {"schema": body}},
            "required": bool(body.get("required")),
        }
    if verb.access is not Access.OPEN:
        described["security"] = [{"basic": []}]
        described["description"] = f"Needs {verb.access.value}."
    return described


def _operation_id(route: Route, method: str) -> str:
    words = re.findall(r"[A-Za-z]+", route.path.removeprefix("/2")) or ["resources"]
    start = "v2_" if route.path == "/2" else ""
    return f"{method.lower()}_{start}{'_'.join(words)}"


def _parameter(declared: Parameter) -> Schema:
    schema = dict(_QUERY[declared.kind])
    if declared is LOCK:
        schema["enum"] = [0]
    if declared.default is not None:
        schema["default"] = int(declared.default)
    return {
        "name": declared.name,
        "in": "query",
        "required": declared.required,
        "description": declared.doc,
        "schema": schema,
    }


def _result(verb: Verb) -> Schema:
    if isinstance(verb, submits):
        return {"type": "integer", "description": "The number of the job."}
    if isinstance(verb, lists):
        return {"type": "array", "items": _ANY_OBJECT}
    if isinstance(verb, shows):
        return _ANY_OBJECT
    assert isinstance(verb, asks)
    return msgspec.json.schema(verb.result)


def _body(verb: Verb, route: Route, components: dict[str, Schema]) -> Schema | None:
    if isinstance(verb, asks):
        return _reference(verb.body.__name__) if verb.body is not None else None
    if not isinstance(verb, submits):
        return None
    if verb.body.__name__ in _BODIES:
        return _BODIES[verb.body.__name__]
    schema = copy.deepcopy(components[verb.opcode.__name__])
    properties = schema["properties"]
    hidden = {"OP_ID", "reason", *verb.fixed, *route.variables}
    for name in hidden:
        properties.pop(name, None)
    required = {name for name in schema.get("required", ()) if name not in hidden}
    required -= {each.target for each in verb.parameters} | set(verb.defaults)
    for outside, inside in verb.renames.items():
        if inside in properties:
            properties[outside] = properties.pop(inside)
            if inside in required:
                required = (required - {inside}) | {outside}
    if verb.opcode.__name__ == "CreateInstance":
        properties["__version__"] = {"const": 1}
        required |= {"__version__"}
    schema["required"] = sorted(required)
    if not required:
        schema["type"] = ["object", "null"]
    schema.pop("title", None)
    return schema
