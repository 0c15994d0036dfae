# SPDX-License-Identifier: BSD-2-Clause
"""What the info commands print is YAML that parses to what was meant."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.yaml_output import with_roman_numerals, yaml_lines

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["-", "a: b: c", "yes", "None", "52:54:00:12:34:56", "1e3", "0x1f", "# no", "a #b", "=", "..."]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, width=32) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


class _WithoutDates(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no annotations
    """Reads dates as text, as they are printed from text."""


_WithoutDates.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parsed(value: Any) -> Any:
    """What a parser makes of the lines."""
    return yaml.load("\n".join(yaml_lines(value)), _WithoutDates)


def blanked(value: Any) -> Any:
    """The value with everything empty as nothing, which is how it is printed."""
    match value:
        case dict() | list() | "" if not value:
            return None
        case dict():
            return {name: blanked(inner) for name, inner in value.items()}
        case list():
            return [blanked(inner) for inner in value]
    return value


class LinesTests(SynchronousTestCase):
    @given(VALUES)
    def test_a_parser_reads_what_was_meant(self, value: Any) -> None:
        self.assertEqual(parsed(value), blanked(value))

    def test_people_can_read_it(self) -> None:
        value = {
            "Name": "web1",
            "Up": True,
            "Port": None,
            "MAC": "52:54:00:12:34:56",
            "Created": "2026-11-29 15:00:00",
            "Tags": [],
            "Memory": {"min": 1, "max": 2.5},
            "Disks": [{"disk/0": "file, size 1.0G", "mode": "rw"}, [1, 2], {}],
        }
        self.assertEqual(
            list(yaml_lines(value)),
            [
                "Name: web1",
                "Up: True",
                "Port:",
                "MAC: '52:54:00:12:34:56'",
                "Created: 2026-11-29 15:00:00",
                "Tags:",
                "Memory:",
                "  min: 1",
                "  max: 2.5",
                "Disks:",
                "  - disk/0: file, size 1.0G",
                "    mode: rw",
                "  - - 1",
                "    - 2",
                "  -",
            ],
        )

    def test_whole_numbers_may_be_roman(self) -> None:
        value = {"a": [1, 4, 1994, 4000, 0, True, 1.5], "b": "7"}
        shown = {"a": ["I", "IV", "MCMXCIV", 4000, 0, True, 1.5], "b": "7"}
        self.assertEqual(with_roman_numerals(value), shown)
