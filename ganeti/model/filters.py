# SPDX-License-Identifier: BSD-2-Clause
"""Rules about which jobs may run."""

from __future__ import annotations

from typing import Any

from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line, Value

ACCEPT = "ACCEPT"
PAUSE = "PAUSE"
REJECT = "REJECT"
CONTINUE = "CONTINUE"
RATE_LIMIT = "RATE_LIMIT"

ACTIONS = (ACCEPT, PAUSE, REJECT, CONTINUE)
"""What can be done with a job, besides ``["RATE_LIMIT", n]``."""


class FilterRule(Record):
    """A job filter: jobs that match all ``predicates`` get the ``action``.

    ``watermark`` is the last job id that had been given out when the rule was set.
    """

    uuid: Line
    watermark: Integer
    priority: Integer
    predicates: tuple[tuple[Any, ...], ...]
    action: Any
    reason_trail: tuple[tuple[Value, ...], ...]

    @property
    def place(self) -> tuple[int, int, str]:
        """Rules are tried in the order of this."""
        return self.priority, self.watermark, self.uuid
