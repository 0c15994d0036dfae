# SPDX-License-Identifier: BSD-2-Clause
"""The fields of a job filter, and its action as text."""

from __future__ import annotations

from ganeti.cli.options import whole
from ganeti.model.filters import ACTIONS, RATE_LIMIT

FIELDS = ("uuid", "watermark", "priority", "predicates", "action", "reason_trail")


def parse_action(text: str) -> object:
    """Parse the action of a filter: a word, or ``RATE_LIMIT n``."""
    if text in ACTIONS:
        return text
    match text.split():
        case [word, number] if word == RATE_LIMIT:
            return [RATE_LIMIT, whole(number)]
    raise ValueError(f"must be one of {', '.join(ACTIONS)}, or '{RATE_LIMIT} n'")


def format_action(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
