# SPDX-License-Identifier: BSD-2-Clause
"""What two answers to the same request have in common, and where they differ.

Documents are compared flat: as a table from a path like ``nodes[].name`` to the types and the
values that are found there, so that lists may be of any order and length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NOTHING_THERE = "–"
"""What stands for something that only the other side has."""

_PATTERNS = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "<mac>"),
)

OWN = frozenset(
    # Identifiers, times and counters.
    ("uuid", "id", "serial_no", "ctime", "mtime", "received_ts", "start_ts", "end_ts")
) | {
    # What the hosts of the two clusters have.
    *("dtotal", "dfree", "mtotal", "mnode", "mfree", "ctotal", "cnodes", "csockets", "cnos"),
    *("sptotal", "spfree", "pip", "sip", "secondary_ip", "software_version", "vcs_version"),
    *("mac_prefix", "volume_group_name", "vg_name", "primary_ip", "map"),
    *("network_port", "port", "reason", "reason_trail", "watermark", "file_storage_dir"),
    *("shared_file_storage_dir", "gluster_storage_dir", "master_netdev", "file_storage_paths"),
    *("depends", "handshake", "x509_key_name", "x509_ca"),
    # Texts for people.
    *("doc", "message", "explain"),
}
"""Keys below which only types are compared, and whole numbers are numbers."""


@dataclass(frozen=True)
class Difference:
    """One thing that two servers answer differently."""

    request: str
    aspect: str
    theirs: str
    ours: str
    note: str = ""
    """What both say about it."""


def named(value: Any, names: Mapping[str, str]) -> Any:
    """A document with the names of a cluster's own replaced, the longest first.

    Names of one word are replaced only where they stand alone.
    """
    if isinstance(value, str):
        if value in names:
            return names[value]
        for name in sorted(names, key=len, reverse=True):
            value = value.replace(name, names[name]) if "." in name else value
        for pattern, word in _PATTERNS:
            value = pattern.sub(word, value)
        return value
    if isinstance(value, list):
        return [named(each, names) for each in value]
    if isinstance(value, dict):
        return {named(key, names): named(each, names) for key, each in value.items()}
    return value


Flat = dict[str, list[Any]]
"""What is found at each path; of lists and objects only that they are there."""


def flat(value: Any, path: str = "") -> Flat:
    """A document as a table from paths to what is found there."""
    found: Flat = {}
    for where, each in _walk(value, path):
        found.setdefault(where, []).append(each)
    return found


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield path, {}
        for key, each in value.items():
            yield from _walk(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield path, []
        for each in value:
            yield from _walk(each, f"{path}[]")
    else:
        yield path, value


def kind_of(value: Any) -> str:
    """What JSON calls a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
    return "object"


def short(value: Any, length: int = 60) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def compare(theirs: Any, ours: Any, apart: Container[str] = ()) -> Iterator[tuple[str, str, str]]:
    """Where two documents differ but for what is below ``apart``: the aspect, and what each has."""
    left, right = flat(theirs), flat(ours)
    for path in sorted(left.keys() | right.keys()):
        words = _words(path)
        if any(word in apart for word in words):
            continue
        if path in left and path in right:
            yield from _at(path or "the answer", left[path], right[path], not OWN.isdisjoint(words))
        elif _first_missing(path, left, right):
            told = short((left.get(path) or right[path])[0])
            sides = (told, NOTHING_THERE) if path in left else (NOTHING_THERE, told)
            yield f"field {path}", *sides


def _first_missing(path: str, left: Flat, right: Flat) -> bool:
    """Whether something is missing where both have the same kind of what it would be part of."""
    parent = _parent(path)
    if path.endswith("[]") and not OWN.isdisjoint(_words(path)):
        return False
    kinds = [_kinds(side.get(parent, []), own=False) for side in (left, right)]
    return bool(kinds[0]) and kinds[0] == kinds[1]


def _parent(path: str) -> str:
    return path[:-2] if path.endswith("[]") else path.rpartition(".")[0]


def _words(path: str) -> list[str]:
    return re.split(r"[.\[\]]+", path)


def _at(path: str, left: list[Any], right: list[Any], own: bool) -> Iterator[tuple[str, str, str]]:
    types = [_kinds(side, own) for side in (left, right)]
    if types[0] != types[1]:
        yield f"type of {path}", types[0], types[1]
    elif not own:
        values = [_values(side) for side in (left, right)]
        if values[0] != values[1]:
            yield f"value of {path}", short(values[0]), short(values[1])


def _kinds(found: list[Any], own: bool) -> str:
    kinds = {kind_of(each) for each in found}
    if own:
        kinds = {"number" if kind == "integer" else kind for kind in kinds}
    return " or ".join(sorted(kinds))


def _values(found: list[Any]) -> str:
    return ", ".join(
        sorted({json.dumps(each) for each in found if not isinstance(each, dict | list)})
    )
