# SPDX-License-Identifier: BSD-2-Clause
"""The fields of job filters."""

from __future__ import annotations

from collections.abc import Iterable

from ganeti.errors import Code, Refused
from ganeti.model.filters import FilterRule
from ganeti.query.fields import Field, FieldType, Table
from ganeti.views.snapshot import ClusterSnapshot

F = Field[FilterRule]

FILTERS: Table[FilterRule] = Table(
    (
        F("uuid", "UUID", FieldType.TEXT, "The UUID of the filter.", lambda rule: rule.uuid),
        F(
            "watermark",
            "Watermark",
            FieldType.NUMBER,
            "The ID of the last job before the filter was set.",
            lambda r: r.watermark,
        ),
        F(
            "priority",
            "Priority",
            FieldType.NUMBER,
            "The order of the filters: lower numbers are applied first.",
            lambda r: r.priority,
        ),
        F(
            "predicates",
            "Predicates",
            FieldType.OTHER,
            "The conditions that a job must meet.",
            lambda rule: rule.predicates,
        ),
        F(
            "action",
            "Action",
            FieldType.OTHER,
            "What to do with a job that matches.",
            lambda rule: rule.action,
        ),
        F(
            "reason_trail",
            "ReasonTrail",
            FieldType.OTHER,
            "Who set the filter, why and when.",
            lambda rule: rule.reason_trail,
        ),
    ),
    key="uuid",
)


def rows(moment: ClusterSnapshot, uuids: Iterable[str] | None = None) -> list[FilterRule]:
    """Return all filters in the order of application, or those with these UUIDs in the given order.

    :raises Refused: if there is no filter with one of the UUIDs.
    """
    rules = moment.state.filters
    if uuids is None:
        return sorted(rules.values(), key=lambda rule: rule.place)
    found = []
    for uuid in uuids:
        if uuid not in rules:
            raise Refused(f"job filter {uuid} does not exist; see gnt-filter list", Code.UNKNOWN)
        found.append(rules[uuid])
    return found
