# SPDX-License-Identifier: BSD-2-Clause
"""The members of etcd on the master candidates, which the master adds and removes one by one.

Each look takes one step of ``journal.etcd.membership``, decided by what etcd and the nodes answer
then. So nothing has to be remembered, and another master goes on where this one has ended.

The authority of the members is replaced in the same way, once the files of the master have a second
one: all members accept both, then each gets a certificate of the new one, as does the client of
the masters, and then the members and the masters accept the new one only. What a member accepts
changes with a restart, so that there is one at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
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
    may_restart,
    plan_step,
)
from ganeti.journal.etcd.store_settings import StateStore
from ganeti.journal.interfaces import StoreError
from ganeti.model.node import Node, NodeRole
from ganeti.pki.enrolment import certificates, fingerprint
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
        """Return the certificates of the authority of the members, the newest one first.

        There are two while it is replaced.
        """
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

    async def issuers(self) -> tuple[str, str]:
        """Return the fingerprint of the authority that issues certificates on this host.

        The second one is that of the authority which has issued the certificate of masters.

        :raises Failed: the files of the authority are unusable.
        """
        ...

    async def retire(self) -> None:
        """End the trust of masters in all authorities but the one that issues certificates.

        :raises Failed: the files of the authority are unusable.
        """
        ...

    def peer_url(self, address: str) -> str:
        """Return the peer URL of a member at an address."""
        ...


class StoreMembers:
    """Lets the members follow the master candidates.

    ``holds`` returns whether this master has the lease; ``distribute`` copies the settings and
    certificates to the other candidates soon, ``distribute_now`` copies them and returns whether
    all of those have them.
    """

    _log = Logger()

    def __init__(
        self,
        nodes: Nodes,
        state: Callable[[], ClusterState],
        tools: MemberTools,
        holds: Callable[[], bool],
        distribute: Callable[[], object],
        distribute_now: Callable[[], Awaitable[bool]],
    ) -> None:
        self._nodes = nodes
        self._state = state
        self._tools = tools
        self._holds = holds
        self._distribute = distribute
        self._distribute_now = distribute_now
        self._issued: dict[str, str] = {}
        """By node, what its certificate was when that of its member was last known to be newer."""
        self._trusts: dict[str, tuple[str, ...]] = {}
        """By node, the authorities that its member is known to accept."""

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
        trusted = self._list_trusted()
        if not isinstance(step, RemoveMember) and not await self._share_trust(
            trusted, members, candidates, healthy
        ):
            return
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
                if len(trusted) > 1:
                    await self._replace_authority(members, candidates)

    def _list_trusted(self) -> tuple[str, ...]:
        """Return the fingerprints of the authorities of the members, the newest one first."""
        authority = self._tools.authority().encode("ascii")
        return tuple(fingerprint(each.encode("ascii")) for each in certificates(authority))

    async def _share_trust(
        self,
        trusted: tuple[str, ...],
        members: Sequence[Member],
        candidates: Mapping[str, Node],
        healthy: set[str],
    ) -> bool:
        """Let the next member accept the authorities of the masters; return whether all do.

        Until then, no certificate is issued, as the newest authority would issue it. A member that
        was added and has never started is started with them.
        """
        for member in members:
            node = candidates.get(member.address)
            if not member.name or (node is not None and self._trusts.get(node.uuid) == trusted):
                continue
            if node is None:
                # It is removed when the others can do without it.
                return len(trusted) == 1
            known = (await self._nodes.ask(node, DescribeStoreMember())).settings
            if known is None:
                # It is replaced, or configured again.
                continue
            if (known.trusts or trusted[-1:]) != trusted:
                if may_restart(member, members, healthy):
                    await self._restart_with(trusted, known, node)
                return False
            self._trusts[node.uuid] = trusted
        return True

    async def _restart_with(
        self, trusted: tuple[str, ...], known: MemberSettings, node: Node
    ) -> None:
        several = len(trusted) > 1
        settings = replace(
            known, trusts=trusted if several else (), issuer=known.issuer if several else ""
        )
        authority = self._tools.authority()
        await self._nodes.ask(
            node, ConfigureStoreMember(settings=settings, authority=authority, certificate="")
        )
        self._log.info(
            "the member on {node} accepts {count}",
            node=node.name,
            count="the present and the new authority" if several else "the new authority only",
        )

    async def _replace_authority(
        self, members: Sequence[Member], candidates: Mapping[str, Node]
    ) -> None:
        """Replace the certificates of the older authority, and then end the trust in it."""
        if not await self._distribute_now():
            # They could become masters, and would reject the members' new certificates.
            self._log.warn(
                "the authority of the members of etcd is replaced when all master candidates have"
                " the files of the new one, or are marked offline"
            )
            return
        issuer, issuer_of_client = await self._tools.issuers()
        for member in members:
            node = candidates.get(member.address)
            if node is None:
                return
            known = (await self._nodes.ask(node, DescribeStoreMember())).settings
            if known is None:
                return
            if known.issuer != issuer:
                await self._issue(replace(known, issuer=issuer), node, member)
        if issuer_of_client != issuer:
            await self._tools.renew_client()
        if await self._distribute_now():
            await self._tools.retire()
            self._distribute()
            self._log.info("the new authority of the members of etcd is the only one from now on")

    async def _issue(self, settings: MemberSettings, node: Node, member: Member) -> None:
        """Replace the certificate of a member."""
        call = ConfigureStoreMember(
            settings=settings,
            authority=self._tools.authority(),
            certificate=await self._tools.issue(node.name, member.address),
        )
        await self._nodes.ask(node, call)
        self._log.info("renewed the certificate of the member on {node}", node=node.name)

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
        trusted = self._list_trusted()
        several = len(trusted) > 1
        issuer = (await self._tools.issuers())[0] if several else ""
        call = ConfigureStoreMember(
            settings=MemberSettings(
                name=node.name,
                address=member.address,
                id=f"{member.id:x}",
                peers=tuple(peers),
                issued_with=self._certificate_of(node),
                trusts=trusted if several else (),
                issuer=issuer,
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
                await self._issue(replace(known, issued_with=certificate), node, member)
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
