# SPDX-License-Identifier: BSD-2-Clause
"""Policies are given in parts, shown as options that can be given again, and reset by a word."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.ipolicy_options import (
    CLUSTER_OPTIONS,
    GROUP_OPTIONS,
    SPECS,
    STANDARD,
    format_options,
    older,
    policy,
)
from ganeti.cli.options import parse
from ganeti.cli.session import ExitTool
from tests.cli.terminal import arguments


class PolicyTests(SynchronousTestCase):
    def policy(self, *words: str) -> dict[str, Any]:
        return policy(arguments(**parse(CLUSTER_OPTIONS, words)[0]))

    def test_only_parts_that_are_given_are_changed(self) -> None:
        self.assertEqual(self.policy(), {})
        self.assertEqual(self.policy("--ipolicy-vcpu-ratio", "4"), {"vcpu-ratio": 4.0})
        self.assertEqual(self.policy("--ipolicy-spindle-ratio", "2.5"), {"spindle-ratio": 2.5})
        found = self.policy("--ipolicy-disk-templates", "file,plain")
        self.assertEqual(found, {"disk-templates": ["file", "plain"]})

    def test_bounds_have_sizes_in_mib_and_alternatives(self) -> None:
        text = "min:memory-size=1g,cpu-count=1/max:memory-size=2g//max:disk-size=1t"
        first = {
            "min": {"memory-size": 1024, "cpu-count": 1},
            "max": {"memory-size": 2048},
        }
        found = self.policy("--ipolicy-bounds-specs", text)
        self.assertEqual(found, {"minmax": [first, {"max": {"disk-size": 1024 * 1024}}]})

    def test_a_standard_instance_has_some_specs(self) -> None:
        found = self.policy("--ipolicy-std-specs", "disk-size=10g,nic-count=1")
        self.assertEqual(found, {"std": {"disk-size": 10240, "nic-count": 1}})

    def test_each_part_is_reset_by_a_word(self) -> None:
        for option, part in (
            ("--ipolicy-bounds-specs", "minmax"),
            ("--ipolicy-std-specs", "std"),
            ("--ipolicy-disk-templates", "disk-templates"),
            ("--ipolicy-spindle-ratio", "spindle-ratio"),
            ("--ipolicy-vcpu-ratio", "vcpu-ratio"),
        ):
            self.assertEqual(self.policy(option, "default"), {part: "default"})

    def test_a_single_spec_is_reset_by_the_word_as_well(self) -> None:
        found = self.policy("--ipolicy-std-specs", "cpu-count=default,nic-count=1")
        self.assertEqual(found, {"std": {"cpu-count": "default", "nic-count": 1}})

    def test_a_spec_that_is_none_is_refused(self) -> None:
        for text, why in (
            ("cpu-count=many", "^cpu-count=many: "),
            ("disk-size=1x", "^disk-size=1x: "),
            ("cpu-count", "^cpu-count needs a value, as in cpu-count=1$"),
            ("no_cpu-count", "^cpu-count needs a value"),
        ):
            with self.assertRaisesRegex(ExitTool, why):
                self.policy("--ipolicy-std-specs", text)

    def test_a_group_has_no_standard_instance(self) -> None:
        self.assertEqual(set(CLUSTER_OPTIONS) - set(GROUP_OPTIONS), {STANDARD})


class OlderTests(SynchronousTestCase):
    def older(self, *words: str) -> dict[str, Any]:
        options = (*CLUSTER_OPTIONS, *SPECS.values())
        return older(arguments(**parse(options, words)[0]))

    def test_each_option_is_about_one_spec(self) -> None:
        words = ("--specs-mem-size", "min=64m,std=1g", "--specs-cpu-count", "max=4,std=2")
        self.assertEqual(
            self.older(*words),
            {
                "min": {"memory-size": 64},
                "std": {"memory-size": 1024, "cpu-count": 2},
                "max": {"cpu-count": 4},
            },
        )
        self.assertEqual(self.older(), {})

    def test_a_bound_that_there_is_not_is_refused(self) -> None:
        with self.assertRaisesRegex(ExitTool, "--specs-cpu-count most: must be min, max or std"):
            self.older("--specs-cpu-count", "most=4")

    def test_both_forms_at_once_are_refused(self) -> None:
        for other in (
            ("--ipolicy-std-specs", "cpu-count=1"),
            ("--ipolicy-bounds-specs", "min:cpu-count=1"),
        ):
            with self.assertRaisesRegex(ExitTool, "the --specs options cannot be combined with"):
                self.older("--specs-cpu-count", "max=4", *other)
        self.assertEqual(self.older("--ipolicy-vcpu-ratio", "4"), {})


class FormatTests(SynchronousTestCase):
    LIMITS: dict[str, Any] = {
        "minmax": [
            {"min": {"cpu-count": 1}, "max": {"memory-size": 512, "cpu-count": 8}},
            {"min": {}, "max": {}},
        ],
        "std": {"nic-count": 1, "disk-size": 1024},
    }

    def test_specs_are_sorted_and_alternatives_separated(self) -> None:
        bounds = "min:cpu-count=1/max:cpu-count=8,memory-size=512//min:/max:"
        found = list(format_options(self.LIMITS, standard=False))
        self.assertEqual(found, [f"--ipolicy-bounds-specs={bounds}"])

    def test_the_standard_instance_is_shown_if_that_is_wanted(self) -> None:
        first, _ = format_options(self.LIMITS, standard=True)
        self.assertEqual(first, "--ipolicy-std-specs=disk-size=1024,nic-count=1")

    def test_parts_that_are_not_set_are_not_shown(self) -> None:
        nothing: tuple[dict[str, Any], ...] = ({}, {"minmax": [], "std": {}}, {"vcpu-ratio": 4.0})
        for limits in nothing:
            self.assertEqual(list(format_options(limits, standard=True)), [])

    def test_what_is_shown_can_be_given_again(self) -> None:
        limits = {"minmax": self.LIMITS["minmax"][:1], "std": self.LIMITS["std"]}
        words = list(format_options(limits, standard=True))
        self.assertEqual(policy(arguments(**parse(CLUSTER_OPTIONS, words)[0])), limits)
