# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of cards that Ganeti does not know are beside config.data, and not in it."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config import access_file
from ganeti.config.card_rules import without_rules
from ganeti.config.changes.objects import update
from ganeti.config.formats import ConfigDataEncoder, loaded
from ganeti.config.state import ClusterState
from ganeti.errors import Invalid
from ganeti.model.instance import Nic
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, an_instance

CARD = Nic(mac="aa:00:00:00:00:01", nicparams={"link": "br1", "firewall": "tcp:22"}, uuid="card1")
PLAIN = Nic(mac="aa:00:00:00:00:02", nicparams={"vlan": ".10"}, uuid="card2")


def a_state() -> ClusterState:
    """Return a cluster with rules of its own, and an instance with a card that has some."""
    state = a_cluster(instances=[an_instance("web1", nics=(CARD, PLAIN)), "web2"])
    defaults = {**state.cluster.nicparams["default"], "anti_spoofing": True}
    return update(state.cluster, nicparams={"default": defaults})(state).settled()


class CardRulesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = a_state()
        self.config = ConfigDataEncoder().text(self.state)

    def read(self, access: bytes | None) -> ClusterState:
        bare = loaded(self.config, ids=lambda: "none is needed")
        return access_file.restore(bare, access)

    def test_config_data_has_what_ganeti_knows_only(self) -> None:
        document = json.loads(self.config)
        known = {"mode", "link", "vlan"}
        self.assertLessEqual(document["cluster"]["nicparams"]["default"].keys(), known)
        for instance in document["instances"].values():
            for nic in instance["nics"]:
                self.assertLessEqual(nic["nicparams"].keys(), known)

    def test_both_files_together_have_everything(self) -> None:
        read = self.read(access_file.text(self.state))
        self.assertEqual(read.cluster.nicparams, self.state.cluster.nicparams)
        self.assertEqual(read.instance("web1"), self.state.instance("web1"))
        self.assertEqual(read.instance("web2"), self.state.instance("web2"))

    def test_a_cluster_without_rules_has_no_section_that_earlier_releases_refuse(self) -> None:
        self.assertNotIn(access_file.CARD_RULES.encode(), access_file.text(a_cluster()))
        web2 = self.state.instance("web2")
        self.assertIs(without_rules(web2), web2)

    def test_the_file_is_written_again_when_rules_change_and_not_for_other_changes(self) -> None:
        web1, web2 = self.state.instance("web1"), self.state.instance("web2")
        other = update(web2, os="noop")(self.state)
        self.assertFalse(access_file.differs(other, self.state))
        without = update(web1, nics=(replace(CARD, nicparams={}), PLAIN))(self.state)
        self.assertTrue(access_file.differs(without, self.state))
        card = replace(CARD, nicparams={**CARD.nicparams, "firewall": "deny"})
        self.assertTrue(access_file.differs(update(web1, nics=(card,))(self.state), self.state))

    def test_rules_of_cards_and_instances_that_are_gone_are_left_out(self) -> None:
        newer = access_file.text(self.state)
        self.state = a_cluster(instances=[an_instance("web1", nics=(PLAIN,))])
        self.config = ConfigDataEncoder().text(self.state)
        self.assertEqual(self.read(newer).instance("web1").nics, (PLAIN,))

    def test_a_damaged_section_is_refused(self) -> None:
        damaged: tuple[object, ...] = ([], {"x": 7}, {"cluster": {"default": [1]}})
        for rules in damaged:
            document = {**json.loads(access_file.text(a_cluster())), "card_rules": rules}
            with self.assertRaisesRegex(Invalid, "is damaged"):
                self.read(json.dumps(document).encode())
