# SPDX-License-Identifier: BSD-2-Clause
"""Uploads of images through the real HTTP channel: they go to files as they arrive."""

from __future__ import annotations

import errno
import json
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.opcodes.images import AddImage
from ganeti.rapi.api_metrics import ApiMetrics
from ganeti.rapi.authentication import Authenticator, MasterAccounts, UsersFile, UsersFileChecker
from ganeti.rapi.channel import MAX_BODY, TIMEOUTS, Channel
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.image_uploads import HIGH_WATER, MAX_UPLOADS, ImageUploads
from ganeti.rapi.resource import Api, resource_tree
from ganeti.rapi.routes.route_table import ROUTES
from ganeti.rapi.site import ApiSite
from ganeti.rapi.verbs import NO_SERVICES
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import AUTO, NOW, USERS, Answer, answers, at_once, basic

RITA = basic("rita", "xyz789")
PATH = "/2/images/debian/upload"
UPLOAD = "ab" * 16
DIGEST = "sha256:" + "ab" * 32


class MemoryUploads:
    """The files of uploads in memory; with ``waits``, the disk takes its time.

    ``error`` is what the next write ends with.
    """

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}
        self.complete: dict[str, bytes] = {}
        self.free = 1 << 40
        self.busy: set[str] = set()
        self.writes: list[Deferred[None]] = []
        self.waits = False
        self.error: OSError | None = None

    def part_size(self, name: str) -> int:
        return len(self.parts.get(name, b""))

    def free_space(self) -> int:
        return self.free

    async def open_part(self, name: str, size: int) -> MemoryUpload:
        if name in self.busy:
            raise Refused(f"another client is uploading image {name}", Code.STATE)
        self.parts[name] = self.parts.get(name, b"")[:size]
        self.busy.add(name)
        return MemoryUpload(self, name)

    async def discard_part(self, name: str) -> None:
        self.parts.pop(name, None)


class MemoryUpload:
    """One of these files."""

    def __init__(self, folder: MemoryUploads, name: str) -> None:
        self._folder, self._name = folder, name

    async def append_data(self, data: bytes) -> None:
        if self._folder.waits:
            waiting: Deferred[None] = Deferred()
            self._folder.writes.append(waiting)
            await waiting
        if self._folder.error is not None:
            raise self._folder.error
        self._folder.parts[self._name] += data

    async def complete_part(self) -> str:
        if self._folder.error is not None:
            raise self._folder.error
        self._folder.busy.discard(self._name)
        self._folder.complete[UPLOAD] = self._folder.parts.pop(self._name)
        return UPLOAD

    async def close_part(self) -> None:
        self._folder.busy.discard(self._name)


class UploadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.master, self.files = Clock(), MemoryMaster(), MemoryUploads()
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(USERS)
        users = UsersFile(path, self.clock.seconds)
        checker = UsersFileChecker(users, at_once, MasterAccounts(self.master))
        self.uploads = ImageUploads(self.files, "node2")
        api = Api(
            self.master,
            Authenticator(users, checker, self.clock.seconds),
            lambda: NOW,
            EventHub(self.master, self.clock),
            ApiMetrics(),
            replace(NO_SERVICES, uploads=self.uploads),
        )
        self.site = ApiSite(resource_tree(ROUTES, api), self.clock)

    def connect(self) -> tuple[Channel, StringTransport]:
        channel, transport = self.site.buildProtocol(None), StringTransport()
        channel.makeConnection(transport)
        return channel, transport

    def begin(
        self, length: int | None, headers: str = "", path: str = PATH, login: str = AUTO
    ) -> tuple[Channel, StringTransport]:
        """Send the head of an upload."""
        channel, transport = self.connect()
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = f"PUT {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{login}{headers}{size}"
        channel.dataReceived(f"{lines}\r\n\r\n".encode())
        return channel, transport

    def answer(self, transport: StringTransport) -> Answer:
        (answer,) = answers(transport.value(), "PUT")
        return answer

    def ask(self, method: str, path: str = PATH, login: str = AUTO) -> Answer:
        channel, transport = self.connect()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{login}\r\n"
        channel.dataReceived(head.encode())
        (answer,) = answers(transport.value(), method)
        return answer

    def test_a_complete_image_is_added_by_a_job(self) -> None:
        channel, transport = self.begin(6, path=f"{PATH}?checksum={DIGEST}&reason=test")
        for piece in (b"con", b"ten"):
            channel.dataReceived(piece)
        self.assertEqual(self.answer(transport).value, 1)
        self.assertEqual(self.files.complete, {UPLOAD: b"conten"})
        [opcode] = self.master.last_job()
        assert isinstance(opcode, AddImage)
        found = (opcode.image_name, opcode.upload, opcode.node, opcode.checksum)
        self.assertEqual(found, ("debian", UPLOAD, "node2", DIGEST))
        self.assertEqual(self.uploads.active, set())

    def test_a_body_may_be_longer_than_others(self) -> None:
        channel, transport = self.begin(2 * MAX_BODY)
        for _ in range(2 * MAX_BODY // 65536):
            channel.dataReceived(bytes(65536))
        self.assertEqual(self.answer(transport).status, 200)
        self.assertEqual(len(self.files.complete[UPLOAD]), 2 * MAX_BODY)
        _, transport = self.begin(2 * MAX_BODY, path="/2/images/debian/rename")
        self.assertEqual(self.answer(transport).status, 413)

    def test_a_body_of_unknown_length_ends_with_its_last_chunk(self) -> None:
        channel, transport = self.begin(None)
        channel.dataReceived(b"3\r\nabc\r\n0\r\n\r\n")
        self.assertEqual(self.answer(transport).status, 200)
        self.assertEqual(self.files.complete, {UPLOAD: b"abc"})

    def test_a_client_that_is_faster_than_the_disk_waits(self) -> None:
        self.files.waits = True
        channel, transport = self.begin(2 * HIGH_WATER)
        for _ in range(HIGH_WATER // 65536 + 1):
            channel.dataReceived(bytes(65536))
        self.assertEqual(transport.producerState, "paused")
        # Which is not its fault.
        self.clock.advance(10 * TIMEOUTS.read)
        self.assertEqual(transport.value(), b"")
        while self.files.writes:
            self.files.writes.pop().callback(None)
        self.assertEqual(transport.producerState, "producing")

    def test_the_answer_waits_for_the_disk(self) -> None:
        self.files.waits = True
        channel, transport = self.begin(3)
        channel.dataReceived(b"abc")
        self.assertEqual((transport.value(), self.master.jobs), (b"", {}))
        self.files.writes.pop().callback(None)
        self.assertEqual(self.answer(transport).status, 200)

    def test_a_slow_client_has_time_as_long_as_it_sends(self) -> None:
        channel, transport = self.begin(10)
        for _ in range(9):
            self.clock.advance(TIMEOUTS.read - 1)
            channel.dataReceived(b"x")
        self.assertEqual(transport.value(), b"")
        self.clock.pump([1] * 25)
        self.assertEqual(self.answer(transport).status, 408)
        self.assertEqual(self.ask("GET").value, {"received": 9, "node": "node2"})

    def test_an_interrupted_upload_goes_on(self) -> None:
        channel, transport = self.begin(6)
        channel.dataReceived(b"abc")
        channel.connectionLost(_closed())
        self.assertEqual(self.ask("GET").value, {"received": 3, "node": "node2"})
        channel, transport = self.begin(3, "Content-Range: bytes 3-5/6\r\n")
        channel.dataReceived(b"def")
        self.assertEqual(self.answer(transport).status, 200)
        self.assertEqual(self.files.complete, {UPLOAD: b"abcdef"})

    def test_other_bytes_than_those_that_are_missing_are_refused(self) -> None:
        self.files.parts["debian"] = b"abc"
        _, transport = self.begin(2, "Content-Range: bytes 4-5/6\r\n")
        answer = self.answer(transport)
        self.assertEqual(answer.status, 416)
        self.assertIn("3 bytes of the upload have arrived", answer.message)
        for header, words in (
            ("bytes 3-4/6", "must name all bytes to the end"),
            ("bytes 3-5/6", "names 3 bytes, and 2 come"),
            ("3-5", "must be like bytes 1000-1999/2000"),
        ):
            _, transport = self.begin(2, f"Content-Range: {header}\r\n")
            answer = self.answer(transport)
            self.assertEqual(answer.status, 400)
            self.assertIn(words, answer.message)

    def test_an_upload_begins_again_without_a_range(self) -> None:
        self.files.parts["debian"] = b"old"
        channel, _ = self.begin(3)
        channel.dataReceived(b"new")
        self.assertEqual(self.files.complete, {UPLOAD: b"new"})

    def test_what_has_no_space_is_refused_before_it_is_sent(self) -> None:
        self.files.free = 100
        _, transport = self.begin(200)
        answer = self.answer(transport)
        self.assertEqual(answer.status, 507)
        self.assertIn("node node2 has space for 100; free space there", answer.message)

    def test_a_disk_that_is_full_meanwhile_ends_the_upload_and_is_freed(self) -> None:
        channel, transport = self.begin(6)
        channel.dataReceived(b"abc")
        self.files.error = OSError(errno.ENOSPC, "No space left on device")
        channel.dataReceived(b"de")
        answer = self.answer(transport)
        self.assertEqual(answer.status, 507)
        self.assertIn("node2 has no space left for the image", answer.message)
        self.assertEqual((self.files.parts, self.files.busy), ({}, set()))

    def test_an_error_at_the_end_is_answered(self) -> None:
        self.files.waits = True
        channel, transport = self.begin(3)
        channel.dataReceived(b"abc")
        self.files.error = OSError(errno.EIO, "Input/output error")
        self.files.writes.pop().callback(None)
        answer = self.answer(transport)
        self.assertEqual((answer.status, self.master.jobs), (500, {}))
        self.assertIn("cannot be stored on node node2: Input/output error", answer.message)
        self.assertEqual(self.ask("GET").value["received"], 0)

    def test_two_clients_do_not_write_to_one_upload(self) -> None:
        self.begin(3)
        _, transport = self.begin(3)
        self.assertEqual(self.answer(transport).status, 409)
        self.assertIn("end that first", self.ask("DELETE").message)

    def test_the_number_of_uploads_is_limited(self) -> None:
        for number in range(MAX_UPLOADS):
            self.begin(3, path=f"/2/images/i{number}/upload")
        _, transport = self.begin(3)
        self.assertEqual(self.answer(transport).status, 503)

    def test_an_upload_can_be_discarded(self) -> None:
        self.files.parts["debian"] = b"abc"
        self.assertEqual(self.ask("DELETE").status, 200)
        self.assertEqual(self.files.parts, {})

    def test_only_administrators_upload(self) -> None:
        _, transport = self.begin(3, login=RITA)
        self.assertEqual(self.answer(transport).status, 403)
        _, transport = self.begin(3, login="")
        self.assertEqual(self.answer(transport).status, 401)
        self.assertEqual(self.files.parts, {})

    def test_what_cannot_be_a_name_or_a_checksum_is_refused(self) -> None:
        _, transport = self.begin(3, path="/2/images/a:b/upload")
        self.assertIn("must be letters, digits", self.answer(transport).message)
        channel, transport = self.begin(3, path=f"{PATH}?checksum=md5:12")
        channel.dataReceived(b"abc")
        self.assertIn("checksum: must be sha256: or sha512:", self.answer(transport).message)
        _, transport = self.begin(0)
        self.assertIn("the body is empty", self.answer(transport).message)
        self.assertEqual(self.master.jobs, {})

    def test_the_description_says_that_the_body_is_binary(self) -> None:
        described = json.loads(self.ask("GET", "/2/openapi").body)
        operation = described["paths"]["/2/images/{image_name}/upload"]["put"]
        self.assertEqual(list(operation["requestBody"]["content"]), ["application/octet-stream"])
        self.assertIn("507", operation["responses"])


def _closed() -> Failure:
    return Failure(ConnectionDone())
