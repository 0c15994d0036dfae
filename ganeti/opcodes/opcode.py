# SPDX-License-Identifier: BSD-2-Clause
"""The declaration that everything else about a request is read from."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from ganeti.schema.host_names import normalized
from ganeti.schema.records import Record, doc
from ganeti.schema.types import Count, Integer, Line, Lines, Priority, Value


class Opcode(Record, tag_field="OP_ID"):
    """A request to the cluster; its class is the single declaration of its parameters.

    ``summary_field`` names the parameter that one-line summaries show; ``host_names`` those that
    give an object a host name, which is kept in one form however it is written. On the wire an
    opcode is a JSON object with ``OP_ID`` and one key per parameter.
    """

    summary_field: ClassVar[str | None] = None
    host_names: ClassVar[tuple[str, ...]] = ()

    dry_run: Annotated[bool | None, doc("Only check and show the plan; change nothing.")] = None
    debug_level: Annotated[Count | None, doc("How much the job logs.")] = None
    priority: Annotated[Priority, doc("Lower numbers run earlier.")] = 0
    depends: Annotated[
        tuple[tuple[Integer | Line, tuple[Line, ...]], ...] | None,
        doc(
            "Jobs that must have ended, each with the final statuses that will do. Negative ids"
            " count back within one request for several jobs."
        ),
    ] = None
    comment: Annotated[Lines | None, doc("Free text, kept with the job.")] = None
    reason: Annotated[
        tuple[tuple[Value, ...], ...] | None, doc("Who asked, why and when: the reason trail.")
    ] = ()

    def __post_init__(self) -> None:
        for field in self.host_names:
            # The record is frozen for everybody else.
            msgspec.structs.force_setattr(self, field, normalized(getattr(self, field)))

    def __repr__(self) -> str:
        return f"<{self.op_id} {self.summary_value}>"

    @property
    def op_id(self) -> str:
        """The name of the opcode on the wire."""
        return op_id(type(self))

    @property
    def summary(self) -> str:
        """The opcode in a line: its name without ``OP_`` and what it is about."""
        about = self.summary_value
        return self.op_id.removeprefix("OP_") + (f"({about})" if about else "")

    @property
    def summary_value(self) -> str:
        if self.summary_field is None:
            return ""
        value = getattr(self, self.summary_field)
        return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def op_id(kind: type[Opcode]) -> str:
    """The name of an opcode class on the wire."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


encoder = msgspec.json.Encoder()
