# SPDX-License-Identifier: BSD-2-Clause
"""What a caller of the remote API may do: roles, each for all instances or only for some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.model.instance import Instance
from ganeti.model.users import GROUP_PREFIX, ApiToken, Role, Scope


@dataclass(frozen=True)
class Right:
    """A role for the instances that are in each of the ``limits``; none of them means for all."""

    role: Role
    limits: tuple[Scope, ...] = ()

    def covers(self, instance: Instance, group: str) -> bool:
        """Whether the right is about an instance whose primary node is in ``group``, a UUID."""
        return all(in_scope(scope, instance, group) for scope in self.limits)

    def within(self, role: Role, scope: Scope) -> Right:
        """Return as much of this right as a token for ``role`` and ``scope`` has."""
        limits = self.limits
        if scope and scope not in limits:
            limits = (*limits, scope)
        return Right(min(self.role, role, key=lambda each: each.rank), limits)


@dataclass(frozen=True)
class Rights:
    """All rights of a caller; equal rights see the same cluster."""

    rights: frozenset[Right] = frozenset()

    @classmethod
    def everywhere(cls, role: Role) -> Rights:
        """Return the rights of a role that is not limited."""
        return cls(frozenset({Right(role)}))

    @property
    def limited(self) -> bool:
        """Whether the caller may not see everything."""
        return not self.allow(Role.VIEWER)

    @property
    def role(self) -> Role | None:
        """The highest role, limited or not; None for a caller that has no rights."""
        return max((r.role for r in self.rights), key=lambda each: each.rank, default=None)

    def allow(self, role: Role) -> bool:
        """Whether the caller has a role for the whole cluster."""
        return any(not r.limits and r.role.includes(role) for r in self.rights)

    def allow_on(self, role: Role, instance: Instance, state: ClusterState) -> bool:
        """Whether the caller has a role for an instance of ``state``."""
        node = state.nodes.get(instance.primary_node)
        group = "" if node is None else node.group
        return any(r.role.includes(role) and r.covers(instance, group) for r in self.rights)

    def visible(self, state: ClusterState) -> Iterable[Instance]:
        """The instances of ``state`` that the caller may see."""
        groups = {uuid: node.group for uuid, node in state.nodes.items()}
        return (
            instance
            for instance in state.instances.values()
            if any(r.covers(instance, groups.get(instance.primary_node, "")) for r in self.rights)
        )

    @property
    def scope_tags(self) -> frozenset[str]:
        """The tags by which instances are in the scope of one of the rights."""
        return frozenset(
            tag for r in self.rights for scope in r.limits for tag in scope.instance_tags
        )

    def within(self, token: ApiToken) -> Rights:
        """Return as much of these rights as a token has."""
        return Rights(frozenset(r.within(token.role, token.scope) for r in self.rights))


NONE = Rights()


def in_scope(scope: Scope, instance: Instance, group: str) -> bool:
    """Whether an instance, whose primary node is in ``group``, is in a scope."""
    return group in scope.groups or not scope.instance_tags.isdisjoint(instance.tags)


def rights_of(state: ClusterState, name: str, groups: Sequence[str] = ()) -> Rights:
    """Return what a user may do who is in these groups of the OpenID provider."""
    subjects = {name, *(GROUP_PREFIX + group for group in groups)}
    return Rights(
        frozenset(
            Right(grant.role, (grant.scope,) if grant.scope else ())
            for grant in state.role_grants.values()
            if grant.subject in subjects
        )
    )


def scope_tags(state: ClusterState) -> frozenset[str]:
    """The tags that decide who may do something with an instance."""
    scopes = [grant.scope for grant in state.role_grants.values()]
    scopes += [token.scope for token in state.api_tokens.values()]
    return frozenset(tag for scope in scopes for tag in scope.instance_tags)
