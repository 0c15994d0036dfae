# SPDX-License-Identifier: BSD-2-Clause
"""What a guest runs with, beside what is configured."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.model.disk import DiskMode
from ganeti.model.guest import Guest, GuestNic
from ganeti.model.running import apply_running_config, is_older, pending_changes, running_config
from ganeti.model.traffic_rules import TrafficRules
from ganeti.schema.records import replace
from ganeti.testing.builders import a_disk, a_guest

NIC = GuestNic(uuid="n0", mac="aa:00:10:00:00:01", mode="bridged", link="br0")
HVPARAMS = {"disk_type": "paravirtual", "migration_port": 8102, "machine_version": "pc"}
STARTED = a_guest("web1", hypervisor="kvm", hvparams=HVPARAMS, nics=(NIC,), disks=[a_disk("a")])
RUNNING = running_config(STARTED, {"machine_version": "pc-i440fx-7.2"}, "7.2.0")


def configured(**over: Any) -> Guest:
    return replace(STARTED, **over)


def pending(guest: Guest) -> list[str]:
    return [change.name for change in pending_changes(RUNNING, guest)]


class VersionTests(SynchronousTestCase):
    def test_an_older_version_is_one_of_an_older_series(self) -> None:
        for version, other, older in (
            ("7.2.22", "10.0.2", True),
            ("10.0.2", "7.2.22", False),
            ("7.2.1", "7.2.22", False),
            ("9.1", "9.2.0", True),
            ("", "9.2", False),
            ("unknown", "9.2", False),
            ("7.2", "", False),
        ):
            self.assertEqual(is_older(version, other), older, (version, other))


class AsRunningTests(SynchronousTestCase):
    def test_a_guest_is_as_it_was_started_in_the_machine_that_was_chosen(self) -> None:
        changed = configured(
            beparams={"maxmem": 512, "minmem": 256, "vcpus": 4},
            hvparams={**HVPARAMS, "disk_type": "ide", "machine_version": "q35"},
            nics=(),
            network_port=11007,
        )
        runs = apply_running_config(changed, RUNNING)
        self.assertEqual((runs.memory, runs.minmem, runs.vcpus), (128, 128, 1))
        self.assertEqual(runs.hvparams["machine_version"], "pc-i440fx-7.2")
        self.assertEqual((runs.hvparams["disk_type"], runs.nics), ("paravirtual", (NIC,)))
        self.assertIsNone(runs.network_port)

    def test_how_it_moves_is_as_configured_now(self) -> None:
        runs = apply_running_config(
            configured(hvparams={**HVPARAMS, "migration_port": 9000}), RUNNING
        )
        self.assertEqual(runs.hvparams["migration_port"], 9000)

    def test_disks_are_where_they_are_now_in_the_order_of_the_start(self) -> None:
        [disk] = STARTED.disks
        moved = replace(disk, logical_id=("file", "/elsewhere"), mode=DiskMode.READ_ONLY)
        runs = apply_running_config(configured(disks=(a_disk("new"), moved)), RUNNING)
        self.assertEqual(runs.disks, (replace(moved, mode=DiskMode.READ_WRITE),))

    def test_a_disk_that_is_configured_no_more_is_not_lost_silently(self) -> None:
        with self.assertRaisesRegex(Refused, "no longer configured .* gnt-instance reboot web1"):
            apply_running_config(configured(disks=()), RUNNING)


class PendingTests(SynchronousTestCase):
    def test_nothing_waits_after_the_start(self) -> None:
        self.assertEqual(pending(STARTED), [])

    def test_what_is_no_part_of_the_guest_does_not_wait(self) -> None:
        named = replace(NIC, name="lan", ip="192.0.2.1")
        port = {**HVPARAMS, "migration_port": 9000}
        beparams = {**STARTED.beparams, "minmem": 64, "auto_balance": False}
        self.assertEqual(pending(configured(hvparams=port, nics=(named,), beparams=beparams)), [])

    def test_each_change_of_the_guest_waits_under_its_name(self) -> None:
        [disk] = STARTED.disks
        second = replace(NIC, uuid="n1", mac="aa:00:10:00:00:02")
        for over, names in (
            ({"beparams": {"maxmem": 256, "minmem": 128, "vcpus": 2}}, ["be/maxmem", "be/vcpus"]),
            ({"hvparams": {**HVPARAMS, "disk_type": "ide"}}, ["hv/disk_type"]),
            ({"network_port": 11000}, ["network_port"]),
            ({"nics": (NIC, second)}, ["nic/1"]),
            ({"nics": (replace(NIC, link="br1"),)}, ["nic.link/0"]),
            ({"nics": (replace(NIC, rules=TrafficRules(firewall="deny")),)}, ["nic.firewall/0"]),
            (
                {"nics": (replace(NIC, ip="192.0.2.7", rules=TrafficRules(anti_spoofing=True)),)},
                ["nic.ip/0", "nic.anti_spoofing/0"],
            ),
            ({"nics": ()}, ["nic"]),
            ({"disks": (disk, a_disk("b"))}, ["disk/1"]),
            ({"disks": (replace(disk, mode=DiskMode.READ_ONLY),)}, ["disk.mode/0"]),
        ):
            self.assertEqual(pending(configured(**over)), names)

    def test_what_was_chosen_is_what_is_now(self) -> None:
        q35 = configured(hvparams={**HVPARAMS, "machine_version": "q35"})
        [change] = pending_changes(RUNNING, q35)
        self.assertEqual(str(change), "hv/machine_version: pc-i440fx-7.2 now, q35 after restart")
        same = {**HVPARAMS, "machine_version": "pc-i440fx-7.2"}
        self.assertEqual(pending(configured(hvparams=same)), [])

    def test_a_change_says_what_is_and_what_will_be(self) -> None:
        more = configured(beparams={**STARTED.beparams, "vcpus": 2}, nics=())
        texts = list(map(str, pending_changes(RUNNING, more)))
        self.assertEqual(
            texts,
            ["be/vcpus: 1 now, 2 after restart", "nic: aa:00:10:00:00:01 now, none after restart"],
        )
