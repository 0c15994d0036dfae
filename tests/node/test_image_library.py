# SPDX-License-Identifier: BSD-2-Clause
"""Copies of images on a node: what is accepted, what is found changed, and what is left."""

from __future__ import annotations

import hashlib
from typing import TypeVar

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.node.image_library import MAX_DOWNLOAD_AGE
from ganeti.node.transfers import STALE_AFTER
from ganeti.rpc import transfers
from ganeti.rpc.call import Call
from ganeti.rpc.images import (
    AcceptImage,
    CheckImage,
    DiscardUpload,
    ImagePresence,
    ImageReport,
    RemoveImageCopy,
)
from ganeti.rpc.transfers import ImageData, UploadData, UrlSource
from ganeti.testing.builders import a_node
from ganeti.testing.host import MemoryHost
from ganeti.testing.image_programs import raw_image
from ganeti.testing.nodes import MemoryNodes
from ganeti.testing.streams import MemoryNetwork

R = TypeVar("R")
URL = "https://images.example.com/disk"
CONTENT = raw_image(b"debian")
HEX = hashlib.sha256(CONTENT).hexdigest()
DIGEST = f"sha256:{HEX}"
COPY = ImageData(file=f"sha256-{HEX}")
DOWNLOAD = ImageData(file=f"download-{'12' * 32}")
UPLOAD = "ab" * 16


class LibraryTests(SynchronousTestCase):
    """Two nodes of one cluster, with one image in the internet."""

    def setUp(self) -> None:
        self.clock, network = Clock(), MemoryNetwork()
        self.hosts = {
            name: MemoryHost(name, self.clock, network=network) for name in ("node1", "node2")
        }
        self.host = self.hosts["node1"]
        self.host.image_programs.internet = {URL: CONTENT}
        answers = {name: host.answers for name, host in self.hosts.items()}
        self.nodes = MemoryNodes(answers, clock=self.clock)
        self.folder = f"{self.host.paths.cache}/os/image"

    def ask(self, call: Call[R], name: str = "node1") -> R:
        answer: R = self.successResultOf(self.nodes.ask(a_node(name), call))
        return answer

    def refusal(self, call: Call[R]) -> str:
        asked = self.nodes.ask(a_node("node1"), call)
        return str(self.failureResultOf(asked, Refused, Failed).value)

    def put(self, path: str, content: bytes = CONTENT) -> None:
        self.host.disk.add_folder(path.rpartition("/")[0], 0o755)
        self.host.disk.put(path, content, 0o600, self.clock.seconds())

    def names(self) -> list[str]:
        return self.host.disk.names(self.folder)

    def download(self) -> str:
        source = UrlSource(url=URL)
        return self.ask(transfers.StartImport(source=source, sink=DOWNLOAD)).name

    def status(self, name: str, node: str = "node1") -> transfers.TransferStatus:
        [status] = self.ask(transfers.DescribeTransfers(names=(name,)), node)
        assert status is not None
        return status

    def test_a_download_becomes_a_copy_when_it_is_accepted(self) -> None:
        name = self.download()
        self.assertTrue(self.status(name).over)
        self.assertIs(self.ask(CheckImage(digest=DIGEST)), ImagePresence.ABSENT)
        report = self.ask(AcceptImage(file=DOWNLOAD.file, checksums=(DIGEST,)))
        found = ImageReport(digest=DIGEST, size=4096, virtual_size=4096, format="raw")
        self.assertEqual(report, found)
        self.ask(transfers.RemoveTransfer(name=name))
        self.assertIs(self.ask(CheckImage(digest=DIGEST)), ImagePresence.PRESENT)
        self.assertEqual((self.names(), self.host.streams.open), ([COPY.file], set()))

    def test_a_download_shows_its_progress_and_can_be_stopped(self) -> None:
        self.host.image_programs.takes = 10.0
        name = self.download()
        status = self.status(name)
        self.assertEqual((status.connected, status.moved, status.over), (True, 4096, False))
        self.ask(transfers.RemoveTransfer(name=name))
        self.assertEqual(len(self.host.processes.killed), 1)
        self.assertEqual(self.host.processes.alive, {})
        # It is continued by the next one.
        self.assertEqual(self.names(), [f"{DOWNLOAD.file}.incoming"])

    def test_a_download_that_fails_says_why(self) -> None:
        self.host.image_programs.internet = {}
        problem = self.status(self.download()).problem
        said = f"{URL} cannot be downloaded: the server answers 404 Not Found; check the URL"
        self.assertEqual(problem, said)

    def test_another_content_is_refused_and_not_continued(self) -> None:
        self.download()
        wrong = AcceptImage(file=DOWNLOAD.file, checksums=(f"sha512:{'ab' * 64}",))
        self.assertIn(f"not {'ab' * 64}; check the URL and the checksum", self.refusal(wrong))
        self.assertEqual(self.names(), [])

    def test_what_no_instance_can_use_is_refused(self) -> None:
        self.host.image_programs.internet = {URL: b"<html>"}
        self.download()
        self.assertIn("is neither a qcow2 image", self.refusal(AcceptImage(file=DOWNLOAD.file)))
        self.assertEqual(self.names(), [])

    def test_a_copy_that_has_changed_is_removed_before_it_is_used(self) -> None:
        self.put(f"{self.folder}/{COPY.file}", raw_image(b"evil"))
        self.assertIs(self.ask(CheckImage(digest=DIGEST)), ImagePresence.ABSENT)
        self.assertEqual(self.names(), [])
        self.flushLoggedErrors()

    def test_a_copy_goes_to_another_node(self) -> None:
        self.put(f"{self.folder}/{COPY.file}")
        source = transfers.PeerSource(address="192.0.2.2", magic="magic-1", patience=60)
        receiving = self.ask(transfers.StartImport(source=source, sink=COPY), "node2")
        self.assertIs(self.ask(CheckImage(digest=DIGEST), "node2"), ImagePresence.ARRIVING)
        sink = transfers.PeerSink(
            host="192.0.2.2",
            port=receiving.port or 0,
            magic="magic-1",
            patience=20,
            tries=2,
            name="node2",
        )
        self.ask(transfers.StartExport(source=COPY, sink=sink))
        self.clock.pump([0, 1, 0])
        self.assertTrue(self.status(receiving.name, "node2").over)
        self.ask(AcceptImage(file=COPY.file, checksums=(DIGEST,)), "node2")
        self.assertIs(self.ask(CheckImage(digest=DIGEST), "node2"), ImagePresence.PRESENT)

    def test_one_transfer_of_an_image_runs_at_a_time(self) -> None:
        name = self.download()
        call = transfers.StartImport(source=UrlSource(url=URL), sink=DOWNLOAD)
        self.assertIn("another job transfers this image", self.refusal(call))
        self.ask(transfers.RemoveTransfer(name=name))
        self.download()

    def test_a_transfer_whose_master_has_ended_makes_way(self) -> None:
        self.host.image_programs.takes = 100.0
        name = self.download()
        self.clock.advance(STALE_AFTER - 1)
        call = transfers.StartImport(source=UrlSource(url=URL), sink=DOWNLOAD)
        self.assertIn("or did so until just now", self.refusal(call))
        self.clock.advance(1)
        self.assertNotEqual(self.download(), name)
        self.assertEqual(len(self.host.processes.alive), 1)
        self.assertEqual(self.ask(transfers.DescribeTransfers(names=(name,))), [None])

    def test_a_copy_that_is_missing_is_not_sent(self) -> None:
        sink = transfers.PeerSink(
            host="192.0.2.2", port=1, magic="magic-1", patience=20, tries=1, name="node2"
        )
        call = transfers.StartExport(source=COPY, sink=sink)
        self.assertIn("the image is not on this node", self.refusal(call))

    def test_an_upload_becomes_a_copy_and_is_discarded(self) -> None:
        self.put(f"{self.host.paths.uploads}/{UPLOAD}")
        sink = ImageData(file=f"upload-{'34' * 32}")
        call = transfers.StartImport(source=UploadData(upload=UPLOAD), sink=sink)
        name = self.ask(call).name
        self.clock.pump([0, 1, 0])
        self.assertTrue(self.status(name).over)
        self.assertEqual(self.ask(AcceptImage(file=sink.file)).digest, DIGEST)
        self.ask(DiscardUpload(upload=UPLOAD))
        self.assertEqual(self.host.disk.names(self.host.paths.uploads), [])
        self.ask(transfers.RemoveTransfer(name=name))
        self.assertIn("the upload has been removed; send the image again", self.refusal(call))

    def test_uploads_and_downloads_become_images_only(self) -> None:
        export = transfers.ExportData(path="web1.new", dump="disk0")
        call = transfers.StartImport(source=UrlSource(url=URL), sink=export)
        self.failureResultOf(self.nodes.ask(a_node("node1"), call), Failed)

    def test_removing_a_copy_twice_succeeds(self) -> None:
        self.put(f"{self.folder}/{COPY.file}")
        for _ in range(2):
            self.ask(RemoveImageCopy(digest=DIGEST))
        self.assertEqual(self.names(), [])

    def test_a_daemon_that_starts_keeps_what_can_be_continued(self) -> None:
        for name in (f"{DOWNLOAD.file}.incoming", f"{COPY.file}.incoming", COPY.file, "x.part"):
            self.put(f"{self.folder}/{name}")
        library = self.host.parts.library
        self.successResultOf(library.remove_leftovers(self.clock.seconds()))
        self.assertEqual(self.names(), [f"{DOWNLOAD.file}.incoming", COPY.file, "x.part"])
        self.successResultOf(library.remove_leftovers(self.clock.seconds() + MAX_DOWNLOAD_AGE + 1))
        self.assertEqual(self.names(), [COPY.file, "x.part"])

    def test_what_nobody_waits_for_leaves_nothing(self) -> None:
        source = transfers.PeerSource(address="192.0.2.2", magic="magic-1", patience=600)
        self.ask(transfers.StartImport(source=source, sink=COPY))
        self.clock.advance(61)
        self.assertIs(self.ask(CheckImage(digest=DIGEST)), ImagePresence.ABSENT)
