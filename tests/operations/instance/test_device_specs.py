# SPDX-License-Identifier: BSD-2-Clause
"""Which effective parameters of network cards are refused before anything is done."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.operations.instance.device_specs import NicSpec, check_nic_parameters
from ganeti.testing.builders import a_cluster

ROUTED = {"default": {"mode": "routed", "link": "", "vlan": ""}}


class CheckTests(SynchronousTestCase):
    def problems(self, network: str | None = None, cluster: Any = None, **given: Any) -> list[str]:
        state = a_cluster(**({} if cluster is None else {"nicparams": cluster}))
        try:
            check_nic_parameters([NicSpec(network=network, nicparams=given)], state.cluster)
        except Invalid as e:
            return [each.path for each in e.problems]
        return []

    def test_rules_are_checked_whether_or_not_a_card_is_in_a_network(self) -> None:
        for network in (None, "lan"):
            self.assertEqual(self.problems(network, firewall="ssh"), ["nics[0]/firewall"])
            self.assertEqual(self.problems(network, vlan=".9999"), ["nics[0]/vlan"])

    def test_a_card_in_a_network_has_the_mode_of_its_connection(self) -> None:
        self.assertEqual(self.problems(None, ROUTED, vlan=".10"), ["nics[0]/vlan"])
        self.assertEqual(self.problems("lan", ROUTED, vlan=".10"), [])
        self.assertEqual(self.problems("lan", mode="routed", vlan=".10"), ["nics[0]/vlan"])
