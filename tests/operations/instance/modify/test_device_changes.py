# SPDX-License-Identifier: BSD-2-Clause
"""Changes of network cards and disks, each of which sees the list as the one before left it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, GanetiError, Invalid, Refused
from ganeti.model.disk import DiskMode, Template
from ganeti.opcodes.instance.device_changes import changes
from ganeti.operations.instance.device_specs import MAX_DISKS, MAX_NICS, DiskSpec
from ganeti.operations.instance.modify.device_changes import (
    DiskChanges,
    DiskStep,
    Nics,
    apply_disk_changes,
    apply_nic_changes,
)
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_nic, an_instance, uuid_of

Written = Sequence[Any]

NICS = (
    replace(a_nic("web1/0", nicparams={"link": "br1"}), name="lan"),
    a_nic("web1/1", ip="192.0.2.7", network="net1"),
)


def a_state(count: int = 2) -> ClusterState:
    """Return web1 with two network cards and some disks, and web2 with one card."""
    disks = [a_disk(f"web1/{n}", Template.PLAIN, size=64 * (n + 1)) for n in range(count)]
    disks[:1] = [replace(disk, name="root") for disk in disks[:1]]
    web1 = an_instance("web1", disks=disks, nics=NICS)
    return a_cluster(instances=[web1, "web2"])


def change_nics(*written: Written, state: ClusterState | None = None) -> Nics:
    state = state or a_state()
    return apply_nic_changes(state.instance("web1"), changes(written), state)


def change_disks(*written: Written, count: int = 2) -> DiskChanges:
    state = a_state(count)
    web1 = state.instance("web1")
    return apply_disk_changes(web1, state.get_disks(web1), changes(written))


class ChangeTests(SynchronousTestCase):
    def assert_refused(self, reason: str, code: Code, working: Any, *written: Written) -> None:
        with self.assertRaisesRegex((Refused, Invalid), reason) as raised:
            working(*written)
        error = raised.exception
        assert isinstance(error, GanetiError)
        self.assertEqual(error.arguments()[1], code)


class NicTests(ChangeTests):
    def test_a_card_is_added_at_the_end_or_at_an_index(self) -> None:
        added = change_nics(["add", -1, {"name": "last"}], ["add", 0, {"name": "first"}])
        self.assertEqual([card.name for card in added.cards], ["first", "lan", None, "last"])
        self.assertEqual([row for row, _ in added.changed], ["nic.2", "nic.0"])

    def test_a_new_card_gets_its_address_and_identity_when_the_change_is_made(self) -> None:
        [*_, card] = change_nics(["add", -1, {"mac": "auto", "link": "br9"}]).cards
        self.assertEqual((card.mac, card.uuid, card.nicparams), ("", "", {"link": "br9"}))

    def test_a_new_card_is_described_with_its_parameters(self) -> None:
        card = {"mac": "AA:00:00:12:34:56", "ip": "192.0.2.9", "link": "br9"}
        [(_, text)] = change_nics(["add", -1, card]).changed
        self.assertEqual(text, "add:mac=aa:00:00:12:34:56,ip=192.0.2.9,link=br9")
        [(_, text)] = change_nics(["add", -1, {}]).changed
        self.assertEqual(text, "add:mac=auto,ip=None")

    def test_only_what_is_given_is_modified(self) -> None:
        changed = change_nics(["modify", 0, {"vlan": ".7"}], ["modify", 1, {"name": "wan"}])
        first, second = changed.cards
        self.assertEqual(first, replace(NICS[0], nicparams={"link": "br1", "vlan": ".7"}))
        self.assertEqual(second, replace(NICS[1], name="wan"))
        self.assertEqual(changed.changed, (("nic.vlan/0", ".7"), ("nic.name/1", "wan")))

    def test_another_network_replaces_the_connection_and_keeps_the_packet_filter(self) -> None:
        rules = {"firewall": "tcp:22", "bandwidth_out": 10}
        card = a_nic("web1/0", network="net1", nicparams={"link": "br1", "vlan": ".7", **rules})
        state = a_cluster(instances=[an_instance("web1", nics=(card,))])
        moved = change_nics(["modify", 0, {"network": "net2"}], state=state)
        self.assertEqual(moved.cards[0].nicparams, rules)

    def test_a_parameter_that_is_set_to_the_default_is_no_longer_that_of_the_card(self) -> None:
        rules = {"link": "br1", "vlan": ".7", "firewall": "tcp:22", "bandwidth_out": 10}
        card = a_nic("web1/0", nicparams=rules)
        state = a_cluster(instances=[an_instance("web1", nics=(card,))])
        given = {"firewall": "default", "link": "default", "vlan": ".8"}
        [changed] = change_nics(["modify", 0, given], state=state).cards
        self.assertEqual(changed.nicparams, {"vlan": ".8", "bandwidth_out": 10})

    def test_none_unsets_address_name_and_network(self) -> None:
        unset = {"ip": "none", "name": "none", "network": "none"}
        [_, card] = change_nics(["modify", 1, unset]).cards
        self.assertEqual((card.ip, card.name, card.network), (None, None, None))

    def test_an_address_from_a_pool_requires_a_network(self) -> None:
        reason = "network card {} requests an address from a pool but has no network"
        for index, change in enumerate((["modify", 0, {"ip": "pool"}], ["add", 1, {"ip": "pool"}])):
            self.assert_refused(reason.format(index), Code.INPUT, change_nics, change)
        joined = {"ip": "pool", "network": "net1"}
        self.assertEqual(change_nics(["modify", 0, joined]).cards[0].ip, "pool")

    def test_another_mac_address_is_taken_or_generated(self) -> None:
        first, second = change_nics(
            ["modify", 0, {"mac": "aa:00:00:12:34:56"}], ["modify", 1, {"mac": "generate"}]
        ).cards
        self.assertEqual((first.mac, second.mac), ("aa:00:00:12:34:56", ""))

    def test_a_card_is_named_by_index_name_or_uuid(self) -> None:
        for where in (0, "0", "lan", uuid_of("nic", "web1/0")):
            [card] = change_nics(["remove", where, {}]).cards
            self.assertEqual(card, NICS[1])
        found = change_nics(["remove", -1, {}])
        self.assertEqual((found.cards, found.changed), (NICS[:1], (("nic.1", "remove"),)))

    def test_an_index_counts_after_the_changes_before(self) -> None:
        self.assertEqual(change_nics(["remove", 0, {}], ["remove", 0, {}]).cards, ())
        self.assert_refused(
            "network card 1 does not exist; instance web1 has 1, from 0",
            Code.UNKNOWN,
            change_nics,
            ["remove", 0, {}],
            ["remove", 1, {}],
        )

    def test_cards_that_do_not_exist_are_refused(self) -> None:
        for where in (2, -2, "nosuch"):
            reason = f"network card {where} does not exist; instance web1 has 2, from 0"
            self.assert_refused(reason, Code.UNKNOWN, change_nics, ["modify", where, {}])

    def test_a_card_is_not_added_behind_the_end_or_at_a_name(self) -> None:
        for where in (3, -2, "lan"):
            reason = f"{where} is not a valid index for a new entry; use 0 to 2"
            self.assert_refused(reason, Code.INPUT, change_nics, ["add", where, {}])

    def test_names_stay_unique(self) -> None:
        nic, disk = ["modify", 1, {"name": "lan"}], ["modify", 1, {"name": "root"}]
        self.assert_refused("lan is not unique", Code.INPUT, change_nics, nic)
        self.assert_refused("root is not unique", Code.INPUT, change_disks, disk)

    def test_there_are_eight_cards_at_most(self) -> None:
        more = [["add", -1, {}]] * (MAX_NICS - 2)
        self.assertEqual(len(change_nics(*more).cards), MAX_NICS)
        reason = "at most 8 network cards"
        self.assert_refused(reason, Code.INPUT, change_nics, *more, ["add", -1, {}])

    def test_a_mac_address_belongs_to_one_card(self) -> None:
        mac = a_nic("web2/0").mac
        change = ["add", -1, {"mac": mac.upper()}]
        reason = f"{mac} is in use by instance web2"
        self.assert_refused(reason, Code.NOT_UNIQUE, change_nics, change)
        change = ["add", -1, {"mac": NICS[0].mac}]
        self.assert_refused("in use by instance web1", Code.NOT_UNIQUE, change_nics, change)

    def test_the_mac_address_of_a_card_that_goes_can_be_used_again(self) -> None:
        swap = (["remove", 0, {}], ["add", 0, {"mac": NICS[0].mac}])
        self.assertEqual(change_nics(*swap).cards[0].mac, NICS[0].mac)

    def test_actions_that_this_version_does_not_have_are_refused(self) -> None:
        reason = "the action detach is not supported by this version; use add and remove"
        self.assert_refused(reason, Code.INPUT, change_nics, ["detach", 0, {}])
        self.assert_refused("action attach", Code.INPUT, change_disks, ["attach", {"uuid": "x"}])


class DiskTests(ChangeTests):
    def test_a_disk_is_added_with_the_parameters_of_the_present_template(self) -> None:
        found = change_disks(["add", 1, {"size": 256, "mode": "ro", "vg": "vg1"}])
        wish = DiskSpec(256, mode=DiskMode.READ_ONLY, vg="vg1")
        self.assertEqual(found.steps, (DiskStep(1, wish=wish),))
        self.assertEqual((found.sizes, found.added), ((64, 256, 128), (wish,)))
        self.assertEqual(found.changed, (("disk/1", "add:size=256,mode=ro"),))
        self.assertFalse(found.removes)

    def test_an_instance_without_disks_has_no_volume_group_either(self) -> None:
        change = ["add", -1, {"size": 64, "vg": "vg1"}]
        with self.assertRaisesRegex(Invalid, "vg: is not a parameter of diskless disks"):
            change_disks(change, count=0)

    def test_a_removed_disk_is_no_longer_counted(self) -> None:
        found = change_disks(["remove", "root", {}])
        self.assertEqual((found.removes, found.removed), (True, (uuid_of("disk", "web1/0"),)))
        self.assertEqual((found.sizes, found.changed), ((128,), (("disk/0", "remove"),)))

    def test_mode_and_name_are_all_that_can_be_modified(self) -> None:
        found = change_disks(["modify", 1, {"mode": "ro", "name": "data"}])
        [step] = found.steps
        self.assertEqual(step.fields, {"mode": DiskMode.READ_ONLY, "name": "data"})
        self.assertEqual(found.changed, (("disk.mode/1", "ro"), ("disk.name/1", "data")))
        self.assertEqual((found.removes, found.added), (False, ()))
        reason = r"disks\[0\]/size: cannot be changed; only mode and name can"
        self.assert_refused(reason, Code.INPUT, change_disks, ["modify", 0, {"size": 1}])

    def test_a_name_is_unset_by_none_or_nothing(self) -> None:
        for name in ("none", "", None):
            [step] = change_disks(["modify", 0, {"name": name}]).steps
            self.assertEqual(step.fields, {"name": None})

    def test_values_that_make_no_sense_are_refused_with_the_number_of_the_change(self) -> None:
        for fields, reason in (
            ({"mode": "wo"}, r"disks\[1\]/mode: must be rw or ro"),
            ({"name": 7}, r"disks\[1\]/name: must be text"),
        ):
            first: Written = ["modify", 0, {"mode": "ro"}]
            change: Written = ["modify", 0, fields]
            self.assert_refused(reason, Code.INPUT, change_disks, first, change)

    def test_spindles_are_a_number(self) -> None:
        for written in ("two", "\u00b2", "-1"):
            change: Written = ["add", -1, {"size": 64, "spindles": written}]
            self.assert_refused("spindles: must be a number", Code.INPUT, change_disks, change)

    def test_a_modified_disk_is_found_by_its_new_name(self) -> None:
        found = change_disks(["modify", 1, {"name": "data"}], ["remove", "data", {}])
        self.assertEqual(found.removed, (uuid_of("disk", "web1/1"),))

    def test_a_disk_that_the_same_request_adds_is_not_changed(self) -> None:
        for action in ("remove", "modify"):
            first: Written = ["add", -1, {"size": 64}]
            reason = "cannot change a disk that the same request adds"
            self.assert_refused(reason, Code.INPUT, change_disks, first, [action, -1, {}])

    def test_disks_that_do_not_exist_are_refused(self) -> None:
        reason = "disk 2 does not exist; instance web1 has 2, from 0"
        self.assert_refused(reason, Code.UNKNOWN, change_disks, ["remove", 2, {}])
        with self.assertRaisesRegex(Refused, "disk -1 does not exist; instance web1 has 0"):
            change_disks(["remove", -1, {}], count=0)

    def test_a_new_disk_does_not_adopt_a_volume(self) -> None:
        change = ["add", -1, {"adopt": "data"}]
        self.assert_refused("adopt: is only possible when", Code.INPUT, change_disks, change)

    def test_there_are_sixteen_disks_at_most(self) -> None:
        self.assertEqual(len(change_disks(["add", -1, {"size": 1}], count=15).sizes), MAX_DISKS)
        with self.assertRaisesRegex(Refused, "at most 16 disks"):
            change_disks(["add", -1, {"size": 1}], count=16)
