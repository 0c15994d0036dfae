# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster renew-crypto`` renews what it is told to, here or by jobs, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from ganeti.bootstrap.own_members import create_own_store, write_own_store
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.renewal import RENEWABLE, renew
from ganeti.luxi.methods import WaitForJobChange
from ganeti.opcodes.cluster import RedistributeConfig, RenewCrypto
from ganeti.opcodes.opcode import Opcode
from ganeti.pki.authority import Authority
from ganeti.pki.enrolment import certificates
from ganeti.schema.records import replace
from tests.bootstrap.host import Host
from tests.cli.terminal import Terminal, arguments


def jobs(terminal: Terminal) -> list[Opcode]:
    """The opcodes of all jobs that were submitted, without what says who asked."""
    submitted = terminal.master.memory.jobs.values()
    return [replace(opcode, reason=()) for job in submitted for opcode in job]


class RenewalTests(Host):
    def setUp(self) -> None:
        super().setUp()
        self.init_cluster()
        self.terminal = Terminal(paths=self.paths)

    def renew(self, *words: str) -> int:
        return self.terminal.run(GNT_CLUSTER, "renew-crypto", "-f", *words)

    def test_it_must_be_said_what(self) -> None:
        self.assertEqual(self.renew(), 1)
        self.assertIn("nothing to renew; give at least one option", self.terminal.err)

    def test_secrets_of_the_candidates_change_here_and_are_sent_to_them(self) -> None:
        paths = self.terminal.paths
        files = (paths.rapi_certificate, paths.domain_secret)
        before = [self.read(file) for file in files]
        code = self.renew("--new-rapi-certificate", "--new-cluster-domain-secret")
        self.assertEqual(code, 0, self.terminal.err)
        for file, old in zip(files, before, strict=True):
            self.assertNotEqual(self.read(file), old)
        self.assertEqual(jobs(self.terminal), [RedistributeConfig()])

    def test_those_of_files_are_taken_as_they_are(self) -> None:
        pem, secret = Path(self.mktemp()), Path(self.mktemp())
        pem.write_bytes(Authority.founded("theirs", 0).credentials(["rapi"], 0).pem)
        secret.write_bytes(b"shared\n")
        words = ("--rapi-certificate", str(pem), "--cluster-domain-secret", str(secret))
        self.assertEqual(self.renew(*words), 0, self.terminal.err)
        paths = self.terminal.paths
        self.assertEqual(self.read(paths.rapi_certificate), pem.read_bytes())
        self.assertEqual(self.read(paths.domain_secret), b"shared\n")

    def test_a_file_that_will_not_do_changes_nothing(self) -> None:
        before = self.read(self.terminal.paths.rapi_certificate)
        empty = Path(self.mktemp())
        empty.touch()
        for words, why in (
            (("--rapi-certificate", str(empty)), "it must contain a key and its certificate"),
            (("--rapi-certificate", f"{empty}x"), "is unusable: No such file"),
            (("--cluster-domain-secret", str(empty)), "is empty"),
        ):
            self.assertEqual(self.renew(*words), 1)
            self.assertIn(why, self.terminal.err)
        self.assertEqual(self.read(self.terminal.paths.rapi_certificate), before)
        self.assertEqual(self.terminal.asked(), [])

    def test_certificates_of_nodes_are_renewed_by_a_job(self) -> None:
        self.assertEqual(self.renew("--new-node-certificates"), 0)
        self.assertEqual(jobs(self.terminal), [RenewCrypto(node_certificates=True)])

    def test_a_new_authority_brings_new_certificates_of_nodes(self) -> None:
        words = ("--new-cluster-certificate", "--new-node-certificates")
        self.assertEqual(self.renew(*words), 0)
        self.assertEqual(jobs(self.terminal), [RenewCrypto(cluster_certificate=True)])

    def test_files_are_distributed_before_the_certificates_of_nodes_are_renewed(self) -> None:
        self.assertEqual(self.renew("--new-rapi-certificate", "--new-node-certificates"), 0)
        wanted = [RedistributeConfig(), RenewCrypto(node_certificates=True)]
        self.assertEqual(jobs(self.terminal), wanted)
        self.assertEqual(self.terminal.out, "Created a new certificate for the remote API.\n")

    def test_files_that_could_not_be_distributed_end_it(self) -> None:
        refused = [["error", ["error"], [["OpExecError", ["node2 is silent"]]]], []]
        self.terminal.canned[WaitForJobChange] = lambda _: refused
        self.assertEqual(self.renew("--new-rapi-certificate", "--new-node-certificates"), 1)
        self.assertEqual(jobs(self.terminal), [RedistributeConfig()])
        self.assertEqual(self.terminal.err, "Failure: node2 is silent\n")

    def test_the_authority_of_the_members_of_etcd_is_replaced_here_and_sent_to_candidates(
        self,
    ) -> None:
        own = create_own_store(self.paths, "c", "node1", "192.0.2.1")
        write_own_store(self.paths, own, "uuid")
        for said in ("Created a new authority", "its use goes on"):
            self.assertEqual(self.renew("--new-state-store-authority"), 0, self.terminal.err)
            self.assertIn(said, self.terminal.out)
            self.assertEqual(len(certificates(self.read(self.paths.store_authority))), 2)
        self.assertEqual(jobs(self.terminal), [RedistributeConfig()] * 2)

    def test_the_authority_of_another_etcd_is_not_replaced(self) -> None:
        self.assertEqual(self.renew("--new-state-store-authority"), 1)
        self.assertIn("runs the members of etcd itself", self.terminal.err)
        self.assertEqual(self.terminal.asked(), [])

    def test_a_plan_shows_the_kinds_of_files_and_changes_none(self) -> None:
        before = self.read(self.paths.rapi_certificate)
        given = arguments("renew-crypto", **dict.fromkeys(RENEWABLE, True), plan=True)
        code = self.terminal.call(lambda session: renew(session, given))
        title, *kinds = self.terminal.out.splitlines()
        self.assertEqual(
            (code, title), (0, "These files would be renewed on the nodes that have them:")
        )
        self.assertEqual(len(kinds), len(RENEWABLE))
        self.assertIn("- node certificates", kinds)
        self.assertEqual(self.read(self.paths.rapi_certificate), before)
        self.assertEqual(self.terminal.asked(), [])

    def test_a_node_of_no_cluster_has_nothing_to_renew(self) -> None:
        os.unlink(self.paths.authority_key)
        self.assertEqual(self.renew("--new-rapi-certificate"), 1)
        self.assertEqual(self.terminal.asked(), [])
