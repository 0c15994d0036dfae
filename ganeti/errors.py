# SPDX-License-Identifier: BSD-2-Clause
"""What can go wrong, each with the words for the person who reads it and its form on the wire.

On LUXI and in job results an error is ``[class, [argument, …]]``. The class names and codes are
those that existing clients know; the classes here are fewer, and named for what happened.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple


class Code(enum.StrEnum):
    """Why something was refused, in the classification of the remote API document."""

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
    """Anything that this software reports on purpose."""

    wire: ClassVar[str] = "GenericError"

    def arguments(self) -> list[Any]:
        """The arguments of the error on the wire."""
        return [str(self)]


class Problem(NamedTuple):
    """One thing that is wrong with a document: where, and what."""

    # Not a dataclass: what makes those takes longer to load than a tool should run.

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Invalid(GanetiError):
    """A request that cannot mean anything; it will never be accepted as it is."""

    wire = "OpPrereqError"

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems = (Problem("", problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))

    def arguments(self) -> list[Any]:
        return [str(self), Code.INPUT.value]


class Refused(GanetiError):
    """A request that cannot be done as things are; the message says what would make it possible."""

    wire = "OpPrereqError"

    def __init__(self, message: str, code: Code = Code.STATE) -> None:
        super().__init__(message)
        self.code = code

    def arguments(self) -> list[Any]:
        return [str(self), self.code.value]


class Failed(GanetiError):
    """Something that was tried and did not work; the message says what and where."""

    wire = "OpExecError"

    def __init__(self, message: str, code: Code | None = None) -> None:
        super().__init__(message)
        self.code = code

    def arguments(self) -> list[Any]:
        return [str(self)] if self.code is None else [str(self), self.code.value]


class Unreachable(Failed):
    """A node that gave no answer, so nobody knows whether it did what was asked."""

    def __init__(self, node: str, why: str) -> None:
        super().__init__(f"node {node} cannot be reached: {why}", Code.INTERNAL)
        self.node = node


class NotKept(Failed):
    """A change that could not be made durable, and therefore was not made."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Code.ENVIRONMENT)


class HooksRefused(GanetiError):
    """A pre hook said no; ``scripts`` are rows of node name, script and its output."""

    wire = "HooksAbort"

    def __init__(self, scripts: Sequence[tuple[str, str, str]]) -> None:
        self.scripts = tuple(scripts)
        super().__init__("; ".join(f"hook {s} on {n}: {out}" for n, s, out in self.scripts))

    def arguments(self) -> list[Any]:
        return [[list(script) for script in self.scripts]]


class HooksUnreachable(GanetiError):
    """No node could be asked to run its hooks."""

    wire = "HooksFailure"


class JobLost(GanetiError):
    """There is no such job."""

    wire = "JobLost"


class JobCanceled(GanetiError):
    """The job was canceled by its owner."""

    wire = "JobCanceled"


class QueueDrained(GanetiError):
    """The queue takes no jobs until an administrator opens it again."""

    wire = "JobQueueDrainError"


class QueueFull(GanetiError):
    """The queue holds as many live jobs as it may."""

    wire = "JobQueueFull"

    def arguments(self) -> list[Any]:
        return []


class NotMaster(GanetiError):
    """This node is not the master, or is not any longer."""

    wire = "GenericError"


class Unauthenticated(GanetiError):
    """Nobody that the cluster knows, or not any more: credentials are missing, wrong or expired."""

    wire = "Unauthenticated"


class AccessDenied(GanetiError):
    """A caller that the cluster knows, and that may not do this; says which role may."""

    wire = "AccessDenied"


class ProtocolError(GanetiError):
    """A peer does not speak the protocol."""

    wire = "LuxiError"


class RemoteError(GanetiError):
    """An error that came over the wire under a name of its own."""

    def __init__(self, name: str, arguments: Sequence[Any]) -> None:
        super().__init__(str(arguments[0]) if arguments else name)
        self.name = name
        self._arguments = list(arguments)

    def arguments(self) -> list[Any]:
        return self._arguments


def to_wire(error: GanetiError) -> list[Any]:
    """The error as ``[class, [argument, …]]``."""
    name = error.name if isinstance(error, RemoteError) else error.wire
    return [name, error.arguments()]


def from_wire(value: Any) -> GanetiError:
    """The error that ``value`` stands for; anything unknown keeps its name and arguments."""
    match value:
        case ["OpPrereqError", [str(text), str(code)]] if code in set(Code):
            return Invalid(text) if code == Code.INPUT else Refused(text, Code(code))
        case ["OpExecError", [str(text)]]:
            return Failed(text)
        case ["OpExecError", [str(text), str(code)]] if code in set(Code):
            return Failed(text, Code(code))
        case ["ParameterError", [str(text)]]:
            return Invalid(text)
        case [str(name), list(arguments)] if name in _BY_TEXT and arguments:
            return _BY_TEXT[name](str(arguments[0]))
        case ["JobQueueFull", list()]:
            return QueueFull("the job queue is full")
        case [str(name), list(arguments)]:
            return RemoteError(name, arguments)
    return ProtocolError(str(value))


_BY_TEXT: dict[str, type[GanetiError]] = {
    kind.wire: kind
    for kind in (
        *(JobLost, JobCanceled, QueueDrained, HooksUnreachable),
        *(Unauthenticated, AccessDenied),
    )
}
