# SPDX-License-Identifier: BSD-2-Clause
"""Rules about which jobs may run."""

from __future__ import annotations

from typing import Any

from ganeti.schema.records import Record


class FilterRule(Record):
    """A job filter: jobs that match all ``predicates`` get the ``action``."""

    uuid: str
    watermark: int
    priority: int
    predicates: tuple[tuple[Any, ...], ...]
    action: Any
    reason_trail: tuple[tuple[Any, ...], ...]
