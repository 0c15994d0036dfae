# SPDX-License-Identifier: BSD-2-Clause
"""Job filters: the rules about which jobs may run."""

from __future__ import annotations

from collections.abc import Iterable

from ganeti.errors import Code, Refused
from ganeti.model.filters import FilterRule
from ganeti.query.fields import Field, FieldType, Table
from ganeti.views.snapshot import ClusterSnapshot

F = Field[FilterRule]

FILTERS: Table[FilterRule] = Table(
    (
        F("uuid", "UUID", FieldType.TEXT, "The rule's UUID.", lambda rule: rule.uuid),
        F(
            "watermark",
            "Watermark",
            FieldType.NUMBER,
            "The last job before it.",
            lambda r: r.watermark,
        ),
        F(
            "priority",
            "Priority",
            FieldType.NUMBER,
            "Lower rules decide first.",
            lambda r: r.priority,
        ),
        F(
            "predicates",
            "Predicates",
            FieldType.OTHER,
            "What a job must be like for the rule to apply.",
            lambda rule: rule.predicates,
        ),
        F(
            "action",
            "Action",
            FieldType.OTHER,
            "What becomes of the job.",
            lambda rule: rule.action,
        ),
        F(
            "reason_trail",
            "ReasonTrail",
            FieldType.OTHER,
            "Who made the rule, why and when.",
            lambda rule: rule.reason_trail,
        ),
    ),
    key="uuid",
)


def rows(moment: ClusterSnapshot, uuids: Iterable[str] | None = None) -> list[FilterRule]:
    """All rules in the order in which they decide, or those of these UUIDs in the order given.

    :raises Refused: there is no rule of one of the UUIDs.
    """
    rules = moment.state.filters
    if uuids is None:
        return sorted(rules.values(), key=lambda rule: rule.place)
    found = []
    for uuid in uuids:
        if uuid not in rules:
            raise Refused(f"there is no job filter {uuid}; see gnt-filter list", Code.UNKNOWN)
        found.append(rules[uuid])
    return found
