# SPDX-License-Identifier: BSD-2-Clause
"""Job filter rules."""

from __future__ import annotations

from ganeti.schema.records import Record
from ganeti.schema.types import Integer, JsonValue, Line, Value

ACCEPT = "ACCEPT"
PAUSE = "PAUSE"
REJECT = "REJECT"
CONTINUE = "CONTINUE"
RATE_LIMIT = "RATE_LIMIT"

ACTIONS = (ACCEPT, PAUSE, REJECT, CONTINUE)
"""The actions of a rule, besides ``["RATE_LIMIT", n]``."""


class FilterRule(Record):
    """A job filter: ``action`` applies to jobs that match all ``predicates``.

    ``watermark`` is the highest job id that was assigned when the rule was created.
    """

    uuid: Line
    watermark: Integer
    priority: Integer
    predicates: tuple[tuple[JsonValue, ...], ...]
    action: JsonValue
    reason_trail: tuple[tuple[Value, ...], ...]

    @property
    def place(self) -> tuple[int, int, str]:
        """The sort key that gives the order in which rules apply."""
        return self.priority, self.watermark, self.uuid
