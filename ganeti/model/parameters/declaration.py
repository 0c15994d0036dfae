# SPDX-License-Identifier: BSD-2-Clause
"""How a kind of parameters is declared: a record whose defaults hold where nothing is set."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeAlias

import msgspec
from msgspec import Meta

from ganeti.errors import Problem
from ganeti.schema.records import Record, doc
from ganeti.schema.types import CONTROL, MAX_INTEGER, Line


class ParameterSet(Record):
    """Parameters of one kind, all filled in.

    ``aliases`` are older names, each with the parameters that it sets. ``immediate`` are those that
    are no part of a guest: they take effect at once, the others when it is started the next time.
    """

    aliases: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    immediate: ClassVar[frozenset[str]] = frozenset()

    def conflicts(self) -> list[Problem]:
        """What does not go together, each under the parameter that should be changed."""
        return []


@functools.cache
def defaults(kind: type[ParameterSet]) -> Mapping[str, Any]:
    """The names and values that hold where nothing is set."""
    return MappingProxyType(plain(kind()))


def plain(value: Any) -> Any:
    """``value`` as it comes back from JSON, so that what is set is the same before and after."""
    return msgspec.json.decode(msgspec.json.encode(value))


def shared(text: str) -> Meta:
    """Like ``doc``, for what can only be set for all guests or nodes together."""
    return doc(text, shared=True)


def unsupported(text: str) -> Meta:
    """Like ``doc``, for what existing clusters know and nothing here does: only its default can be
    set, so that nobody believes that another value had an effect.
    """
    return doc(text, supported=False)


Size: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INTEGER, extra={"unit": "MiB"})]
"""MiB; users may write a unit behind it."""

ShellWords: TypeAlias = Annotated[Line, Meta(extra={"shell": True})]
"""Arguments of a program in a shell's quoting."""

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
