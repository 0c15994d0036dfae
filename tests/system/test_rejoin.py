# SPDX-License-Identifier: BSD-2-Clause
"""A node whose certificate does not work any more becomes a member again."""

from __future__ import annotations

import time
from datetime import timedelta

from ganeti.bootstrap.blocking_files import local_files, write
from ganeti.bootstrap.join_cluster import create_token
from ganeti.errors import GanetiError
from ganeti.luxi.methods import QueryNodes
from ganeti.opcodes.node import AddNode, ModifyNode
from ganeti.pki.authority import Authority
from tests.system.running import SharedCluster, eventually, refusal


class RejoinTests(SharedCluster):
    def role(self, name: str) -> str:
        [[role]] = self.running.ask(QueryNodes(names=(name,), fields=("role",)))
        return str(role)

    def rejoined(self, certificate: bytes, authority: bytes, why: str) -> None:
        cluster, node = self.running.cluster, self.running.cluster.node(3)
        daemon = self.running.daemon("noded", 3)
        self.running.perform(ModifyNode(node_name=node.name, offline=True))
        self.running.kill("noded", 3)
        write({node.paths.node_certificate: (certificate, 0o600)})
        write({node.paths.authority: (authority, 0o644)})
        self.assertIn(why, refusal(daemon.start))
        token = create_token(cluster.master.paths, node=node.name, addresses=[node.address])
        self.assertIn("use --rejoin", refusal(lambda: daemon.start("--join", "-", token=token)))
        daemon.start("--join", "-", "--rejoin", token=token)
        self.running.perform(AddNode(node_name=node.name, readd=True))
        self.assertEqual(self.role(node.name), "C")
        eventually(lambda: self.in_sync(3))

    def in_sync(self, number: int) -> bool:
        from ganeti.bootstrap.journal_copy import read

        copies = []
        for each in (1, number):
            try:
                copies.append(read(local_files(), self.running.cluster.node(each).paths.data).end)
            except GanetiError:
                return False
        return copies[0] == copies[1]

    def test_after_its_certificate_has_expired(self) -> None:
        paths = self.running.cluster.master.paths
        files = local_files()
        authority = Authority.loaded(files.read(paths.authority), files.read(paths.authority_key))
        name = self.running.cluster.node(3).name
        old = authority.credentials([name], time.time() - 10 * 86400, life=timedelta(days=5))
        self.rejoined(old.pem, authority.certificate, "has expired")

    def test_nodes_get_new_certificates_while_they_work(self) -> None:
        paths = [node.paths.node_certificate for node in self.running.cluster.nodes]
        before = [local_files().read(path) for path in paths]
        done = self.running.tool("cluster", "renew-crypto", "-f", "--new-node-certificates")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        after = [local_files().read(path) for path in paths]
        self.assertEqual(len({*before, *after}), 6)
        for number in (1, 2, 3):
            self.running.kill("noded", number)
            self.running.daemon("noded", number).start()
        # A checkpoint may have been on its way to a node that was down.
        eventually(lambda: self.in_sync(2) and self.in_sync(3))
        eventually(
            lambda: (
                "its replica is not in sync" not in self.running.tool("cluster", "verify").stdout
            )
        )
        done = self.running.tool("cluster", "verify")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_remote_api_gets_a_new_certificate(self) -> None:
        path = self.running.cluster.master.paths.rapi_certificate
        before = local_files().read(path)
        done = self.running.tool("cluster", "renew-crypto", "-f", "--new-rapi-certificate")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertNotEqual(local_files().read(path), before)
        copy = self.running.cluster.node(2).paths.rapi_certificate
        self.assertEqual(local_files().read(copy), local_files().read(path))
        self.assertEqual(self.running.curl("GET", "/version")[0], 200)

    def test_after_its_cluster_was_made_anew(self) -> None:
        other = Authority.founded(self.running.cluster.name, time.time())
        name = self.running.cluster.node(3).name
        own = other.credentials([name], time.time())
        mine = self.running.cluster.master.paths.authority
        self.rejoined(own.pem, local_files().read(mine), "was not issued by")
