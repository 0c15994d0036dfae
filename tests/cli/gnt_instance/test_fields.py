# SPDX-License-Identifier: BSD-2-Clause
"""Options for disks, network cards and nodes become fields of requests, or are refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_instance import fields
from ganeti.cli.options import IDENTKEYVAL
from ganeti.cli.session import ExitTool
from tests.cli.terminal import arguments


def given(*texts: str) -> list[Any]:
    """The values of an option with settings of numbered objects, as they are parsed."""
    return [IDENTKEYVAL.parse(text) for text in texts]


class FieldCase(SynchronousTestCase):
    def refusal(self, function: Any, **values: Any) -> str:
        return str(self.assertRaises(ExitTool, function, arguments(**values)))


class CreationTests(FieldCase):
    def created(self, *, from_export: bool = False, **values: Any) -> Any:
        return fields.creation(arguments(**values), from_export=from_export)

    def test_the_smallest_request_has_one_disk_and_one_card(self) -> None:
        self.assertEqual(
            self.created(os_size=1024),
            {
                "mode": "create",
                "disks": [{"size": 1024}],
                "nics": [{}],
                "pnode": None,
                "snode": None,
                "hypervisor": None,
                "hvparams": {},
            },
        )

    def test_nodes_are_separated_by_a_colon(self) -> None:
        for text, nodes in (
            ("node1", ("node1", None)),
            ("node1:node2", ("node1", "node2")),
            ("node1:", ("node1", None)),
            (":node2", (None, "node2")),
        ):
            made = self.created(os_size=1, node=text)
            self.assertEqual((made["pnode"], made["snode"]), nodes, text)

    def test_a_hypervisor_may_have_no_parameters(self) -> None:
        made = self.created(os_size=1, hypervisor_parameters=("kvm", {}))
        self.assertEqual((made["hypervisor"], made["hvparams"]), ("kvm", {}))
        made = self.created(os_size=1, hypervisor_parameters=("kvm", {"acpi": "no"}))
        self.assertEqual((made["hypervisor"], made["hvparams"]), ("kvm", {"acpi": "no"}))

    def test_disks_are_in_the_order_of_their_numbers_with_sizes_in_mib(self) -> None:
        made = self.created(disk=given("1:size=1t", "0:size=512m,mode=ro"))
        wanted = [{"size": 512, "mode": "ro"}, {"size": 1024 * 1024}]
        self.assertEqual(made["disks"], wanted)

    def test_an_adopted_disk_needs_no_size(self) -> None:
        made = self.created(disk=given("0:adopt=lv0"))
        self.assertEqual(made["disks"], [{"adopt": "lv0"}])

    def test_cards_are_in_the_order_of_their_numbers(self) -> None:
        made = self.created(os_size=1, net=given("1:link=br1", "0:ip=pool,network=lan"))
        self.assertEqual(made["nics"], [{"ip": "pool", "network": "lan"}, {"link": "br1"}])

    def test_there_may_be_no_disks_and_no_cards(self) -> None:
        made = self.created(disk_template="diskless", no_nics=True)
        self.assertEqual((made["disks"], made["nics"]), ([], []))

    def test_an_export_brings_its_disks_and_cards(self) -> None:
        made = self.created(from_export=True)
        self.assertEqual((made["disks"], made["nics"]), ([], []))
        made = self.created(from_export=True, net=given("0:ip=pool"), os_size=2)
        self.assertEqual((made["disks"], made["nics"]), ([{"size": 2}], [{"ip": "pool"}]))

    def test_a_contradiction_is_refused(self) -> None:
        disk = given("0:size=1g")
        for values, why in (
            ({}, "no disks given; use -s SIZE"),
            ({"disk_template": "diskless", "disk": disk}, "a diskless instance has no disks"),
            ({"disk_template": "diskless", "os_size": 0}, "a diskless instance has no disks"),
            ({"disk": disk, "os_size": 1}, "-s gives the size of a single disk"),
            (
                {"disk": disk, "no_nics": True, "net": given("0:ip=pool")},
                "--no-nics and --net exclude each other",
            ),
        ):
            self.assertIn(why, self.refusal(fields.creation, **values))

    def test_numbers_begin_at_zero_without_gaps_and_come_once(self) -> None:
        for texts, why in (
            (("1:size=1g",), "--disk 0 is missing; number from 0 without gaps"),
            (("0:size=1g", "2:size=1g"), "--disk 1 is missing; number from 0 without gaps"),
            (("0:size=1g", "0:size=1g"), "--disk 0 is given twice"),
            (("a:size=1g",), "--disk a: must be a number, a colon and settings"),
            (
                ("9" * 5000 + ":size=1g",),
                f"--disk {'9' * 5000}: must be a number, a colon and settings",
            ),
            (("no_0",), "--disk 0: must be a number, a colon and settings"),
            (("-1:size=1g",), "--disk -1: must be a number, a colon and settings"),
        ):
            self.assertEqual(self.refusal(fields.creation, disk=given(*texts)), why)

    def test_a_setting_without_a_value_is_refused(self) -> None:
        for text in ("0:size=1g,add", "0:no_add,size=1g"):
            told = self.refusal(fields.creation, disk=given(text))
            self.assertEqual(told, "--disk 0: add must be KEY=VALUE")

    def test_a_size_that_is_none_names_its_disk(self) -> None:
        disks = given("1:size=much", "0:size=1g")
        self.assertIn("--disk 1: 'much' is not a size", self.refusal(fields.creation, disk=disks))


class ModificationTests(FieldCase):
    def changes(self, *disks: str) -> Sequence[Any]:
        found: Sequence[Any] = fields.modification_fields(arguments(disk=given(*disks)))["disks"]
        return found

    def test_nothing_given_changes_nothing(self) -> None:
        self.assertEqual(fields.modification_fields(arguments()), {"disks": [], "nics": []})

    def test_without_an_action_settings_are_modified(self) -> None:
        self.assertEqual(self.changes("0:mode=ro"), [["modify", 0, {"mode": "ro"}]])
        self.assertEqual(self.changes("0:modify,mode=ro"), [["modify", 0, {"mode": "ro"}]])

    def test_an_action_without_a_place_is_at_the_end(self) -> None:
        self.assertEqual(self.changes("add:size=1g"), [["add", -1, {"size": 1024}]])
        self.assertEqual(self.changes("remove"), [["remove", -1, {}]])

    def test_a_place_is_a_number_or_a_name(self) -> None:
        self.assertEqual(
            self.changes("1:add,size=1g", "-1:remove", "data:detach"),
            [["add", 1, {"size": 1024}], ["remove", -1, {}], ["detach", "data", {}]],
        )

    def test_what_is_no_number_is_a_name(self) -> None:
        for name in ("9" * 5000, "0-1", "٣"):
            self.assertEqual(self.changes(f"{name}:detach"), [["detach", name, {}]])

    def test_changes_stay_in_their_order(self) -> None:
        found = fields.modification_fields(arguments(net=given("1:remove", "0:link=br1", "add")))
        wanted = [["remove", 1, {}], ["modify", 0, {"link": "br1"}], ["add", -1, {}]]
        self.assertEqual(found["nics"], wanted)

    def test_a_change_is_one_thing(self) -> None:
        told = self.refusal(fields.modification_fields, net=given("0:add,remove"))
        self.assertEqual(told, "--net 0: add and remove exclude each other")

    def test_the_form_that_removes_a_default_removes_no_object(self) -> None:
        for text in ("no_0", "-data"):
            ident = text.removeprefix("no_").removeprefix("-")
            told = self.refusal(fields.modification_fields, disk=given(text))
            self.assertEqual(told, f"--disk {ident}: use {ident}:remove to remove it")

    def test_a_size_that_is_none_is_refused(self) -> None:
        for text in ("0:add,size=much", "add:size=much"):
            told = self.refusal(fields.modification_fields, disk=given(text))
            self.assertIn("'much' is not a size", told)


class DiskTests(FieldCase):
    def test_a_disk_grows_by_an_amount_in_mib(self) -> None:
        found = fields.grow_disk_fields(arguments(disk="1", amount="2g"))
        self.assertEqual(found, {"disk": 1, "amount": 2048})

    def test_the_disk_that_grows_is_a_number(self) -> None:
        for disk in ("data", "-1", "1.0", "", "9" * 5000):
            told = self.refusal(fields.grow_disk_fields, disk=disk, amount="1g")
            self.assertEqual(told, f"{disk} is not a disk number; disks are numbered from 0")

    def test_disks_are_recreated_all_or_by_number(self) -> None:
        self.assertEqual(fields.recreate_disks_fields(arguments()), {"disks": [], "nodes": []})
        found = fields.recreate_disks_fields(
            arguments(disk=given("1:size=1g", "0"), node="node1:node2")
        )
        wanted = {"disks": [[1, {"size": 1024}], [0, {}]], "nodes": ["node1", "node2"]}
        self.assertEqual(found, wanted)

    def test_what_is_recreated_is_a_number(self) -> None:
        for text in ("data:size=1g", "no_0", "9" * 5000):
            ident = text.removeprefix("no_").partition(":")[0]
            told = self.refusal(fields.recreate_disks_fields, disk=given(text))
            self.assertEqual(told, f"--disk {ident}: must be the number of a disk")


class ReplacementTests(FieldCase):
    def test_each_way_is_a_mode(self) -> None:
        for values, mode in (
            ({"on_primary": True}, "replace_on_primary"),
            ({"on_secondary": True}, "replace_on_secondary"),
            ({"auto": True}, "replace_auto"),
            ({"remote_node": "node3"}, "replace_new_secondary"),
            ({"iallocator": "hail"}, "replace_new_secondary"),
            ({"remote_node": "node3", "iallocator": "hail"}, "replace_new_secondary"),
        ):
            found = fields.replacement(arguments(**values))
            self.assertEqual(found, {"mode": mode, "disks": []})

    def test_exactly_one_way_is_chosen(self) -> None:
        for values in (
            {},
            {"on_primary": True, "on_secondary": True},
            {"auto": True, "remote_node": "node3"},
            {"on_primary": True, "iallocator": "hail"},
        ):
            told = self.refusal(fields.replacement, **values)
            self.assertIn("no replacement mode given; use one of -p, -s, -a", told)

    def test_disks_are_numbers(self) -> None:
        found = fields.replacement(arguments(auto=True, numbers=["0", "2"]))
        self.assertEqual(found["disks"], [0, 2])
        told = self.refusal(fields.replacement, auto=True, numbers=["0", "b"])
        self.assertEqual(told, "--disks 0,b: must be numbers")
        told = self.refusal(fields.replacement, auto=True, numbers=["9" * 5000])
        self.assertIn("must be numbers", told)
