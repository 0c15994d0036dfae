# SPDX-License-Identifier: BSD-2-Clause
"""A client of etcd's JSON gateway (etcd v3, https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/).

Keys and values are base64, 64-bit numbers are text, and fields with their default value are left
out. Endpoints are used in turn: one that fails is left for the next, and used again when all
others have failed.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from twisted.internet.defer import CancelledError, Deferred, gatherResults, succeed
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import (
    IConsumer,
    IReactorTime,
)
from twisted.python.failure import Failure
from twisted.web._newclient import RequestTransmissionFailed  # public nowhere else
from twisted.web.client import (
    PartialDownloadError,
    RequestGenerationFailed,
    ResponseFailed,
    readBody,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import (
    IAgent,
    IBodyProducer,
    IResponse,
)
from zope.interface import implementer

from ganeti.journal.etcd.interfaces import (
    Change,
    Condition,
    CreatedAt,
    Entry,
    IEtcd,
    IEtcdMembers,
    MemberHealth,
    PutKey,
    ReadResult,
    RevisionCompacted,
    StoreFull,
    StoreHealth,
    StoreUnavailable,
    TxnResult,
)
from ganeti.journal.etcd.member_changes import Member
from ganeti.schema.documents import UNREADABLE

T = TypeVar("T")

REQUEST_TIMEOUT = 3.0
"""Seconds for an answer; etcd itself gives up after about seven, too late for a lease."""

RENEWAL_TIMEOUT = 1.0
"""Seconds for requests about a lease, so that another endpoint can be tried before it ends."""

DEFRAGMENT_TIMEOUT = 60.0
"""Seconds for a member to rewrite its database."""

OUT_OF_SPACE = "database space exceeded"
COMPACTED = "has been compacted"

# Structs and not records: later releases of etcd answer with more fields.


class _Header(msgspec.Struct, frozen=True):
    revision: int = 0


class _KeyValue(msgspec.Struct, frozen=True):
    key: str = ""
    value: str = ""
    create_revision: int = 0
    mod_revision: int = 0
    lease: int = 0


class _TxnAnswer(msgspec.Struct, frozen=True):
    header: _Header
    succeeded: bool = False


class _RangeAnswer(msgspec.Struct, frozen=True):
    header: _Header
    kvs: tuple[_KeyValue, ...] = ()
    more: bool = False


class _LeaseAnswer(msgspec.Struct, frozen=True):
    ID: int = 0
    TTL: int = 0


class _StreamedLease(msgspec.Struct, frozen=True):
    result: _LeaseAnswer = _LeaseAnswer()


class _Status(msgspec.Struct, frozen=True):
    header: dict[str, object] = {}
    version: str = ""
    leader: int = 0
    dbSize: int = 0
    dbSizeInUse: int = 0
    errors: tuple[str, ...] = ()


class _Member(msgspec.Struct, frozen=True):
    ID: int = 0
    name: str = ""
    peerURLs: tuple[str, ...] = ()
    clientURLs: tuple[str, ...] = ()
    isLearner: bool = False


class _Members(msgspec.Struct, frozen=True):
    members: tuple[_Member, ...] = ()
    member: _Member = _Member()


class _Alarm(msgspec.Struct, frozen=True):
    memberID: str = "0"
    alarm: str = "NONE"


class _Alarms(msgspec.Struct, frozen=True):
    alarms: tuple[_Alarm, ...] = ()


class _Nothing(msgspec.Struct, frozen=True):
    """An answer whose content does not matter."""


class _ErrorAnswer(msgspec.Struct, frozen=True):
    message: str = ""
    error: str = ""


@implementer(IEtcd, IEtcdMembers)
class EtcdGateway:
    """The client of the members at ``endpoints``, URLs such as ``https://192.0.2.1:2379``.

    It sends one request to one member, and repeats it at another one only if the first cannot
    have received it. ``explain`` formats the reason why a connection failed.
    """

    def __init__(
        self,
        agent: IAgent,
        endpoints: Sequence[str],
        clock: IReactorTime,
        *,
        explain: Callable[[Failure], str] = Failure.getErrorMessage,
        close: Callable[[], Deferred[object]] = lambda: succeed(None),
        timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        """``close`` closes the connections of ``agent``; an answer may take ``timeout`` seconds."""
        self._timeout = timeout
        self._agent = agent
        self._close = close
        self._endpoints = [each.rstrip("/") for each in endpoints]
        self._current = 0
        self._clock = clock
        self._explain = explain

    # --- IEtcd

    async def txn(self, conditions: Sequence[Condition], changes: Sequence[Change]) -> TxnResult:
        body = {
            "compare": [_encode_condition(each) for each in conditions],
            "success": [_encode_change(each) for each in changes],
        }
        answer = await self._ask("/v3/kv/txn", body, _TxnAnswer)
        return TxnResult(answer.succeeded, answer.header.revision)

    async def read(
        self,
        start: str,
        end: str = "",
        *,
        limit: int = 0,
        revision: int = 0,
        keys_only: bool = False,
    ) -> ReadResult:
        body = {"key": _encode(start), "limit": str(limit), "revision": str(revision)}
        if end:
            body["range_end"] = _encode(end)
        answer = await self._ask("/v3/kv/range", {**body, "keys_only": keys_only}, _RangeAnswer)
        entries = tuple(map(_decode_entry, answer.kvs))
        return ReadResult(entries, revision or answer.header.revision, answer.more)

    async def grant(self, seconds: int) -> int:
        return (await self._ask("/v3/lease/grant", {"TTL": str(seconds)}, _LeaseAnswer)).ID

    async def keep_alive(self, lease: int) -> int:
        # A stream in both directions; with one request in it, the gateway sends one answer.
        body = {"ID": str(lease)}
        answer = await self._ask(
            "/v3/lease/keepalive", body, _StreamedLease, timeout=RENEWAL_TIMEOUT
        )
        return answer.result.TTL

    async def revoke(self, lease: int) -> None:
        # The lease may have expired, or an earlier attempt may have been carried out.
        with suppress(_NotFound):
            await self._ask("/v3/lease/revoke", {"ID": str(lease)}, _LeaseAnswer)

    async def health(self) -> StoreHealth:
        members = await gatherResults(
            [Deferred.fromCoroutine(self._member_health(each)) for each in self._endpoints]
        )
        try:
            found = await self._ask("/v3/maintenance/alarm", {"action": "GET"}, _Alarms)
        # Alarms need a majority, but what each member says of itself does not.
        except StoreUnavailable:
            return StoreHealth(tuple(members))
        return StoreHealth(tuple(members), tuple(sorted({each.alarm for each in found.alarms})))

    async def free_space(self) -> None:
        # Of a key that does not exist, as only the revision is needed.
        revision = (await self.read("\0")).revision
        # An automatic compaction may have been faster.
        with suppress(RevisionCompacted):
            await self.compact(revision)
        # One after the other, as a member answers nothing meanwhile.
        for endpoint in self._endpoints:
            # A member that is down does not keep the others from getting space.
            with suppress(StoreUnavailable):
                await self._exchange(
                    endpoint, "/v3/maintenance/defragment", b"{}", _Nothing, DEFRAGMENT_TIMEOUT
                )
        found = await self._ask("/v3/maintenance/alarm", {"action": "GET"}, _Alarms)
        for each in found.alarms:
            if each.alarm == "NOSPACE":
                await self._change_alarm("DEACTIVATE", each.alarm, each.memberID)

    # --- IEtcdMembers

    async def members(self) -> Sequence[Member]:
        found = await self._ask("/v3/cluster/member/list", {}, _Members)
        return [_decode_member(each) for each in found.members]

    async def add_learner(self, peer: str) -> Member:
        body = {"peerURLs": [peer], "isLearner": True}
        return _decode_member((await self._ask(_ADD, body, _Members)).member)

    async def promote(self, member: int) -> None:
        await self._ask("/v3/cluster/member/promote", {"ID": str(member)}, _Members)

    async def remove(self, member: int) -> None:
        # An earlier attempt, whose answer was lost, may have been carried out.
        with suppress(_NotFound):
            await self._ask("/v3/cluster/member/remove", {"ID": str(member)}, _Members)

    # --- beyond IEtcd

    def use_endpoints(self, endpoints: Sequence[str]) -> None:
        """Use these endpoints from now on, because members were added or removed."""
        current = self._endpoints[self._current]
        self._endpoints = [each.rstrip("/") for each in endpoints]
        known = current in self._endpoints
        self._current = self._endpoints.index(current) if known else 0

    async def compact(self, revision: int) -> None:
        """Remove what keys were before ``revision``."""
        await self._ask("/v3/kv/compaction", {"revision": str(revision)}, _RangeAnswer)

    async def raise_alarm(self, alarm: str) -> None:
        """Raise an alarm for a member, ``NOSPACE`` for example."""
        await self._change_alarm("ACTIVATE", alarm)

    async def clear_alarm(self, alarm: str) -> None:
        """Clear an alarm, whose cause is over."""
        await self._change_alarm("DEACTIVATE", alarm)

    async def _change_alarm(self, action: str, alarm: str, member: str = "0") -> None:
        body = {"action": action, "alarm": alarm, "memberID": member}
        await self._ask("/v3/maintenance/alarm", body, _Alarms)

    def close(self) -> Deferred[object]:
        """Close idle connections."""
        return self._close()

    # --- requests

    async def _member_health(self, endpoint: str) -> MemberHealth:
        began = self._clock.seconds()
        try:
            status = await self._exchange(
                endpoint, "/v3/maintenance/status", b"{}", _Status, self._timeout
            )
        except StoreUnavailable as e:
            return MemberHealth(endpoint, problem=str(e).removeprefix(f"{endpoint}: "))
        problem = "it has no leader: most members are down or disconnected"
        return MemberHealth(
            endpoint,
            version=status.version,
            leads=str(status.leader) == status.header.get("member_id"),
            size=status.dbSize,
            size_in_use=status.dbSizeInUse,
            seconds=self._clock.seconds() - began,
            problem=", ".join(status.errors) if status.leader else problem,
        )

    async def _ask(
        self, path: str, body: object, kind: type[T], *, timeout: float | None = None
    ) -> T:
        """Return the answer of the current endpoint, or of the first other that can be reached.

        :raises StoreUnavailable: no endpoint can be reached, or the one that was has not answered.
        """
        encoded = msgspec.json.encode(body)
        unreachable = []
        for _ in range(len(self._endpoints)):
            endpoint = self._endpoints[self._current]
            try:
                return await self._exchange(endpoint, path, encoded, kind, timeout or self._timeout)
            except _NotReached as e:
                unreachable.append(str(e))
                self._leave(endpoint)
            except StoreUnavailable:
                self._leave(endpoint)
                raise
        raise StoreUnavailable("; ".join(unreachable))

    def _leave(self, endpoint: str) -> None:
        # Several requests may fail at once, and only the first one changes the endpoint.
        if self._endpoints[self._current] == endpoint:
            self._current = (self._current + 1) % len(self._endpoints)

    async def _exchange(
        self, endpoint: str, path: str, body: bytes, kind: type[T], timeout: float
    ) -> T:
        asking: Deferred[tuple[int, bytes]] = Deferred.fromCoroutine(
            self._send(f"{endpoint}{path}", body)
        )
        asking.addTimeout(timeout, self._clock)
        try:
            code, text = await asking
        except TimedOut:
            why = f"{endpoint}: no answer within {timeout:g} seconds"
            raise StoreUnavailable(why) from None
        except (ConnectError, DNSLookupError) as e:
            raise _NotReached(f"{endpoint}: {self._explain(Failure(e))}") from None
        except _Broken as e:
            raise StoreUnavailable(f"{endpoint}: {e}") from None
        return _parse(endpoint, code, text, kind)

    async def _send(self, url: str, body: bytes) -> tuple[int, bytes]:
        """Return the status and the body of an answer; cancelling closes the connection."""
        try:
            response: IResponse = await self._agent.request(
                b"POST", url.encode("ascii"), _HEADERS, _Body(body)
            )
            return response.code, await readBody(response)
        # ``addTimeout`` translates this error, and no other one, into its own.
        except ConnectingCancelledError:
            raise CancelledError from None
        except (RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed) as e:
            # The first reason is what has happened; the class says only in which phase.
            reason = e.reasons[0]
            if reason.check(CancelledError):
                raise CancelledError from None
            raise _Broken(self._explain(reason)) from None
        except PartialDownloadError:
            raise _Broken("the answer is incomplete") from None


class _Broken(Exception):
    """A connection broke during a request; the text has the reason."""


class _NotReached(StoreUnavailable):
    """No connection was made, so that the request was certainly not carried out."""


class _NotFound(StoreUnavailable):
    """The object of the request does not exist."""


_ADD = "/v3/cluster/member/add"
_HEADERS = Headers({b"Content-Type": [b"application/json"]})


def _parse(endpoint: str, code: int, text: bytes, kind: type[T]) -> T:
    try:
        if code == 200:
            # Not strict: numbers of 64 bits are text.
            return msgspec.json.decode(text, type=kind, strict=False)
        answer = msgspec.json.decode(text, type=_ErrorAnswer)
        message = answer.message or answer.error
    except UNREADABLE:
        message = f"an answer that cannot be read, with HTTP status {code}"
    if OUT_OF_SPACE in message:
        raise StoreFull(
            f"{endpoint}: etcd has exceeded its space quota; compact and defragment it, or raise"
            " --quota-backend-bytes, and then run: etcdctl alarm disarm"
        )
    if COMPACTED in message:
        raise RevisionCompacted(message)
    if code == 404:
        raise _NotFound(f"{endpoint}: {message}")
    raise StoreUnavailable(f"{endpoint}: {message}")


@implementer(IBodyProducer)
class _Body:
    """A request body that is written at once; the store bounds its size."""

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self._body = body

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: everything is written."""

    def stopProducing(self) -> None:
        """Do nothing: everything is written."""

    def resumeProducing(self) -> None:
        """Do nothing: everything is written."""


def _encode(text: str | bytes) -> str:
    return b64encode(text.encode("ascii") if isinstance(text, str) else text).decode("ascii")


def _encode_condition(condition: Condition) -> dict[str, str]:
    created = isinstance(condition, CreatedAt)
    return {
        "key": _encode(condition.key),
        "result": "EQUAL",
        "target": "CREATE" if created else "MOD",
        "create_revision" if created else "mod_revision": str(condition.revision),
    }


def _encode_change(change: Change) -> dict[str, dict[str, str]]:
    if isinstance(change, PutKey):
        put = {"key": _encode(change.key), "value": _encode(change.value)}
        return {"request_put": {**put, "lease": str(change.lease)}}
    return {
        "request_delete_range": {"key": _encode(change.start), "range_end": _encode(change.end)}
    }


def _decode_member(found: _Member) -> Member:
    return Member(
        id=found.ID,
        address=urlsplit(found.peerURLs[0]).hostname or "" if found.peerURLs else "",
        name=found.name,
        endpoint=found.clientURLs[0] if found.clientURLs else "",
        learner=found.isLearner,
    )


def _decode_entry(found: _KeyValue) -> Entry:
    return Entry(
        b64decode(found.key).decode("ascii"),
        b64decode(found.value),
        found.create_revision,
        found.mod_revision,
        found.lease,
    )
