# SPDX-License-Identifier: BSD-2-Clause
"""The LUXI methods: one record per method, whose fields are the positional arguments.

Names, order and types are those that existing clients send. ``QueryObjects``,
``QueryObjectPages``, ``SubmitSharedJob``, ``CancelJobs``, ``PlanJob``, ``WaitForEvents``,
``QueryImages``, ``QueryMetrics``, ``QueryUsage``, ``QueryJobRates``, and those for consoles, users
and the history are additions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar, Generic, Literal, Self, TypeAlias, TypeVar, overload

import msgspec

from ganeti.errors import Invalid, ProtocolError
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, JsonValue, Line, Number, Priority

R = TypeVar("R", covariant=True)

MAX_WAIT = 89
"""Maximum time in seconds that the master waits for a job to change."""

# What a row has depends on the fields that were asked for.
Row: TypeAlias = list[Any]
JobChange: TypeAlias = tuple[Row, list[Row]]
"""The values of a job's fields, and the new entries of its log."""


MAX_READ_JOBS = 100
"""Number of jobs of a request that are decoded at once."""


class Undecodable(Invalid):
    """A request that turned out to be invalid when a later part of it was decoded."""


class Request(Record, Generic[R], array_like=True):
    """A request to the master that is answered by an ``R``; a list on the wire."""

    changes: ClassVar[bool] = False
    """Whether the request changes something, so that sending it twice may do so twice."""

    waits: ClassVar[bool] = False
    """Whether the answer may take long because the request waits for an event."""

    bare: ClassVar[bool] = False
    """Whether old clients send the single argument itself instead of a list of one."""

    @classmethod
    def read(cls, encoded: bytes | msgspec.Raw) -> Self:
        """Return the request with these encoded arguments; numbers may be sent as text.

        :raises Invalid: the arguments do not match the method.
        """
        decode: Callable[[bytes | msgspec.Raw], Self] = _decoder(cls).decode
        try:
            return decode(encoded)
        except UNREADABLE as e:
            problem = e
        if cls.bare:
            with suppress(*UNREADABLE):
                return decode(b"[%b]" % bytes(encoded))
        # The first problem, as the second is about a form that the client has not sent.
        raise _make_invalid(cls, problem)

    def arguments(self) -> tuple[object, ...]:
        """Return the arguments for the answering function."""
        return msgspec.structs.astuple(self)

    @classmethod
    def named(cls) -> str:
        """Return the name of the method on the wire."""
        return cls.__name__


@cache
def _decoder(kind: type[Request[object]]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=False)


def _make_invalid(method: type[Request[object]], error: Exception) -> Invalid:
    text = str(error).replace("`", "")
    for number, name in enumerate(method.__struct_encode_fields__):
        text = text.replace(f"$[{number}]", name)
    return Invalid(f"the arguments of {method.named()} cannot be decoded: {text}")


# Jobs


class SubmitJob(Request[int]):
    """Submit a job; the answer is its id, sent when the job is durable."""

    changes = True

    ops: tuple[Opcode, ...]

    @classmethod
    def read(cls, encoded: bytes | msgspec.Raw) -> Self:
        return cls(ops=_decode_opcodes(_extract_argument(cls, encoded, new=rb"\s*\[")))


class SubmitJobToDrainedQueue(SubmitJob):
    """Submit a job even if the queue is drained."""


class SubmitSharedJob(SubmitJob):
    """Submit a read-only job, or return the id of an identical recent one."""


class PlanJob(Request[list[dict[str, Any]]]):
    """Tell what each opcode of a job would do, from its plan as of now; nothing is submitted.

    One object per opcode: ``opcode`` ``summary`` ``steps`` ``locks`` ``asked`` ``nodes``
    ``irreversible`` ``preview``.
    """

    ops: tuple[Opcode, ...]

    @classmethod
    def read(cls, encoded: bytes | msgspec.Raw) -> Self:
        return cls(ops=_decode_opcodes(_extract_argument(cls, encoded, new=rb"\s*\[")))


class SubmitManyJobs(Request[list[Row]]):
    """Submit several jobs; one row per job: ``[true, id]`` or ``[false, text]``."""

    changes = True

    jobs: Sequence[tuple[Opcode, ...]]

    @classmethod
    def read(cls, encoded: bytes | msgspec.Raw) -> Self:
        jobs = _split_arguments(cls, _extract_argument(cls, encoded, new=rb"\s*\[\s*[\[\]]"))
        if len(jobs) > MAX_READ_JOBS:
            return cls(jobs=EncodedJobs(jobs))
        return cls(jobs=tuple(map(_decode_opcodes, jobs)))


class EncodedJobs(Sequence[tuple[Opcode, ...]]):
    """The jobs of a long request, each decoded when it is needed, so that none delays other work.

    Decoding raises ``Undecodable``.
    """

    def __init__(self, encoded: Sequence[msgspec.Raw]) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded)

    @overload
    def __getitem__(self, index: int) -> tuple[Opcode, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[Opcode, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[Opcode, ...] | Sequence[tuple[Opcode, ...]]:
        if isinstance(index, slice):
            return EncodedJobs(self._encoded[index])
        try:
            return _decode_opcodes(self._encoded[index])
        except Invalid as e:
            raise Undecodable(e.problems) from None


def _decode_opcodes(encoded: bytes | msgspec.Raw) -> tuple[Opcode, ...]:
    # Imported here: only the master reads requests, and tools that list objects start faster.
    from ganeti.opcodes.registry import decode_opcodes

    return decode_opcodes(encoded)


def _extract_argument(
    kind: type[Request[object]], encoded: bytes | msgspec.Raw, new: bytes
) -> bytes | msgspec.Raw:
    """Return the only argument; old clients send it without the enclosing list."""
    pieces = _split_arguments(kind, encoded)
    return pieces[0] if len(pieces) == 1 and re.match(new, bytes(pieces[0])) else encoded


def _split_arguments(
    kind: type[Request[object]], encoded: bytes | msgspec.Raw
) -> list[msgspec.Raw]:
    try:
        return _raws.decode(encoded)
    except UNREADABLE as e:
        raise _make_invalid(kind, e) from None


_raws = msgspec.json.Decoder(list[msgspec.Raw])


class CancelJob(Request[Row]):
    """Cancel a job: ``[success, text]``; ``kill`` also interrupts a running step."""

    changes = True
    bare = True

    job_id: Integer
    kill: bool | None = None


class CancelJobs(Request[list[Row]]):
    """Cancel several jobs in one step; one row per job: ``[success, text]``.

    Not a method of Ganeti, whose clients send a request per job.
    """

    changes = True

    job_ids: tuple[Integer, ...]
    kill: bool | None = None


class ChangeJobPriority(Request[Row]):
    """Change the priority of opcodes of a job that do not run yet: ``[success, text]``."""

    changes = True

    job_id: Integer
    priority: Priority


class ArchiveJob(Request[bool]):
    """Archive an ended job; the answer is false if it does not exist or has not ended."""

    changes = True
    bare = True

    job_id: Integer


class AutoArchiveJobs(Request[list[int]]):
    """Archive jobs that ended ``age`` seconds ago, -1 for all: ``[archived, remaining]``."""

    changes = True

    age: Integer
    timeout: Integer = MAX_WAIT


class PickupJob(Request[None]):
    """Internal to other implementations; never answered here."""

    job_id: Integer


class WaitForJobChange(Request[JobChange | Literal["nochange"] | None]):
    """Wait until a field changes or the log grows: ``[values, log entries]``.

    Without a change within ``timeout`` seconds, the answer is ``nochange``.
    """

    waits = True

    job_id: Integer
    fields: tuple[str, ...]
    prev_job_info: JsonValue = None
    prev_log_serial: Integer | None = None
    timeout: Number = MAX_WAIT

    def arguments(self) -> tuple[object, ...]:
        *others, timeout = msgspec.structs.astuple(self)
        return (*others, max(0, min(timeout, MAX_WAIT)))


class SetDrainFlag(Request[bool]):
    """Drain or undrain the queue; the answer is true."""

    bare = True

    flag: bool


class SetWatcherPause(Request[object]):
    """Pause the watcher until a time in seconds since the epoch; the answer is that time."""

    until: Integer | Number | None = None


# Queries


class Query(Request[dict[str, JsonValue]]):
    """Query objects of a kind; values have a status: ``{"fields": …, "data": …}``."""

    what: str
    fields: tuple[str, ...]
    qfilter: JsonValue = None


class QueryFields(Request[dict[str, JsonValue]]):
    """Query field definitions of a kind; without names, all of them, sorted by name."""

    what: str
    fields: tuple[str, ...] | None = None


class QueryObjects(Request[list[dict[str, JsonValue]]]):
    """Query objects as ``{field: value}``: all of a kind, or the named ones in that order.

    An unknown name is refused as an unknown entity. With ``known``, the tags of contents that the
    client has, the answer is ``{"tag": …, "objects": …}``, with null instead of these contents.
    """

    what: str
    fields: tuple[str, ...]
    names: tuple[str, ...] | None = None
    known: tuple[str, ...] | None = None


class QueryObjectPages(Request[dict[str, JsonValue]]):
    """Query all objects of a kind: ``{"tag": …, "size": …, "pages": …, "objects": …}``.

    The first request has no ``tag``, and gets page 0; the others have the tag of its answer and
    the number of a page, and get ``objects`` only. The list as JSON, without spaces, has ``size``
    bytes. With ``known``, the tags of lists that the client has, ``objects`` is null for these.
    """

    what: str
    fields: tuple[str, ...]
    known: tuple[str, ...] = ()
    tag: str = ""
    page: Integer = 0


class QueryJobs(Request[list[Row | None]]):
    """Query the given jobs, or all that are not archived, as rows of values."""

    ids: tuple[Integer, ...] | None
    fields: tuple[str, ...]


class _PlainQuery(Request[list[Row]]):
    """A query for rows of plain values; locking is refused, as queries never wait for jobs."""

    names: tuple[str, ...]
    fields: tuple[str, ...]
    use_locking: bool = False

    def arguments(self) -> tuple[object, ...]:
        """Return names and fields."""
        _check_no_locking(self.use_locking)
        return self.names, self.fields


class QueryInstances(_PlainQuery):
    """Query instances as rows of plain values; without names, all of them."""


class QueryNodes(_PlainQuery):
    """Query nodes as rows of plain values; without names, all of them."""


class QueryGroups(_PlainQuery):
    """Query node groups as rows of plain values; without names, all of them."""


class QueryNetworks(_PlainQuery):
    """Query networks as rows of plain values; without names, all of them."""


class QueryImages(_PlainQuery):
    """Query the images of the library as rows of plain values; without names, all of them."""


class QueryExports(Request[list[Row]]):
    """Query exports as rows of node and name; without nodes, on all of them."""

    nodes: tuple[str, ...]
    use_locking: bool = False

    def arguments(self) -> tuple[object, ...]:
        """Return the nodes."""
        _check_no_locking(self.use_locking)
        return (self.nodes,)


class QueryFilters(Request[list[Row]]):
    """Query job filters as rows of plain values; without UUIDs, all of them."""

    uuids: tuple[str, ...] | None
    fields: tuple[str, ...]


class QueryTags(Request[list[str]]):
    """Query the tags of the cluster, or of one nodegroup, node, instance or network."""

    kind: str
    name: str | None = None


class QueryClusterInfo(Request[dict[str, JsonValue]]):
    """Query information about the cluster."""


class QueryConfigValues(Request[Row]):
    """Query single values such as ``cluster_name`` and ``drain_flag``; null for unknown names."""

    bare = True

    fields: tuple[str, ...]


# Events


class WaitForEvents(Request[dict[str, JsonValue]]):
    """Wait for events after ``since``: ``{"events": […], "position": …, "reset": …}``.

    The position is the one to continue from; without ``since`` the answer is the current position,
    at once. Events are selected that match one of the kinds, one of the names and one of the tags;
    an empty list matches all. Without a matching event within ``timeout`` seconds, the list of
    events is empty.
    """

    waits = True

    since: Line | None = None
    timeout: Number = MAX_WAIT
    kinds: tuple[Line, ...] = ()
    names: tuple[Line, ...] = ()
    tags: tuple[Line, ...] = ()


class CreateConsoleTicket(Request[dict[str, JsonValue]]):
    """Let a user open a console of an instance, ``stream`` being serial or vnc.

    Answers ``{"node": …, "address": …, "ticket": …}``: the node daemon there opens it, once, for
    who brings the ticket within 30 seconds. Who is to ``take_over`` types alone; others watch.
    """

    instance: Line
    stream: Line
    viewer: Line
    take_over: bool = False


class QueryNotifications(Request[list[dict[str, JsonValue]]]):
    """Query the notifications, without secrets, with the progress of their deliveries."""


class QueryBackupRepositories(Request[list[dict[str, JsonValue]]]):
    """Query the repositories of backups, without their keys."""


class QueryBackups(Request[list[dict[str, JsonValue]]]):
    """Query the backups in one repository or all, of one instance or all."""

    repository: Line | None = None
    instance: Line | None = None


class QueryBackupSchedules(Request[list[dict[str, JsonValue]]]):
    """Query the schedules of backups, when they were due, and when they will be."""


class QueryRepositoryKey(Request[str]):
    """Return the key of a repository of backups; empty if it is not encrypted."""

    repository: Line


class QueryFailover(Request[dict[str, JsonValue]]):
    """Query the settings for failover of guests, and the leases and fences of nodes."""


class TestNotification(Request[None]):
    """Send a test event to the receiver of a notification now.

    The answer is sent when the receiver has accepted it.
    """

    waits = True

    name: Line


class QueryMetrics(Request[list[dict[str, JsonValue]]]):
    """Query the metrics of the master, as families in the data model of Prometheus."""


class QueryUsage(Request[dict[str, Any]]):
    """What a node or an instance has used over the last hours: ``step``, ``end`` and ``series``.

    ``kind`` is node or instance. The step is in seconds, and the newest points are of ``end``, in
    seconds since the epoch. The series are ``cpu``, ``memory``, ``disk_read``, ``disk_written``,
    ``received`` and ``sent``, as lists of the same length; what is not known is null.
    """

    kind: Line
    name: Line


class QueryJobRates(Request[dict[str, JsonValue]]):
    """How many jobs have ended in each minute of the last hours: ``step``, ``end`` and ``series``.

    The series ``success``, ``error`` and ``canceled`` have the numbers of jobs, ``wait_p50`` and
    ``wait_p95`` percentiles of the seconds from the submission of a job to its start, ``run_p50``
    and ``run_p95`` those from there to its end; null if no job has ended. For a limited role, it is
    about the jobs that it sees, without archived ones.
    """


# Users


class QueryAccess(Request[list[dict[str, JsonValue]]]):
    """Users, role grants, tokens or sessions, by ``what``, without passwords and digests.

    A caller who is not an administrator gets only itself.
    """

    what: Line


class QueryCaller(Request[dict[str, JsonValue]]):
    """Who the caller is: ``user``, ``role``, whether it is ``limited``, and by which ``token``."""


class OpenSession(Request[float]):
    """Begin a session of the caller, given by its id and the digest of its secret.

    Answers how long it lasts at most, in seconds.
    """

    session: Line
    digest: Line


class CloseSession(Request[None]):
    """End the session of the caller."""


class EndSession(Request[None]):
    """End a session by its id; those of others are for administrators."""

    session: Line


class QueryHistory(Request[list[dict[str, JsonValue]]]):
    """Who has changed what, the newest first: about an object, by a user, within a time.

    Times are in seconds since the epoch.
    """

    name: Line | None = None
    user: Line | None = None
    since: Number | None = None
    until: Number | None = None
    limit: Integer = 100
    denials: bool = True


class QueryOpenId(Request[dict[str, JsonValue] | None]):
    """Internal: the OpenID provider by which users may sign in, with its secret."""


class RecordDenial(Request[None]):
    """Internal: the remote API has refused ``who`` something."""

    who: Line
    how: Line
    what: Line
    why: Line


class TakeScreenshot(Request[str]):
    """Return a small picture of the screen of an instance, as PNG in base64."""

    instance: Line


class RedeemConsoleTicket(Request[dict[str, JsonValue]]):
    """Internal: spend a ticket for a console; answers its ``caller``, ``user`` and ``instance``."""

    node: Line
    ticket: Line


class WatchConsole(Request[None]):
    """Wait while the caller may use the consoles of an instance, by its UUID.

    It fails as soon as that is not so any more, and is answered after ``timeout`` seconds.
    ``active`` is whether the caller has sent something to the console, which is a use of its
    session.
    """

    waits = True

    instance: Line
    active: bool
    timeout: Number


class QueryPassword(Request[dict[str, JsonValue]]):
    """Internal: whether a user may log in by a password, ``known``, and the ``hash`` of it.

    For one that may not the hash is another user's, so that checking takes as long; it is null if
    there is none.
    """

    user: Line


# Rules for jobs


class ReplaceFilter(Request[str]):
    """Replace a job filter, or add one without a UUID; the answer is its UUID.

    The master checks all fields itself, so that it can report every problem at once.
    """

    changes = True

    uuid: str | None
    priority: JsonValue
    predicates: JsonValue
    action: JsonValue
    reason: JsonValue = ()


class DeleteFilter(Request[None]):
    """Delete a job filter."""

    changes = True

    uuid: str


# Quorum


class ConfirmNodesDown(Request[None]):
    """Exclude the votes of these nodes, by name, which an administrator confirms to be down.

    Not a method of Ganeti. It works without a majority, because it restores one.
    """

    names: tuple[str, ...]


class MoveState(Request[bool]):
    """Move the state of the cluster to etcd, by the settings on the master's host, or to files.

    The answer is True when it is there, and False if the same request must be repeated to wait for
    that. Not a method of Ganeti.
    """

    store: Literal["file", "etcd"]


# New nodes


class EnrolNode(Request[dict[str, JsonValue]]):
    """Internal: enrol a new node with the token and signing request sent to the node daemon.

    The answer is the node's ``Membership``; the same request gets the same answer again.
    """

    changes = True

    token: str
    request: str


def _check_no_locking(use_locking: bool) -> None:
    if use_locking:
        raise Invalid("queries never take locks; send the request without use_locking")


def _list_methods(parent: type[Request[object]]) -> Iterator[type[Request[object]]]:
    for kind in parent.__subclasses__():
        if not kind.__name__.startswith("_") and "[" not in kind.__name__:
            yield kind
        yield from _list_methods(kind)


METHODS: Mapping[str, type[Request[object]]] = {
    kind.named(): kind for kind in sorted(_list_methods(Request), key=lambda kind: kind.named())
}


def method(name: str) -> type[Request[object]]:
    """Return the method with this name on the wire.

    :raises ProtocolError: the method is unknown.
    """
    try:
        return METHODS[name]
    except KeyError:
        raise ProtocolError(f"unknown method {name!r}") from None
