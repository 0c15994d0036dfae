# SPDX-License-Identifier: BSD-2-Clause
"""What can be asked of the master: one record per method, its fields the positional arguments.

Names, order and types are those that existing clients send. ``QueryObjects``,
``SubmitSharedJob``, ``WaitForEvents``, ``QueryMetrics``, and what is about users and history are
additions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar, Generic, Self, TypeVar

import msgspec

from ganeti.errors import Invalid, ProtocolError
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import decode_opcodes
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line, Number, Priority

R = TypeVar("R", covariant=True)

MAX_WAIT = 89
"""How long the master waits at most for a job to change, in seconds."""

Row = list[Any]


class Request(Record, Generic[R], array_like=True):
    """A question or an order to the master, answered by an ``R``; on the wire a list."""

    changes: ClassVar[bool] = False
    """Whether asking twice may do something twice."""

    waits: ClassVar[bool] = False
    """Whether the answer may take long because it waits for something to happen."""

    bare: ClassVar[bool] = False
    """Whether old clients send the one argument itself and not a list of one."""

    @classmethod
    def read(cls, encoded: bytes | msgspec.Raw) -> Self:
        """The request with these encoded arguments; digits as text stand for numbers.

        :raises Invalid: the arguments are not those of the method.
        """
        decode: Callable[[bytes | msgspec.Raw], Self] = _decoder(cls).decode
        try:
            return decode(encoded)
        except UNREADABLE as e:
            problem = e
        if cls.bare:
            with suppress(*UNREADABLE):
                return decode(b"[%b]" % bytes(encoded))
        raise _unreadable(cls, problem)

    def arguments(self) -> tuple[Any, ...]:
        """What the one who answers is called with."""
        return msgspec.structs.astuple(self)

    @classmethod
    def named(cls) -> str:
        """The name of the method on the wire."""
        return cls.__name__


@cache
def _decoder(kind: type[Request[Any]]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=False)


def _unreadable(method: type[Request[Any]], error: Exception) -> Invalid:
    text = str(error).replace("`", "")
    for number, name in enumerate(method.__struct_encode_fields__):
        text = text.replace(f"$[{number}]", name)
    return Invalid(f"the arguments of {method.named()} cannot be read: {text}")


# Jobs


class SubmitJob(Request[int]):
    """Queue one job; the answer, its number, comes when the job can no longer be lost."""

    changes = True

    ops: tuple[Opcode, ...]

    @classmethod
    def read(cls, encoded: bytes | msgspec.Raw) -> Self:
        return cls(ops=decode_opcodes(_argument(cls, encoded, new=rb"\s*\[")))


class SubmitJobToDrainedQueue(SubmitJob):
    """Queue one job even if the queue is closed to users."""


class SubmitSharedJob(SubmitJob):
    """Queue a job that only reads, or answer with the number of one that reads the same."""


class SubmitManyJobs(Request[list[Row]]):
    """Queue several jobs; one row per job: ``[true, number]`` or ``[false, text]``."""

    changes = True

    jobs: tuple[tuple[Opcode, ...], ...]

    @classmethod
    def read(cls, encoded: bytes | msgspec.Raw) -> Self:
        jobs = _pieces(cls, _argument(cls, encoded, new=rb"\s*\[\s*[\[\]]"))
        return cls(jobs=tuple(map(decode_opcodes, jobs)))


def _argument(
    kind: type[Request[Any]], encoded: bytes | msgspec.Raw, new: bytes
) -> bytes | msgspec.Raw:
    """The only argument: in the one piece that looks ``new``, or from old clients everything."""
    pieces = _pieces(kind, encoded)
    return pieces[0] if len(pieces) == 1 and re.match(new, bytes(pieces[0])) else encoded


def _pieces(kind: type[Request[Any]], encoded: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _raws.decode(encoded)
    except UNREADABLE as e:
        raise _unreadable(kind, e) from None


_raws = msgspec.json.Decoder(list[msgspec.Raw])


class CancelJob(Request[Row]):
    """Cancel a job: ``[whether it worked, text]``; ``kill`` ends its process in other servers."""

    changes = True
    bare = True

    job_id: Integer
    kill: bool | None = None


class ChangeJobPriority(Request[Row]):
    """Change the priority of what has not ended of a job: ``[whether it worked, text]``."""

    changes = True

    job_id: Integer
    priority: Priority


class ArchiveJob(Request[bool]):
    """Put a final job away; false if there is none, or it is not final."""

    changes = True
    bare = True

    job_id: Integer


class AutoArchiveJobs(Request[list[int]]):
    """Put away jobs that ended ``age`` seconds ago, -1 for all: numbers of archived and left."""

    changes = True

    age: Integer
    timeout: Integer = MAX_WAIT


class PickupJob(Request[None]):
    """Internal to other servers; never answered here."""

    job_id: Integer


class WaitForJobChange(Request[Any]):
    """Wait until a field differs or the log grows: ``[values, log entries]``.

    Without a change within ``timeout`` seconds, the answer is ``[previous values, []]``.
    """

    waits = True

    job_id: Integer
    fields: tuple[str, ...]
    prev_job_info: Any = None
    prev_log_serial: Integer | None = None
    timeout: Number = MAX_WAIT

    def arguments(self) -> tuple[Any, ...]:
        *others, timeout = msgspec.structs.astuple(self)
        return (*others, max(0, min(timeout, MAX_WAIT)))


class SetDrainFlag(Request[bool]):
    """Close the queue to users, or open it again; answers true."""

    bare = True

    flag: bool


class SetWatcherPause(Request[Any]):
    """Keep the watcher from acting until a time in seconds since the epoch; answers that time."""

    until: Integer | Number | None = None


# Questions


class Query(Request[dict[str, Any]]):
    """Rows of a kind of object, each value with a status: ``{"fields": …, "data": …}``."""

    what: str
    fields: tuple[str, ...]
    qfilter: Any = None


class QueryFields(Request[dict[str, Any]]):
    """The fields of a kind of object; none or no names asks for all, sorted by name."""

    what: str
    fields: tuple[str, ...] | None = None


class QueryObjects(Request[list[dict[str, Any]]]):
    """Objects ``{field: value}``: all of a kind, or those of the given names in their order.

    A name that there is not is refused as an unknown entity.
    """

    what: str
    fields: tuple[str, ...]
    names: tuple[str, ...] | None = None


class QueryJobs(Request[list[Row | None]]):
    """Rows of values of the given jobs, or of all that are not archived."""

    ids: tuple[Integer, ...] | None
    fields: tuple[str, ...]


class _Unlocked(Request[list[Row]]):
    """Rows of plain values; to ask under locks is refused, as questions never wait for jobs."""

    names: tuple[str, ...]
    fields: tuple[str, ...]
    use_locking: bool = False

    def arguments(self) -> tuple[Any, ...]:
        """Names and fields."""
        _refuse_locking(self.use_locking)
        return self.names, self.fields


class QueryInstances(_Unlocked):
    """Instances as rows of plain values; no names asks for all."""


class QueryNodes(_Unlocked):
    """Nodes as rows of plain values; no names asks for all."""


class QueryGroups(_Unlocked):
    """Node groups as rows of plain values; no names asks for all."""


class QueryNetworks(_Unlocked):
    """Networks as rows of plain values; no names asks for all."""


class QueryExports(Request[list[Row]]):
    """Exports as rows of node and name; no nodes asks all."""

    nodes: tuple[str, ...]
    use_locking: bool = False

    def arguments(self) -> tuple[Any, ...]:
        """The nodes."""
        _refuse_locking(self.use_locking)
        return (self.nodes,)


class QueryFilters(Request[list[Row]]):
    """Rules for jobs as rows of plain values; no identifiers asks for all."""

    uuids: tuple[str, ...] | None
    fields: tuple[str, ...]


class QueryTags(Request[list[str]]):
    """The tags of the cluster, or of one nodegroup, node, instance or network."""

    kind: str
    name: str | None = None


class QueryClusterInfo(Request[dict[str, Any]]):
    """Facts about the cluster."""


class QueryConfigValues(Request[Row]):
    """Single values such as ``cluster_name`` and ``drain_flag``; null for unknown names."""

    bare = True

    fields: tuple[str, ...]


# Events


class WaitForEvents(Request[dict[str, Any]]):
    """Wait for events after ``since``: ``{"events": […], "position": …, "reset": …}``.

    The position is where to go on; without ``since`` the answer is that of now, at once. What is
    selected is of any of the kinds, about any of the names, and has any of the tags; what is empty
    selects all. Without an event within ``timeout`` seconds there are none in the answer.
    """

    waits = True

    since: Line | None = None
    timeout: Number = MAX_WAIT
    kinds: tuple[Line, ...] = ()
    names: tuple[Line, ...] = ()
    tags: tuple[Line, ...] = ()


class QueryMetrics(Request[list[dict[str, Any]]]):
    """The numbers that the master keeps, as families in the terms of Prometheus."""


# Users


class QueryAccess(Request[list[dict[str, Any]]]):
    """Users, role grants or tokens, by ``what``, without passwords and digests.

    A caller that is no administrator is told of itself only.
    """

    what: Line


class QueryCaller(Request[dict[str, Any]]):
    """Who the caller is: ``user``, ``role``, whether it is ``limited``, and by which ``token``."""


class OpenSession(Request[float]):
    """Begin a session of the caller, given by its id and the digest of its secret.

    Answers how long it lasts at most, in seconds.
    """

    session: Line
    digest: Line


class CloseSession(Request[None]):
    """End the session of the caller."""


class QueryHistory(Request[list[dict[str, Any]]]):
    """Who has changed what, the newest first: about an object, by a user, within a time.

    Times are in seconds since the epoch.
    """

    name: Line | None = None
    user: Line | None = None
    since: Number | None = None
    until: Number | None = None
    limit: Integer = 100
    denials: bool = True


class QueryOpenId(Request[dict[str, Any] | None]):
    """Internal: the OpenID provider by which users may sign in, with its secret."""


class RecordDenial(Request[None]):
    """Internal: the remote API has refused ``who`` something."""

    who: Line
    how: Line
    what: Line
    why: Line


class QueryPassword(Request[dict[str, Any]]):
    """Internal: whether a user may log in by a password, ``known``, and the ``hash`` of it.

    For one that may not the hash is another user's, so that checking takes as long; it is null if
    there is none.
    """

    user: Line


# Rules for jobs


class ReplaceFilter(Request[str]):
    """Set a rule, or with no identifier add one; answers its identifier.

    The master looks into all of it, so that it can tell at once of everything that is wrong.
    """

    changes = True

    uuid: str | None
    priority: Any
    predicates: Any
    action: Any
    reason: Any = ()


class DeleteFilter(Request[None]):
    """Remove a rule."""

    changes = True

    uuid: str


# The quorum


class ConfirmNodesDown(Request[None]):
    """Go on without the votes of these nodes, by name: a person says that they are down.

    Ours: clients of Ganeti do not know it. Not held back while there is no majority: it ends that.
    """

    names: tuple[str, ...]


# New nodes


class EnrolNode(Request[dict[str, Any]]):
    """Internal: what a new node has sent to the node daemon here, its token and signing request.

    Answers the node's ``Membership``; the same question again gets the same answer.
    """

    changes = True

    token: str
    request: str


def _refuse_locking(use_locking: bool) -> None:
    if use_locking:
        raise Invalid("questions never take locks; ask without use_locking")


def _declared(parent: type[Request[Any]]) -> Iterator[type[Request[Any]]]:
    for kind in parent.__subclasses__():
        if not kind.__name__.startswith("_") and "[" not in kind.__name__:
            yield kind
        yield from _declared(kind)


METHODS: Mapping[str, type[Request[Any]]] = {
    kind.named(): kind for kind in sorted(_declared(Request), key=lambda kind: kind.named())
}


def method(name: str) -> type[Request[Any]]:
    """The method called ``name`` on the wire.

    :raises ProtocolError: there is none.
    """
    try:
        return METHODS[name]
    except KeyError:
        raise ProtocolError(f"unknown method {name!r}") from None
