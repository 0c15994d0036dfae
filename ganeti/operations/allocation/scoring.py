# SPDX-License-Identifier: BSD-2-Clause
"""The built-in allocator: rules that exclude nodes with a reason, and a ranking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from ganeti.errors import Code, Refused
from ganeti.model.disk import DRBD_METADATA_SIZE, MIRRORED_TEMPLATES
from ganeti.operations.allocation.allocation_request import Candidate, Choice, Placement

Rule: TypeAlias = Callable[[Placement, Candidate], str | None]


def _excluded(request: Placement, candidate: Candidate) -> str | None:
    return "is excluded by the request" if candidate.node.uuid in request.away_from else None


def _offline(request: Placement, candidate: Candidate) -> str | None:
    return "is offline" if candidate.node.offline else None


def _drained(request: Placement, candidate: Candidate) -> str | None:
    return "is drained" if candidate.node.drained else None


def _not_vm_capable(request: Placement, candidate: Candidate) -> str | None:
    return None if candidate.node.vm_capable else "is not vm_capable"


def _other_group(request: Placement, candidate: Candidate) -> str | None:
    if request.group in (None, candidate.node.group):
        return None
    return "is in another node group"


def _unreachable(request: Placement, candidate: Candidate) -> str | None:
    return "does not answer" if candidate.space.memory is None else None


def _memory(request: Placement, candidate: Candidate) -> str | None:
    free = candidate.space.memory or 0
    if free >= request.memory:
        return None
    return f"has {free} MiB of free memory, but {request.memory} MiB are required"


def _memory_for_failover(request: Placement, candidate: Candidate) -> str | None:
    free = (candidate.space.memory or 0) - candidate.reserved
    if request.template not in MIRRORED_TEMPLATES or free >= request.memory:
        return None
    return (
        f"has {max(free, 0)} MiB of free memory besides the {candidate.reserved} MiB reserved for "
        f"the failure of another node, but {request.memory} MiB are required"
    )


def _disk(request: Placement, candidate: Candidate) -> str | None:
    needed, free = required_disk_space(request), candidate.space.disk
    if free is None or free >= needed:
        return None
    return f"has {free} MiB of free disk space, but {needed} MiB are required"


def _processors(request: Placement, candidate: Candidate) -> str | None:
    cpus, ratio = candidate.space.cpus, candidate.vcpu_ratio
    if not cpus or ratio is None or candidate.vcpus + request.vcpus <= cpus * ratio:
        return None
    return (
        f"has {candidate.vcpus} virtual processors on {cpus} CPUs, and its group allows "
        f"{ratio:g} per CPU"
    )


def _policy(request: Placement, candidate: Candidate) -> str | None:
    return candidate.objection


RULES: Sequence[Rule] = (
    _excluded,
    _offline,
    _drained,
    _not_vm_capable,
    _other_group,
    _policy,
    _unreachable,
    _memory,
    _memory_for_failover,
    _disk,
    _processors,
)


def required_disk_space(request: Placement) -> int:
    """Return the disk space in MiB that the request needs on each node."""
    extra = DRBD_METADATA_SIZE if request.template in MIRRORED_TEMPLATES else 0
    return sum(size + extra for size in request.disks)


def against(request: Placement, candidate: Candidate, rules: Sequence[Rule] = RULES) -> str | None:
    """Return the reason against the candidate, or None."""
    for rule in rules:
        if (reason := rule(request, candidate)) is not None:
            return reason
    return None


def explained(request: Placement, candidates: Iterable[Candidate]) -> str:
    """Return a line for each candidate: chosen ones first, then suitable and unsuitable ones."""
    able, reasons = _rank_candidates(request, candidates)
    chosen = _select_one_group(request, able)
    rest = [each for each in able if each not in chosen]
    lines = [f"{each.node.name}: chosen, {_format_resources(each)}" for each in chosen]
    lines += [f"{each.node.name}: suitable, {_format_resources(each)}" for each in rest]
    lines += [f"{name}: {reason}" for name, reason in sorted(reasons.items())]
    return "\n".join(lines)


def _format_resources(candidate: Candidate) -> str:
    space = candidate.space
    disk = "" if space.disk is None else f" and {space.disk} MiB of free disk space"
    return f"has {space.memory} MiB of free memory{disk}, and {candidate.instances} instances"


def choose(request: Placement, candidates: Iterable[Candidate]) -> Choice:
    """Choose the best nodes for the request.

    Nodes are ranked by free memory, then by the number of instances, which balances load, then by
    name, which makes the result deterministic. Two nodes are always in one group, and last-resort
    groups rank last.

    :raises Refused: not enough nodes are suitable; the message has a reason for each.
    """
    able, reasons = _rank_candidates(request, candidates)
    if not (chosen := _select_one_group(request, able)):
        raise Refused(_format_too_few(request, able, reasons), Code.RESOURCES)
    return Choice([each.node for each in chosen], reasons)


def _select_one_group(request: Placement, able: Sequence[Candidate]) -> list[Candidate]:
    """Return the best suitable nodes of one group, or none if no group has enough."""
    # The groups come in the order of their best nodes.
    for group in dict.fromkeys(each.node.group for each in able):
        members = [each for each in able if each.node.group == group]
        if len(members) >= request.wanted:
            return members[: request.wanted]
    return []


def _rank_candidates(
    request: Placement, candidates: Iterable[Candidate]
) -> tuple[list[Candidate], dict[str, str]]:
    """Return the suitable candidates, the best first, and the reason against each other one."""
    able: list[Candidate] = []
    reasons: dict[str, str] = {}
    for candidate in candidates:
        reason = against(request, candidate)
        if reason is None:
            able.append(candidate)
        else:
            reasons[candidate.node.name] = reason
    able.sort(key=_sort_key)
    return able, reasons


def _sort_key(each: Candidate) -> tuple[bool, int, int, str]:
    return each.last_resort, -(each.space.memory or 0), each.instances, each.node.name


def _format_too_few(
    request: Placement, able: Sequence[Candidate], reasons: Mapping[str, str]
) -> str:
    if len(able) >= request.wanted:
        need = "no node group has two nodes that"
        reasons = {**reasons, **{each.node.name: "is suitable" for each in able}}
    else:
        need = "only one node" if able else "no node"
    each = "; ".join(f"{name} {reason}" for name, reason in sorted(reasons.items()))
    return f"{need} can host instance {request.name}: {each or 'there are no nodes'}"
