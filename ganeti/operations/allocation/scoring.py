# SPDX-License-Identifier: BSD-2-Clause
"""The built-in allocator: rules that exclude nodes, each with its reason, and a score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from ganeti.errors import Code, Refused
from ganeti.model.disk import MIRRORED_BETWEEN_NODES
from ganeti.operations.allocation.request import Candidate, Choice, Placement

Rule: TypeAlias = Callable[[Placement, Candidate], str | None]

METADATA = 128
"""MiB of metadata beside each disk that is mirrored between nodes."""


def _asked_for_another(request: Placement, candidate: Candidate) -> str | None:
    return "is to be avoided" if candidate.node.uuid in request.away_from else None


def _offline(request: Placement, candidate: Candidate) -> str | None:
    return "is offline" if candidate.node.offline else None


def _drained(request: Placement, candidate: Candidate) -> str | None:
    return "is drained" if candidate.node.drained else None


def _not_for_guests(request: Placement, candidate: Candidate) -> str | None:
    return None if candidate.node.vm_capable else "does not take instances"


def _elsewhere(request: Placement, candidate: Candidate) -> str | None:
    if request.group in (None, candidate.node.group):
        return None
    return "is in another node group"


def _unknown(request: Placement, candidate: Candidate) -> str | None:
    return "does not answer" if candidate.space.memory is None else None


def _memory(request: Placement, candidate: Candidate) -> str | None:
    free = candidate.space.memory or 0
    if free >= request.memory:
        return None
    return f"has {free} MiB of memory free, and {request.memory} MiB are needed"


def _memory_for_failover(request: Placement, candidate: Candidate) -> str | None:
    free = (candidate.space.memory or 0) - candidate.reserved
    if request.template not in MIRRORED_BETWEEN_NODES or free >= request.memory:
        return None
    return (
        f"has {max(free, 0)} MiB of memory left beside the {candidate.reserved} MiB that it keeps "
        f"for instances of a node that fails, and {request.memory} MiB are needed"
    )


def _disk(request: Placement, candidate: Candidate) -> str | None:
    needed, free = disk_needed(request), candidate.space.disk
    if free is None or free >= needed:
        return None
    return f"has {free} MiB of disk free, and {needed} MiB are needed"


def _processors(request: Placement, candidate: Candidate) -> str | None:
    cpus, ratio = candidate.space.cpus, candidate.vcpu_ratio
    if not cpus or ratio is None or candidate.vcpus + request.vcpus <= cpus * ratio:
        return None
    return (
        f"has {candidate.vcpus} virtual processors on {cpus} real ones, and its group allows "
        f"{ratio:g} on each"
    )


def _policy(request: Placement, candidate: Candidate) -> str | None:
    return candidate.objection


RULES: Sequence[Rule] = (
    _asked_for_another,
    _offline,
    _drained,
    _not_for_guests,
    _elsewhere,
    _policy,
    _unknown,
    _memory,
    _memory_for_failover,
    _disk,
    _processors,
)


def disk_needed(request: Placement) -> int:
    """How much disk space the request takes on each of its nodes, in MiB."""
    extra = METADATA if request.template in MIRRORED_BETWEEN_NODES else 0
    return sum(size + extra for size in request.disks)


def against(request: Placement, candidate: Candidate, rules: Sequence[Rule] = RULES) -> str | None:
    """Why the candidate cannot take the instance; None if it can."""
    for rule in rules:
        if (reason := rule(request, candidate)) is not None:
            return reason
    return None


def explained(request: Placement, candidates: Iterable[Candidate]) -> str:
    """A line for each candidate: the chosen ones first, then those that would do, then why not."""
    able, reasons = _weighed(request, candidates)
    chosen = _together(request, able)
    rest = [each for each in able if each not in chosen]
    lines = [f"{each.node.name}: chosen, {_room(each)}" for each in chosen]
    lines += [f"{each.node.name}: would do, {_room(each)}" for each in rest]
    lines += [f"{name}: {reason}" for name, reason in sorted(reasons.items())]
    return "\n".join(lines)


def _room(candidate: Candidate) -> str:
    space = candidate.space
    disk = "" if space.disk is None else f" and {space.disk} MiB of disk"
    return f"has {space.memory} MiB of memory{disk} free and {candidate.instances} instances"


def choose(request: Placement, candidates: Iterable[Candidate]) -> Choice:
    """The best nodes for the request.

    Nodes with the most memory left come first, then those with fewer instances, so that load
    spreads; a tie goes by name, so that the same question has the same answer. Two nodes are of
    one group, and groups that are the last resort come last.

    :raises Refused: not enough nodes can take it; the message has a reason for each.
    """
    able, reasons = _weighed(request, candidates)
    if not (chosen := _together(request, able)):
        raise Refused(_too_few(request, able, reasons), Code.RESOURCES)
    return Choice([each.node for each in chosen], reasons)


def _together(request: Placement, able: Sequence[Candidate]) -> list[Candidate]:
    """The best of those that are ``able``, all of one group; none if no group has enough."""
    for group in dict.fromkeys(each.node.group for each in able):
        members = [each for each in able if each.node.group == group]
        if len(members) >= request.wanted:
            return members[: request.wanted]
    return []


def _weighed(
    request: Placement, candidates: Iterable[Candidate]
) -> tuple[list[Candidate], dict[str, str]]:
    """Those that can take the instance, the best first, and why each of the others cannot."""
    able: list[Candidate] = []
    reasons: dict[str, str] = {}
    for candidate in candidates:
        reason = against(request, candidate)
        if reason is None:
            able.append(candidate)
        else:
            reasons[candidate.node.name] = reason
    able.sort(key=_rank)
    return able, reasons


def _rank(each: Candidate) -> tuple[bool, int, int, str]:
    return each.last_resort, -(each.space.memory or 0), each.instances, each.node.name


def _too_few(request: Placement, able: Sequence[Candidate], reasons: Mapping[str, str]) -> str:
    if len(able) >= request.wanted:
        need = "no node group has two nodes that"
        reasons = {**reasons, **{each.node.name: "would do" for each in able}}
    else:
        need = "only one node" if able else "no node"
    each = "; ".join(f"{name} {reason}" for name, reason in sorted(reasons.items()))
    return f"{need} can take instance {request.name}: {each or 'there are no nodes'}"
