# SPDX-License-Identifier: BSD-2-Clause
"""The base class of calls to nodes: a record whose class declares answer, time-out and callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_args, get_type_hints

from ganeti.errors import Failed
from ganeti.model.node import Node
from ganeti.rpc.callers import MASTER_ONLY, CallerRole, RpcCaller
from ganeti.schema.records import Record

R = TypeVar("R", covariant=True)

URGENT, FAST, NORMAL = 60, 300, 900
"""Classes of time-outs in seconds, as in Ganeti's RPC definitions."""

NO_TIMEOUT = None
"""No time-out, for work of unlimited duration: on data of disks and exports, and scripts of
administrators. ``rpc.liveness`` ends such calls if the node daemon does not answer."""


class Call(Record, Generic[R]):
    """A request to a node, with an answer of type ``R``.

    ``wire`` is the call's name on the wire. ``call_timeout`` limits the wait for its answer, in
    seconds, in addition to a duration that the call itself has; None means no limit. A node
    completes a call even if the caller has disconnected, unless ``ends_with_asker`` is set, for
    long work that can be interrupted safely at any point.

    ``callers`` are the roles that may make the call. A ``local_only`` call is only answered if the
    caller is the same node.
    """

    wire: ClassVar[str]
    call_timeout: ClassVar[float | None] = FAST
    ends_with_asker: ClassVar[bool] = False
    callers: ClassVar[frozenset[CallerRole]] = MASTER_ONLY
    local_only: ClassVar[bool] = False

    def require(self, caller: RpcCaller) -> None:
        """Check permissions that depend on the fields of the call.

        :raises Forbidden: this caller may not make the call with these fields.
        """

    def answer_timeout(self) -> float | None:
        """Return the time-out in seconds, or None to wait as long as the node daemon is alive.

        Calls with a duration add it, so that their work is not interrupted.
        """
        return self.call_timeout


@cache
def get_answer_type(call: type[Call[object]]) -> Any:
    """Return the answer type of ``call``, declared by its base class ``Call[R]``."""
    for base in call.__orig_bases__:  # type: ignore[attr-defined]  # set for subscripted bases
        if arguments := get_args(base):
            # The subscript may be a string annotation, which resolves in the call's own module.
            hints = {"__annotations__": {"answer": arguments[0]}, "__module__": call.__module__}
            return get_type_hints(type("Answer", (), hints), include_extras=True)["answer"]
    raise TypeError(f"{call.__name__} does not declare its answer type")


class Nodes(Protocol):
    """The client of node daemons."""

    async def ask(self, node: Node, call: Call[R]) -> R:
        """Return the node's answer.

        :raises Unreachable: no answer; it is unknown whether the node has executed the call.
        :raises Failed: the node reports a failure.
        """
        ...

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        """Ask several nodes in parallel and return their answers or errors by UUID."""
        ...
