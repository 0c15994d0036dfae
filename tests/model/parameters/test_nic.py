# SPDX-License-Identifier: BSD-2-Clause
"""Which parameters of a network card contradict each other."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.parameters.nic import NicParameters


class ConflictsTests(SynchronousTestCase):
    def problems(self, **parameters: str) -> dict[str, str]:
        found = NicParameters(**parameters).conflicts()  # type: ignore[arg-type]  # any text
        return {each.path: each.message for each in found}

    def test_vlans_of_bridges_and_switches_are_fine(self) -> None:
        for mode in ("bridged", "openvswitch"):
            self.assertEqual(self.problems(mode=mode, vlan=".10:20"), {})

    def test_a_routed_card_has_no_vlan(self) -> None:
        found = self.problems(mode="routed", vlan=".10")
        self.assertIn("needs mode bridged or openvswitch", found["vlan"])

    def test_numbers_of_vlans_are_checked(self) -> None:
        self.assertIn("5000 is not a VLAN ID", self.problems(vlan=".5000")["vlan"])

    def test_a_bridge_needs_a_name(self) -> None:
        self.assertEqual(self.problems(link="")["link"], "is required with mode bridged")

    def test_the_mode_pool_connects_nothing(self) -> None:
        self.assertIn("with ip=pool", self.problems(mode="pool")["mode"])

    def test_rules_of_the_firewall_are_checked(self) -> None:
        self.assertIn("ssh is no rule", self.problems(firewall="ssh")["firewall"])
