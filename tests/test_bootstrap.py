# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import os
import ssl
import stat
import uuid
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap import found, invite, join
from ganeti.config.formats import loaded
from ganeti.config.verify import verify
from ganeti.daemon.tls import prove
from ganeti.errors import Failed, Invalid, Refused
from ganeti.paths import Paths
from ganeti.pki.enrolment import read_token

NODE2: dict[str, Any] = {
    "node": "node2",
    "addresses": ["192.0.2.2", "192.0.2.2"],
}


class Host(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))

    def found(self) -> None:
        found(
            self.paths,
            cluster="cluster1",
            address="127.0.0.1",
            master="node1",
            master_address="127.0.0.1",
            hypervisors=["fake"],
        )

    def read(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()


class FoundTests(Host):
    def test_the_first_node_has_a_configuration_that_verifies(self) -> None:
        self.found()
        state = loaded(self.read(self.paths.config_file), ids=lambda: str(uuid.uuid4()))
        self.assertEqual(list(verify(state)), [])
        self.assertEqual(state.master.name, "node1")
        self.assertEqual(self.read(f"{self.paths.data}/ssconf_master_node"), b"node1\n")
        self.assertEqual(self.read(f"{self.paths.queue}/serial"), b"0\n")

    def test_the_first_node_has_a_certificate_that_convinces(self) -> None:
        self.found()
        prove(self.paths, "node1")
        context = ssl.create_default_context(cafile=self.paths.authority)
        context.load_cert_chain(self.paths.rapi_certificate)

    def test_secrets_are_their_owners_alone(self) -> None:
        self.found()
        paths = self.paths
        for path in (
            paths.authority_key,
            paths.node_certificate,
            paths.rapi_certificate,
            paths.domain_secret,
        ):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)

    def test_there_is_one_cluster_on_a_host(self) -> None:
        self.found()
        with self.assertRaisesRegex(Refused, "there is a cluster here already"):
            self.found()

    def test_a_member_of_a_cluster_founds_no_other(self) -> None:
        self.found()
        os.unlink(self.paths.config_file)
        with self.assertRaisesRegex(Refused, "to found a cluster, remove it from its cluster"):
            self.found()

    def test_what_was_interrupted_can_be_done_again(self) -> None:
        self.found()
        with open(f"{self.paths.data}/founding", "w"):
            pass
        self.found()
        self.assertFalse(os.path.exists(f"{self.paths.data}/founding"))

    def test_users_of_the_remote_api_stay(self) -> None:
        os.makedirs(os.path.dirname(self.paths.rapi_users))
        with open(self.paths.rapi_users, "w") as file:
            file.write("jo secret write\n")
        self.found()
        self.assertEqual(self.read(self.paths.rapi_users), b"jo secret write\n")


class InviteTests(Host):
    def test_a_token_says_what_the_new_node_needs(self) -> None:
        self.found()
        said = read_token(invite(self.paths, **NODE2, now=1000.5))
        self.assertEqual((said.node, said.names), ("node2", ("node2", "192.0.2.2")))
        self.assertEqual((said.master, said.address, said.port), ("node1", "127.0.0.1", 1811))
        self.assertEqual(said.until, 1000 + 3600)

    def test_no_two_tokens_are_the_same(self) -> None:
        self.found()
        self.assertNotEqual(invite(self.paths, **NODE2), invite(self.paths, **NODE2))

    def test_tokens_are_made_where_the_authoritys_key_is(self) -> None:
        with self.assertRaisesRegex(Refused, "make the token on the master"):
            invite(self.paths, **NODE2)


class JoinTests(Host):
    """What is refused before anybody is asked; tests.system.test_noded has the rest."""

    def setUp(self) -> None:
        super().setUp()
        self.found()
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
