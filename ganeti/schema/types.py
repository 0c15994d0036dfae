# SPDX-License-Identifier: BSD-2-Clause
"""The constrained types that fields share; a rule that two fields need has its name here.

No field is a bare ``str`` or ``int``: what is stored or sent reaches files with an item a line,
environments of scripts, command lines and other software's JSON. ``Line`` and ``Integer`` are what
all of these can hold; ``tests/schema/test_declarations.py`` keeps the list of exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta

MAX_INTEGER = 2**53 - 1
"""Larger numbers are not the same to every reader of JSON (RFC 8259, section 6)."""

# Not $ or \Z at the end: to Python $ also matches before a last line feed, and JSON Schema, whose
# regular expressions are those of ECMAScript, does not know \Z.
_END = r"(?![\s\S])"
CONTROL = r"\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029"
"""Inside brackets: what ends a line or a text for some reader, and other control characters.

Tabs are none of them: arguments of kernels and programs have them.
"""

ONE_LINE = rf"^[^{CONTROL}]*{_END}"
KEY = rf"^[^{CONTROL}=]+{_END}"
NO_NUL = rf"^[^\x00]*{_END}"

RULES: Mapping[str, str] = MappingProxyType(
    {
        ONE_LINE: "must be one line of text without control characters",
        KEY: "must be a name: one line of text without control characters and '='",
        NO_NUL: "must not contain the character NUL",
    }
)
"""What the patterns above ask for, in words."""

# --- text

Line: TypeAlias = Annotated[str, Meta(pattern=ONE_LINE)]
"""Any text without line ends and other control characters; may be empty."""

Lines: TypeAlias = Annotated[str, Meta(pattern=NO_NUL)]
"""Text of several lines, such as a certificate in PEM."""

Text: TypeAlias = Annotated[str, Meta(min_length=1, pattern=ONE_LINE)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255, pattern=ONE_LINE)]
InstanceName: TypeAlias = Name
NodeName: TypeAlias = Name
GroupName: TypeAlias = Name
UUID: TypeAlias = Text
Key: TypeAlias = Annotated[str, Meta(pattern=KEY)]
"""The name of a parameter, which becomes a part of a variable's name in scripts."""

Tag: TypeAlias = Annotated[str, Meta(pattern=r"^[\w.+*/:@-]+\Z", max_length=128)]

# --- numbers

Integer: TypeAlias = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Long: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that only software of this kind reads, such as nanoseconds since the epoch."""

Number: TypeAlias = Annotated[float, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Positive: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
Seconds: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INTEGER, description="seconds")]
MiB: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INTEGER, description="MiB")]
DiskIndex: TypeAlias = Annotated[int, Meta(ge=0, lt=16)]
Priority: TypeAlias = Annotated[int, Meta(ge=-20, le=19)]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]

# --- values of no single type

if TYPE_CHECKING:
    Value: TypeAlias = Any  # whoever uses such a value knows its type
else:
    # Spelt out level by level, as msgspec knows no recursive types. Three levels are what a policy
    # takes: a list of ranges, each with its bounds, each with its sizes.
    # Long, because the times in reason trails are in nanoseconds.
    _Scalar = bool | Long | Number | Line | None
    _Inner = _Scalar | list[_Scalar] | dict[Key, _Scalar]
    _Middle = _Scalar | list[_Inner] | dict[Key, _Inner]
    Value = _Scalar | list[_Middle] | dict[Key, _Middle]
    """A value whose type is known to its user only: what JSON can hold, within the rules above."""

Parameters: TypeAlias = dict[Key, Value]
