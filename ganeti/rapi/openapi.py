# SPDX-License-Identifier: BSD-2-Clause
"""The OpenAPI 3.1 description of the remote API, generated from the routes."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ganeti import __version__
from ganeti.metrics.exposition import CONTENT_TYPE
from ganeti.rapi import responses
from ganeti.rapi.api_metrics import MetricsVerb
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.cookies import NAME as SESSION_COOKIE
from ganeti.rapi.events.server_sent import EVENT_STREAM
from ganeti.rapi.request_arguments import LOCK, REASON, ArgumentType, QueryParameter
from ganeti.rapi.responses import Schema
from ganeti.rapi.routes.nodes import FLAGS
from ganeti.rapi.routes.route import MAX_NUMBERS, Route
from ganeti.rapi.upload_verbs import receives_image
from ganeti.rapi.verbs import Verb, asks, streams, submits
from ganeti.schema.types import ONE_LINE, Value

_REF = "#/components/schemas/{name}"

_VALUE_NAME = "Value"
_VALUE_SCHEMA: Schema = {
    "description": "The value of a parameter; also lists and objects, up to three levels deep.",
    "type": ["array", "boolean", "null", "number", "object", "string"],
    "pattern": ONE_LINE,
}
"""The schema of a value, defined once under this name; written out it has three nested levels."""

_QUERY_SCHEMAS: dict[ArgumentType, Schema] = {
    ArgumentType.FLAG: {"type": "integer", "enum": [0, 1]},
    ArgumentType.NUMBER: {"type": "integer", "minimum": 0},
    ArgumentType.TEXT: {"type": "string"},
    ArgumentType.WORDS: {"type": "string", "description": "Words separated by commas."},
    ArgumentType.MANY: {"type": "array", "items": {"type": "string"}},
}

_BODY_SCHEMAS: dict[str, Schema] = {
    "_parse_tags": {"type": ["array", "null"], "items": {"type": "string"}},
    "_role_to_flags": {"type": "string", "enum": sorted(FLAGS)},
}
"""Bodies that are not objects, by the name of the function that parses them."""


def description(routes: Iterable[Route]) -> Schema:
    """Return the OpenAPI document for ``routes``."""
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
    results = {
        verb.result: None
        for route in routes
        for verb in route.verbs.values()
        if isinstance(verb, asks)
    }
    schemas, components = msgspec.json.schema_components([*kinds, *results], ref_template=_REF)
    components = {_VALUE_NAME: _VALUE_SCHEMA, **_replace_value_schemas(components)}
    for component in components.values():
        if "OP_ID" in component.get("required", ()):
            component["required"].remove("OP_ID")  # implied by the path
    answers = dict(zip(results, schemas[len(kinds) :], strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ganeti remote API",
            "version": __version__,
            "description": "Requests that submit a job return its ID;"
            " /2/jobs/{job_id} has its status and result.",
        },
        "security": [{}, *_LOGINS],
        "paths": {route.path: _describe_path(route, components, answers) for route in routes},
        "components": {
            "schemas": {**components, "Error": responses.ERROR},
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
            },
            "responses": responses.ERRORS,
        },
    }


_LOGINS: list[Schema] = [{"basic": []}, {"bearer": []}, {"session": []}]

_LAST_EVENT_ID: Schema = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "As the parameter since; sent by clients that reconnect.",
    "schema": {"type": "string", "pattern": r"^[0-9]{1,18}(\.[0-9]{1,18})?$"},
}

_CONTENT_RANGE: Schema = {
    "name": "Content-Range",
    "in": "header",
    "description": "Which bytes of the image the body has: all from the first one that is missing"
    " to the last one, such as bytes 1000-1999/2000.",
    "schema": {"type": "string", "pattern": "^bytes [0-9]{1,15}-[0-9]{1,15}/[0-9]{1,15}$"},
}

_VALUE_IN_FULL: Schema = msgspec.json.schema(Value)


# A schema, or any value in one.
def _replace_value_schemas(schema: Any) -> Any:
    """Replace the schema of a value by a reference; it would be repeated a hundred times."""
    if schema == _VALUE_IN_FULL:
        return {"$ref": _REF.format(name=_VALUE_NAME)}
    if isinstance(schema, dict):
        return {name: _replace_value_schemas(each) for name, each in schema.items()}
    if isinstance(schema, list):
        return [_replace_value_schemas(each) for each in schema]
    return schema


def _describe_path(
    route: Route, components: dict[str, Schema], answers: Mapping[object, Schema]
) -> Schema:
    described: Schema = {
        method.lower(): {
            **_describe_operation(route, method, verb, components),
            "responses": {
                "200": {
                    "description": "The answer.",
                    "content": {media_type(verb): {"schema": responses.result(verb, answers)}},
                },
                **responses.errors(route, verb),
            },
        }
        for method, verb in route.verbs.items()
    }
    if route.variables:
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": _variable_schema(name)}
            for name in route.variables
        ]
    return described


def media_type(verb: Verb) -> str:
    """Return the media type of an answer."""
    if isinstance(verb, MetricsVerb):
        return CONTENT_TYPE.partition(";")[0]
    return EVENT_STREAM if isinstance(verb, streams) else "application/json"


def _variable_schema(name: str) -> Schema:
    if name in MAX_NUMBERS:
        return {"type": "integer", "minimum": 0, "maximum": MAX_NUMBERS[name]}
    return {"type": "string", "minLength": 1}


def _describe_operation(
    route: Route, method: str, verb: Verb, components: dict[str, Schema]
) -> Schema:
    described: Schema = {
        "operationId": _operation_id(route, method),
        "summary": verb.doc,
    }
    if verb.parameters:
        described["parameters"] = [
            _describe_parameter(each, verb, components) for each in verb.parameters
        ]
    if isinstance(verb, streams):
        described["parameters"].append(_LAST_EVENT_ID)
    if isinstance(verb, receives_image):
        described["parameters"].append(_CONTENT_RANGE)
        binary: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
        described["requestBody"] = {
            "content": {"application/octet-stream": {"schema": binary}},
            "required": True,
        }
    if (body := _body_schema(verb, route, components)) is not None:
        needed = "null" not in body.get("type", ())
        described["requestBody"] = {
            "content": {"application/json": {"schema": body}},
            "required": needed,
        }
    if verb.access is AccessLevel.TICKET:
        described["security"] = []
    elif verb.access is not AccessLevel.OPEN:
        described["security"] = _LOGINS
        described["description"] = f"Needs {verb.access.value}."
    return described


def _operation_id(route: Route, method: str) -> str:
    words = re.findall(r"[A-Za-z]+", route.path.removeprefix("/2")) or ["resources"]
    start = "v2_" if route.path == "/2" else ""
    return f"{method.lower()}_{start}{'_'.join(words)}"


def _describe_parameter(
    declared: QueryParameter, verb: Verb, components: dict[str, Schema]
) -> Schema:
    schema = dict(_QUERY_SCHEMAS[declared.kind])
    if declared is LOCK:
        schema["enum"] = [0]
    if declared.kind is ArgumentType.TEXT and declared is not REASON and isinstance(verb, submits):
        schema = _field_schema(declared, components[verb.opcode.__name__])
    if declared.required and schema.get("type") == "string":
        schema["minLength"] = 1  # an empty text counts as not given
    if declared.default is not None:
        schema["default"] = int(declared.default)
    return {
        "name": declared.name,
        "in": "query",
        "required": declared.required,
        "description": declared.doc,
        "schema": schema,
    }


def _field_schema(declared: QueryParameter, opcode: Schema) -> Schema:
    """Return the schema of the opcode field that a text parameter sets, without null."""
    field = opcode["properties"].get(declared.target, _QUERY_SCHEMAS[ArgumentType.TEXT])
    kinds = [each for each in field.get("anyOf", [field]) if each != {"type": "null"}]
    [kind] = kinds
    return {name: each for name, each in kind.items() if name not in ("default", "description")}


def _body_schema(verb: Verb, route: Route, components: dict[str, Schema]) -> Schema | None:
    if isinstance(verb, asks) and verb.body is not None:
        return _make_optional(dict(components[verb.body.__name__]))
    if not isinstance(verb, submits):
        return None
    if verb.body.__name__ in _BODY_SCHEMAS:
        return _BODY_SCHEMAS[verb.body.__name__]
    schema = copy.deepcopy(components[verb.opcode.__name__])
    properties = schema["properties"]
    hidden = {"OP_ID", "reason", *verb.fixed, *verb.withheld, *route.variables}
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
    return _make_optional(schema)


def _make_optional(schema: Schema) -> Schema:
    """Return the schema of a body, which may be null or missing if it has no required property."""
    schema.pop("title", None)
    return schema if schema["required"] else {**schema, "type": ["object", "null"]}
