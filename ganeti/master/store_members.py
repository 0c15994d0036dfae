# SPDX-License-Identifier: BSD-2-Clause
"""The members of etcd on the master candidates, which the master adds and removes one by one.

Each look takes one step of ``journal.etcd.membership``, decided by what etcd and the nodes answer
then. So nothing has to be remembered, and another master goes on where this one has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from twisted.logger import Logger

from ganeti.config.state import ClusterState
from ganeti.errors import Failed
from ganeti.journal.etcd.interfaces import IEtcdMembers
from ganeti.journal.etcd.member_changes import (
    AddMember,
    Member,
    PromoteMember,
    RemoveMember,
    StartMember,
    plan_step,
)
from ganeti.journal.etcd.store_settings import StateStore
from ganeti.journal.interfaces import StoreError
from ganeti.model.node import Node, NodeRole
from ganeti.rpc.call import Nodes
from ganeti.rpc.store_members import (
    ConfigureStoreMember,
    DescribeStoreMember,
    MemberAddress,
    MemberSettings,
    RemoveStoreMember,
    StoreMemberReport,
)
from ganeti.schema.records import replace

INTERVAL = 2.0
"""Seconds between two looks at the members."""


class MemberTools(Protocol):
    """What the changes of members need from the host of the master."""

    def settings(self) -> StateStore | None:
        """Return the settings of the store; None if the state is in files."""
        ...

    async def save(self, settings: StateStore) -> None:
        """Replace the settings on this host durably, and use the endpoints in them."""
        ...

    def etcd(self) -> IEtcdMembers:
        """Return a client of etcd."""
        ...

    def authority(self) -> str:
        """Return the certificates of the authority of the members."""
        ...

    async def issue(self, name: str, address: str) -> str:
        """Return a key with a certificate for a member on this node.

        :raises Failed: it could not be issued.
        """
        ...

    async def renew_client(self) -> None:
        """Replace the key and certificate of masters.

        :raises Failed: no certificate could be issued.
        """
        ...

    def peer_url(self, address: str) -> str:
        """Return the peer URL of a member at an address."""
        ...


class StoreMembers:
    """Lets the members follow the master candidates.

    ``holds`` returns whether this master has the lease; ``distribute`` copies the settings to the
    other candidates soon.
    """

    _log = Logger()

    def __init__(
        self,
        nodes: Nodes,
        state: Callable[[], ClusterState],
        tools: MemberTools,
        holds: Callable[[], bool],
        distribute: Callable[[], object],
    ) -> None:
        self._nodes = nodes
        self._state = state
        self._tools = tools
        self._holds = holds
        self._distribute = distribute
        self._issued: dict[str, str] = {}
        """By node, what its certificate was when that of its member was last known to be newer."""

    async def take_step(self) -> None:
        """Take one step, if one is due.

        :raises Failed: a node does not do its part.
        :raises OSError: etcd does not answer, or refuses the step for now.
        """
        settings = self._tools.settings()
        if settings is None or not settings.own_members or settings.moving or not self._holds():
            return
        etcd = self._tools.etcd()
        members = await etcd.members()
        healthy = {
            urlsplit(each.endpoint).hostname or ""
            for each in (await etcd.health()).members
            if not each.problem
        }
        candidates = self._list_candidates(members)
        await self._use_endpoints(settings, members)
        lost = await self._find_lost(members, candidates, healthy)
        step = plan_step(members, list(candidates), healthy=healthy, lost=lost)
        match step:
            case AddMember(address):
                added = await etcd.add_learner(self._tools.peer_url(address))
                self._log.info("adding a member of the state store at {at}", at=address)
                await self._start(added, [*members, added], candidates[address])
            case StartMember(member):
                await self._start(member, members, candidates[member.address])
            case PromoteMember(member):
                await self._promote(etcd, member, members, candidates[member.address])
            case RemoveMember(member):
                await etcd.remove(member.id)
                self._log.info("removed the member of the state store at {at}", at=member.address)
                await self._clean(member.address)
            case None:
                await self._renew_certificates(members, candidates)

    def _list_candidates(self, members: Sequence[Member]) -> dict[str, Node]:
        """Return the nodes that may have a member by address, the master first.

        A node whose address has changed keeps its member at the old one until that is removed: it
        has room for the data of one.
        """
        state = self._state()
        master = state.master
        others = [
            node
            for node in sorted(state.nodes.values(), key=lambda node: node.name)
            if node.role(master.uuid) is NodeRole.CANDIDATE
        ]
        homes = {each.name: each.address for each in members}
        return {
            node.primary_ip: node
            for node in (master, *others)
            if homes.get(node.name, node.primary_ip) == node.primary_ip
        }

    async def _use_endpoints(self, settings: StateStore, members: Sequence[Member]) -> None:
        """Record the endpoints of the members that have a vote."""
        found = sorted(each.endpoint for each in members if each.endpoint and not each.learner)
        if found and found != sorted(settings.endpoints):
            await self._tools.save(replace(settings, endpoints=tuple(found)))
            self._log.info("the state store is at {endpoints} now", endpoints=", ".join(found))
            self._distribute()

    async def _find_lost(
        self, members: Sequence[Member], candidates: Mapping[str, Node], healthy: set[str]
    ) -> set[str]:
        """Return the addresses of members that do not work, and whose nodes have no data of them.

        A node that does not answer may still have it.
        """
        silent = [
            candidates[each.address]
            for each in members
            if each.name and each.address in candidates and each.address not in healthy
        ]
        answers = await self._nodes.ask_all(silent, DescribeStoreMember()) if silent else {}
        return {
            node.primary_ip
            for node in silent
            if isinstance(report := answers[node.uuid], StoreMemberReport)
            and (report.settings is None or not report.has_data)
        }

    async def _start(self, member: Member, members: Sequence[Member], node: Node) -> None:
        """Have a node run a member that was added."""
        peers = [
            MemberAddress(name=each.name or node.name, address=each.address)
            for each in members
            if each.name or each.id == member.id
        ]
        call = ConfigureStoreMember(
            settings=MemberSettings(
                name=node.name,
                address=member.address,
                id=f"{member.id:x}",
                peers=tuple(peers),
                issued_with=self._certificate_of(node),
            ),
            authority=self._tools.authority(),
            certificate=await self._tools.issue(node.name, member.address),
            fresh=True,
        )
        await self._nodes.ask(node, call)

    async def _renew_certificates(
        self, members: Sequence[Member], candidates: Mapping[str, Node]
    ) -> None:
        """Renew the certificates of members whose nodes have got new ones.

        That of the members' client, the master, is renewed with the one of its own node.
        """
        for member in members:
            node = candidates.get(member.address)
            if node is None or self._issued.get(node.uuid) == self._certificate_of(node):
                continue
            known = (await self._nodes.ask(node, DescribeStoreMember())).settings
            certificate = self._certificate_of(node)
            if known is not None and known.issued_with != certificate:
                await self._nodes.ask(
                    node,
                    ConfigureStoreMember(
                        settings=replace(known, issued_with=certificate),
                        authority=self._tools.authority(),
                        certificate=await self._tools.issue(node.name, member.address),
                    ),
                )
                self._log.info("renewed the certificate of the member on {node}", node=node.name)
                # The first member of a cluster does not know with what it was issued.
                if known.issued_with and node.uuid == self._state().master.uuid:
                    await self._tools.renew_client()
                    self._distribute()
            self._issued[node.uuid] = certificate

    def _certificate_of(self, node: Node) -> str:
        """Return what identifies the newest certificate of a node; empty if it has none."""
        known = self._state().certificates.get(node.uuid)
        return known.fingerprints[-1] if known is not None and known.fingerprints else ""

    async def _promote(
        self, etcd: IEtcdMembers, member: Member, members: Sequence[Member], node: Node
    ) -> None:
        try:
            await etcd.promote(member.id)
        except StoreError as e:
            # It has not all data yet, which is as it should be, or it does not run.
            self._log.debug("{node} has no vote yet: {why}", node=node.name, why=str(e))
            report = await self._nodes.ask(node, DescribeStoreMember())
            if report.settings is None:
                await self._start(member, members, node)
            return
        self._log.info("the member of the state store on {node} has a vote", node=node.name)
        await self._use_new_endpoints(etcd)

    async def _use_new_endpoints(self, etcd: IEtcdMembers) -> None:
        settings = self._tools.settings()
        if settings is not None:
            await self._use_endpoints(settings, await etcd.members())

    async def _clean(self, address: str) -> None:
        """Remove the data of a member that was removed, if its node is there."""
        for node in self._state().nodes.values():
            if node.primary_ip == address and not node.offline:
                try:
                    await self._nodes.ask(node, RemoveStoreMember())
                except Failed as e:
                    self._log.warn(
                        "{node} may still run a member that was removed: {why}",
                        node=node.name,
                        why=str(e),
                    )
