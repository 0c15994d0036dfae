# SPDX-License-Identifier: BSD-2-Clause
"""An S3-compatible store in memory, which refuses wrong signatures, and can fail."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import IncompleteRead
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from ganeti.repository.s3_client import S3Answer, S3Client
from ganeti.repository.s3_signature import S3Credentials, S3Request, sign_request
from ganeti.repository.s3_store import S3Store

HOST = "s3.example.com"
CREDENTIALS = S3Credentials("AKIAEXAMPLE", "secret", "us-east-1")
NOW = 1_000_000_000.0
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


class MemoryS3:
    """One bucket; a list has at most ``page`` objects at once.

    ``failures`` are what becomes of the next requests: an exception when they are sent, a status in
    place of an answer, ``CUT`` for an answer that is cut off after the request was carried out, or
    None for nothing.
    """

    CUT = "cut"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.failures: list[Exception | int | str | None] = []
        self.slept: list[float] = []
        self.page = 3
        self.hangs_up = False
        self.open = 0

    def connect(self) -> MemoryS3Connection:
        self.open += 1
        return MemoryS3Connection(self)

    def client(self, who: S3Credentials = CREDENTIALS, bucket: str = "vault") -> S3Client:
        return S3Client(bucket, HOST, who, self.connect, lambda: NOW, self.slept.append)

    def store(self, prefix: str = "") -> S3Store:
        """Return the part of it below a prefix."""
        return S3Store(self.client(), "vault", prefix)

    def answer(self, request: S3Request) -> S3Answer:
        """Carry out a request."""
        signed = {
            name: value
            for name, value in request.headers.items()
            if name not in ("authorization", "x-amz-content-sha256", "x-amz-date")
        }
        expected = sign_request(
            S3Request(request.method, request.path, request.query, signed, request.body),
            CREDENTIALS,
            NOW,
        )
        if expected != request.headers:
            return _refuse(403, "SignatureDoesNotMatch", "The signature does not match")
        bucket, _, key = request.path.lstrip("/").partition("/")
        if bucket != "vault":
            return _refuse(404, "NoSuchBucket", "The bucket does not exist")
        if not key:
            return self._list(request.query)
        if request.method == "PUT":
            content: bytes | None = request.body
            if source := request.headers.get("x-amz-copy-source"):
                content = self.objects.get(unquote(source).removeprefix("/vault/"))
            if content is None:
                return _refuse(404, "NoSuchKey", "The key does not exist")
            self.objects[key] = content
            return S3Answer(200, b"")
        if request.method == "DELETE":
            self.objects.pop(key, None)
            return S3Answer(204, b"")
        if key not in self.objects:
            found = _refuse(404, "NoSuchKey", "The key does not exist")
            return found if request.method == "GET" else S3Answer(404, b"")
        if request.method == "HEAD":
            return S3Answer(200, b"")
        part = request.headers.get("range", "")
        end = int(part.rpartition("-")[2]) + 1 if part else None
        return S3Answer(206 if part else 200, self.objects[key][:end])

    def _list(self, query: Mapping[str, str]) -> S3Answer:
        keys = [key for key in sorted(self.objects) if key.startswith(query["prefix"])]
        keys = [key for key in keys if key > query.get("continuation-token", "")]
        shown, more = keys[: self.page], len(keys) > self.page
        listed = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[key])}</Size></Contents>"
            for key in shown
        )
        token = f"<NextContinuationToken>{shown[-1]}</NextContinuationToken>" if more else ""
        text = (
            f"<ListBucketResult {_NAMESPACE}><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{listed}</ListBucketResult>"
        )
        return S3Answer(200, text.encode())


class MemoryS3Connection:
    """A connection to the store, which it closes after an answer if it ``hangs_up``."""

    def __init__(self, store: MemoryS3) -> None:
        self._store = store
        self._answer = S3Answer(500, b"")
        self._cut = False
        self.status = 0

    @property
    def is_open(self) -> bool:
        return not self._store.hangs_up

    def request(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        path, _, query = url.partition("?")
        self._store.asked.append(f"{method} {url}")
        failure = self._store.failures.pop(0) if self._store.failures else None
        if isinstance(failure, Exception):
            raise failure
        if isinstance(failure, int):
            self._answer = _refuse(failure, "InternalError" if failure >= 500 else "", "not now")
            return
        self._cut = failure is not None
        pairs = dict(parse_qsl(query, keep_blank_values=True))
        self._answer = self._store.answer(S3Request(method, unquote(path), pairs, headers, body))

    def getresponse(self) -> MemoryS3Connection:
        self.status = self._answer.status
        return self

    def read(self) -> bytes:
        if self._cut:
            raise IncompleteRead(self._answer.body[:1])
        return self._answer.body

    def close(self) -> None:
        self._store.open -= 1


def _refuse(status: int, code: str, message: str) -> S3Answer:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return S3Answer(status, text.encode())
