# SPDX-License-Identifier: BSD-2-Clause
"""What should not be there: nonsense on sockets, certificates of others, masters of the past."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ganeti.luxi.methods import METHODS
from ganeti.opcodes.instance.lifecycle import RebootInstance, RebootType
from ganeti.opcodes.test import Delay
from ganeti.paths import NODED_PORT, RAPI_PORT
from ganeti.pki.authority import Authority
from tests.luxi.test_connection import exchange
from tests.system.running import SharedCluster, run
from tools.quickstart.daemons import daemons

NONSENSE = (
    b"",
    b"\x03",
    b"\x00\xff\xfe" * 4000,
    b"{}\x03",
    b'{"method": 7, "args": {}}\x03',
    b'{"method": "SubmitJob", "args": [[{"OP_ID": "OP_NONE"}]]}\x03',
    b"[" * 100_000 + b"\x03",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /instance_start HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /2/instances HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET /" + b"a" * 100_000,
)

REBOOT = RebootInstance(instance_name="first.trial", reboot_type=RebootType.HARD)


class IntruderTests(SharedCluster):
    """One cluster, which serves its own all the while."""

    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(self.running.quickstart("start").returncode, 0)
        self.before = self.pids()

    def pids(self) -> list[int]:
        found = [daemon.process() for daemon in daemons(self.running.cluster)]
        return [process.pid if process else 0 for process in found]

    def assert_serves(self) -> None:
        """The daemons are those that were there, and do their work."""
        self.assertEqual(self.pids(), self.before)
        self.running.perform(Delay(duration=0), REBOOT)
        self.assertEqual(self.running.curl("GET", "/version"), (200, 2))

    def doors(self) -> Iterator[tuple[int, str | tuple[str, int]]]:
        cluster = self.running.cluster
        paths = cluster.master.paths
        yield from ((socket.AF_UNIX, path) for path in (paths.master_socket, paths.query_socket))
        yield socket.AF_INET, (cluster.master.address, RAPI_PORT)
        yield from ((socket.AF_INET, (node.address, NODED_PORT)) for node in cluster.nodes)

    def test_nonsense_on_every_socket_harms_nobody(self) -> None:
        for family, address in self.doors():
            for nonsense in NONSENSE:
                with socket.socket(family) as intruder, contextlib.suppress(OSError):
                    intruder.settimeout(0.05)
                    intruder.connect(address)
                    intruder.sendall(nonsense)
                    intruder.recv(65536)
        self.assert_serves()

    def test_the_master_answers_every_request(self) -> None:
        paths = self.running.cluster.master.paths
        deep = (b"[" * 5000 + b"]" * 5000, b'{"a":' * 5000 + b"1" + b"}" * 5000)
        for path in (paths.master_socket, paths.query_socket):
            for args in (*deep, b'["\xff"]', b'["\\ud800"]', b"[" + b"9" * 5000 + b"]"):
                for method in METHODS:
                    request = b'{"method":"%b","args":%b}' % (method.encode(), args)
                    [answer] = exchange(path, [request])
                    self.assertIn(b'"success":false', answer, (method, args[:20]))
        self.assert_serves()

    def test_nonsense_through_tls_harms_nobody(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for family, address in self.doors():
            for nonsense in NONSENSE if family == socket.AF_INET else ():
                with (
                    socket.socket(family) as plain,
                    context.wrap_socket(plain) as intruder,
                    contextlib.suppress(OSError),
                ):
                    intruder.settimeout(2)
                    intruder.connect(address)
                    intruder.settimeout(0.05)
                    intruder.sendall(nonsense)
                    intruder.recv(65536)
        self.assert_serves()

    def told(self, *certificate: str) -> str:
        """What node 2 answers to who has this certificate, and does not say in which term."""
        cluster = self.running.cluster
        done = run(
            [
                *("curl", "-sS", "-k", "-m", "20", "-d", "{}", *certificate),
                f"https://{cluster.node(2).address}:{NODED_PORT}/version",
            ]
        )
        return done.stdout

    def credentials(self) -> tuple[str, str]:
        """The certificate of the master of another cluster, with the same names."""
        cluster, now = self.running.cluster, time.time()
        pem = Authority.founded(cluster.name, now).credentials([cluster.master.name], now).pem
        path = Path(self.mktemp())
        path.write_bytes(pem)
        return "--cert", str(path)

    def test_nodes_do_what_they_are_told_by_certificates_of_their_cluster_only(self) -> None:
        own = ("--cert", self.running.cluster.master.paths.node_certificate)
        self.assertIn("OldTerm", self.told(*own))
        self.assertNotIn("OldTerm", self.told())
        self.assertNotIn("OldTerm", self.told(*self.credentials()))
        self.assert_serves()

    def test_a_copy_of_the_master_does_not_begin(self) -> None:
        """A copy of the master's folder, as from a backup, in the name of the same node."""
        root = self.running.cluster.master.paths.root
        copy = f"{root}-copy"
        shutil.copytree(root, copy, symlinks=True, ignore=_living)
        self.addCleanup(shutil.rmtree, copy)
        environment = {
            "GANETI_ROOTDIR": copy,
            "GANETI_HOSTNAME": self.running.cluster.master.name,
        }
        done = run([sys.executable, "-m", "ganeti.daemon.masterd"], environment=environment)
        self.assertEqual(done.returncode, 11, done.stderr)
        self.assertIn("another master daemon of", done.stderr)
        self.assert_serves()


def _living(folder: str, names: list[str]) -> list[str]:
    """What belongs to processes: their numbers, their sockets, files that are being written."""
    return [name for name in names if name.endswith((".pid", ".tmp")) or folder.endswith("/socket")]
