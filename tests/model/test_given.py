# SPDX-License-Identifier: BSD-2-Clause
"""Parameters from users are read with every problem at once."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.model.disk import Template
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.declaration import ParameterSet, defaults
from ganeti.model.parameters.disk import Drbd
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.parsing import check_consistency, checked
from ganeti.model.parameters.policy import Policy


def _problems(kind: type[ParameterSet], values: dict[str, Any], **settings: Any) -> list[str]:
    try:
        checked(kind, values, path="p", **settings)
    except Invalid as e:
        return [str(problem) for problem in e.problems]
    return []


class CheckedTests(SynchronousTestCase):
    def test_text_stands_for_what_it_spells(self) -> None:
        text = {"acpi": "False", "cpu_cores": "2", "serial_speed": "9600", "disk_cache": "none"}
        self.assertEqual(
            checked(Kvm, text, path="hvparams"),
            {"acpi": False, "cpu_cores": 2, "serial_speed": 9600, "disk_cache": "none"},
        )

    def test_sizes_may_have_a_unit(self) -> None:
        text = {"minmem": "512m", "maxmem": "1.5g"}
        self.assertEqual(checked(Backend, text, path="be"), {"minmem": 512, "maxmem": 1536})

    def test_the_old_name_of_memory_sets_both(self) -> None:
        self.assertEqual(
            checked(Backend, {"memory": "1g"}, path="be"), {"minmem": 1024, "maxmem": 1024}
        )

    def test_what_is_wrong_with_an_old_name_is_told_once(self) -> None:
        error = self.assertRaises(Invalid, checked, Backend, {"memory": "x"}, path="be")
        self.assertEqual(len(error.problems), 1)

    def test_default_unsets(self) -> None:
        onto = {"acpi": False, "vga": "std"}
        self.assertEqual(checked(Kvm, {"acpi": "default"}, path="hv", onto=onto), {"vga": "std"})

    def test_none_is_no_value_where_there_may_be_none(self) -> None:
        self.assertEqual(checked(Kvm, {"root_path": "none"}, path="hv"), {"root_path": None})
        self.assertEqual(checked(Kvm, {"vga": "none"}, path="hv"), {"vga": "none"})

    def test_every_problem_is_told(self) -> None:
        wrong = {"kernel_path": "vmlinuz", "kvm_path": "", "acpi": "maybe", "boot_order": "tape"}
        self.assertEqual(
            _problems(Kvm, {**wrong, "kernl_args": "ro", "virtio_net_queues": 9}),
            [
                "p/kernel_path: must be an absolute path, or empty",
                "p/kvm_path: must be an absolute path",
                "p/acpi: must be true or false, not text",
                "p/boot_order: must be one of cdrom, disk, floppy, network, not 'tape'",
                "p/kernl_args: unknown parameter; did you mean kernel_args or kernel_path?",
                "p/virtio_net_queues: must be a whole number <= 8",
            ],
        )

    def test_an_unknown_name_far_from_all_gets_the_list(self) -> None:
        [problem] = _problems(Backend, {"colour": "red"})
        self.assertIn("known are always_failover, auto_balance, maxmem", problem)

    def test_a_size_that_is_none_says_how_to_write_it(self) -> None:
        [problem] = _problems(Backend, {"memory": "much"})[:1]
        self.assertIn("p/memory: 'much' is not a size; use a number with m, g or t", problem)

    def test_quotations_in_arguments_of_programs_are_closed(self) -> None:
        for kind, name in ((Kvm, "kvm_extra"), (Drbd, "disk-custom"), (Drbd, "net-custom")):
            [problem] = _problems(kind, {name: "-device 'a"})
            told = f"p/{name}: -device 'a cannot be split with shell syntax: no closing quotation"
            self.assertEqual(problem, told)
            self.assertEqual(_problems(kind, {name: "-device 'a b'"}), [])

    def test_what_is_for_all_cannot_be_set_for_one(self) -> None:
        self.assertEqual(
            _problems(Kvm, {"migration_port": 8103}, for_one=True),
            ["p/migration_port: can only be set for the whole cluster"],
        )
        self.assertEqual(_problems(Kvm, {"migration_port": 8103}), [])

    def test_what_nothing_does_can_only_be_as_it_is(self) -> None:
        self.assertEqual(
            _problems(NodeParameters, {"exclusive_storage": "yes"}),
            ["p/exclusive_storage: is not supported by this version: it must stay false"],
        )
        for off in ("no", False, "default"):
            self.assertEqual(_problems(NodeParameters, {"exclusive_storage": off}), [])
        [problem] = _problems(Kvm, {"user_shutdown": True})
        self.assertIn("it must stay false; a guest that is shut down from inside is", problem)

    def test_names_are_those_of_the_wire(self) -> None:
        self.assertEqual(checked(Drbd, {"c-max-rate": "100"}, path="d"), {"c-max-rate": 100})

    def test_a_policy_is_read_to_the_bottom(self) -> None:
        self.assertEqual(
            checked(Policy, {"disk-templates": "plain,drbd"}, path="ipolicy"),
            {"disk-templates": [Template.PLAIN.value, Template.DRBD.value]},
        )
        [problem] = _problems(Policy, {"minmax": [{"min": {"cpu-count": -1}}]})
        self.assertIn("p/minmax[0].min", problem)

    @given(st.dictionaries(st.sampled_from(sorted(defaults(Kvm))), st.text() | st.integers()))
    @settings(max_examples=50, deadline=None)
    def test_whatever_is_accepted_stays_accepted(self, values: dict[str, Any]) -> None:
        accepted = {name: v for name, v in values.items() if not _problems(Kvm, {name: v})}
        once = checked(Kvm, accepted, path="hv")
        self.assertEqual(checked(Kvm, once, path="hv"), once)


class ConsistentTests(SynchronousTestCase):
    def test_the_defaults_go_together(self) -> None:
        for kind in (Kvm, Backend, NodeParameters, Policy, Drbd):
            check_consistency(kind, defaults(kind), path="p")

    def test_every_conflict_is_told(self) -> None:
        wrong = {**defaults(Kvm), "root_path": None, "boot_order": "cdrom"}
        with self.assertRaises(Invalid) as caught:
            check_consistency(Kvm, wrong, path="hvparams")
        self.assertEqual(
            str(caught.exception),
            "hvparams/root_path: is required with kernel_path; "
            "hvparams/cdrom_image_path: is required with boot_order=cdrom",
        )

    def test_less_memory_at_most_than_at_least_is_refused(self) -> None:
        with self.assertRaisesRegex(Invalid, r"be/minmem: 512 is more than maxmem \(128\)"):
            check_consistency(Backend, {**defaults(Backend), "minmem": 512}, path="be")
