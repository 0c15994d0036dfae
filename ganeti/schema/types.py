# SPDX-License-Identifier: BSD-2-Clause
"""Constrained types of fields; a rule that two fields need has a name here.

No field is a bare ``str`` or ``int``: stored and sent values reach line-based files, environments
of scripts, command lines and the JSON of other software. ``Line`` and ``Integer`` are valid in all
of these; ``tests/schema/test_declarations.py`` has the list of exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta

MAX_INTEGER = 2**53 - 1
"""Larger integers lose precision in some JSON readers (RFC 8259, section 6)."""

# Not $ or \Z at the end: in Python $ also matches before a trailing line feed, and JSON Schema,
# whose regular expressions are those of ECMAScript, does not support \Z.
_END = r"(?![\s\S])"
CONTROL = r"\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029"
"""For character classes: line terminators of any reader, and other control characters.

Tabs are excluded, because arguments of kernels and programs contain them.
"""

ONE_LINE = rf"^[^{CONTROL}]*{_END}"
KEY = rf"^[^{CONTROL}=]+{_END}"
NO_NUL = rf"^[^\x00]*{_END}"
LABEL = rf"^[A-Za-z0-9][A-Za-z0-9._-]*{_END}"
USER_NAME = rf"^[A-Za-z0-9._@+-]+{_END}"
GRANT_SUBJECT = rf"^(group:[^\x00-\x1f\x7f]+|[A-Za-z0-9._@+-]+){_END}"
PRINTABLE_ASCII = rf"^[!-~]+{_END}"
TOKEN_ID = rf"^[0-9a-f]{{16}}{_END}"
SHA256 = rf"^[0-9a-f]{{64}}{_END}"
VERSION = rf"^[0-9]+(\.[0-9A-Za-z.+~_-]+)?{_END}"
BACKUP_ID = rf"^[0-9]{{8}}T[0-9]{{6}}Z-[0-9a-f]{{6}}{_END}"
BACKUP_KEY = rf"^([0-9a-f]{{64}})?{_END}"
CHECKSUM = rf"^(sha256:[0-9a-f]{{64}}|sha512:[0-9a-f]{{128}}){_END}"

RULES: Mapping[str, str] = MappingProxyType(
    {
        ONE_LINE: "must be one line of text without control characters",
        KEY: "must be a name: one line of text without control characters and '='",
        NO_NUL: "must not contain the character NUL",
        LABEL: "must be letters, digits and . _ -, and begin with a letter or digit",
        USER_NAME: "must be letters, digits and . _ @ + -",
        GRANT_SUBJECT: "must be a user name (letters, digits and . _ @ + -), or group:NAME",
        PRINTABLE_ASCII: "must have no spaces and only characters of ASCII",
        TOKEN_ID: "must be the 16 hexadecimal digits of a token; see gnt-access token list",
        VERSION: "must be a version number, such as 1.4.0",
        SHA256: "must be a SHA-256 digest in 64 hexadecimal digits",
        BACKUP_ID: "must be the ID of a backup, such as 20260131T235959Z-0a1b2c",
        BACKUP_KEY: "must be a key in 64 hexadecimal digits, or empty",
        CHECKSUM: "must be sha256: or sha512: and the digest in lower-case hexadecimal digits",
    }
)
"""The rules of the patterns above in words."""

# --- text

Line: TypeAlias = Annotated[str, Meta(pattern=ONE_LINE)]
"""Text without line ends and other control characters; may be empty."""

Lines: TypeAlias = Annotated[str, Meta(pattern=NO_NUL)]
"""Text of several lines, such as a PEM certificate."""

Text: TypeAlias = Annotated[str, Meta(min_length=1, pattern=ONE_LINE)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255, pattern=ONE_LINE)]
InstanceName: TypeAlias = Name
NodeName: TypeAlias = Name
GroupName: TypeAlias = Name
UUID: TypeAlias = Text
Key: TypeAlias = Annotated[str, Meta(pattern=KEY)]
"""The name of a parameter, which becomes a part of a variable name in scripts."""

Tag: TypeAlias = Annotated[str, Meta(pattern=r"^[\w.+*/:@-]+\Z", max_length=128)]

# --- numbers

Integer: TypeAlias = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Long: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that only software with 64-bit integers reads, such as nanoseconds since the epoch."""

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
    Value: TypeAlias = Any  # the code that uses a value knows its type
else:
    # Written out level by level, because msgspec does not support recursive types. A policy needs
    # three levels: a list of ranges, each with its bounds, each with its sizes. Long, because
    # reason trails contain times in nanoseconds.
    _Scalar = bool | Long | Number | Line | None
    _Inner = _Scalar | list[_Scalar] | dict[Key, _Scalar]
    _Middle = _Scalar | list[_Inner] | dict[Key, _Inner]
    Value = _Scalar | list[_Middle] | dict[Key, _Middle]
    """A value whose type only its user knows: any JSON value within the rules above."""

# msgspec reads any JSON value where Any is declared, and rejects object.
JsonValue: TypeAlias = Any
"""Any JSON value in a record: its users check it first."""

Parameters: TypeAlias = dict[Key, Value]
