# SPDX-License-Identifier: BSD-2-Clause
"""What a request says besides its path: parameters of the query, and a JSON body."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ganeti.errors import Invalid, Problem
from ganeti.rapi.problems import HttpProblem
from ganeti.schema.documents import MAX_DEPTH, UNREADABLE, nests_too_deep

MAX_PARAMETERS = 1000


class ArgumentType(enum.Enum):
    """What the text of a query parameter stands for."""

    FLAG = "0 or 1"
    NUMBER = "a number"
    TEXT = "text"
    WORDS = "words with commas between"
    MANY = "text, as often as needed"


@dataclass(frozen=True)
class QueryParameter:
    """A parameter of the query; ``field`` is what it is called inside."""

    name: str
    kind: ArgumentType
    doc: str
    field: str = ""
    required: bool = False
    default: Any = None
    """What it is if it is not given; None leaves it out."""

    @property
    def target(self) -> str:
        return self.field or self.name


REASON = QueryParameter("reason", ArgumentType.TEXT, "Why this is done; kept with the job.")
DRY_RUN = QueryParameter("dry-run", ArgumentType.FLAG, "Only check and show the plan.", "dry_run")
BULK = QueryParameter("bulk", ArgumentType.FLAG, "Show details of each, not only names.")
LOCK = QueryParameter("lock", ArgumentType.FLAG, "Questions never take locks; only 0 is accepted.")


def query_of(query: str) -> Mapping[str, Sequence[str]]:
    """The parameters of the query of an address, decoded.

    :raises Invalid: it cannot be decoded.
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
        raise Invalid(f"the query cannot be read: {e}") from None


def values_of(
    parameters: Iterable[QueryParameter], query: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Any], list[Problem]]:
    """The values of the declared ``parameters``, by field, and what is wrong with the query.

    A parameter without a value counts as not given, as with existing servers.
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
            values[parameter.target] = _READ[parameter.kind](texts)
        except ValueError as e:
            problems.append(Problem(parameter.name, str(e)))
    problems += [Problem(name, "unknown parameter") for name in query if name not in known]
    return values, problems


def _one(texts: Sequence[str]) -> str:
    if len(texts) != 1:
        raise ValueError("is given more than once")
    return texts[0]


def _flag(texts: Sequence[str]) -> bool:
    text = _one(texts)
    if text not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return text == "1"


def _number(texts: Sequence[str]) -> int:
    text = _one(texts)
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ValueError("must be a number")
    return int(text)


def _words(texts: Sequence[str]) -> list[str]:
    return [word.strip() for word in _one(texts).split(",") if word.strip()]


_READ: Mapping[ArgumentType, Callable[[Sequence[str]], Any]] = {
    ArgumentType.FLAG: _flag,
    ArgumentType.NUMBER: _number,
    ArgumentType.TEXT: _one,
    ArgumentType.WORDS: _words,
    ArgumentType.MANY: list,
}


def body_of(content: bytes, content_type: str) -> Any:
    """The body as decoded from JSON; None if there is none.

    :raises Problematic: it is not sent as JSON.
    :raises Invalid: it is not JSON, or nests too deeply.
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
        raise Invalid(f"the body nests more than {MAX_DEPTH} levels")
    try:
        return msgspec.json.decode(content)
    except UNREADABLE as e:
        raise Invalid(f"the body is not JSON: {e}") from None


def object_of(body: Any) -> dict[str, Any]:
    """The body as an object; empty if there is none.

    :raises Invalid: it is something else.
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
