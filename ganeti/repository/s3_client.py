# SPDX-License-Identifier: BSD-2-Clause
"""Requests to an S3-compatible store; everything here blocks.

Connections are kept, one for each thread that asks at the same time. What a store cannot do now is
tried again: each request may be repeated.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Lock
from typing import Protocol
from urllib.parse import urlsplit
from xml.etree import ElementTree

from ganeti.repository.s3_signature import S3Credentials, S3Request, sign_request
from ganeti.system.cancellation import CancelSwitch

TIMEOUT = 30.0
"""Seconds in which a store has to accept or send something."""

DELAYS = (0.0, 1.0, 2.0, 4.0)
"""Seconds before each repetition; at once at first, as an idle connection may have been closed."""

_BUSY = frozenset((408, 429, 500, 502, 503, 504))
_TRY_AGAIN = frozenset(("RequestTimeout", "SlowDown", "InternalError"))


class S3Failed(OSError):
    """A store refused a request, or did not answer; the message says why."""


class S3Answered(Protocol):
    """An answer, as ``http.client`` has it."""

    status: int

    def read(self) -> bytes:
        """Return the body; raise ``HTTPException`` if it is incomplete."""


class S3Connection(Protocol):
    """A connection to a store, as ``http.client`` has it."""

    @property
    def is_open(self) -> bool:
        """Whether the store has left it open for another request."""

    def request(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a request."""

    def getresponse(self) -> S3Answered:
        """Return the answer."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class S3Answer:
    """The status and body of an answer."""

    status: int
    body: bytes


class S3Client:
    """Requests to the bucket of a store, in several threads; ``now`` is in seconds since the epoch.

    ``connect`` opens a connection to the store at ``host``, with the port unless it is the usual
    one. ``sleep`` waits for so many seconds.
    """

    def __init__(
        self,
        bucket: str,
        host: str,
        who: S3Credentials,
        connect: Callable[[], S3Connection],
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._bucket = bucket
        self._host = host
        self._who = who
        self._connect = connect
        self._now = now
        self._sleep = sleep
        self._lock = Lock()
        self._idle: list[S3Connection] = []

    def ask(
        self,
        method: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> S3Answer:
        """Send a request about an object, or about the bucket, and return its answer.

        :raises FileNotFoundError: there is no such object.
        :raises S3Failed: it was refused, or not answered.
        """
        path = f"/{self._bucket}/{key}" if key else f"/{self._bucket}"
        request = S3Request(
            method, path, query or {}, {"host": self._host, **(headers or {})}, body
        )
        for delay in (*DELAYS, None):
            try:
                answer = self._try_once(request)
            except (OSError, HTTPException) as e:
                if delay is None or isinstance(e, ssl.SSLCertVerificationError):
                    raise S3Failed(f"{self._host} {_explain(e)}") from None
            else:
                if answer.status < 300:
                    return answer
                code, why = _read_error(answer)
                if delay is None or not (answer.status in _BUSY or code in _TRY_AGAIN):
                    raise self._make_error(answer.status, code, why, key)
            self._sleep(delay)
        raise AssertionError("the last try returns or raises")

    def _try_once(self, request: S3Request) -> S3Answer:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect()
        try:
            # Signed now, as a signature is valid for some minutes.
            headers = sign_request(request, self._who, self._now())
            connection.request(request.method, request.target, request.body, headers)
            found = connection.getresponse()
            answer = S3Answer(found.status, found.read())
        except BaseException:
            connection.close()
            # Others have probably been closed by the store as well.
            self.close()
            raise
        if connection.is_open:
            with self._lock:
                self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _make_error(self, status: int, code: str, why: str, key: str) -> OSError:
        said = ": ".join(part for part in (code, why) if part) or f"status {status}"
        if code == "NoSuchBucket":
            return S3Failed(f"{self._host} has no bucket {self._bucket}; create it there")
        if status == 404:
            return FileNotFoundError(key)
        if status in (301, 307) or code == "AuthorizationHeaderMalformed":
            return S3Failed(
                f"{self._host} says that bucket {self._bucket} is in another region ({said});"
                " remove the repository, and add it with its --region and --endpoint"
            )
        if status in (401, 403):
            return S3Failed(
                f"{self._host} refuses the access key {self._who.access_key} ({said}); check its"
                " permissions, and the clock of this node, or add the repository again with another"
                " key"
            )
        return S3Failed(f"{self._host} refused a request: {said}")

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for each in idle:
            each.close()


def _explain(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"has a certificate that is not valid: {error.verify_message}; if a private authority"
            " has issued it, add that to the certificates of this node (update-ca-certificates)"
        )
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"does not answer: {why}; check the endpoint, and that this node reaches it"


def _read_error(answer: S3Answer) -> tuple[str, str]:
    """Return the code and message of a refusal; they are empty in answers to HEAD."""
    try:
        found = ElementTree.fromstring(answer.body)
    except ElementTree.ParseError:
        return "", ""
    return found.findtext("{*}Code") or "", (found.findtext("{*}Message") or "")[:200]


def make_connector(endpoint: str, switch: CancelSwitch) -> Callable[[], S3Connection]:
    """Return a function that connects to the URL of a store; the switch ends its connections.

    Certificates are verified by the authorities of this host.
    """
    url = urlsplit(endpoint)
    host = url.hostname or ""

    def connect() -> S3Connection:
        switch.check()
        if url.scheme == "https":
            context = ssl.create_default_context()
            made: HTTPConnection = HTTPSConnection(host, url.port, timeout=TIMEOUT, context=context)
        else:
            made = HTTPConnection(host, url.port, timeout=TIMEOUT)
        return WatchedConnection(made, switch)

    return connect


class WatchedConnection:
    """A connection that a switch ends; it connects once, and not by itself again."""

    def __init__(self, connection: HTTPConnection, switch: CancelSwitch) -> None:
        self._connection = connection
        connection.connect()
        connection.auto_open = 0
        self._end_watch = switch.shut_down_on_cancel(connection.sock)

    @property
    def is_open(self) -> bool:
        return self._connection.sock is not None

    def request(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        self._connection.request(method, url, body, headers)

    def getresponse(self) -> S3Answered:
        return self._connection.getresponse()

    def close(self) -> None:
        self._connection.close()
        self._end_watch()
