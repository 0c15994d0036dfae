# SPDX-License-Identifier: BSD-2-Clause
"""Tokens invite one node each."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec

from ganeti.bootstrap.blocking_files import read_ssconf, write_ssconf
from ganeti.bootstrap.free_space import Space
from ganeti.bootstrap.join_cluster import create_token, join
from ganeti.errors import Failed, Invalid, ProtocolError, Refused
from ganeti.paths import Paths
from ganeti.pki.authority import Authority
from ganeti.pki.enrolment import AUTHORITY_CALL, ENROL_CALL, fingerprint, read_token
from tests.bootstrap.host import Host
from tests.bootstrap.node_daemons import NodeDaemons

NODE2: dict[str, Any] = {
    "node": "node2",
    "addresses": ["192.0.2.2", "192.0.2.2"],
}


class InviteTests(Host):
    def test_a_token_says_what_the_new_node_needs(self) -> None:
        self.init_cluster()
        said = read_token(create_token(self.paths, **NODE2, now=1000.5))
        self.assertEqual((said.node, said.names), ("node2", ("node2", "192.0.2.2")))
        self.assertEqual((said.master, said.address, said.port), ("node1", "127.0.0.1", 1811))
        self.assertEqual(said.until, 1000 + 3600)

    def test_no_two_tokens_are_the_same(self) -> None:
        self.init_cluster()
        self.assertNotEqual(create_token(self.paths, **NODE2), create_token(self.paths, **NODE2))

    def test_it_names_every_authority_that_the_cluster_trusts(self) -> None:
        self.init_cluster()
        new = Authority.founded("cluster1", 0)
        old = Path(self.paths.authority).read_bytes()
        Path(self.paths.authority).write_bytes(new.certificate + old)
        said = read_token(create_token(self.paths, **NODE2))
        self.assertEqual(said.authority, new.fingerprint)
        self.assertEqual(said.other_authorities, (fingerprint(old),))

    def test_tokens_are_made_where_the_authoritys_key_is(self) -> None:
        with self.assertRaisesRegex(Refused, "create the token on the master"):
            create_token(self.paths, **NODE2)


class JoinTests(Host):
    """What is refused before anybody is asked."""

    def setUp(self) -> None:
        super().setUp()
        self.init_cluster()
        self.token = create_token(self.paths, **NODE2, port=1)
        self.new = Paths(os.path.abspath(self.mktemp()))

    def test_a_token_is_for_one_node(self) -> None:
        with self.assertRaisesRegex(Refused, "for node node2, and this is node3"):
            join(self.token, self.new, "node3")

    def test_a_member_does_not_join(self) -> None:
        with self.assertRaisesRegex(Refused, "to join another cluster, remove it from its cluster"):
            join(self.token, self.paths, "node2")

    def test_a_master_that_does_not_answer_is_named(self) -> None:
        with self.assertRaisesRegex(Failed, r"node1 \(127.0.0.1 port 1\) is unreachable"):
            join(self.token, self.new, "node2")
        self.assertFalse(os.path.exists(self.new.node_certificate))

    def test_a_host_without_space_keeps_its_token(self) -> None:
        with self.assertRaisesRegex(Refused, "0 MiB of free space.*nothing was changed"):
            join(self.token, self.new, "node2", space=lambda _: Space(0, writable=True))

    def test_a_part_of_a_token_is_none(self) -> None:
        with self.assertRaisesRegex(Invalid, "the whole word"):
            join(self.token[:50], self.new, "node2")


class EnrolmentTests(Host):
    """A host that asks the node daemon of the master for its certificate."""

    def setUp(self) -> None:
        super().setUp()
        self.init_cluster()
        self.authority = Authority.loaded(
            Path(self.paths.authority).read_bytes(), Path(self.paths.authority_key).read_bytes()
        )
        self.trusted = self.authority.certificate.decode()
        self.members: Any = {"revision": 1, "certificates": {}, "candidates": ["node1"]}
        self.daemons = NodeDaemons(self, self.paths)
        self.daemons.serve(
            "node1", {AUTHORITY_CALL: lambda _: self.trusted, ENROL_CALL: self.enrolled}
        )
        self.token = create_token(self.paths, **NODE2, port=self.daemons.port)
        self.new = Paths(os.path.abspath(self.mktemp()))

    def enrolled(self, application: dict[str, Any]) -> dict[str, Any]:
        self.assertEqual(application["token"], self.token)
        request = application["request"].encode()
        return {
            "certificate": self.authority.grant(request, ["node2"], time.time()).decode(),
            "authority": self.authority.certificate.decode(),
            "members": self.members,
        }

    def test_it_gets_its_certificate_and_knows_its_master(self) -> None:
        said = join(self.token, self.new, "node2")
        self.assertEqual((said.cluster, said.master), ("cluster1", "node1"))
        credentials = self.read(self.new.node_certificate)
        self.assertTrue(self.authority.has_issued(credentials))
        self.assertEqual(os.stat(self.new.node_certificate).st_mode & 0o777, 0o600)
        self.assertEqual(read_ssconf(self.new, "master_node"), "node1")
        ips = read_ssconf(self.new, "node_primary_ips")
        self.assertEqual(ips, "node1 127.0.0.1\nnode2 192.0.2.2")
        kept = msgspec.json.decode(self.read(self.new.member_list))
        self.assertEqual((kept["term"], kept["members"]["candidates"]), (0, ["node1"]))

    def test_another_authority_than_that_of_the_token_is_not_trusted(self) -> None:
        self.trusted = Authority.founded("theirs", 0).certificate.decode()
        with self.assertRaisesRegex(Refused, "is not the one in the token"):
            join(self.token, self.new, "node2")
        self.assertEqual(self.daemons.asked, [("node1", AUTHORITY_CALL)])
        self.assertFalse(os.path.exists(self.new.node_certificate))

    def test_an_answer_that_makes_no_sense_is_no_certificate(self) -> None:
        self.members = {"revision": "many"}
        with self.assertRaisesRegex(ProtocolError, "node1 .* sent a malformed answer"):
            join(self.token, self.new, "node2")
        self.assertFalse(os.path.exists(self.new.node_certificate))

    def test_a_member_gets_another_certificate_of_its_own_cluster(self) -> None:
        join(self.token, self.new, "node2")
        before = self.read(self.new.node_certificate)
        Path(self.new.term_file).write_text("kept")
        join(self.token, self.new, "node2", again=True)
        self.assertNotEqual(self.read(self.new.node_certificate), before)
        self.assertEqual(self.read(self.new.term_file), b"kept")
        write_ssconf(self.new, {"cluster_name": "theirs"})
        with self.assertRaisesRegex(Refused, "this node is part of cluster theirs"):
            join(self.token, self.new, "node2", again=True)

    def test_a_node_of_ganetis_joins_the_cluster_that_was_taken_over(self) -> None:
        ganetis = {"server.pem": "of Ganeti", "ssconf_cluster_name": "cluster1\n", "hmac.key": "x"}
        os.makedirs(self.new.data)
        for name, content in ganetis.items():
            Path(self.new.data, name).write_text(content)
        with self.assertRaisesRegex(Refused, "this node is already part of a cluster"):
            join(self.token, self.new, "node2")
        join(self.token, self.new, "node2", again=True)
        self.assertTrue(self.authority.has_issued(self.read(self.new.node_certificate)))
        self.assertEqual(self.read(f"{self.new.data}/ganeti-before/server.pem"), b"of Ganeti")
        self.assertFalse(os.path.exists(f"{self.new.data}/hmac.key"))

    def test_a_node_of_another_cluster_of_ganetis_does_not_join(self) -> None:
        os.makedirs(self.new.data)
        Path(self.new.node_certificate).write_text("of Ganeti")
        Path(self.new.data, "ssconf_cluster_name").write_text("theirs\n")
        with self.assertRaisesRegex(Refused, "this node is part of cluster theirs"):
            join(self.token, self.new, "node2", again=True)
        self.assertEqual(self.read(self.new.node_certificate), b"of Ganeti")

    def test_terms_of_a_cluster_of_the_same_name_are_forgotten(self) -> None:
        join(self.token, self.new, "node2")
        other = Authority.founded("cluster1", 0)
        Path(self.new.authority).write_bytes(other.certificate)
        for path in (self.new.term_file, self.new.authority_key):
            Path(path).write_text("of the other one")
        join(self.token, self.new, "node2", again=True)
        self.assertFalse(os.path.exists(self.new.term_file))
        self.assertFalse(os.path.exists(self.new.authority_key))
        self.assertEqual(self.read(self.new.authority), self.authority.certificate)
