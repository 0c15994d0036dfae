# SPDX-License-Identifier: BSD-2-Clause
"""Certificates and secrets of members, and of those that are members no more, on a live cluster."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.join_cluster import create_token, join
from ganeti.bootstrap.node_client import NodeEndpoint, Peers
from ganeti.errors import GanetiError
from ganeti.luxi.client import LuxiClient
from ganeti.luxi.methods import QueryConfigValues, SubmitJob
from ganeti.node.candidacy import list_state_folders, secrets
from ganeti.opcodes.cluster import RenewCrypto
from ganeti.opcodes.instance.lifecycle import RemoveInstance
from ganeti.opcodes.node import AddNode, ModifyNode, RemoveNode
from ganeti.opcodes.test import Delay
from ganeti.paths import NODED_PORT, Paths
from ganeti.pki.authority import Authority
from ganeti.pki.enrolment import certificates
from ganeti.rpc.call import Call
from ganeti.rpc.node import RunPowerHelper, StopMaster
from ganeti.rpc.quorum import DescribeVote
from tests.system.running import RunningCluster, SharedCluster, eventually, refusal, run
from tools.quickstart.processes import Process

PROGRAM = RunPowerHelper(oob_program="/bin/sh", command="-c", remote_node="id", timeout=5)


def authority_of(paths: Paths) -> Authority:
    """The authority that issues, as whoever can read these files has it."""
    key = Path(paths.authority_key).read_bytes()
    return Authority.loaded(Path(paths.authority).read_bytes(), key)


def trusted(running: RunningCluster) -> set[tuple[str, ...]]:
    """The authorities that the nodes trust: one entry if all trust the same."""
    paths = [Path(node.paths.authority) for node in running.cluster.nodes]
    return {certificates(path.read_bytes()) for path in paths}


def has_one_authority(running: RunningCluster) -> bool:
    """Whether all nodes trust one authority, and nothing is unfinished."""
    known = trusted(running)
    return len(known) == 1 and len(known.pop()) == 1


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
        return there + [path for path in list_state_folders(paths) if os.path.isdir(path)]

    def copied(self, paths: Paths) -> Paths:
        """A copy of what a node knows, somewhere else."""
        copy = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(copy.data)
        for name in ("node_certificate", "authority", "authority_key"):
            if os.path.exists(getattr(paths, name)):
                shutil.copy(getattr(paths, name), getattr(copy, name))
        return copy

    def forged(self, stolen: Paths, authority: Path) -> Paths:
        """The files of one who makes himself a certificate of the master with a stolen key."""
        files = self.copied(stolen)
        own = authority_of(stolen).credentials([self.running.cluster.master.name], time.time())
        Path(files.node_certificate).write_bytes(own.pem)
        shutil.copy(authority, files.authority)
        return files

    def is_replaced(self, before: Authority) -> bool:
        """Whether the authority has been replaced, everywhere."""
        [due] = self.running.ask(QueryConfigValues(fields=("authority_replacement_due",)))
        current = authority_of(self.running.cluster.master.paths)
        changed = current.fingerprint != before.fingerprint
        return not due and changed and has_one_authority(self.running)

    def test_members_lose_their_power_with_their_role(self) -> None:
        master, third = self.running.cluster.node(1), self.running.cluster.node(3)
        self.running.perform(RemoveInstance(instance_name="first.trial"))
        eventually(lambda: os.path.exists(third.paths.authority_key))
        stolen, old = self.copied(third.paths), authority_of(third.paths)
        known = [Path(path) for path in (master.paths.domain_secret, master.paths.rapi_certificate)]
        before = [path.read_bytes() for path in known]

        for told in self.refusals(stolen, PROGRAM):
            self.assertRegex(
                told,
                "run_oob may only be called by roles master|granted term 1 to another node"
                "|has not granted",
            )

        self.running.perform(ModifyNode(node_name=third.name, master_candidate=False, force=True))
        self.assertEqual(self.holds(3), [])
        eventually(lambda: self.is_replaced(old))
        for secret, path in zip(before, known, strict=True):
            self.assertNotEqual(path.read_bytes(), secret)
        for told in self.refusals(self.copied(third.paths), StopMaster()):
            self.assertIn("may only be called by roles candidate, master", told)
        self.assert_powerless(stolen)

        for number in (1, 2, 3):
            self.running.kill("noded", number)
            self.running.daemon("noded", number).start()
        self.running.perform(Delay(duration=0, on_nodes=(master.name, third.name)))
        done = self.running.tool("cluster", "verify")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

        own = self.copied(third.paths)
        self.running.perform(RemoveNode(node_name=third.name))
        for told in self.refusals(own, DescribeVote())[:2]:
            self.assertIn("does not belong to a member", told)
        eventually(lambda: not os.path.exists(third.paths.node_certificate))
        left = set(os.listdir(third.paths.data)) - {"export"}
        self.assertEqual(left, set())
        eventually(lambda: self.running.daemon("noded", 3).process() is None)
        token = create_token(master.paths, node=third.name, addresses=[third.address])
        self.running.daemon("noded", 3).start("--join", "-", token=token)
        self.running.perform(AddNode(node_name=third.name, primary_ip=third.address))

    def assert_powerless(self, stolen: Paths) -> None:
        """What is signed with the old key convinces no node, tool, joining host or client."""
        master, old = self.running.cluster.master, authority_of(stolen)
        new = authority_of(master.paths)
        for files in (stolen, self.forged(stolen, Path(master.paths.authority))):
            for told in self.refusals(files, DescribeVote()):
                self.assertIn("is unreachable", told)
        forged = self.forged(stolen, Path(stolen.authority))
        for answer in (old.certificate, new.certificate, new.certificate + old.certificate):
            with _impostor(forged, master.address, answer.decode()) as port:
                self.assert_unconvincing(port)
        rapi = Path(master.paths.rapi_certificate).read_bytes()
        self.assertEqual([each.has_issued(rapi) for each in (old, new)], [False, True])
        self.assertEqual(self.running.curl("GET", "/version")[0], 200)

    def assert_unconvincing(self, port: int) -> None:
        """Neither a tool nor a joining host takes who listens there for the master."""
        master, host = self.running.cluster.master, Paths(os.path.abspath(self.mktemp()))
        peers = Peers(master.paths, [NodeEndpoint(master.name, master.address, port)])
        told = refusal(lambda: peers.ask(master.name, DescribeVote(), 0))
        self.assertIn("certificate verify failed", told)
        token = create_token(master.paths, node="node9", addresses=["127.0.0.9"], port=port)
        told = refusal(lambda: join(token, host, "node9"))
        self.assertRegex(told, "certificate verify failed|not the one in the token")


def _has_ended(process: Process) -> bool:
    return not process.alive()


def _read_request(connection: ssl.SSLSocket) -> None:
    """Read a whole request: with bytes unread, closing would take the answer from the client."""
    with connection.makefile("rb") as file:
        length = 0
        while (line := file.readline()) not in (b"", b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        file.read(length)


@contextmanager
def _impostor(paths: Paths, address: str, authority: str) -> Iterator[int]:
    """Answer every request at a port with a certificate of an authority, in the master's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths.node_certificate)
    body = msgspec.json.encode([True, authority])
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    _read_request(connection)
                    connection.sendall(answer)
            except OSError:
                plain.close()

    with socket.create_server((address, 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class InterruptedTests(SynchronousTestCase):
    """The master dies, or hands its role over, while the authority is being replaced."""

    def setUp(self) -> None:
        self.running = RunningCluster()
        self.addCleanup(self.end)
        self.paths = [node.paths for node in self.running.cluster.nodes]
        eventually(lambda: all(os.path.exists(paths.authority_key) for paths in self.paths))
        self.old = self.key(2)

    def end(self) -> None:
        # The quick start knows of the first node's master daemon only.
        for name in ("rapi", "masterd"):
            if process := self.running.daemon(name, 2).process():
                process.send(signal.SIGTERM)
                eventually(partial(_has_ended, process))
        self.assertEqual(self.running.destroy(), [])

    def key(self, number: int) -> bytes:
        return Path(self.paths[number - 1].authority_key).read_bytes()

    def begin(self, op: RenewCrypto, until: Callable[[], bool]) -> None:
        """Begin a replacement, and return in the midst of it."""
        self.running.ask(SubmitJob(ops=(op,)))
        eventually(until)

    def has_two(self) -> bool:
        """Whether some node trusts a new authority besides the old one."""
        return any(len(known) == 2 for known in trusted(self.running))

    def has_key(self) -> bool:
        """Whether another candidate has the key of the new authority."""
        return self.key(2) != self.old

    def on(self, number: int, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What a program does on a node."""
        cluster = self.running.cluster
        environment = cluster.environment(cluster.node(number))
        return run([sys.executable, "-P", "-m", module, *arguments], environment=environment)

    def assert_completed(self, authority: Authority) -> None:
        self.assertEqual(trusted(self.running), {(authority.certificate.decode(),)})
        for paths in self.paths:
            issued = Path(paths.node_certificate).read_bytes()
            self.assertTrue(authority.has_issued(issued))

    def test_a_master_that_is_killed_in_the_midst_completes_it_later(self) -> None:
        moments = (self.has_two, self.has_key, self.own_certificate_changes())
        op = RenewCrypto(cluster_certificate=True)
        for moment in moments:
            self.begin(op, moment)
            self.running.kill("masterd")
            self.running.daemon("masterd").start()
            done = self.running.tool("cluster", "verify")
            self.assertIn("renew-crypto --new-cluster-certificate", done.stdout + done.stderr)
        begun = authority_of(self.paths[0])
        done = self.on(1, "ganeti.daemon.watcher")
        self.assertEqual(done.returncode, 0, done.stderr)
        eventually(lambda: has_one_authority(self.running))
        self.assert_completed(Authority.loaded(begun.certificate, self.key(1)))
        done = self.running.tool("cluster", "verify")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def own_certificate_changes(self) -> Callable[[], bool]:
        path = Path(self.paths[0].node_certificate)
        before = path.read_bytes()
        return lambda: path.read_bytes() != before

    def test_another_master_completes_it(self) -> None:
        self.begin(RenewCrypto(cluster_certificate=True), self.has_key)
        begun = authority_of(self.paths[1])
        done = self.on(2, "ganeti.cli.gnt_cluster.commands", "master-failover")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        for order in ("renew-crypto", "verify"):
            options = ("-f", "--new-cluster-certificate") if order == "renew-crypto" else ()
            done = self.on(2, "ganeti.cli.gnt_cluster.commands", order, *options)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assert_completed(begun)
        with LuxiClient(self.paths[1].master_socket) as client:
            client.ask(SubmitJob(ops=(Delay(duration=0),)))
