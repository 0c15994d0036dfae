# SPDX-License-Identifier: BSD-2-Clause
"""The decision which member of etcd to add or remove next, so that a quorum is always kept.

Members run on master candidates: five of them if there are as many, otherwise three. With fewer
candidates there is one member, until there are three. A new member is a learner first: it has no
vote before it has all data.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

SIZES = (5, 3, 1)
"""The numbers of members, the largest one that there are candidates for."""


@dataclass(frozen=True)
class Member:
    """A member as etcd lists it; ``address`` is that of its peer URL.

    One without a ``name`` was added, and has never started.
    """

    id: int
    address: str
    name: str = ""
    endpoint: str = ""
    learner: bool = False


@dataclass(frozen=True)
class AddMember:
    """Add a learner at an address."""

    address: str


@dataclass(frozen=True)
class StartMember:
    """Have a member started that was added, and has never run."""

    member: Member


@dataclass(frozen=True)
class PromoteMember:
    """Give a learner a vote, as soon as it has all data."""

    member: Member


@dataclass(frozen=True)
class RemoveMember:
    """Remove a member from the cluster of members."""

    member: Member


Step: TypeAlias = AddMember | StartMember | PromoteMember | RemoveMember


def plan_step(
    members: Sequence[Member],
    candidates: Sequence[str],
    *,
    healthy: Collection[str],
    lost: Collection[str] = (),
) -> Step | None:
    """Return the next step towards the wanted members; None if there is nothing to do now.

    ``candidates`` are the addresses of the nodes that may have a member, in the order of
    preference. ``healthy`` are the addresses of the members that answer and have a leader,
    ``lost`` those of members that have lost their data and cannot come back.
    """
    for member in members:
        if member.learner or not member.name:
            return _complete(member, candidates, lost)
    staying = [each for each in members if each.address in candidates and each.address not in lost]
    leaving = [each for each in members if each not in staying]
    used = {each.address for each in members}
    free = [address for address in candidates if address not in used]
    if len(staying) < find_size(len(candidates)) and free and _is_quorum(members, healthy):
        return AddMember(free[0])
    # Those that do not work first: without them, a smaller number is a majority.
    for member in sorted(leaving, key=lambda each: each.address in healthy):
        if _may_remove(member, members, healthy):
            return RemoveMember(member)
    return None


def find_size(candidates: int) -> int:
    """Return how many members there should be with so many candidates."""
    return next((size for size in SIZES if size <= candidates), 1)


def may_restart(member: Member, members: Sequence[Member], healthy: Collection[str]) -> bool:
    """Return whether a member may be restarted: the others work, or are a majority without it.

    One or two members are no majority without it: they stop for the moment of the restart. Members
    without a vote do not count.
    """
    voters = [each for each in members if not each.learner]
    others = [each for each in voters if each != member]
    working = sum(each.address in healthy for each in others)
    return working == len(others) or working > len(voters) // 2


def _complete(member: Member, candidates: Sequence[str], lost: Collection[str]) -> Step:
    """Return how to go on with a member that has no vote yet; there is one at a time."""
    if member.address not in candidates or (member.name and member.address in lost):
        return RemoveMember(member)
    return PromoteMember(member) if member.name else StartMember(member)


def _is_quorum(members: Sequence[Member], healthy: Collection[str]) -> bool:
    """Return whether most members work; with a further one that works, they still are most."""
    return sum(each.address in healthy for each in members) > len(members) // 2


def _may_remove(member: Member, members: Sequence[Member], healthy: Collection[str]) -> bool:
    rest = [each for each in members if each != member]
    return sum(each.address in healthy for each in rest) > len(rest) // 2
