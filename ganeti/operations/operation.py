# SPDX-License-Identifier: BSD-2-Clause
"""An operation: a pure plan, and an act that carries it out through the tools it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Failed, Refused, Unreachable
from ganeti.locking.names import LockRequest
from ganeti.model.node import Node
from ganeti.opcodes.opcode import Opcode
from ganeti.pki.issuing import Issue
from ganeti.rpc.call import Call, Nodes
from ganeti.rpc.node import HookDirectory

O = TypeVar("O", bound=Opcode)  # noqa: E741  # the opcode of an operation
P = TypeVar("P", bound="Plan")
R = TypeVar("R")


class Plan(Protocol):
    """What an operation is going to do; made by a pure function, and safe to throw away."""

    @property
    def locks(self) -> LockRequest:
        """What must be held while the plan is carried out."""
        ...


@dataclass(frozen=True)
class NodeQuery:
    """Something that nodes are asked before the plan is made."""

    nodes: Sequence[Node]
    call: Call[Any]


@dataclass(frozen=True)
class IAllocatorRequest:
    """A question to an external allocator; ``optional`` if one that is not there is no loss.

    ``request`` is that part of the text that says what is asked for.
    """

    name: str
    request: Mapping[str, Any]
    options: Sequence[str] = ()
    optional: bool = False


@dataclass(frozen=True)
class IAllocatorReply:
    """What the allocator of this name has answered, or why it has not."""

    name: str
    answer: str | Failed


@dataclass(frozen=True)
class NodeAnswers:
    """What the nodes answered to an operation's questions, by node UUID and kind of call.

    ``busy`` are UUIDs of nodes that other jobs keep to themselves, as far as an opcode avoids them.
    ``identity`` is a UUID that nobody has, the same however often the opcode is planned: for
    what it may make, so that the plan can lock it. ``advice`` is what an allocator says.
    ``state`` is the one that was asked about, at the time ``since`` (seconds since the epoch).
    """

    answers: Mapping[tuple[str, type[Call[Any]]], Any] = field(default_factory=dict)
    identity: str = ""
    advice: IAllocatorReply | None = None
    busy: frozenset[str] = frozenset()
    state: ClusterState | None = None
    since: float | None = None

    def of(self, node: Node, call: type[Call[R]]) -> R:
        """The node's answer.

        :raises Refused: it could not be reached, or the question failed there.
        """
        answer = self.answers[node.uuid, call]
        if isinstance(answer, Unreachable):
            raise Refused(
                f"{answer}; start its node daemon, or power it off and mark it offline: "
                f"gnt-node modify --offline=yes {node.name}",
                Code.INTERNAL,
            )
        if isinstance(answer, Failed):
            raise Refused(f"node {node.name}: {answer}", answer.code or Code.ENVIRONMENT)
        return answer  # type: ignore[no-any-return]  # keyed by the call, whose type says R

    def known(self, node: Node, call: type[Call[R]]) -> R | None:
        """The node's answer, or None if there is none."""
        answer = self.answers.get((node.uuid, call))
        return None if isinstance(answer, Failed) else answer


class ConfigAccess(Protocol):
    """The configuration as an operation sees it."""

    def state(self) -> ClusterState:
        """The newest durable state."""
        ...

    async def change(self, change: Change) -> ClusterState:
        """Make a change on behalf of the job; durable when this returns."""
        ...


class Progress(Protocol):
    """What the job's owner gets to know while it runs."""

    def say(self, message: str) -> None:
        """Add a line to the job's log."""
        ...

    def note(self, kind: str, payload: Any) -> None:
        """Add an entry of another type to the job's log, for programs that follow it."""
        ...

    def may_stop(self) -> None:
        """Called between steps that can be taken back.

        :raises JobCanceled: the owner has canceled the job.
        """
        ...

    async def interruptible(self, work: Coroutine[Any, Any, R]) -> R:
        """Return what ``work`` does, which can be broken off at any moment and taken back.

        :raises JobCanceled: the owner has canceled the job, and ``work`` was cancelled.
        """
        ...

    async def journal_recovered(self) -> None:
        """Return when the journal, which could not keep a change, works again.

        :raises CancelledError: the daemon is stopping.
        """
        ...


class Identifiers(Protocol):
    """Names and numbers that nobody can guess."""

    def uuid(self) -> str: ...

    @property
    def random(self) -> Random:
        """A source of chance."""
        ...

    def secret(self) -> str:
        """Twenty random bytes in hex."""
        ...


class Time(Protocol):
    """The clock of the cluster."""

    def date(self) -> float:
        """The time of day, in seconds since the epoch; somebody may set it back or forward."""
        ...

    def seconds(self) -> float:
        """Seconds that nobody sets, for how long something takes."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Submit(Protocol):
    """Queues further jobs on behalf of one that runs."""

    async def __call__(self, jobs: Sequence[Sequence[Opcode]]) -> list[tuple[bool, int | str]]: ...


class AllocatorRunner(Protocol):
    """Asks an external allocator."""

    async def __call__(
        self, name: str, request: Callable[[], Awaitable[str]], options: Sequence[str] = ()
    ) -> str:
        """The text that the allocator of this name answers to the text of a request.

        The text is made only for one that is there.

        :raises Failed: with the code ``UNKNOWN`` if there is none of that name.
        """
        ...

    def installed(self, name: str) -> bool:
        """Return whether there is an allocator of this name."""
        ...


class MasterQueries(Protocol):
    """Answers what anybody may ask about the cluster."""

    async def query(self, what: str, fields: Sequence[str], qfilter: Any = None) -> dict[str, Any]:
        """Rows with a status for each value, and the definitions of their fields."""
        ...

    async def fields(self, what: str, names: Sequence[str] | None = None) -> dict[str, Any]:
        """The definitions of fields."""
        ...

    async def rows(self, what: str, names: Sequence[str], fields: Sequence[str]) -> list[list[Any]]:
        """Rows of bare values."""
        ...

    async def cluster_info(self) -> Any:
        """Facts about the cluster."""
        ...

    async def config_values(self, names: Sequence[str]) -> list[Any]:
        """Single values of the configuration."""
        ...


class ReplicaStatus(Protocol):
    """The copies of the master's state with the master candidates."""

    def out_of_sync(self) -> Mapping[str, str]:
        """Candidates, by UUID, whose copy is behind, and why."""
        ...


class MemberUpdates(Protocol):
    """What nodes know of the members of the cluster, and of their certificates."""

    async def distribute(self) -> Mapping[str, Failed]:
        """Bring the list of members, as it is now, to every node that is not offline.

        Returns what went wrong with which node, by name; each other node uses the list by then.
        """
        ...


@dataclass(frozen=True)
class NewAuthority:
    """A certificate authority that nobody trusts yet: its certificate and its key, both PEM."""

    certificate: str
    key: bytes = field(repr=False)


class ClusterKeys(Protocol):
    """Keys and secrets on the master's host that master candidates share.

    Every method raises ``Failed`` if it could not do what it is for, and says why.
    """

    async def renew_secrets(self) -> None:
        """Make a new cluster domain secret, and a new key and certificate for the remote API."""
        ...

    async def renew_rapi(self) -> None:
        """Make a new key and certificate for the remote API.

        One that another authority has issued than one of this cluster stays.
        """
        ...

    async def generate_authority(self, cluster: str) -> NewAuthority:
        """Make a new authority for the cluster of this name; nothing on the host changes."""
        ...

    async def use_authority(self, key: bytes) -> None:
        """Issue certificates with this key from now on."""
        ...

    async def issuing_authority(self) -> str | None:
        """Return the fingerprint of the authority whose key is used; None if it is not trusted."""
        ...

    async def trusted_authorities(self) -> Sequence[str]:
        """Return the certificates (PEM) of the authorities that this host trusts."""
        ...


class NoKeys:
    """There is nothing here that makes keys."""

    async def renew_secrets(self) -> None:
        raise _no_keys()

    async def renew_rapi(self) -> None:
        raise _no_keys()

    async def generate_authority(self, cluster: str) -> NewAuthority:
        raise _no_keys()

    async def use_authority(self, key: bytes) -> None:
        raise _no_keys()

    async def issuing_authority(self) -> str | None:
        raise _no_keys()

    async def trusted_authorities(self) -> Sequence[str]:
        raise _no_keys()


def _no_keys() -> Failed:
    return Failed("this master makes no keys")


@dataclass(frozen=True)
class SharedFile:
    """A file of the master that other nodes keep a copy of; ``mode`` in permission bits."""

    path: str
    content: bytes
    mode: int


class SharedFiles(Protocol):
    """Certificates, secrets and users that the whole cluster shares."""

    async def read(self) -> Sequence[SharedFile]:
        """Those that there are, as they are now."""
        ...


NO_KEYS = NoKeys()


@dataclass(frozen=True)
class Tools:
    """Everything through which an operation acts."""

    config: ConfigAccess
    nodes: Nodes
    progress: Progress
    ids: Identifiers
    time: Time
    submit: Submit
    allocate: AllocatorRunner
    copies: ReplicaStatus
    shared: SharedFiles
    answers: MasterQueries
    issue: Issue
    members: MemberUpdates
    keys: ClusterKeys = NO_KEYS


@dataclass(frozen=True)
class ResultWithCommit:
    """A result that comes true together with a last change, in one commit with the job's end."""

    result: Any
    change: Change


@dataclass(frozen=True)
class HookCall:
    """The hooks of an operation: directory, what it is about, and the nodes that run them.

    ``environment`` without the prefix ``GANETI_``; nodes by UUID.
    """

    directory: HookDirectory
    object_type: str
    environment: Mapping[str, str]
    before: Sequence[str]
    after: Sequence[str]


def no_questions(op: Any, state: ClusterState) -> Sequence[NodeQuery]:
    """The questions of an operation that needs to know nothing of the present."""
    return ()


def no_consultation(op: Any, state: ClusterState, facts: NodeAnswers) -> IAllocatorRequest | None:
    """The question to an allocator of an operation that needs none."""
    return None


def no_hooks(plan: Any, state: ClusterState) -> HookCall | None:
    """The hooks of an operation that has none."""
    return None


def no_preview(plan: Any) -> Any:
    """The result of a dry run that has nothing to show but that it would be accepted."""
    return None


HookFailures: TypeAlias = Sequence[tuple[str, str, str]]
"""Post hooks that failed: each with its node, its script, and what it wrote."""


def keep_result(plan: Any, result: Any, failures: HookFailures, tools: Tools) -> Any:
    """Leave the result as it is: post hooks that fail change nothing."""
    return result


@dataclass(frozen=True)
class Operation(Generic[O, P]):
    """How one opcode is carried out.

    ``plan`` is called before and after the locks are taken, and must be pure. ``run`` returns
    the opcode's result, or a ``ResultWithCommit``. ``hooks`` is called with the state before and
    after. ``preview`` is the result of a dry run. ``consult`` is called when the nodes have
    answered, and ``conclude`` makes the result when the post hooks have run.
    """

    opcode: type[O]
    plan: Callable[[O, ClusterState, NodeAnswers], P]
    run: Callable[[P, Tools], Awaitable[Any]]
    questions: Callable[[O, ClusterState], Sequence[NodeQuery]] = no_questions
    hooks: Callable[[P, ClusterState], HookCall | None] = no_hooks
    preview: Callable[[P], Any] = no_preview
    consult: Callable[[O, ClusterState, NodeAnswers], IAllocatorRequest | None] = no_consultation
    conclude: Callable[[P, Any, HookFailures, Tools], Any] = keep_result
