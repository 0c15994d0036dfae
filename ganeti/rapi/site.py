# SPDX-License-Identifier: BSD-2-Clause
"""The site that serves the remote API, and its requests: ``twisted.web`` within limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from uuid import uuid4

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource

from ganeti.rapi.channel import MAX_BODY, Channel, body_size_error
from ganeti.rapi.image_uploads import Upload
from ganeti.rapi.problems import problem
from ganeti.rapi.response import send
from ganeti.rapi.verbs import Admitted
from ganeti.web.channel import LimitedChannel
from ganeti.web.limits.quota import Quota
from ganeti.web.request import MemoryRequest
from ganeti.web.site import MAX_HANDSHAKES, LimitedSite

MAX_CONNECTIONS = 4000

MAX_UNSENT_BYTES = 128 * 1024 * 1024
"""Limit for the bytes of large answers that wait for clients to read them."""

MAX_UNREAD_BYTES = 64 * 1024 * 1024
"""Limit for the bytes of large requests that have not arrived completely."""

LARGE = 8192
"""Smaller bodies are limited by the number of connections only."""

_ORIGIN = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)


class ApiRequest(MemoryRequest):
    """A request whose errors are answered as JSON."""

    channel: Channel | None

    def __init__(self, channel: Channel, *args: object, **named: object) -> None:
        super().__init__(channel, *args, **named)
        self.variables: list[str] = []
        """What the variables in the path stand for."""
        self.admitted: Admitted | None = None
        """Who sends the request, if that was found out by its head."""
        self.upload: Upload | None = None
        """What takes the body as it arrives."""

    # --- reading

    def receive_body(self, upload: Upload) -> None:
        """Let ``upload`` take the body as it arrives."""
        self.upload, upload.source = upload, self.channel
        if self.channel is None:
            upload.abandon()  # the client has gone

    def drop(self) -> None:
        if self.upload is not None:
            self.upload.abandon()
        super().drop()

    def handleContentChunk(self, data: bytes) -> None:
        if self.content is None or self.channel is None:
            return
        if self.upload is not None:
            self.upload.take_chunk(data)
            return
        size = self.content.tell() + len(data)
        if size > MAX_BODY:
            self.channel.refuse(*body_size_error())
            return
        self.content.write(data)
        if size > LARGE:
            self.channel.site.unread.set_amount(self.channel, size)

    # --- answering

    def process(self) -> None:
        if not self.path.startswith((b"/", b"*")):
            # The absolute form, which clients use with proxies (RFC 9112, section 3.2.2).
            self.path = _ORIGIN.sub(b"", self.path, count=1) or b"/"
        super().process()

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer an internal error, and log the failure under a reference."""
        reference = uuid4().hex[:12]
        self._log.failure(
            "{method} {path} failed; reference {reference}",
            reason,
            method=self.method.decode("latin-1"),
            path=self.path.decode("latin-1"),
            reference=reference,
        )
        if self.startedWriting:
            # The client has to notice that the answer is incomplete.
            if self.channel is not None:
                self.channel.abort()
        else:
            text = f"internal error; see reference {reference} in the log of ganeti-rapi"
            send(self, problem(HTTPStatus.INTERNAL_SERVER_ERROR, text))
        return reason


class ApiSite(LimitedSite):
    """The site of the remote API."""

    requestFactory = ApiRequest
    protocol = Channel  # type: ignore[assignment]  # hides the HTTP/2 protocol, which is not offered
    _log = Logger()

    def __init__(
        self,
        resource: IResource,
        clock: IReactorTime,
        *,
        max_connections: int = MAX_CONNECTIONS,
        max_handshakes: int = MAX_HANDSHAKES,
        max_unsent: int = MAX_UNSENT_BYTES,
        max_unread: int = MAX_UNREAD_BYTES,
        explain: Callable[[Failure], str] = Failure.getErrorMessage,
    ) -> None:
        super().__init__(
            resource,
            clock,
            max_connections=max_connections,
            max_handshakes=max_handshakes,
            explain=explain,
        )
        self.unsent: Quota[LimitedChannel] = Quota(max_unsent, self._evict_reader)
        self.unread: Quota[LimitedChannel] = Quota(max_unread, self._evict_writer)

    async def admit(self, request: ApiRequest, method: bytes, path: bytes) -> None:
        """Find out by the head of a request whether its sender may send it.

        :raises GanetiError: not so.
        """
        admit = getattr(self.resource, "admit", None)
        if admit is not None:
            await admit(request, method, path)

    def streams(self, method: bytes, path: bytes) -> bool:
        """Return whether the body of a request is received as it arrives, however long it is."""
        streams = getattr(self.resource, "streams", None)
        return streams is not None and streams(method, path)

    def buildProtocol(self, addr: IAddress | None) -> Channel:  # type: ignore[override]
        channel: Channel = super().buildProtocol(addr)
        return channel

    def lost(self, channel: LimitedChannel) -> None:
        super().lost(channel)
        self.unread.release_amount(channel)
        self.unsent.release_amount(channel)

    def _evict_reader(self, channel: LimitedChannel) -> None:
        self.warn(
            "client {peer} reads its answer too slowly; closing the connection", peer=channel.peer
        )
        channel.abort()

    def _evict_writer(self, channel: LimitedChannel) -> None:
        self.warn("too many large requests; rejecting the one of {peer}", peer=channel.peer)
        channel.refuse(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "too many large requests at once; try again later",
        )
