# SPDX-License-Identifier: BSD-2-Clause
"""The certificate of the remote API is for all nodes that serve it."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.daemon.master_services.api_certificate import ApiCertificateNames, list_api_names
from ganeti.errors import Failed
from ganeti.pki.authority import SERVER_USAGE, Authority, find_missing_names
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles

NOW = 1_700_000_000.0
PATH = "/rapi.pem"


class ApiCertificateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.files = MemoryFiles(MemoryDisk())
        self.authority = Authority.founded("test", NOW)
        self.state = a_cluster(nodes=[a_node("node1"), a_node("node2", master_candidate=False)])
        self.renewals = self.copies = 0
        self.names = ApiCertificateNames(
            self.files, PATH, lambda: self.state, self.renew, self.copied
        )
        self.successResultOf(self.renew(list_api_names(self.state)))
        self.renewals = 0

    async def renew(self, names: Sequence[str]) -> None:
        self.renewals += 1
        issued = self.authority.credentials(names, NOW, usage=SERVER_USAGE)
        await self.files.replace(PATH, issued.pem, mode=0o600)

    def copied(self) -> None:
        self.copies += 1

    def promote(self, name: str) -> ClusterState:
        return a_cluster(nodes=[a_node("node1"), a_node(name)])

    def look(self) -> None:
        self.successResultOf(self.names.look())

    def test_a_certificate_with_all_names_is_kept(self) -> None:
        self.look()
        self.look()
        self.assertEqual(self.renewals, 0)

    def test_the_first_look_copies_one_that_was_replaced_since_the_term_began(self) -> None:
        self.look()
        self.look()
        self.assertEqual(self.copies, 1)

    def test_the_name_and_address_of_a_new_candidate_are_added_once(self) -> None:
        self.state = self.promote("node2")
        self.look()
        self.look()
        self.assertEqual((self.renewals, self.copies), (1, 1))
        self.assertEqual(find_missing_names(self.files.read(PATH), ["node2"]), [])

    def test_one_that_a_tool_has_issued_is_copied_at_the_next_look(self) -> None:
        self.look()
        self.successResultOf(self.renew(["other", *list_api_names(self.state)]))
        self.look()
        self.look()
        self.assertEqual((self.renewals, self.copies), (1, 2))

    def test_a_certificate_that_an_administrator_has_installed_stays(self) -> None:
        async def keep(_: Sequence[str]) -> None:
            self.renewals += 1

        self.names = ApiCertificateNames(self.files, PATH, lambda: self.state, keep, self.copied)
        self.state = self.promote("node2")
        self.look()
        self.look()
        self.assertEqual((self.renewals, self.copies), (1, 1))

    def test_a_failure_is_tried_again(self) -> None:
        async def fail(_: Sequence[str]) -> None:
            raise Failed("the key is not here")

        self.state = self.promote("node2")
        names = ApiCertificateNames(self.files, PATH, lambda: self.state, fail, self.copied)
        for _ in range(2):
            self.failureResultOf(names.look(), Failed)
        self.assertEqual(self.copies, 0)
