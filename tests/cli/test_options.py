# SPDX-License-Identifier: BSD-2-Clause
"""Options are read as administrators have always written them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.options import (
    BOOL,
    IDENTKEYVAL,
    INT,
    KEYVAL,
    TEXT,
    UNIT,
    BadOption,
    Option,
    duration,
    limits,
    natural,
    parse,
    parse_ident_key_values,
    parse_key_values,
    parse_uid_ranges,
    split_escaped,
)

OPTIONS = (
    Option(("-B", "--backend-parameters"), "beparams", "", KEYVAL),
    Option(("-f", "--force"), "force", ""),
    Option(("--no-start",), "start", "", sets=False),
    Option(("-s", "--os-size"), "size", "", UNIT),
    Option(("--disk",), "disk", "", IDENTKEYVAL, many=True),
    Option(("--timeout",), "timeout", "", INT),
    Option(("-O", "--offline"), "offline", "", BOOL),
    Option(("-o", "--output"), "output", "", TEXT),
)


class ValueTests(SynchronousTestCase):
    def test_a_duration_has_an_end(self) -> None:
        self.assertEqual(duration("3650d"), 3650 * 86400)
        for text in ("3651d", "9" * 30, "9" * 5000 + "w"):
            self.assertRaisesRegex(ValueError, "is longer than 3650 days", duration, text)

    def test_keys_may_stand_for_true_false_and_null(self) -> None:
        self.assertEqual(
            parse_key_values("a=1,b,no_c,-d,e=x=y,f="),
            {"a": "1", "b": True, "c": False, "d": None, "e": "x=y", "f": ""},
        )

    def test_a_backslash_takes_the_meaning_from_a_comma(self) -> None:
        self.assertEqual(parse_key_values(r"args=a\,b,c=\\"), {"args": "a,b", "c": "\\"})

    def test_no_key_is_given_twice(self) -> None:
        self.assertRaisesRegex(ValueError, "a is given twice", parse_key_values, "a=1,a=2")

    @given(st.lists(st.text(min_size=1), min_size=1))
    def test_what_is_escaped_comes_back(self, parts: list[str]) -> None:
        escaped = ",".join(each.replace("\\", "\\\\").replace(",", "\\,") for each in parts)
        self.assertEqual(split_escaped(escaped), parts)

    @given(st.text())
    def test_a_group_of_values_is_read_or_refused(self, text: str) -> None:
        try:
            ident, _ = parse_ident_key_values(text)
        except ValueError:
            return
        self.assertTrue(ident)

    def test_groups_can_be_removed_and_reset_and_indexes_may_be_negative(self) -> None:
        self.assertEqual(parse_ident_key_values("kvm:acpi=no"), ("kvm", {"acpi": "no"}))
        self.assertEqual(parse_ident_key_values("no_kvm"), ("kvm", False))
        self.assertEqual(parse_ident_key_values("-kvm"), ("kvm", None))
        self.assertEqual(
            parse_ident_key_values("-1:add,size=1g"), ("-1", {"add": True, "size": "1g"})
        )

    def test_limits_have_alternatives(self) -> None:
        self.assertEqual(
            limits("min:disk-count=1/max:disk-count=2//max:cpu-count=8"),
            [
                {"min": {"disk-count": "1"}, "max": {"disk-count": "2"}},
                {"max": {"cpu-count": "8"}},
            ],
        )

    def test_times_have_units(self) -> None:
        self.assertEqual(
            [duration(each) for each in ("90", "5s", "30m", "4h", "1d", "2w")],
            [90, 5, 1800, 14400, 86400, 1209600],
        )
        self.assertRaisesRegex(ValueError, "30m", duration, "soon")

    def test_the_number_of_an_object_has_digits_only(self) -> None:
        self.assertEqual([natural(each) for each in ("0", "007", "9" * 15)], [0, 7, 10**15 - 1])
        for text in ("", "-1", "+1", " 1", "1.0", "²", "٣", "9" * 16, "9" * 5000):
            self.assertRaisesRegex(ValueError, "at most 15 digits", natural, text)

    def test_user_ids_come_in_ranges(self) -> None:
        self.assertEqual(parse_uid_ranges("100-200,300"), [[100, 200], [300, 300]])


class ParseTests(SynchronousTestCase):
    def test_only_what_is_given_has_a_value(self) -> None:
        words = ["-fB", "vcpus=2", "web1", "--no-start", "--os-size=1.5g", "-Ono"]
        self.assertEqual(
            parse(OPTIONS, words),
            (
                {
                    "force": True,
                    "beparams": {"vcpus": "2"},
                    "start": False,
                    "size": 1536,
                    "offline": False,
                },
                ["web1"],
            ),
        )

    def test_repeated_options_gather(self) -> None:
        values, _ = parse(OPTIONS, ["--disk", "0:size=1g", "--disk", "-1:remove"])
        self.assertEqual(values["disk"], [("0", {"size": "1g"}), ("-1", {"remove": True})])

    def test_settings_that_are_given_in_two_options_come_together(self) -> None:
        values, _ = parse(OPTIONS, ["-B", "memory=1g", "-B", "vcpus=2", "-s", "1g", "-s", "2g"])
        self.assertEqual(values, {"beparams": {"memory": "1g", "vcpus": "2"}, "size": 2048})
        with self.assertRaisesRegex(BadOption, "option -B: a is given twice"):
            parse(OPTIONS, ["-B", "a=1", "-B", "b=1,a=1"])
        kinds = (Option(("-H",), "hypervisor", "", IDENTKEYVAL),)
        values, _ = parse(kinds, ["-H", "kvm:a=1", "-H", "kvm:b=2"])
        self.assertEqual(values, {"hypervisor": ("kvm", {"a": "1", "b": "2"})})
        with self.assertRaisesRegex(BadOption, "kvm and fake exclude each other"):
            parse(kinds, ["-H", "kvm:a=1", "-H", "fake:a=1"])

    def test_long_flags_may_be_shortened(self) -> None:
        self.assertEqual(parse(OPTIONS, ["--time", "3"])[0], {"timeout": 3})

    def test_an_ambiguous_flag_is_refused(self) -> None:
        with self.assertRaisesRegex(BadOption, "option --o not a unique prefix"):
            parse(OPTIONS, ["--o", "x"])

    def test_what_is_near_is_suggested(self) -> None:
        with self.assertRaisesRegex(BadOption, "unknown option --timout; did you mean --timeout"):
            parse(OPTIONS, ["--timout=1"])

    def test_a_bad_value_is_told_with_its_flag(self) -> None:
        for words, message in (
            (["--timeout", "soon"], "--timeout soon: must be a whole number"),
            (["-O", "perhaps"], "-O perhaps: must be yes or no"),
            (["-s", "big"], "-s big: 'big' is not a size"),
            (["-B"], "option -B requires argument"),
        ):
            with self.assertRaisesRegex(BadOption, message):
                parse(OPTIONS, words)

    def test_words_can_be_kept_from_being_options(self) -> None:
        self.assertEqual(parse(OPTIONS, ["-f", "--", "-B"]), ({"force": True}, ["-B"]))
        self.assertEqual(parse(OPTIONS, ["ls", "-f"], mixed=False), ({}, ["ls", "-f"]))

    @given(st.lists(st.text()))
    def test_no_words_break_it(self, words: list[str]) -> None:
        try:
            parse(OPTIONS, words)
        except BadOption as e:
            self.assertTrue(str(e))
