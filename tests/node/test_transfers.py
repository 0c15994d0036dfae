# SPDX-License-Identifier: BSD-2-Clause
"""Transfers of nodes in memory: what moves where, who hears of failures, and what is left."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.node.exports import Exports
from ganeti.node.transfers import ABANDON_TIMEOUT, MIB
from ganeti.rpc import transfers as calls
from ganeti.rpc.call import Call
from ganeti.system.interfaces import IFiles
from ganeti.testing.builders import a_disk, a_guest, a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.host import MemoryHost
from ganeti.testing.nodes import MemoryNodes
from ganeti.testing.processes import Script
from ganeti.testing.streams import MemoryNetwork

R = TypeVar("R")
MAGIC = "magic-1"
NEW = calls.ExportData(path="web1.new", dump="disk0")


class EndingFiles:
    """Files of a daemon that ends before its change number ``limit``."""

    def __init__(self, files: MemoryFiles, limit: int) -> None:
        self._files = files
        self._left = limit

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._files, name)
        if name in ("make_folder", "replace", "remove_folder", "rename"):
            if not self._left:
                raise OSError(5, "the daemon has ended")
            self._left -= 1
        return found


class TransfersTests(SynchronousTestCase):
    """Two nodes of one cluster, node1 with a guest of one disk."""

    def setUp(self) -> None:
        self.clock, network = Clock(), MemoryNetwork()
        self.hosts = {
            name: MemoryHost(name, self.clock, network=network) for name in ("node1", "node2")
        }
        answers = {name: host.answers for name, host in self.hosts.items()}
        self.nodes = MemoryNodes(answers, clock=self.clock)
        self.guest = a_guest("web1", disks=[a_disk("a", size=1)])
        images = self.hosts["node1"].images
        self.path = "/node1/srv/ganeti/file-storage/a"
        images.sizes[self.path] = MIB

    def ask(self, name: str, call: Call[R]) -> R:
        answer: R = self.successResultOf(self.nodes.ask(a_node(name), call))
        return answer

    def disk(self, *, raw: bool = True) -> calls.DiskData:
        return calls.DiskData(guest=self.guest, index=0, raw=raw)

    def receive(self, sink: Any, patience: float = 60, **trust: Any) -> calls.StartedTransfer:
        source = calls.PeerSource(
            address="192.0.2.2", magic=MAGIC, patience=patience, trust=calls.Trust(**trust)
        )
        return self.ask("node2", calls.StartImport(source=source, sink=sink))

    def to(self, port: int | None, name: str = "node2", **trust: Any) -> calls.PeerSink:
        return calls.PeerSink(
            host="192.0.2.2",
            port=port or 0,
            magic=MAGIC,
            patience=20,
            tries=2,
            name=name,
            trust=calls.Trust(**trust),
        )

    def status(self, name: str, started: calls.StartedTransfer) -> calls.TransferStatus:
        [status] = self.ask(name, calls.DescribeTransfers(names=(started.name,)))
        assert status is not None
        return status

    def files(self, name: str) -> dict[str, bytes]:
        exports = self.hosts[name].paths.exports
        contents = self.hosts[name].disk.contents()
        return {path: each for path, each in contents.items() if path.startswith(exports)}

    def test_a_disk_becomes_a_dump_on_another_node(self) -> None:
        receiving = self.receive(NEW)
        sending = self.ask(
            "node1", calls.StartExport(source=self.disk(), sink=self.to(receiving.port))
        )
        self.clock.pump([0.1, 0.1])
        self.assertTrue(self.status("node2", receiving).connected)
        self.assertFalse(self.status("node1", sending).over)
        self.clock.pump([1, 0])
        for name, transfer in (("node1", sending), ("node2", receiving)):
            status = self.status(name, transfer)
            self.assertEqual((status.over, status.problem), (True, None))
        dump = f"{self.hosts['node2'].paths.exports}/web1.new/disk0"
        self.assertEqual(self.files("node2"), {dump: self.path.encode()})

    def test_a_dump_is_restored_by_the_script(self) -> None:
        host = self.hosts["node1"]
        host.disk.put(f"{host.paths.exports}/web1/disk0", b"dump", 0o600, 0.0)
        host.processes.programs[f"{host.paths.os_search_path[0]}/noop/import"] = Script(takes=3)
        source = calls.ExportData(path="web1", dump="disk0")
        started = self.ask("node1", calls.StartImport(source=source, sink=self.disk(raw=False)))
        self.clock.pump([0, 1, 0])
        self.assertFalse(self.status("node1", started).over)
        self.clock.pump([2, 0])
        status = self.status("node1", started)
        self.assertEqual((status.over, status.problem), (True, None))
        self.assertEqual(host.streams.read, [b"dump"])
        self.assertEqual(host.streams.open, set())

    def test_a_script_that_fails_fails_both_sides_with_its_words(self) -> None:
        host = self.hosts["node1"]
        export = f"{host.paths.os_search_path[0]}/noop/export"
        host.processes.programs[export] = Script(code=1, out=b"no space", takes=0.5)
        receiving = self.receive(NEW)
        source = self.disk(raw=False)
        sending = self.ask("node1", calls.StartExport(source=source, sink=self.to(receiving.port)))
        self.clock.pump([0, 0.5, 0])
        self.assertIn("no space", str(self.status("node1", sending).problem))
        self.assertIn("closed the connection", str(self.status("node2", receiving).problem))
        self.assertEqual(host.streams.open, set())

    def test_a_lost_receiver_kills_the_script(self) -> None:
        host = self.hosts["node1"]
        export = f"{host.paths.os_search_path[0]}/noop/export"
        host.processes.programs[export] = Script(hangs=True)
        receiving = self.receive(NEW)
        source = self.disk(raw=False)
        self.ask("node1", calls.StartExport(source=source, sink=self.to(receiving.port)))
        self.clock.advance(0.1)
        self.ask("node2", calls.RemoveTransfer(name=receiving.name))
        self.clock.pump([0, 0])
        self.assertEqual((len(host.processes.killed), host.processes.alive), (1, {}))
        self.assertEqual(host.streams.open, set())

    def test_what_a_script_announces_is_what_is_expected(self) -> None:
        host = self.hosts["node1"]
        host.streams.announced, host.streams.piped = b"2048\n", bytes(1024)
        receiving = self.receive(NEW)
        source = self.disk(raw=False)
        sending = self.ask("node1", calls.StartExport(source=source, sink=self.to(receiving.port)))
        self.clock.pump([0, 1])
        status = self.status("node1", sending)
        self.assertEqual((status.expected, status.moved, status.rate), (2048, 1024, 1024.0))
        self.assertEqual(status.eta, 1.0)

    def test_forgetting_closes_everything(self) -> None:
        receiving = self.receive(NEW)
        for _ in range(2):
            self.ask("node2", calls.RemoveTransfer(name=receiving.name))
            self.assertEqual(self.hosts["node2"].network.listening, {})
        self.assertEqual(
            self.ask("node2", calls.DescribeTransfers(names=(receiving.name,))), [None]
        )
        self.assertEqual(self.clock.getDelayedCalls()[1:], [])

    def test_what_nobody_waits_for_ends_and_leaves_nothing(self) -> None:
        receiving = self.receive(NEW, patience=2 * ABANDON_TIMEOUT)
        self.clock.advance(ABANDON_TIMEOUT - 1)
        self.status("node2", receiving)
        self.clock.advance(ABANDON_TIMEOUT - 1)
        self.assertEqual(len(self.hosts["node2"].network.listening), 1)
        self.clock.advance(2)
        self.assertEqual(self.hosts["node2"].network.listening, {})
        self.assertEqual(self.hosts["node2"].disk.names(self.hosts["node2"].paths.exports), [])

    def test_keys_are_known_to_both_sides_or_nothing_moves(self) -> None:
        mine, theirs = (
            self.ask(name, calls.CreateCertificate(validity=3600)) for name in ("node1", "node2")
        )
        receiving = self.receive(NEW, key=theirs.name, peer=mine.certificate)
        stranger = self.ask("node1", calls.CreateCertificate(validity=3600))
        wrong = self.to(receiving.port, calls.PEER, key=stranger.name, peer=theirs.certificate)
        right = self.to(receiving.port, calls.PEER, key=mine.name, peer=theirs.certificate)
        failing = self.ask("node1", calls.StartExport(source=self.disk(), sink=wrong))
        self.clock.pump([0, 1, 1])
        self.assertIn("cannot be reached", str(self.status("node1", failing).problem))
        self.ask("node1", calls.StartExport(source=self.disk(), sink=right))
        self.clock.pump([0, 1, 0])
        status = self.status("node2", receiving)
        self.assertEqual((status.over, status.problem), (True, None))

    def test_the_key_of_a_move_that_nobody_waits_for_goes_with_it(self) -> None:
        made = self.ask("node2", calls.CreateCertificate(validity=3600))
        self.receive(NEW, patience=2 * ABANDON_TIMEOUT, key=made.name, peer=made.certificate)
        self.clock.advance(ABANDON_TIMEOUT + 1)
        host = self.hosts["node2"]
        self.assertEqual(host.disk.names(host.paths.crypto), [])

    def test_a_removed_key_cannot_be_used(self) -> None:
        made = self.ask("node1", calls.CreateCertificate(validity=3600))
        for _ in range(2):
            self.ask("node1", calls.RemoveCertificate(name=made.name))
        self.assertEqual(self.hosts["node1"].disk.names(self.hosts["node1"].paths.crypto), [])
        sink = self.to(1, calls.PEER, key=made.name, peer=made.certificate)
        export = calls.StartExport(source=self.disk(), sink=sink)
        refused = self.nodes.ask(a_node("node1"), export)
        self.assertIn("prepare the export again", str(self.failureResultOf(refused, Refused).value))

    def test_an_export_takes_its_name_when_it_is_whole(self) -> None:
        host = self.hosts["node1"]
        for content in ("[export]\n", "[export]\nversion = 0\n"):
            host.disk.put(f"{host.paths.exports}/web1.new/disk0", b"dump", 0o600, 0.0)
            self.assertEqual(self.ask("node1", calls.ListExports()), ["web1"][: content.count("v")])
            self.ask("node1", calls.FinalizeExport(name="web1", description=content))
            self.assertEqual(self.ask("node1", calls.DescribeExport(path="web1")), content)
        self.assertEqual(self.ask("node1", calls.ListExports()), ["web1"])
        self.ask("node1", calls.RemoveExportCall(name="web1"))
        self.assertEqual(self.ask("node1", calls.ListExports()), [])

    def test_a_daemon_that_starts_removes_what_was_being_made(self) -> None:
        host = self.hosts["node1"]
        for name in ("web1", "web2.new"):
            host.disk.add_folder(f"{host.paths.exports}/{name}", 0o750)
        self.successResultOf(host.parts.exports.remove_incomplete())
        self.assertEqual(host.disk.names(host.paths.exports), ["web1"])

    def test_an_export_is_not_lost_while_it_is_replaced(self) -> None:
        host = self.hosts["node1"]
        contents = {"[export]\nname = old\n", "[export]\nname = new\n"}
        old, new = sorted(contents, reverse=True)
        for limit in range(7):
            disk = MemoryDisk()
            for name in ("web1", "web1.new"):
                disk.add_folder(f"{host.paths.exports}/{name}", 0o750)
            disk.put(f"{host.paths.exports}/web1/config.ini", old.encode(), 0o600, 0.0)
            disk.put(f"{host.paths.exports}/web1.new/disk0", b"dump", 0o600, 0.0)
            ending = cast(IFiles, EndingFiles(MemoryFiles(disk), limit))
            made = Exports(ending, host.paths).finalize(
                calls.FinalizeExport(name="web1", description=new)
            )
            done = Deferred.fromCoroutine(made)
            done.addErrback(lambda failure: failure.trap(OSError) and None)
            self.successResultOf(done)
            exports = Exports(MemoryFiles(disk), host.paths)
            self.successResultOf(Deferred.fromCoroutine(exports.remove_incomplete()))
            self.assertEqual(disk.names(host.paths.exports), ["web1"])
            found = exports.describe(calls.DescribeExport(path="web1"))
            self.assertIn(self.successResultOf(Deferred.fromCoroutine(found)), contents)

    def test_paths_lead_to_exports_only(self) -> None:
        for path in ("../secret", "web1/../../secret"):
            asked = self.nodes.ask(a_node("node1"), calls.DescribeExport(path=path))
            self.failureResultOf(asked, Failed, Refused)
        dump = calls.StartExport(
            source=self.disk(), sink=calls.ExportData(path="../x.new", dump="d")
        )
        self.failureResultOf(self.nodes.ask(a_node("node1"), dump), Refused)
