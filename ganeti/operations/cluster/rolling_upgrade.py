# SPDX-License-Identifier: BSD-2-Clause
"""Rolling upgrades: a job for each node, a canary first, the master last.

Two neighbouring releases work together (``ganeti.rpc.protocol_version``), so that each node can be
upgraded by itself. An upgrade that was interrupted is repeated: nodes that have the release are
left out.

The upgrade of the master restarts the daemon that runs the jobs. Its job therefore waits until no
other job has locks, and holds the cluster lock until the daemon stops: the others are queued again,
and none is interrupted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ganeti import __version__
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused, Unreachable
from ganeti.locking.names import CLUSTER, LockRequest, node_lock, request
from ganeti.model.node import Node, NodeRole
from ganeti.opcodes.cluster import UpgradeCluster
from ganeti.opcodes.node import UpgradeNode
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.operation import AnyOperation, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.node import (
    FULL_FILE_SYSTEMS,
    AskVersion,
    DescribeNode,
    RunRestrictedCommandCall,
    VerifyNode,
)
from ganeti.schema.records import replace
from ganeti.schema.types import JsonValue

POLL_INTERVAL = 1.0
"""Seconds between two questions for the release of a node that is being upgraded."""

MIN_FREE_MIB = 256
"""Free space that a node must have for an upgrade: the packages, and twice their content."""

STOP_POLL_INTERVAL = 0.1
"""Seconds between two looks whether the master daemon is told to stop."""


@dataclass(frozen=True)
class ClusterUpgrade:
    """The jobs of an upgrade; needs no locks, as each job locks its node."""

    jobs: tuple[tuple[UpgradeNode], ...]
    offline: tuple[str, ...]

    @property
    def locks(self) -> LockRequest:
        return {}


def cluster_questions(op: UpgradeCluster, state: ClusterState) -> Sequence[NodeQuery]:
    """Ask all nodes that are online for their release and free space."""
    online = [node for node in state.nodes.values() if not node.offline]
    space = VerifyNode(
        what={FULL_FILE_SYSTEMS: MIN_FREE_MIB}, cluster_name=state.cluster.cluster_name
    )
    return [NodeQuery(online, AskVersion()), NodeQuery(online, space)]


def plan_cluster(
    op: UpgradeCluster, state: ClusterState, facts: NodeAnswers, own: str = __version__
) -> ClusterUpgrade:
    """Plan a job for each node that has another release; ``own`` is that of the master daemon.

    :raises Refused: a node does not answer, lacks space, or the master is to be the canary.
    """
    canary = None if op.canary is None else state.node(op.canary)
    if canary == state.master and len(state.nodes) > 1:
        raise Refused(
            f"node {state.master.name} is the master, which is upgraded last; name another canary",
            Code.INPUT,
        )
    if canary is not None and canary.offline:
        raise Refused(f"node {canary.name} is offline; name another canary", Code.STATE)
    online = [node for node in state.nodes.values() if not node.offline]
    behind = [node for node in online if _find_release(node, op, state, facts, own) != op.release]
    _require_space(behind, facts)
    ordered = sorted(behind, key=_OrderOfUpgrade(state, canary))
    offline = sorted(node.name for node in state.nodes.values() if node.offline)
    return ClusterUpgrade(tuple(_make_jobs(op, ordered)), tuple(offline))


def _require_space(nodes: Sequence[Node], facts: NodeAnswers) -> None:
    """Check that the nodes have room for an installation.

    :raises Refused: with each node and folder that does not.
    """
    found = [
        f"{free} MiB in {folder} on {node.name}"
        for node in sorted(nodes, key=lambda each: each.name)
        for folder, free in _full_folders(facts.answer_of(node, VerifyNode)).items()
    ]
    if found:
        raise Refused(
            f"too little space for an upgrade: {', '.join(found)}; {MIN_FREE_MIB} MiB are needed."
            " Nothing was changed; remove old packages and logs there, and repeat the command",
            Code.RESOURCES,
        )


def _full_folders(answer: Mapping[str, JsonValue]) -> Mapping[str, object]:
    # The check itself may have failed, with the reason as text; an earlier release has no such one.
    found = answer.get(FULL_FILE_SYSTEMS)
    return found if isinstance(found, dict) else {}


def _find_release(
    node: Node, op: UpgradeCluster | UpgradeNode, state: ClusterState, facts: NodeAnswers, own: str
) -> str:
    """Return the release of a node; of the master, that of the daemon which has another one."""
    release = facts.answer_of(node, AskVersion).release
    # An installation that was interrupted may have restarted the node daemon only.
    return own if node == state.master and release == op.release else release


class _OrderOfUpgrade:
    """The key by which nodes are sorted: the canary, other nodes, candidates, the master.

    Among others, those with few instances come first, so that the default canary has few.
    """

    def __init__(self, state: ClusterState, canary: Node | None) -> None:
        self._master = state.cluster.master_node
        self._canary = canary
        self._instances = Counter(each.primary_node for each in state.instances.values())

    def __call__(self, node: Node) -> tuple[bool, bool, bool, int, str]:
        role = node.role(self._master)
        return (
            node != self._canary,
            role is NodeRole.MASTER,
            role is NodeRole.CANDIDATE,
            self._instances[node.uuid],
            node.name,
        )


def _make_jobs(op: UpgradeCluster, nodes: Sequence[Node]) -> Iterator[tuple[UpgradeNode]]:
    for number, node in enumerate(nodes):
        upgrade = UpgradeNode(
            node_name=node.name, release=op.release, command=op.command, timeout=op.timeout
        )
        # If one fails, those after it do not run: the release may be a bad one.
        yield (replace(upgrade, depends=((-1, ("success",)),)) if number else upgrade,)


async def run_cluster(plan: ClusterUpgrade, tools: Tools) -> dict[str, object]:
    """Submit the jobs; return them as other opcodes that submit jobs do."""
    for name in plan.offline:
        tools.progress.log_message(f"node {name} is offline and is left out")
    if not plan.jobs:
        tools.progress.log_message("all nodes that are online have this release")
        return {"jobs": []}
    order = ", ".join(job.node_name for (job,) in plan.jobs)
    tools.progress.log_message(f"nodes are upgraded one after the other: {order}")
    jobs: Sequence[Sequence[Opcode]] = plan.jobs
    return {"jobs": [list(row) for row in await tools.submit(jobs)]}


def preview_cluster(plan: ClusterUpgrade) -> list[str]:
    """Return the result of a dry run: the nodes in the order of their upgrades."""
    return [job.node_name for (job,) in plan.jobs]


@dataclass(frozen=True)
class NodeUpgrade:
    """The upgrade of a node, which no other job uses meanwhile; ``ran`` are its guests before.

    While the master is upgraded, no other job has any locks.
    """

    op: UpgradeNode
    node: Node
    present: str
    ran: frozenset[str]
    is_master: bool

    @property
    def locks(self) -> LockRequest:
        return request(exclusive=[CLUSTER if self.is_master else node_lock(self.node.uuid)])


def node_questions(op: UpgradeNode, state: ClusterState) -> Sequence[NodeQuery]:
    """Ask the node for its release and its running guests."""
    node = state.node(op.node_name)
    return [NodeQuery([node], AskVersion()), NodeQuery([node], _ask_guests(state))]


def _ask_guests(state: ClusterState) -> DescribeNode:
    return DescribeNode(hypervisors=state.cluster.enabled_hypervisors)


def plan_node(
    op: UpgradeNode, state: ClusterState, facts: NodeAnswers, own: str = __version__
) -> NodeUpgrade:
    """Plan the upgrade of a node; ``own`` is the release of the master daemon.

    :raises Refused: the node is offline, or does not answer.
    """
    node = state.node(op.node_name)
    if node.offline:
        raise Refused(f"node {node.name} is offline", Code.STATE)
    return NodeUpgrade(
        op,
        node,
        _find_release(node, op, state, facts, own),
        frozenset(facts.answer_of(node, DescribeNode).guests),
        node == state.master,
    )


async def run_node(plan: NodeUpgrade, tools: Tools) -> str:
    """Run the command, wait for the release, and compare the guests; return the former release.

    On the master, wait until the daemon stops, which runs this job.
    """
    node, release = plan.node, plan.op.release
    if plan.present == release:
        tools.progress.log_message(f"node {node.name} already has release {release}")
        return plan.present
    tools.progress.log_message(f"upgrading node {node.name} from release {plan.present}")
    await _run_command(plan, tools)
    if plan.is_master:
        tools.progress.log_message(
            f"{plan.op.command} has been started on the master; its daemons restart"
        )
        await _wait_for_stop(plan, tools)
        return plan.present
    await _wait_for_release(plan, tools)
    now = await tools.nodes.ask(node, _ask_guests(tools.config.state()))
    if lost := sorted(plan.ran - set(now.guests)):
        raise Failed(
            f"node {node.name} has release {release} now, but guests that ran before do not run: "
            f"{', '.join(lost)}. No other node is upgraded; look at their consoles and the log of "
            "the node daemon first",
            Code.ENVIRONMENT,
        )
    tools.progress.log_message(
        f"node {node.name} has release {release}; its {len(plan.ran)} guests run"
    )
    return plan.present


async def _run_command(plan: NodeUpgrade, tools: Tools) -> None:
    try:
        said = await tools.nodes.ask(plan.node, RunRestrictedCommandCall(cmd=plan.op.command))
    except Unreachable:
        # The command has restarted the node daemon before it has ended.
        return
    for line in said.splitlines()[-10:]:
        tools.progress.log_message(f"{plan.op.command}: {line}")


async def _wait_for_stop(plan: NodeUpgrade, tools: Tools) -> None:
    deadline = tools.time.seconds() + plan.op.timeout
    while not tools.stopping():
        if tools.time.seconds() >= deadline:
            raise Failed(
                f"the master daemon was not restarted within {plan.op.timeout} seconds. Look at"
                f" what {plan.op.command} has done on {plan.node.name}; when the release is"
                " installed there, restart ganeti-masterd, or repeat gnt-cluster upgrade",
                Code.ENVIRONMENT,
            )
        tools.progress.may_stop()
        await tools.time.sleep(STOP_POLL_INTERVAL)


async def _wait_for_release(plan: NodeUpgrade, tools: Tools) -> None:
    deadline = tools.time.seconds() + plan.op.timeout
    while True:
        try:
            found = (await tools.nodes.ask(plan.node, AskVersion())).release
        except (Failed, Refused) as e:
            found = str(e)
        else:
            if found == plan.op.release:
                return
            if found != plan.present:
                raise _make_wrong_release_error(plan, found)
            found = f"it still has release {found}"
        if tools.time.seconds() >= deadline:
            raise Failed(
                f"node {plan.node.name} does not have release {plan.op.release} after "
                f"{plan.op.timeout} seconds: {found}. Look at what {plan.op.command} has done "
                "there, and repeat gnt-cluster upgrade; nodes that have the release are left out",
                Code.ENVIRONMENT,
            )
        tools.progress.may_stop()
        await tools.time.sleep(POLL_INTERVAL)


def _make_wrong_release_error(plan: NodeUpgrade, found: str) -> Failed:
    name, release = plan.node.name, plan.op.release
    return Failed(
        f"{plan.op.command} has installed release {found} on node {name} instead of {release}. No"
        f" other node is upgraded. For {found}, repeat gnt-cluster upgrade with --to {found};"
        f" otherwise install {release} on {name}, or make {plan.op.command} install it, and repeat"
        " the same command",
        Code.ENVIRONMENT,
    )


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        UpgradeCluster, plan_cluster, run_cluster, cluster_questions, preview=preview_cluster
    ),
    Operation(UpgradeNode, plan_node, run_node, node_questions),
)
