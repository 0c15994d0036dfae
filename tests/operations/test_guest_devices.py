# SPDX-License-Identifier: BSD-2-Clause
"""Disks and network cards of a running instance that its guest gets and loses at once."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Template
from ganeti.model.guest import GuestNic
from ganeti.model.instance import AdminState, Instance
from ganeti.operations.guest_conversion import make_guest
from ganeti.testing.builders import a_cluster, a_disk, an_instance
from ganeti.testing.hypervisor import MemoryHypervisor
from tests.operations.whole import WholeCluster


class HotplugTests(SynchronousTestCase):
    def setUp(self) -> None:
        disk = a_disk("disk1", Template.PLAIN)
        web1 = an_instance("web1", disks=[disk], admin_state=AdminState.DOWN)
        self.whole = WholeCluster(a_cluster(instances=[web1]))
        self.successResultOf(self.whole.make_disks("web1"))
        self.successResultOf(self.whole.start("web1"))
        self.guests: MemoryHypervisor = self.whole.guests["node1"]

    def modify(self, **fields: Any) -> Any:
        working = self.whole.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", **fields)
        return self.successResultOf(working)

    def refusal(self, **fields: Any) -> str:
        working = self.whole.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", **fields)
        return str(self.failureResultOf(working, Refused, Failed).value)

    @property
    def web1(self) -> Instance:
        return self.whole.state.instance("web1")

    def guest_devices(self) -> tuple[list[str], list[GuestNic]]:
        """The disks and network cards that the guest runs with."""
        guest = make_guest(self.whole.state, self.web1)
        running = self.successResultOf(self.guests.running_config(guest))
        return [disk.uuid for disk in running.disks], list(running.nics)

    def assert_guest_has_what_is_configured(self) -> None:
        guest = make_guest(self.whole.state, self.web1)
        disks, nics = self.guest_devices()
        self.assertEqual(sorted(disks), sorted(self.web1.disks))
        self.assertCountEqual(nics, guest.nics)
        self.assertEqual(verify(self.whole.state), [])

    def test_the_guest_gets_and_loses_disks_and_cards(self) -> None:
        self.modify(disks=[["add", -1, {"size": 64}]], nics=[["add", -1, {}]], hotplug=True)
        self.assertEqual((len(self.web1.disks), len(self.web1.nics)), (2, 2))
        self.assert_guest_has_what_is_configured()
        self.modify(
            disks=[["remove", 0, {}]],
            nics=[["remove", 0, {}], ["modify", 0, {"link": "br9"}]],
            hotplug_if_possible=True,
        )
        self.assertEqual(self.guest_devices()[1][0].link, "br9")
        self.assert_guest_has_what_is_configured()
        self.assertEqual(len(self.whole.volumes["node1"].held), 1)
        self.assertNotIn("next start", self.whole.said)

    def test_without_hotplug_the_guest_keeps_what_it_has(self) -> None:
        before = self.guest_devices()
        self.modify(disks=[["add", -1, {"size": 64}]], nics=[["add", -1, {}]])
        self.assertEqual(self.guest_devices(), before)
        self.assertIn("is running with the disk", self.refusal(disks=[["remove", 0, {}]]))

    def test_a_stopped_instance_needs_none(self) -> None:
        self.successResultOf(self.whole.do("OP_INSTANCE_SHUTDOWN", instance_name="web1"))
        self.modify(nics=[["add", -1, {}]], hotplug=True)
        self.assertEqual(len(self.web1.nics), 2)

    def test_a_guest_that_cannot_is_refused_or_keeps_what_it_has(self) -> None:
        self.guests.hotplug_problem = "instance web1 was started by an older version"
        before = self.web1
        change = {"nics": [["add", -1, {}]]}
        self.assertIn("an older version", self.refusal(**change, hotplug=True))
        self.assertEqual(self.web1, before)
        self.modify(**change, hotplug_if_possible=True)
        self.assertIn("keeps its devices: instance web1 was started by", self.whole.said)
        self.assertEqual(len(self.web1.nics), 2)
        remove: dict[str, Any] = {"disks": [["remove", 0, {}]]}
        self.assertIn("an older version", self.refusal(**remove, hotplug=True))
        self.assertIn("with the disk", self.refusal(**remove, hotplug_if_possible=True))

    def test_what_fails_leaves_guest_and_configuration_as_they_were(self) -> None:
        before, devices = self.web1, self.guest_devices()
        self.guests.stubborn.add("web1")
        for change in (
            {"nics": [["add", -1, {}]]},
            {"nics": [["remove", 0, {}]]},
            {"disks": [["add", -1, {"size": 64}]]},
            {"disks": [["remove", 0, {}]]},
        ):
            with self.subTest(**change):
                self.refusal(**change, hotplug=True)
                now = (self.web1.nics, self.web1.disks)
                self.assertEqual(now, (before.nics, before.disks))
                self.assertEqual(self.guest_devices(), devices)
                self.assertEqual(len(self.whole.volumes["node1"].held), 1)
                self.assertEqual(verify(self.whole.state), [])

    def test_a_later_failure_takes_the_earlier_changes_of_the_guest_back(self) -> None:
        self.modify(nics=[["add", -1, {}]], hotplug=True)
        before, devices = self.web1.nics, self.guest_devices()
        changes = [["remove", 0, {}], ["modify", 0, {"link": "br8"}], ["add", -1, {}]]
        plugs = 0

        async def plug(guest: Any, device: Any) -> None:
            nonlocal plugs
            plugs += 1
            if plugs == 2:
                raise Failed("no free slot")
            await MemoryHypervisor.plug(self.guests, guest, device)

        self.patch(self.guests, "plug", plug)
        self.assertIn("no free slot", self.refusal(nics=changes, hotplug=True))
        self.assertEqual(self.web1.nics, before)
        disks, nics = self.guest_devices()
        self.assertEqual(disks, devices[0])
        self.assertCountEqual(nics, devices[1])

    def test_if_possible_a_failure_waits_for_the_next_start(self) -> None:
        self.guests.stubborn.add("web1")
        self.modify(
            nics=[["add", -1, {}]], disks=[["add", -1, {"size": 64}]], hotplug_if_possible=True
        )
        self.assertEqual((len(self.web1.nics), len(self.web1.disks)), (2, 2))
        self.assertIn(
            "waits for its next start: node1: web1 does not take the device", self.whole.said
        )
        self.assertIn("release", self.refusal(disks=[["remove", 0, {}]], hotplug_if_possible=True))

    def test_what_hotplug_cannot_change_is_refused(self) -> None:
        told = self.refusal(beparams={"vcpus": 2}, hotplug=True)
        self.assertIn("only network cards and disks can be changed by hotplug", told)
        told = self.refusal(disks=[["modify", 0, {"mode": "ro"}]], hotplug=True)
        self.assertIn("access mode of a disk cannot be changed", told)
        working = self.whole.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", hotplug=True)
        self.assertEqual(self.failureResultOf(working, Refused).value.code, Code.INPUT)
