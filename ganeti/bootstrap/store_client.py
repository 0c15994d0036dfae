# SPDX-License-Identifier: BSD-2-Clause
"""A blocking client of etcd's JSON gateway, for tools."""

from __future__ import annotations

import http.client
import ssl
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

import msgspec

from ganeti.errors import Code, Failed
from ganeti.paths import Paths
from ganeti.schema.documents import UNREADABLE

TIMEOUT = 10.0
"""Seconds for an answer; etcd itself gives up after about seven."""

PAGE = 16
"""Keys per read; they may have up to half a MiB each."""


# Structs and not records: later releases of etcd answer with more fields.


class _Header(msgspec.Struct, frozen=True):
    revision: int = 0


class _KeyValue(msgspec.Struct, frozen=True):
    key: str = ""
    value: str = ""


class _Answer(msgspec.Struct, frozen=True):
    """The fields of all answers and errors."""

    header: _Header = _Header()
    kvs: tuple[_KeyValue, ...] = ()
    more: bool = False
    succeeded: bool = False
    ID: int = 0
    message: str = ""
    error: str = ""


class StoreClient:
    """Sends requests to the first of the endpoints that answers, and the next ones there too."""

    def __init__(self, paths: Paths, endpoints: Sequence[str]) -> None:
        """Load the certificates of this node.

        :raises Failed: one of them is missing or unusable.
        """
        self._endpoints = [urlsplit(each) for each in endpoints]
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            self._context.load_verify_locations(paths.store_authority)
            self._context.load_cert_chain(paths.store_certificate)
        except (OSError, ssl.SSLError) as e:
            raise Failed(
                f"{paths.store_certificate} and {paths.store_authority}, with which etcd admits"
                f" this node, cannot be used: {e}; run this on a master candidate, as root",
                Code.ENVIRONMENT,
            ) from None

    def read(self, start: str, end: str = "") -> dict[str, bytes]:
        """Return the keys from ``start`` on that precede ``end``, or only ``start``, at one time.

        :raises Failed: etcd does not answer.
        """
        return dict(self._read_pages(start, end))

    def _read_pages(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        revision = "0"
        while True:
            body = {"key": _encode(start.encode()), "limit": PAGE, "revision": revision}
            if end:
                body["range_end"] = _encode(end.encode())
            answer = self._ask("/v3/kv/range", body)
            key = ""
            for found in answer.kvs:
                key = b64decode(found.key).decode("ascii")
                yield key, b64decode(found.value)
            if not answer.more:
                return
            # All pages are of one revision, whatever is changed meanwhile.
            start, revision = f"{key}\0", str(answer.header.revision)

    def create_lease(self, seconds: int) -> str:
        """Return a new lease."""
        return str(self._ask("/v3/lease/grant", {"TTL": str(seconds)}).ID)

    def end_lease(self, lease: str) -> None:
        """End a lease, with its keys."""
        # It may have expired, or an earlier attempt may have been carried out.
        with suppress(_NotFound):
            self._ask("/v3/lease/revoke", {"ID": lease})

    def change(self, conditions: Sequence[object], changes: Sequence[object]) -> tuple[bool, int]:
        """Make all changes at once if all conditions hold; return whether they did, and when.

        :raises Failed: etcd does not answer; the changes may have been made.
        """
        body = {"compare": conditions, "success": changes}
        answer = self._ask("/v3/kv/txn", body, repeatable=False)
        return answer.succeeded, answer.header.revision

    def _ask(self, path: str, body: object, *, repeatable: bool = True) -> _Answer:
        """Return the answer of the first endpoint that gives one.

        A request that is not ``repeatable`` is sent to another endpoint only if the first cannot
        have received it: it might be carried out twice, the first time after later requests.

        :raises Failed: no endpoint answers.
        """
        problems = []
        kind = Failed
        for endpoint in self._endpoints:
            connection = http.client.HTTPSConnection(
                endpoint.hostname or "", endpoint.port, context=self._context, timeout=TIMEOUT
            )
            sent = False
            try:
                connection.connect()
                sent = True
                connection.request(
                    "POST", path, msgspec.json.encode(body), {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                # Not strict: numbers of 64 bits are text.
                found = msgspec.json.decode(answer.read(), type=_Answer, strict=False)
            except (OSError, http.client.HTTPException, *UNREADABLE) as e:
                problem = f"{endpoint.netloc}: {e}"
            else:
                if answer.status == http.client.OK:
                    self._prefer(endpoint)
                    return found
                problem = f"{endpoint.netloc}: {found.message or found.error}"
                if answer.status == http.client.NOT_FOUND:
                    kind = _NotFound
            finally:
                connection.close()
            if sent and not repeatable:
                raise Failed(
                    f"etcd has not answered, and may have made the change: {problem}; repeat the"
                    " command",
                    Code.ENVIRONMENT,
                )
            problems.append(problem)
        raise kind(f"etcd does not answer: {'; '.join(problems)}", Code.ENVIRONMENT)

    def _prefer(self, endpoint: SplitResult) -> None:
        """Ask this endpoint first from now on."""
        self._endpoints = [endpoint, *(each for each in self._endpoints if each != endpoint)]


class _NotFound(Failed):
    """An endpoint knows no object that the request names."""


def put(key: str, value: bytes, lease: str = "0") -> object:
    """Return the change that sets a key."""
    changed = {"key": _encode(key.encode()), "value": _encode(value), "lease": lease}
    return {"request_put": changed}


def delete(start: str, end: str) -> object:
    """Return the change that deletes the keys from ``start`` on that precede ``end``."""
    bounds = {"key": _encode(start.encode()), "range_end": _encode(end.encode())}
    return {"request_delete_range": bounds}


def created_at(key: str, revision: int) -> object:
    """Return the condition that a key was created in a revision; 0: that it does not exist."""
    return {
        "key": _encode(key.encode()),
        "result": "EQUAL",
        "target": "CREATE",
        "create_revision": str(revision),
    }


def _encode(data: bytes) -> str:
    return b64encode(data).decode("ascii")
