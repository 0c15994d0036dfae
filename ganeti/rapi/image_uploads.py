# SPDX-License-Identifier: BSD-2-Clause
"""Uploads of images: bodies of requests that go to files as they arrive.

At most some mebibytes of each are in memory: a client that is faster than the disk waits. What has
arrived of an upload that was interrupted is kept for a while, so that the client can go on.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.model.images import is_image_name
from ganeti.rapi.problems import HttpProblem
from ganeti.schema.types import LABEL, RULES

if TYPE_CHECKING:
    from ganeti.rapi.channel import Channel

MAX_UPLOADS = 8
"""How many uploads one server receives at a time."""

HIGH_WATER, LOW_WATER = 2 << 20, 1 << 19
"""Bytes in memory at which a client has to wait, and at which it may go on."""

_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")


class UploadPart(Protocol):
    """A file that an upload is written to; one call at a time, and errors are ``OSError``."""

    async def append_data(self, data: bytes) -> None:
        """Append ``data``."""

    async def complete_part(self) -> str:
        """Make the file durable, close it, and return the name of the complete upload."""
        ...

    async def close_part(self) -> None:
        """Close the file, and keep it for a client that goes on."""


class UploadFolder(Protocol):
    """The files of uploads on this host, by the names of their images."""

    def part_size(self, name: str) -> int:
        """Return the number of bytes that have arrived of an incomplete upload."""
        ...

    def free_space(self) -> int:
        """Return the number of bytes that can be stored."""
        ...

    async def open_part(self, name: str, size: int) -> UploadPart:
        """Return the file of an upload, whose first ``size`` bytes are kept.

        :raises Refused: another client writes to it.
        """
        ...

    async def discard_part(self, name: str) -> None:
        """Remove an incomplete upload; succeed if there is none."""


@dataclass(frozen=True)
class ImageUploads:
    """The uploads that this server receives; ``node`` is the name of its node."""

    folder: UploadFolder
    node: str
    active: set[Upload] = field(default_factory=set)

    def received_size(self, name: str) -> int:
        """Return how many bytes have arrived of an incomplete upload.

        :raises Refused: no image can have this name.
        """
        _check_name(name)
        return self.folder.part_size(name)

    async def remove_part(self, name: str) -> None:
        """Remove what has arrived of an incomplete upload.

        :raises Refused: no image can have this name, or it is being uploaded.
        """
        _check_name(name)
        if any(each.name == name for each in self.active):
            raise Refused(f"image {name} is being uploaded; end that first")
        await self.folder.discard_part(name)

    async def begin_upload(
        self, name: str, length: int | None, content_range: str | None
    ) -> Upload:
        """Begin to receive an upload, or go on with one.

        ``length`` is that of the body, if it is known, and ``content_range`` the header that says
        which part of the image it is (RFC 9110, section 14.5).

        :raises GanetiError: it cannot be received, or is not what is missing.
        """
        _check_name(name)
        start = _read_start(content_range, length)
        if start and start != (size := self.folder.part_size(name)):
            raise HttpProblem(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                f"{size} bytes of the upload have arrived; send the others, with a header such as"
                f" Content-Range: bytes {size}-LAST/TOTAL, or all of them without it",
            )
        if len(self.active) >= MAX_UPLOADS:
            raise Refused(
                f"{MAX_UPLOADS} images are being uploaded, which is the maximum; try again later",
                Code.TEMPORARY,
            )
        room = self.folder.free_space() + (0 if start else self.folder.part_size(name))
        if length is not None and length > room:
            raise HttpProblem(
                HTTPStatus.INSUFFICIENT_STORAGE,
                f"{length} bytes are to come, and node {self.node} has space for {room}; free space"
                " there, or send the image to another master candidate",
            )
        upload = Upload(await self.folder.open_part(name, start), name, self)
        self.active.add(upload)
        return upload


def _check_name(name: str) -> None:
    if not is_image_name(name):
        raise Invalid([Problem("image_name", RULES[LABEL])])


def _read_start(content_range: str | None, length: int | None) -> int:
    """Return the offset of the body in the image.

    :raises Invalid: the header does not name all bytes from there to the end.
    """
    if content_range is None:
        return 0
    found = _RANGE.fullmatch(content_range)
    if found is None:
        raise Invalid("the header Content-Range must be like bytes 1000-1999/2000")
    first, last, total = map(int, found.groups())
    if last != total - 1 or first > last:
        raise Invalid("the header Content-Range must name all bytes to the end of the image")
    if length != total - first:
        raise Invalid(f"the header Content-Range names {total - first} bytes, and {length} come")
    return first


class Upload:
    """One upload; ``source`` is the connection that it comes from."""

    _log = Logger()

    def __init__(self, file: UploadPart, name: str, uploads: ImageUploads) -> None:
        self.source: Channel | None = None
        self.received = 0
        self._file = file
        self.name = name
        self._uploads = uploads
        self._waiting: list[bytes] = []
        self._held = 0
        self._paused = False
        self._writing: Deferred[None] | None = None
        self._closed = False
        self._full = False
        self._drained: Deferred[None] | None = None

    @property
    def node(self) -> str:
        """The node that has the upload."""
        return self._uploads.node

    def take_chunk(self, data: bytes) -> None:
        """Take bytes of the body."""
        if self._closed:
            return
        self.received += len(data)
        self._waiting.append(data)
        self._held += len(data)
        if self.source is not None:
            self.source.extend_deadline()
            if self._held > HIGH_WATER and not self._paused:
                self._paused = True
                self.source.pause_body()
        if self._writing is None:
            self._write()

    def _write(self) -> None:
        data, self._waiting = b"".join(self._waiting), []
        self._writing = Deferred.fromCoroutine(self._file.append_data(data))
        self._writing.addCallbacks(self._written, self._not_written, (len(data),))

    def _written(self, _: None, size: int) -> None:
        self._writing = None
        self._held -= size
        if self._closed:
            self._close_file()
            return
        if self._paused and self._held < LOW_WATER and self.source is not None:
            self._paused = False
            self.source.resume_body()
        if self._waiting and self._writing is None:
            self._write()
        elif self._drained is not None and self._writing is None:
            drained, self._drained = self._drained, None
            drained.callback(None)

    def _not_written(self, failure: Failure) -> None:
        self._writing = None
        problem = self._problem(failure)
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained.errback(problem)
        elif self.source is not None:
            self.source.refuse(problem.status, str(problem))
        self.abandon()

    def _problem(self, failure: Failure) -> HttpProblem:
        error = failure.value
        if isinstance(error, OSError):
            self._full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            if self._full:
                why = f"node {self.node} has no space left for the image; free space there"
                return HttpProblem(HTTPStatus.INSUFFICIENT_STORAGE, why)
            why = f"the image cannot be stored on node {self.node}: {error.strerror}"
        else:
            self._log.failure("an upload cannot be written", failure)
            why = f"the image cannot be stored on node {self.node}; see the log of ganeti-rapi"
        return HttpProblem(HTTPStatus.INTERNAL_SERVER_ERROR, why)

    async def finish_upload(self) -> str:
        """Return the name of the upload, whose body has arrived, when it is durable.

        :raises HttpProblem: it could not be written.
        """
        if self._writing is not None:
            self._drained = Deferred()
            await self._drained
        self._closed = True
        self._uploads.active.discard(self)
        try:
            return await self._file.complete_part()
        except OSError:
            problem = self._problem(Failure())
            self._close_file()
            raise problem from None

    def abandon(self) -> None:
        """Close the file of an upload that is not complete; do nothing after ``finish_upload``."""
        if self._closed:
            return
        self._closed = True
        self._uploads.active.discard(self)
        self._waiting = []
        if self._writing is None:
            self._close_file()

    def _close_file(self) -> None:
        Deferred.fromCoroutine(self._close()).addErrback(
            lambda failure: self._log.failure("an upload cannot be closed", failure)
        )

    async def _close(self) -> None:
        await self._file.close_part()
        if self._full:
            # What has arrived of it is in the way of others, who need the space as well.
            await self._uploads.folder.discard_part(self.name)
