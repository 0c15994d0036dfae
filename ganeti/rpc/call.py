# SPDX-License-Identifier: BSD-2-Clause
"""A call to a node is a record; its type says what it answers and how long that may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_args, get_type_hints

from ganeti.errors import Failed
from ganeti.model.node import Node
from ganeti.rpc.callers import MASTER_ONLY, Caller, CallerRole
from ganeti.schema.records import Record

R = TypeVar("R", covariant=True)

URGENT, FAST, NORMAL = 60, 300, 900
"""How long an answer may take, in seconds: the classes that existing node daemons use."""

WHILE_ALIVE = None
"""For work whose length nothing bounds: on the data of disks and exports, and scripts of
administrators. A node that shows no sign of life ends it: see ``rpc.liveness``."""


class Call(Record, Generic[R]):
    """Something that a node is asked to do, answered by an ``R``.

    ``wire`` is the call's name on the wire; ``call_timeout`` bounds the wait for its answer, in
    seconds, beside what the call itself says it may take, None if it takes as long as the data are
    large. A node carries what it was asked to its end even if nobody waits for the answer any more,
    unless ``ends_with_asker``: long work that may stop anywhere.

    ``callers`` are the roles that may make the call; one that is ``local_only`` is answered to the
    caller on this very node only.
    """

    wire: ClassVar[str]
    call_timeout: ClassVar[float | None] = FAST
    ends_with_asker: ClassVar[bool] = False
    callers: ClassVar[frozenset[CallerRole]] = MASTER_ONLY
    local_only: ClassVar[bool] = False

    def require(self, caller: Caller) -> None:
        """Check what ``callers`` cannot say, because it depends on the fields of the call.

        :raises Forbidden: this caller may not make this very call.
        """

    def answer_timeout(self) -> float | None:
        """Return how many seconds to wait for the answer; None while the node shows signs of life.

        A call with a duration of its own adds that, so that no work is cut off.
        """
        return self.call_timeout


@cache
def answer_type(call: type[Call[Any]]) -> Any:
    """The type of the answer of ``call``, as declared by its base ``Call[R]``."""
    for base in call.__orig_bases__:  # type: ignore[attr-defined]  # set for subscripted bases
        if arguments := get_args(base):
            # The subscript may be text from the module of the call: let its namespace resolve it.
            hints = {"__annotations__": {"answer": arguments[0]}, "__module__": call.__module__}
            return get_type_hints(type("Answer", (), hints), include_extras=True)["answer"]
    raise TypeError(f"{call.__name__} does not say what it answers")


class Nodes(Protocol):
    """The way to the node daemons."""

    async def ask(self, node: Node, call: Call[R]) -> R:
        """The node's answer.

        :raises Unreachable: nobody knows whether the node has done it.
        :raises Failed: the node says that it could not, and why.
        """
        ...

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        """The answers of several nodes at once, by UUID, trouble included."""
        ...
