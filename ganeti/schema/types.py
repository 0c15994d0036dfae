# SPDX-License-Identifier: BSD-2-Clause
"""The constrained types that fields share; a rule that two fields need has its name here."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta

Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
InstanceName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
NodeName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
GroupName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
UUID: TypeAlias = Annotated[str, Meta(min_length=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Seconds: TypeAlias = Annotated[int, Meta(ge=0, description="seconds")]
MiB: TypeAlias = Annotated[int, Meta(ge=0, description="MiB")]
DiskIndex: TypeAlias = Annotated[int, Meta(ge=0, lt=16)]
Priority: TypeAlias = Annotated[int, Meta(ge=-20, le=19)]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Tag: TypeAlias = Annotated[str, Meta(pattern=r"^[\w.+*/:@-]+\Z", max_length=128)]
Parameters: TypeAlias = dict[str, Any]
