# SPDX-License-Identifier: BSD-2-Clause
"""Tokens invite one node each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ganeti.bootstrap.join_cluster import invite, join
from ganeti.errors import Failed, Invalid, Refused
from ganeti.paths import Paths
from ganeti.pki.authority import Authority
from ganeti.pki.enrolment import fingerprint, read_token
from tests.bootstrap.host import Host

NODE2: dict[str, Any] = {
    "node": "node2",
    "addresses": ["192.0.2.2", "192.0.2.2"],
}


class InviteTests(Host):
    def test_a_token_says_what_the_new_node_needs(self) -> None:
        self.init_cluster()
        said = read_token(invite(self.paths, **NODE2, now=1000.5))
        self.assertEqual((said.node, said.names), ("node2", ("node2", "192.0.2.2")))
        self.assertEqual((said.master, said.address, said.port), ("node1", "127.0.0.1", 1811))
        self.assertEqual(said.until, 1000 + 3600)

    def test_no_two_tokens_are_the_same(self) -> None:
        self.init_cluster()
        self.assertNotEqual(invite(self.paths, **NODE2), invite(self.paths, **NODE2))

    def test_it_names_every_authority_that_the_cluster_trusts(self) -> None:
        self.init_cluster()
        new = Authority.founded("cluster1", 0)
        old = Path(self.paths.authority).read_bytes()
        Path(self.paths.authority).write_bytes(new.certificate + old)
        said = read_token(invite(self.paths, **NODE2))
        self.assertEqual(said.authority, new.fingerprint)
        self.assertEqual(said.other_authorities, (fingerprint(old),))

    def test_tokens_are_made_where_the_authoritys_key_is(self) -> None:
        with self.assertRaisesRegex(Refused, "make the token on the master"):
            invite(self.paths, **NODE2)


class JoinTests(Host):
    """What is refused before anybody is asked; tests.system.test_noded has the rest."""

    def setUp(self) -> None:
        super().setUp()
        self.init_cluster()
        self.token = invite(self.paths, **NODE2, port=1)
        self.new = Paths(os.path.abspath(self.mktemp()))

    def test_a_token_is_for_one_node(self) -> None:
        with self.assertRaisesRegex(Refused, "for node node2, and this is node3"):
            join(self.token, self.new, "node3")

    def test_a_member_does_not_join(self) -> None:
        with self.assertRaisesRegex(Refused, "to join another one, remove it from its cluster"):
            join(self.token, self.paths, "node2")

    def test_a_master_that_does_not_answer_is_named(self) -> None:
        with self.assertRaisesRegex(Failed, r"node1 \(127.0.0.1 port 1\) cannot be asked"):
            join(self.token, self.new, "node2")
        self.assertFalse(os.path.exists(self.new.node_certificate))

    def test_a_part_of_a_token_is_none(self) -> None:
        with self.assertRaisesRegex(Invalid, "the whole word"):
            join(self.token[:50], self.new, "node2")
