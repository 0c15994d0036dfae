# SPDX-License-Identifier: BSD-2-Clause
"""Certificates and secrets of members, and of those that are members no more, on a live cluster."""

from __future__ import annotations

import os
import shutil
import ssl
from pathlib import Path

from ganeti.bootstrap.node_client import NodeEndpoint, Peers
from ganeti.errors import GanetiError
from ganeti.node.candidacy import secrets, state_folders
from ganeti.opcodes.node import ModifyNode, RemoveNode
from ganeti.paths import NODED_PORT, Paths
from ganeti.rpc.call import Call
from ganeti.rpc.node import RunPowerHelper, StopMaster
from ganeti.rpc.quorum import DescribeVote
from tests.system.running import SharedCluster, eventually

PROGRAM = RunPowerHelper(oob_program="/bin/sh", command="-c", remote_node="id", timeout=5)


class AuthorityTests(SharedCluster):
    def peers(self, paths: Paths) -> Peers:
        """The node daemons as the owner of these certificates sees them."""
        nodes = self.running.cluster.nodes
        return Peers(paths, [NodeEndpoint(node.name, node.address, NODED_PORT) for node in nodes])

    def refusals(self, paths: Paths, call: Call[object]) -> list[str]:
        """What each node says to a call, in the term that it is in."""
        peers, found = self.peers(paths), []
        for name in peers.nodes:
            try:
                term = peers.ask(name, DescribeVote(), 0).state.term
            except (GanetiError, ssl.SSLError):
                term = 1
            try:
                peers.ask(name, call, term)
            except GanetiError as e:
                found.append(str(e))
            else:
                found.append("")
        return found

    def holds(self, number: int) -> list[str]:
        """The secrets and the state that a node has."""
        paths = self.running.cluster.node(number).paths
        there = [path for path in secrets(paths) if os.path.exists(path)]
        return there + [path for path in state_folders(paths) if os.path.isdir(path)]

    def test_members_lose_their_power_with_their_role(self) -> None:
        master, third = self.running.cluster.node(1), self.running.cluster.node(3)
        eventually(lambda: os.path.exists(third.paths.authority_key))
        stolen = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(stolen.data)
        for path, copy in (
            (third.paths.node_certificate, stolen.node_certificate),
            (third.paths.authority, stolen.authority),
        ):
            shutil.copy(path, copy)
        known = [Path(path) for path in (master.paths.domain_secret, master.paths.rapi_certificate)]
        before = [path.read_bytes() for path in known]

        for told in self.refusals(stolen, PROGRAM):
            self.assertRegex(told, "run_oob may be called by: master|has not granted term")

        self.running.perform(ModifyNode(node_name=third.name, master_candidate=False, force=True))
        self.assertEqual(self.holds(3), [])
        for told in self.refusals(stolen, StopMaster()):
            self.assertIn("may be called by: candidate, master", told)
        eventually(lambda: all(a != p.read_bytes() for a, p in zip(before, known, strict=True)))
        self.assertEqual(self.running.curl("GET", "/version")[0], 200)

        self.running.perform(RemoveNode(node_name=third.name))
        for told in self.refusals(stolen, DescribeVote())[:2]:
            self.assertIn("is not that of a member", told)
        eventually(lambda: not os.path.exists(third.paths.node_certificate))
        left = set(os.listdir(third.paths.data)) - {"export"}
        self.assertEqual(left, set())
