# SPDX-License-Identifier: BSD-2-Clause
"""The master knows nodes by the certificates that it accepts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.nodes import add_node, remove_node, set_certificates
from ganeti.config.writer import Change
from ganeti.master.accepted_certificates import AcceptedCertificates
from ganeti.testing.builders import a_cluster, a_node

NODE = a_node("node2", master_candidate=False)


class AcceptedTests(SynchronousTestCase):
    """node2 has had two certificates, called old and new."""

    def setUp(self) -> None:
        self.state = a_cluster()
        self.accepted = AcceptedCertificates(lambda: self.state)
        self.change(add_node(NODE, "old"))
        self.change(set_certificates(NODE, "new"))

    def change(self, change: Change) -> None:
        self.state = change(self.state.settled())
        self.accepted.config_changed(self.state, self.state.edits)

    def known(self) -> list[str]:
        return [each for each in ("old", "new", "next") if self.accepted.accepts("node2", each)]

    def test_a_node_shows_what_is_recorded(self) -> None:
        self.assertEqual(self.known(), ["new"])
        self.assertFalse(self.accepted.accepts("node1", "new"))

    def test_one_that_was_removed_can_still_be_told_to_leave(self) -> None:
        self.change(remove_node(NODE))
        self.assertEqual(self.known(), ["new"])

    def test_not_any_more_when_a_node_of_that_name_is_added(self) -> None:
        self.change(remove_node(NODE))
        self.change(add_node(a_node("node2", uuid="another"), "next"))
        self.assertEqual(self.known(), ["next"])
