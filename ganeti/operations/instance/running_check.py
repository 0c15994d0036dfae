# SPDX-License-Identifier: BSD-2-Clause
"""Checks of the nodes that run an instance, so that it never runs on two nodes.

``doc/guests.md`` has the rule and its reasons. An instance that runs on its primary node, and was
not found on another node, was proven to run on no other node when it was started there. One that
does not run there may start, or write to its disks, only if every other node that could run it
answers that it does not, or is marked offline.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import SHARED_TEMPLATES
from ganeti.model.guest import GuestState
from ganeti.model.instance import AdminState
from ganeti.model.node import Node
from ganeti.operations.allocation.target_node import get_template
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.operation import NodeAnswers, NodeQuery
from ganeti.operations.refusals import not_stopped
from ganeti.rpc.instances import ListGuests
from ganeti.rpc.node import DescribeNode, NodeInfo


@dataclass(frozen=True)
class Presence:
    """Where an instance runs, according to the nodes that could run it.

    ``here`` is whether its primary node runs it, ``elsewhere`` are the other nodes that do.
    ``unknown`` are the nodes that did not answer, each with the reason.
    """

    subject: InstanceContext
    here: bool
    elsewhere: tuple[Node, ...] = ()
    unknown: tuple[tuple[Node, str], ...] = ()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that run it, its primary node first."""
        return (*((self.subject.primary,) if self.here else ()), *self.elsewhere)


def list_possible_hosts(subject: InstanceContext, state: ClusterState) -> list[Node]:
    """Return the nodes that could run the instance now, its primary node first.

    These are the nodes that can open its disks. One that is marked offline is not among them:
    marking it so is an administrator's word that nothing runs there.
    """
    nodes = list(subject.nodes)
    if get_template(subject) in SHARED_TEMPLATES:
        # Nodes of any group, as an instance with shared disks may come from another group.
        able = [node for node in state.nodes.values() if node.vm_capable and node not in nodes]
        nodes += sorted(able, key=lambda node: node.name)
    return [node for node in nodes if not node.offline]


def presence_queries(
    subject: InstanceContext,
    state: ClusterState,
    besides: Collection[Node] = (),
    names: Sequence[str] = (),
) -> list[NodeQuery]:
    """Return the query for the running guest on the possible hosts of the instance.

    ``besides`` are nodes with a ``DescribeNode`` query that includes the instance's hypervisor,
    which has the same answer. ``names`` are further guests to ask about.
    """
    asked = [node for node in list_possible_hosts(subject, state) if node not in besides]
    if not asked:
        return []
    # Every node of the cluster may have to be asked: each answer is about this guest only.
    instance = subject.instance
    call = ListGuests(hypervisors=(instance.hypervisor,), only=(instance.name, *names))
    return [NodeQuery(asked, call)]


def determine_presence(
    subject: InstanceContext, state: ClusterState, facts: NodeAnswers
) -> Presence:
    """Return where the instance runs, from the answers to ``presence_queries``."""
    name, running, unknown = subject.instance.name, [], []
    for node in list_possible_hosts(subject, state):
        found = _guests(node, subject.instance.hypervisor, facts)
        if isinstance(found, str):
            unknown.append((node, found))
        elif name in found:
            running.append(node)
    elsewhere = tuple(node for node in running if node != subject.primary)
    return Presence(subject, subject.primary in running, elsewhere, tuple(unknown))


def _guests(node: Node, hypervisor: str, facts: NodeAnswers) -> Mapping[str, GuestState] | str:
    """Return the guests that run on ``node``, or the reason why they are not known."""
    # One look-up for most nodes, which may be hundreds.
    answer = facts.answers.get((node.uuid, ListGuests))
    if answer is None:
        answer = facts.answers[node.uuid, DescribeNode]
    if isinstance(answer, Failed):
        return str(answer)
    if isinstance(answer, NodeInfo):
        return answer.problems.get(hypervisor) or answer.guests
    guests: Mapping[str, GuestState] = answer
    return guests


def check_not_elsewhere(found: Presence) -> None:
    """Refuse if the instance is known to run on another node than its primary one.

    :raises Refused: the message says where it runs and what to do.
    """
    name = found.subject.instance.name
    if len(found.nodes) > 1:
        raise runs_twice(name, found.nodes)
    if found.elsewhere:
        raise runs_elsewhere(name, found.elsewhere[0])


def check_known(found: Presence) -> None:
    """Refuse if a node that could run the instance does not say whether it does.

    :raises Refused: the message names the nodes and what to do.
    """
    if not found.unknown:
        return
    where = " or ".join(f"{node.name} ({reason})" for node, reason in found.unknown)
    name = found.unknown[0][0].name if len(found.unknown) == 1 else "NODE"
    raise Refused(
        f"it is unknown whether instance {found.subject.instance.name} is running on {where}; make "
        "sure that the node daemon there answers, or power the node off and mark it offline: "
        f"gnt-node modify --offline=yes {name}",
        Code.INTERNAL,
    )


def check_nowhere_else(found: Presence) -> None:
    """Refuse to start the instance, or to write to its disks, unless it runs on no other node.

    :raises Refused: it runs on another node, or a node that could run it does not answer.
    """
    check_not_elsewhere(found)
    if not found.here:
        check_known(found)


def check_stopped(found: Presence) -> None:
    """Check that the instance is down and does not run on any node.

    :raises Refused: it runs or is configured to run, or a node does not answer.
    """
    check_not_elsewhere(found)
    instance = found.subject.instance
    if instance.admin_state is AdminState.UP or found.here:
        raise not_stopped(instance.name)
    check_known(found)


def check_no_guest(name: str, nodes: Iterable[Node], facts: NodeAnswers) -> None:
    """Check that no unknown guest with a new instance's name is running.

    A node that does not answer is accepted, as it was never requested to run this instance.

    :raises Refused: one of the queried ``nodes`` runs a guest with this name.
    """
    answers = facts.answers
    for node in nodes:
        for call in (ListGuests, DescribeNode):
            # As little as possible in each turn: there may be hundreds of nodes.
            if (answer := answers.get((node.uuid, call))) is None:
                continue
            guests = answer.guests if type(answer) is NodeInfo else answer
            if not isinstance(guests, Failed) and name in guests:
                raise Refused(
                    f"node {node.name} runs an unknown guest with the name {name}; stop it on that "
                    "node, or choose another name",
                    Code.NOT_UNIQUE,
                )


def runs_elsewhere(name: str, node: Node) -> Refused:
    """Return the refusal for an instance that runs on a node that is not its primary one."""
    return Refused(
        f"instance {name} is running on {node.name}, which is not its primary node; to make it its "
        f"primary node: gnt-instance migrate --cleanup {name}; to stop it there: "
        f"gnt-instance shutdown {name}"
    )


def runs_twice(name: str, nodes: Sequence[Node]) -> Refused:
    """Return the refusal for an instance that runs on several nodes."""
    return Refused(
        f"instance {name} is running on {' and on '.join(node.name for node in nodes)}; find out "
        "which copy has the right data, and stop the other on its node; to stop all of them: "
        f"gnt-instance shutdown {name}",
        Code.INTERNAL,
    )
