# SPDX-License-Identifier: BSD-2-Clause
"""The arguments of a request besides its path: query parameters and a JSON body."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qs

import msgspec

from ganeti.errors import Invalid, Problem
from ganeti.rapi.problems import HttpProblem
from ganeti.schema.documents import MAX_DEPTH, UNREADABLE, nests_too_deep

MAX_PARAMETERS = 1000


class ArgumentType(enum.Enum):
    """How the text of a query parameter is parsed."""

    FLAG = "0 or 1"
    NUMBER = "a number"
    TEXT = "text"
    WORDS = "words separated by commas"
    MANY = "text; may be repeated"


# The ``ArgumentType`` of a parameter decides about the type of its value.
QueryValues: TypeAlias = dict[str, Any]
"""The values of query parameters that were given, by the fields that they set."""


@dataclass(frozen=True)
class QueryParameter:
    """A query parameter; ``field`` is the field that it sets, if its name differs."""

    name: str
    kind: ArgumentType
    doc: str
    field: str = ""
    required: bool = False
    default: int | None = None
    """The value if the parameter is not given; None leaves the field out."""

    @property
    def target(self) -> str:
        return self.field or self.name


REASON = QueryParameter(
    "reason", ArgumentType.TEXT, "The reason for the request; it is recorded with the job."
)
DRY_RUN = QueryParameter(
    "dry-run", ArgumentType.FLAG, "Only check the request and return the plan.", "dry_run"
)
PLAN = QueryParameter(
    "plan", ArgumentType.FLAG, "Return what the job would do, and submit nothing."
)
BULK = QueryParameter(
    "bulk", ArgumentType.FLAG, "Return the details of each object, not only its name."
)
LOCK = QueryParameter(
    "lock",
    ArgumentType.FLAG,
    "Accepted for compatibility: queries take no locks; only 0 is allowed.",
)


def parse_tags(headers: Sequence[bytes]) -> tuple[str, ...]:
    """Return the entity tags in headers ``If-None-Match`` (RFC 9110 section 13.1.2).

    They are compared weakly, and ``*`` is no tag: it would be true for every answer.
    """
    found = [tag for line in headers for tag in _ENTITY_TAG.findall(line.decode("latin-1"))]
    return tuple(found[:MAX_ENTITY_TAGS])


_ENTITY_TAG = re.compile(r'(?:W/)?"([!#-~]*)"')

MAX_ENTITY_TAGS = 16
"""Maximum number of tags that are looked at; clients send one for each content that they have."""


def parse_query(query: str) -> Mapping[str, Sequence[str]]:
    """Parse the query of a URL.

    :raises Invalid: if it is malformed, or has too many parameters.
    """
    if not query:
        return {}
    try:
        return parse_qs(
            query,
            keep_blank_values=True,
            max_num_fields=MAX_PARAMETERS,
            errors="strict",
        )
    except ValueError as e:
        raise Invalid(f"malformed query: {e}") from None


def parse_parameters(
    parameters: Iterable[QueryParameter], query: Mapping[str, Sequence[str]]
) -> tuple[QueryValues, list[Problem]]:
    """Return the values of the declared ``parameters`` by field, and the problems of the query.

    A parameter with an empty value counts as not given, as with Ganeti.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    known = set()
    for parameter in parameters:
        known.add(parameter.name)
        texts = [text for text in query.get(parameter.name, ()) if text]
        if not texts:
            if parameter.required:
                problems.append(Problem(parameter.name, "is required"))
            if parameter.default is not None:
                values[parameter.target] = parameter.default
            continue
        try:
            values[parameter.target] = _PARSERS[parameter.kind](texts)
        except ValueError as e:
            problems.append(Problem(parameter.name, str(e)))
    problems += [Problem(name, "unknown parameter") for name in query if name not in known]
    return values, problems


def _parse_text(texts: Sequence[str]) -> str:
    if len(texts) != 1:
        raise ValueError("is given more than once")
    return texts[0]


def _parse_flag(texts: Sequence[str]) -> bool:
    text = _parse_text(texts)
    if text not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return text == "1"


def _parse_number(texts: Sequence[str]) -> int:
    text = _parse_text(texts)
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ValueError("must be a number")
    return int(text)


def _parse_words(texts: Sequence[str]) -> list[str]:
    return [word.strip() for word in _parse_text(texts).split(",") if word.strip()]


_PARSERS: Mapping[ArgumentType, Callable[[Sequence[str]], object]] = {
    ArgumentType.FLAG: _parse_flag,
    ArgumentType.NUMBER: _parse_number,
    ArgumentType.TEXT: _parse_text,
    ArgumentType.WORDS: _parse_words,
    ArgumentType.MANY: list,
}


def parse_body(content: bytes, content_type: str) -> object:
    """Decode a JSON body; return None if there is none.

    :raises HttpProblem: if the content type is not JSON in UTF-8.
    :raises Invalid: if it is not valid JSON, or nested too deeply.
    """
    if not content:
        return None
    kind, _, parameters = content_type.lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    if kind.strip() != "application/json" or charset not in ("", "charset=utf-8"):
        raise HttpProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "send the body as JSON in UTF-8, with the header Content-Type: application/json",
        )
    if nests_too_deep(content):
        raise Invalid(f"the body is nested more than {MAX_DEPTH} levels deep")
    try:
        return msgspec.json.decode(content)
    except UNREADABLE as e:
        raise Invalid(f"the body is not valid JSON: {e}") from None


def require_object(body: object) -> dict[str, Any]:
    """Return the body, which must be an object; an empty object if there is none.

    :raises Invalid: if it is something else.
    """
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise Invalid("the body must be a JSON object")
    return body


def refuse(problems: Sequence[Problem]) -> None:
    """Raise ``Invalid`` with the problems, if there are any."""
    if problems:
        raise Invalid(problems)
