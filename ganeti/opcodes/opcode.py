# SPDX-License-Identifier: BSD-2-Clause
"""The base class of opcodes, whose declarations give options, documentation and checks."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from ganeti.schema.host_names import normalize
from ganeti.schema.records import Record, doc
from ganeti.schema.types import Count, Integer, Line, Lines, Priority, Value


class Opcode(Record, tag_field="OP_ID"):
    """A request that a job executes; its class is the only declaration of its parameters.

    ``summary_field`` is the parameter that summaries show. ``host_names`` are parameters that name
    an object by a host name, which is normalized. On the wire an opcode is a JSON object with
    ``OP_ID`` and one key per parameter.
    """

    summary_field: ClassVar[str | None] = None
    host_names: ClassVar[tuple[str, ...]] = ()

    dry_run: Annotated[bool | None, doc("Only check and show the plan; make no changes.")] = None
    debug_level: Annotated[Count | None, doc("Debug level of the job.")] = None
    priority: Annotated[Priority, doc("Priority; lower numbers run earlier.")] = 0
    depends: Annotated[
        tuple[tuple[Integer | Line, tuple[Line, ...]], ...] | None,
        doc(
            "Jobs that must have ended first, each with the accepted final statuses. Negative ids"
            " refer to earlier jobs of the same request."
        ),
    ] = None
    comment: Annotated[Lines | None, doc("Comment that is stored with the job.")] = None
    reason: Annotated[
        tuple[tuple[Value, ...], ...] | None, doc("Reason trail: source, reason and time.")
    ] = ()

    def __post_init__(self) -> None:
        for field in self.host_names:
            # The record is frozen; this runs only during its construction.
            msgspec.structs.force_setattr(self, field, normalize(getattr(self, field)))

    def __repr__(self) -> str:
        return f"<{self.op_id} {self.summary_value}>"

    @property
    def op_id(self) -> str:
        """The name of the opcode on the wire."""
        return op_id(type(self))

    @property
    def summary(self) -> str:
        """The opcode in one line: its name without ``OP_``, and the summary field."""
        about = self.summary_value
        return self.op_id.removeprefix("OP_") + (f"({about})" if about else "")

    @property
    def summary_value(self) -> str:
        if self.summary_field is None:
            return ""
        value = getattr(self, self.summary_field)
        return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def op_id(kind: type[Opcode]) -> str:
    """Return the name of an opcode class on the wire."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


encoder = msgspec.json.Encoder()
