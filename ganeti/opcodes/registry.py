# SPDX-License-Identifier: BSD-2-Clause
"""The registry of opcodes by their name on the wire, and their decoding from JSON.

Families are imported on demand, so that a tool that sends one opcode imports one module.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from ganeti.errors import Invalid, Problem
from ganeti.opcodes.opcode import Opcode, op_id
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.parameters import parameters
from ganeti.schema.reading import read

_INSTANCE = (
    *(f"instance.{each}" for each in ("create", "disks", "lifecycle", "modify", "moves")),
    "instance.cloning",
    "instance.snapshots",
    "failover",
)
_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "OP_ACCESS_": ("access",),
    "OP_BACKUP_": ("backup", "backup_repositories"),
    "OP_CLUSTER_": ("cluster", "failover", "placement"),
    "OP_EXT_STORAGE_": ("os",),
    "OP_GROUP_": ("group",),
    "OP_IMAGE_": ("images",),
    "OP_INSTANCE_": _INSTANCE,
    "OP_NETWORK_": ("network",),
    "OP_NODE_": ("node", "failover"),
    "OP_NOTIFICATION_": ("notifications",),
    "OP_OOB_": ("node",),
    "OP_OS_": ("os",),
    "OP_QUERY": ("query",),
    "OP_REPAIR_NODE_": ("node",),
    "OP_RESTRICTED_": ("node",),
    "OP_TAGS_": ("tags",),
    "OP_TEST_": ("test",),
}
"""The modules with the opcodes of each name prefix."""


class _OpcodeRegistry(Mapping[str, type[Opcode]]):
    """The opcode classes by name; iteration imports all modules."""

    def __init__(self) -> None:
        self._known: dict[str, type[Opcode]] = {}

    def __getitem__(self, name: str) -> type[Opcode]:
        if name not in self._known:
            self._load(family for start, family in _FAMILIES.items() if name.startswith(start))
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        self._load(iter(_FAMILIES.values()))
        return iter(sorted(self._known))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _load(self, families: Iterator[tuple[str, ...]]) -> None:
        for family in families:
            for module in family:
                importlib.import_module(f"ganeti.opcodes.{module}")
        self._known.update({op_id(kind): kind for kind in Opcode.__subclasses__()})


OPCODES: Mapping[str, type[Opcode]] = _OpcodeRegistry()


def read_opcode(document: Any, *, lax: bool = False) -> Opcode:
    """Return the opcode in ``document``, decoded from JSON, which ``OP_ID`` selects.

    ``lax`` converts text to numbers and truth values, and the numbers 0 and 1 to truth values.

    :raises Invalid: with every problem of the document, each with its path.
    """
    if not isinstance(document, Mapping):
        raise Invalid("an opcode must be a JSON object")
    return read(_get_class(document.get("OP_ID")), document, lax=lax)


def find_unsupported_parameters(opcode: Opcode) -> list[Problem]:
    """Return a problem for each unsupported parameter of ``opcode``, with the alternative.

    This is not part of decoding, because stored jobs must stay readable.
    """
    return [
        Problem(name, f"is not supported by this version: {instead}")
        for name, default, instead in _list_unsupported(type(opcode))
        # False and empty values request nothing.
        if (value := getattr(opcode, name)) and value != default
    ]


@cache
def _list_unsupported(kind: type[Opcode]) -> tuple[tuple[str, Any, str], ...]:
    return tuple(
        (each.name, each.default, each.extra["instead"])
        for each in parameters(kind)
        if "instead" in each.extra
    )


def decode_opcode(raw: bytes | msgspec.Raw) -> Opcode:
    """Return the opcode in the JSON text ``raw``.

    :raises Invalid: with every problem of the document.
    """
    try:
        kind = OPCODES.get(_head_decoder.decode(raw).OP_ID)
        if kind is not None:
            return _decoder(kind).decode(raw)
    except UNREADABLE:
        pass  # decoded again below, to find all problems
    try:
        document = msgspec.json.decode(raw)
    except UNREADABLE as e:
        raise Invalid(f"not JSON: {e}") from None
    return read_opcode(document)


def decode_opcodes(raw: bytes | msgspec.Raw) -> tuple[Opcode, ...]:
    """Return the opcodes in ``raw``, the JSON text of a list of them.

    :raises Invalid: with every problem of every opcode; paths start with its index in the list.
    """
    try:
        written = _raw_decoder.decode(raw)
    except UNREADABLE as e:
        raise Invalid(f"must be a list of opcodes: {e}") from None
    found: list[Opcode] = []
    wrong: list[Problem] = []
    for number, each in enumerate(written):
        try:
            found.append(decode_opcode(each))
        except Invalid as e:
            wrong += _add_path(e.problems, f"{number}." if len(written) > 1 else "")
    if wrong:
        raise Invalid(wrong)
    return tuple(found)


def _add_path(problems: Sequence[Problem], where: str) -> list[Problem]:
    return [Problem((where + each.path).rstrip("."), each.message) for each in problems]


def _get_class(name: object) -> type[Opcode]:
    if name is None:
        raise Invalid([Problem("OP_ID", "is required")])
    kind = OPCODES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise Invalid([Problem("OP_ID", f"unknown opcode {name}")])
    return kind


class _Head(msgspec.Struct):
    """The part of an opcode that identifies its class."""

    OP_ID: str = ""


_head_decoder = msgspec.json.Decoder(_Head)
_raw_decoder = msgspec.json.Decoder(list[msgspec.Raw])


@cache
def _decoder(kind: type[Opcode]) -> msgspec.json.Decoder[Opcode]:
    return msgspec.json.Decoder(kind)
