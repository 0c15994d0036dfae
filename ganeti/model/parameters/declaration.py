# SPDX-License-Identifier: BSD-2-Clause
"""The base class and field types for declarations of parameters."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from ganeti.errors import Problem, Refused
from ganeti.schema.records import Record, doc
from ganeti.schema.types import CONTROL, MAX_INTEGER, Line, Value


class ParameterSet(Record):
    """Parameters of one kind, all filled in; field defaults apply where no level sets a value.

    ``aliases`` maps older names to the parameters that each sets. ``immediate`` has the parameters
    that take effect at once; changes of the others wait for the guest's next start.
    """

    aliases: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    immediate: ClassVar[frozenset[str]] = frozenset()

    def conflicts(self) -> list[Problem]:
        """Return contradictions between values, each under the parameter to be changed."""
        return []


P = TypeVar("P", bound=ParameterSet)


@functools.cache
def defaults(kind: type[ParameterSet]) -> Mapping[str, Any]:
    """Return the built-in default of each parameter."""
    return MappingProxyType(plain(kind()))


@functools.cache
def _names(kind: type[ParameterSet]) -> frozenset[str]:
    return frozenset(each.encode_name for each in msgspec.structs.fields(kind))


def to_record(kind: type[P], filled: Mapping[str, Value], whose: str) -> P:
    """Return effective parameters as a record, without those of other software.

    :raises Refused: the configuration of ``whose`` has an invalid value, as only a file that was
        edited or imported can.
    """
    known = {name: value for name, value in filled.items() if name in _names(kind)}
    try:
        return msgspec.convert(known, kind, strict=False)
    except msgspec.ValidationError as e:
        raise Refused(
            f"the configuration of {whose} has an invalid parameter: {e}; set it again"
        ) from None


def plain(value: object) -> Any:
    """Return ``value`` in JSON types, so that it compares equal to a value read from disk."""
    return msgspec.json.decode(msgspec.json.encode(value))


def shared(text: str) -> Meta:
    """Document a parameter that can only be set for the whole cluster."""
    return doc(text, shared=True)


def unsupported(text: str, why: str = "") -> Meta:
    """Document a parameter of existing clusters that this version does not implement.

    Only its default is accepted: any other value would have no effect. ``why`` is part of the
    refusal: the reason, and what to do instead.
    """
    return doc(text, supported=False, why=why)


Size: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INTEGER, extra={"unit": "MiB"})]
"""A size in MiB; user input may have a unit suffix."""

ShellWords: TypeAlias = Annotated[Line, Meta(extra={"shell": True})]
"""Program arguments with shell quoting."""

AbsolutePath: TypeAlias = Annotated[
    str,
    Meta(pattern=rf"\A(/[^{CONTROL}]*)?\Z", extra={"rule": "must be an absolute path, or empty"}),
]
RequiredPath: TypeAlias = Annotated[
    str, Meta(pattern=rf"\A/[^{CONTROL}]+\Z", extra={"rule": "must be an absolute path"})
]
Image: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"\A(/[^{CONTROL}]*|[a-z]+://[^{CONTROL}]+)?\Z",
        extra={"rule": "must be an absolute path or a URL, or empty"},
    ),
]
