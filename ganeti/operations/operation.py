# SPDX-License-Identifier: BSD-2-Clause
"""The parts of an operation: a pure plan, its inputs, and the tools that carry it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from twisted.internet.defer import Deferred

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Failed, Refused, Unreachable
from ganeti.locking.names import LockRequest
from ganeti.model.node import Node
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.refusals import describe_failure
from ganeti.pki.issuing import CertificateIssuer
from ganeti.placement.solver import Answer, Question, solve
from ganeti.rpc.call import Call, Nodes
from ganeti.rpc.node import HookDirectory, NodeInfo

O = TypeVar("O", bound=Opcode)  # noqa: E741  # the opcode of an operation
P = TypeVar("P", bound="Plan")
R = TypeVar("R")


class Plan(Protocol):
    """The steps that an operation will take; made by a pure function, so it can be discarded."""

    @property
    def locks(self) -> LockRequest:
        """The locks that must be held while the plan is carried out."""
        ...


@dataclass(frozen=True)
class NodeQuery:
    """A call to nodes whose answers the plan needs.

    With ``max_age``, answers to ``DescribeNode`` may be that many seconds old, but not older than
    the last change of the node by a job, so that the cost of an opcode does not depend on the
    number of nodes.
    """

    nodes: Sequence[Node]
    call: Call[object]
    max_age: float | None = None


@dataclass(frozen=True)
class IAllocatorRequest:
    """A request to an external iallocator.

    ``request`` is the part ``request`` of its input. With ``optional``, the built-in allocator is
    used if it is not installed.
    """

    name: str
    request: Mapping[str, object]
    options: Sequence[str] = ()
    optional: bool = False


@dataclass(frozen=True)
class IAllocatorReply:
    """The answer of the iallocator with this name, or its failure."""

    name: str
    answer: str | Failed


@dataclass(frozen=True)
class NodeAnswers:
    """The answers of nodes to an operation's queries, by node UUID and type of call.

    ``busy`` are UUIDs of nodes that other jobs have locked, for opcodes that avoid them.
    ``identity`` is a new UUID, the same each time the opcode is planned: for the object that it may
    create, so that the plan can lock it. ``advice`` is the reply of an iallocator, ``solution`` the
    result of a search. ``state`` is the state that the queries were made from, at the time
    ``since`` (seconds since the epoch).
    """

    answers: Mapping[tuple[str, type[Call[object]]], Any] = field(default_factory=dict)
    identity: str = ""
    advice: IAllocatorReply | None = None
    solution: Answer | None = None
    busy: frozenset[str] = frozenset()
    state: ClusterState | None = None
    since: float | None = None

    def answer_of(self, node: Node, call: type[Call[R]]) -> R:
        """Return the node's answer.

        :raises Refused: the node is unreachable, or the query failed there.
        """
        answer = self.answers[node.uuid, call]
        if isinstance(answer, Unreachable):
            raise Refused(
                f"{answer}; start its node daemon, or power the node off and mark it offline: "
                f"gnt-node modify --offline=yes {node.name}",
                Code.INTERNAL,
            )
        if isinstance(answer, Failed):
            raise Refused(describe_failure(node, answer), answer.code or Code.ENVIRONMENT)
        return answer  # type: ignore[no-any-return]  # keyed by the call, whose type says R

    def known(self, node: Node, call: type[Call[R]]) -> R | None:
        """Return the node's answer, or None if it has none."""
        answer = self.answers.get((node.uuid, call))
        return None if isinstance(answer, Failed) else answer


class RecentAnswers(Protocol):
    """The last answers of nodes to ``DescribeNode``."""

    async def recent(
        self, nodes: Sequence[Node], max_age: float
    ) -> Mapping[str, NodeInfo | Failed]:
        """Return the answers of nodes by UUID; outdated and failed ones are asked for again."""
        ...


class ConfigAccess(Protocol):
    """The configuration, with changes on behalf of a job."""

    def state(self) -> ClusterState:
        """Return the newest durable state."""
        ...

    async def change(self, change: Change) -> ClusterState:
        """Apply a change on behalf of the job; it is durable when this returns."""
        ...


class Progress(Protocol):
    """The job's log, and its cancellation."""

    def log_message(self, message: str) -> None:
        """Add a message to the job's log."""
        ...

    def log_entry(self, kind: str, payload: object) -> None:
        """Add an entry of another type to the job's log, for programs that read it."""
        ...

    def may_stop(self) -> None:
        """Check for cancellation; called between steps that can be undone.

        :raises JobCanceled: the job was canceled.
        """
        ...

    async def interruptible(self, work: Coroutine[Deferred[object], object, R]) -> R:
        """Return the result of ``work``, which can be interrupted at any point and undone.

        :raises JobCanceled: the job was canceled, and so was ``work``.
        """
        ...

    async def journal_recovered(self) -> None:
        """Wait until the journal, which failed to store a change, works again.

        :raises CancelledError: the daemon is stopping.
        """
        ...


class Identifiers(Protocol):
    """A source of unique identifiers and secrets."""

    def uuid(self) -> str: ...

    @property
    def random(self) -> Random:
        """A random number generator."""
        ...

    def secret(self) -> str:
        """Return twenty random bytes in hex."""
        ...


class Time(Protocol):
    """The clocks of the master."""

    def date(self) -> float:
        """Return the wall-clock time in seconds since the epoch; it may jump."""
        ...

    def seconds(self) -> float:
        """Return the monotonic time in seconds, for durations."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class JobSubmitter(Protocol):
    """The submission of jobs on behalf of a running job."""

    async def __call__(self, jobs: Sequence[Sequence[Opcode]]) -> list[tuple[bool, int | str]]: ...


class AllocatorRunner(Protocol):
    """The runner of external iallocators."""

    async def __call__(
        self, name: str, request: Callable[[], Awaitable[str]], options: Sequence[str] = ()
    ) -> str:
        """Run the iallocator with this name and return its output.

        ``request`` is only called if the iallocator is installed, as its text is costly.

        :raises Failed: with the code ``UNKNOWN`` if it is not installed.
        """
        ...

    def installed(self, name: str) -> bool:
        """Return whether an iallocator with this name is installed."""
        ...


class PlacementSolver(Protocol):
    """The solver of questions about placement, which may compute for seconds."""

    async def __call__(self, question: Question) -> Answer:
        """Return the answer.

        :raises Failed: the solver failed; with its output.
        """
        ...


async def solve_here(question: Question) -> Answer:
    """Answer a question in this thread; the default of ``Tools.solve``, for small clusters."""
    return solve(question)


QuestionSteps: TypeAlias = Generator[None, None, Question]
"""The making of a question, in steps of some milliseconds, as a cluster may be large."""


class MasterQueries(Protocol):
    """The master's queries about the cluster."""

    async def query(
        self, what: str, fields: Sequence[str], qfilter: object = None
    ) -> dict[str, object]:
        """Return rows with a status for each value, and their field definitions."""
        ...

    async def fields(self, what: str, names: Sequence[str] | None = None) -> dict[str, object]:
        """Return field definitions."""
        ...

    async def rows(
        self, what: str, names: Sequence[str], fields: Sequence[str]
    ) -> list[list[object]]:
        """Return rows of plain values."""
        ...

    async def cluster_info(self) -> object:
        """Return information about the cluster."""
        ...

    async def config_values(self, names: Sequence[str]) -> list[object]:
        """Return values of the configuration."""
        ...


class ReplicaStatus(Protocol):
    """The state of replication to the master candidates."""

    def out_of_sync(self) -> Mapping[str, str]:
        """Return the UUIDs of candidates whose copy is not in sync, with the reason."""
        ...

    async def problems(self) -> Sequence[str]:
        """Return the problems of a store of the state on other hosts, each with what to do."""
        ...


class MemberUpdates(Protocol):
    """The distribution of the member list to nodes."""

    async def distribute(self) -> Mapping[str, Failed]:
        """Send the current member list to every node that is not offline.

        Return the failures by node name; all other nodes use the list when this returns.
        """
        ...


@dataclass(frozen=True)
class NewAuthority:
    """A new certificate authority that is not trusted yet: its certificate and key (PEM)."""

    certificate: str
    key: bytes = field(repr=False)


class ClusterKeys(Protocol):
    """Keys and secrets on the master's host that master candidates share.

    Every method raises ``Failed`` with the reason if it fails.
    """

    async def renew_secrets(self) -> None:
        """Generate a new cluster domain secret, and a new key and certificate of the remote API."""
        ...

    async def renew_rapi(self) -> None:
        """Generate a new key and certificate of the remote API.

        A certificate that was not issued by an authority of this cluster is kept.
        """
        ...

    async def generate_authority(self, cluster: str) -> NewAuthority:
        """Generate a new authority for the cluster with this name, without installing it."""
        ...

    async def use_authority(self, key: bytes) -> None:
        """Install this key; certificates are issued with it from now on."""
        ...

    async def issuing_authority(self) -> str | None:
        """Return the fingerprint of the issuing authority, or None if it is not trusted."""
        ...

    async def trusted_authorities(self) -> Sequence[str]:
        """Return the certificates (PEM) of the authorities that this host trusts."""
        ...


class UnavailableKeys:
    """An implementation of ``ClusterKeys`` for masters without key management."""

    async def renew_secrets(self) -> None:
        raise _keys_unavailable()

    async def renew_rapi(self) -> None:
        raise _keys_unavailable()

    async def generate_authority(self, cluster: str) -> NewAuthority:
        raise _keys_unavailable()

    async def use_authority(self, key: bytes) -> None:
        raise _keys_unavailable()

    async def issuing_authority(self) -> str | None:
        raise _keys_unavailable()

    async def trusted_authorities(self) -> Sequence[str]:
        raise _keys_unavailable()


def _keys_unavailable() -> Failed:
    return Failed("this master does not manage keys")


@dataclass(frozen=True)
class AncillaryFile:
    """A file of the master that is distributed to other nodes; ``mode`` has permission bits."""

    path: str
    content: bytes
    mode: int


class SharedFiles(Protocol):
    """The files that all nodes share: certificates, secrets and users."""

    async def read(self) -> Sequence[AncillaryFile]:
        """Return the existing files with their current content."""
        ...


UNAVAILABLE_KEYS = UnavailableKeys()


class AddressControl(Protocol):
    """The address of the cluster on the master's host."""

    async def activate_address(self) -> None:
        """Take the address from now on.

        :raises Failed: it cannot be configured.
        """

    async def deactivate_address(self) -> None:
        """Give the address up until it is activated again, or another master daemon starts.

        :raises Failed: it cannot be removed.
        """


def stream_start() -> str:
    """Return the start of the event stream; the default of ``Tools.event_position``."""
    return "0"


@dataclass(frozen=True)
class Tools:
    """The interfaces through which an operation acts.

    Without ``recent``, nodes are asked each time. ``event_position`` returns the position of the
    newest event; ``stopping``, whether the master daemon stops, which gives operations a few
    seconds to end. ``hooks_on_master`` returns whether the master's host may have scripts in this
    ``hook_folder``.
    """

    config: ConfigAccess
    nodes: Nodes
    progress: Progress
    ids: Identifiers
    time: Time
    submit: JobSubmitter
    run_allocator: AllocatorRunner
    copies: ReplicaStatus
    shared: SharedFiles
    answers: MasterQueries
    issue: CertificateIssuer
    members: MemberUpdates
    address: AddressControl
    keys: ClusterKeys = UNAVAILABLE_KEYS
    recent: RecentAnswers | None = None
    solve: PlacementSolver = solve_here
    event_position: Callable[[], str] = stream_start
    stopping: Callable[[], bool] = lambda: False
    hooks_on_master: Callable[[str], bool] = lambda folder: True


@dataclass(frozen=True)
class ResultWithCommit:
    """A result with a last change, which is committed together with the job's end."""

    result: object
    change: Change


@dataclass(frozen=True)
class HookCall:
    """The hooks of an operation: directory, object type, variables, and the nodes to run them on.

    ``environment`` has no prefix ``GANETI_``; nodes are UUIDs.
    """

    directory: HookDirectory
    object_type: str
    environment: Mapping[str, str]
    before: Sequence[str]
    after: Sequence[str]


def no_queries(op: object, state: ClusterState) -> Sequence[NodeQuery]:
    """Return no queries; the default of ``Operation.questions``."""
    return ()


def no_allocation(op: object, state: ClusterState, facts: NodeAnswers) -> IAllocatorRequest | None:
    """Return no request; the default of ``Operation.request_allocation``."""
    return None


def no_search(op: object, state: ClusterState, facts: NodeAnswers) -> QuestionSteps | None:
    """Return no search; the default of ``Operation.search``."""
    return None


def no_hooks(plan: object, state: ClusterState) -> HookCall | None:
    """Return no hooks; the default of ``Operation.hooks``."""
    return None


def no_preview(plan: object) -> object:
    """Return no preview; the default of ``Operation.preview``."""
    return None


HookFailures: TypeAlias = Sequence[tuple[str, str, str]]
"""Failed post hooks: node, script and output of each."""


def keep_result(plan: object, result: object, failures: HookFailures, tools: Tools) -> object:
    """Return ``result`` unchanged; the default of ``Operation.finish_result``."""
    return result


@dataclass(frozen=True)
class Operation(Generic[O, P]):
    """The implementation of an opcode.

    ``questions`` returns the queries to nodes, with None at points where work can pause;
    ``request_allocation`` returns the request to an iallocator, and ``search`` a question for the
    solver, both made after the nodes have answered. ``plan`` is
    called before and after the locks are acquired, and must be pure. ``run`` returns the opcode's
    result, or a ``ResultWithCommit``. ``hooks`` is called with the state before and after.
    ``preview`` returns the result of a dry run, ``finish_result`` the final result after the post
    hooks.
    """

    opcode: type[O]
    plan: Callable[[O, ClusterState, NodeAnswers], P]
    run: Callable[[P, Tools], Awaitable[object]]
    questions: Callable[[O, ClusterState], Iterable[NodeQuery | None]] = no_queries
    hooks: Callable[[P, ClusterState], HookCall | None] = no_hooks
    preview: Callable[[P], object] = no_preview
    request_allocation: Callable[[O, ClusterState, NodeAnswers], IAllocatorRequest | None] = (
        no_allocation
    )
    finish_result: Callable[[P, Any, HookFailures, Tools], object] = keep_result
    search: Callable[[O, ClusterState, NodeAnswers], QuestionSteps | None] = no_search


# A table has operations of all opcodes, each with a plan of its own.
AnyOperation: TypeAlias = Operation[Any, Any]
"""An operation whose opcode and plan only itself knows."""
