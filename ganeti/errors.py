# SPDX-License-Identifier: BSD-2-Clause
"""Errors of this software, their wire form on LUXI, and their error codes.

On LUXI and in job results an error is ``[class, [argument, …]]``. The class names and codes are
those that existing clients know; the Python classes here are fewer, and their names say what
happened.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple


class Code(enum.StrEnum):
    """The reason of a refusal, as classified by the remote API (see ``ganeti-rapi(8)``)."""

    RESOLVER = "resolver_error"
    RESOURCES = "insufficient_resources"
    TEMPORARY = "temp_insufficient_resources"
    INPUT = "wrong_input"
    STATE = "wrong_state"
    UNKNOWN = "unknown_entity"
    EXISTS = "already_exists"
    NOT_UNIQUE = "resource_not_unique"
    INTERNAL = "internal_error"
    ENVIRONMENT = "environment_error"


class GanetiError(Exception):
    """The superclass of every error that this software reports on purpose."""

    wire: ClassVar[str] = "GenericError"

    def arguments(self) -> list[object]:
        """Return the arguments of the error in its wire form."""
        return [str(self)]


class Problem(NamedTuple):
    """One problem in a document: its path and a message."""

    # Not a dataclass: the ``dataclasses`` module takes longer to load than a tool should run.

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Invalid(GanetiError):
    """A request that is not valid in any state of the cluster; reports every problem found."""

    wire = "OpPrereqError"

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems = (Problem("", problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))

    def arguments(self) -> list[Any]:
        return [str(self), Code.INPUT.value]


class Refused(GanetiError):
    """A request that the current state does not allow; the message says how to make it possible."""

    wire = "OpPrereqError"

    def __init__(self, message: str, code: Code = Code.STATE) -> None:
        super().__init__(message)
        self.code = code

    def arguments(self) -> list[Any]:
        return [str(self), self.code.value]


class Failed(GanetiError):
    """An attempt that failed; the message says what failed and where."""

    wire = "OpExecError"

    def __init__(self, message: str, code: Code | None = None) -> None:
        super().__init__(message)
        self.code = code

    def arguments(self) -> list[Any]:
        return [str(self)] if self.code is None else [str(self), self.code.value]


class Unreachable(Failed):
    """A node that did not answer, so that the outcome of the call is unknown."""

    def __init__(self, node: str, why: str) -> None:
        super().__init__(f"node {node} is unreachable: {why}", Code.INTERNAL)
        self.node = node


class CallUnknown(Unreachable):
    """A node that answers, and does not know the call, as its release is an earlier one."""


class TermNotGranted(Unreachable):
    """A node that answers, and does not carry out calls of this master."""


class CommitFailed(Failed):
    """A change that was not made because it could not be made durable."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Code.ENVIRONMENT)


class HooksRefused(GanetiError):
    """A pre hook that failed; ``scripts`` are rows of node name, script name and output."""

    wire = "HooksAbort"

    def __init__(self, scripts: Sequence[tuple[str, str, str]]) -> None:
        self.scripts = tuple(scripts)
        super().__init__("; ".join(f"hook {s} on {n}: {out}" for n, s, out in self.scripts))

    def arguments(self) -> list[Any]:
        return [[list(script) for script in self.scripts]]


class HooksUnreachable(GanetiError):
    """A hook run for which no node was reachable."""

    wire = "HooksFailure"


class JobLost(GanetiError):
    """A job that does not exist, or no longer exists."""

    wire = "JobLost"


class JobCanceled(GanetiError):
    """A job that was canceled on request."""

    wire = "JobCanceled"


class QueueDrained(GanetiError):
    """A submission that was refused because the queue is drained."""

    wire = "JobQueueDrainError"


class QueueFull(GanetiError):
    """A submission that was refused because too many jobs have not ended."""

    wire = "JobQueueFull"

    def arguments(self) -> list[Any]:
        return []


class NotMaster(GanetiError):
    """A request to a node that is not the master, or no longer the master."""

    wire = "GenericError"


class Unauthenticated(GanetiError):
    """The caller is not authenticated: credentials are missing, wrong or expired."""

    wire = "Unauthenticated"


class AccessDenied(GanetiError):
    """A caller that the cluster knows, and that may not do this; says which role may."""

    wire = "AccessDenied"


class ProtocolError(GanetiError):
    """A message from a peer that violates the protocol."""

    wire = "LuxiError"


class RemoteError(GanetiError):
    """An error from the wire that has no class here; keeps its wire name and arguments."""

    def __init__(self, name: str, arguments: Sequence[Any]) -> None:
        super().__init__(str(arguments[0]) if arguments else name)
        self.name = name
        self._arguments = list(arguments)

    def arguments(self) -> list[Any]:
        return self._arguments


def to_wire(error: GanetiError) -> list[Any]:
    """Return the wire form of an error, ``[class, [argument, …]]``."""
    name = error.name if isinstance(error, RemoteError) else error.wire
    return [name, error.arguments()]


def from_wire(value: Any) -> GanetiError:
    """Return the error for the wire form ``value``; unknown names become ``RemoteError``."""
    match value:
        case ["OpPrereqError", [str(text), str(code)]] if code in set(Code):
            return Invalid(text) if code == Code.INPUT else Refused(text, Code(code))
        case ["OpExecError", [str(text)]]:
            return Failed(text)
        case ["OpExecError", [str(text), str(code)]] if code in set(Code):
            return Failed(text, Code(code))
        case ["ParameterError", [str(text)]]:
            return Invalid(text)
        case [str(name), list(arguments)] if name in _TEXT_ERRORS and arguments:
            return _TEXT_ERRORS[name](str(arguments[0]))
        case ["JobQueueFull", list()]:
            return QueueFull("the job queue is full")
        case [str(name), list(arguments)]:
            return RemoteError(name, arguments)
    return ProtocolError(str(value))


_TEXT_ERRORS: dict[str, type[GanetiError]] = {
    kind.wire: kind
    for kind in (
        *(JobLost, JobCanceled, QueueDrained, HooksUnreachable),
        *(Unauthenticated, AccessDenied),
    )
}
