# SPDX-License-Identifier: BSD-2-Clause
"""The master lets the members of etcd follow the master candidates."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.journal.etcd.interfaces import MemberHealth, StoreHealth, StoreUnavailable
from ganeti.journal.etcd.member_changes import Member
from ganeti.journal.etcd.store_settings import StateStore
from ganeti.master.store_members import StoreMembers
from ganeti.model.access import NodeCertificates
from ganeti.model.node import Node
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.call import Call
from ganeti.rpc.store_members import (
    ConfigureStoreMember,
    DescribeStoreMember,
    MemberSettings,
    RemoveStoreMember,
    StoreMemberReport,
)
from ganeti.testing.builders import a_cluster, a_node


def url(address: str) -> str:
    return f"https://{address}:2379"


FIRST = MemberSettings(name="node1", address="192.0.2.1", peers=())


def an_authority(name: str) -> str:
    """A certificate as far as its fingerprint goes."""
    content = base64.b64encode(name.encode()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n"


OLD, NEW = an_authority("old"), an_authority("new")


class FakeEtcd:
    """Members as etcd has them; a learner that runs has all data when it is asked again."""

    def __init__(self) -> None:
        self.list = [Member(1, "192.0.2.1", name="node1", endpoint=url("192.0.2.1"))]
        self.down: set[str] = set()
        self.ready = True

    async def members(self) -> Sequence[Member]:
        return list(self.list)

    async def health(self) -> StoreHealth:
        return StoreHealth(
            tuple(
                MemberHealth(each.endpoint, problem="down" if each.address in self.down else "")
                for each in self.list
                if each.endpoint
            )
        )

    async def add_learner(self, peer: str) -> Member:
        address = peer.partition("//")[2].rpartition(":")[0]
        added = Member(10 + len(self.list), address, learner=True)
        self.list.append(added)
        return added

    async def promote(self, member: int) -> None:
        if not self.ready:
            raise StoreUnavailable("can only promote a learner which is in sync")
        self.list = [replace(m, learner=False) if m.id == member else m for m in self.list]

    async def remove(self, member: int) -> None:
        self.list = [each for each in self.list if each.id != member]

    def use_endpoints(self, endpoints: Sequence[str]) -> None:
        """Do nothing: there are no connections."""

    def run(self, settings: MemberSettings) -> None:
        """Let a member start that was added."""
        self.list = [
            replace(m, name=settings.name, endpoint=url(m.address))
            if m.address == settings.address
            else m
            for m in self.list
        ]


class FakeNodes:
    """Nodes that run the members they are told to, unless they are silent."""

    def __init__(self, etcd: FakeEtcd) -> None:
        self._etcd = etcd
        self.members: dict[str, ConfigureStoreMember] = {}
        self.silent: set[str] = set()
        self.empty: set[str] = set()
        self.restarts: list[str] = []

    async def ask(self, node: Node, call: Call[Any]) -> Any:
        if node.name in self.silent:
            raise Failed(f"{node.name} does not answer")
        match call:
            case ConfigureStoreMember() as order:
                known = self.members.get(node.name)
                if known is not None and not order.certificate:
                    order = msgspec.structs.replace(order, certificate=known.certificate)
                if known is not None and known.authority != order.authority:
                    self.restarts.append(node.name)
                self.members[node.name] = order
                self._etcd.run(order.settings)
            case RemoveStoreMember():
                return self.members.pop(node.name, None) is not None
            case DescribeStoreMember():
                has = node.name not in self.empty
                known = self.members.get(node.name)
                first = FIRST if node.name == "node1" else None
                kept = known.settings if known is not None else first
                return StoreMemberReport(settings=kept, has_data=has, runs=has)
        return None

    async def ask_all(self, nodes: Sequence[Node], call: Call[Any]) -> Mapping[str, Any]:
        found = {}
        for node in nodes:
            try:
                found[node.uuid] = await self.ask(node, call)
            except Failed as e:
                found[node.uuid] = e
        return found


class FakeTools:
    def __init__(self, etcd: FakeEtcd) -> None:
        self._etcd = etcd
        self.client_renewals = 0
        self.trusted, self.issuer, self.client_issuer = [OLD], OLD, OLD
        self.kept: StateStore | None = StateStore(
            endpoints=(url("192.0.2.1"),), prefix="/ganeti/x/", own_members=True, founded=True
        )

    def settings(self) -> StateStore | None:
        return self.kept

    async def save(self, settings: StateStore) -> None:
        self.kept = settings

    def etcd(self) -> Any:
        return self._etcd

    def authority(self) -> str:
        return "".join(self.trusted)

    async def issue(self, name: str, address: str) -> str:
        return f"key of {name} at {address} by {self.issuer}"

    async def renew_client(self) -> None:
        self.client_renewals += 1
        self.client_issuer = self.issuer

    async def issuers(self) -> tuple[str, str]:
        return fingerprint(self.issuer.encode()), fingerprint(self.client_issuer.encode())

    async def retire(self) -> None:
        self.trusted = [self.issuer]

    def peer_url(self, address: str) -> str:
        return f"https://{address}:2380"


class MembersCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.etcd = FakeEtcd()
        self.nodes = FakeNodes(self.etcd)
        self.tools = FakeTools(self.etcd)
        self.holds = True
        self.copies = 0
        self.copied_to_all = True
        self.use("node1", "node2", "node3")
        self.members = self.new_master()

    def new_master(self) -> StoreMembers:
        """What a master begins with that knows nothing of an earlier one."""
        return StoreMembers(
            self.nodes,
            lambda: self.state,
            self.tools,
            lambda: self.holds,
            self.copied,
            self.copied_now,
        )

    def use(self, *nodes: Node | str) -> None:
        self.state = a_cluster(nodes=nodes)

    def copied(self) -> None:
        self.copies += 1

    async def copied_now(self) -> bool:
        return self.copied_to_all

    def look(self, times: int = 10) -> list[str]:
        """The nodes that have members after some looks, an asterisk after those without a vote."""
        for _ in range(times):
            self.successResultOf(self.members.take_step())
        return [f"{each.name}{'*' * each.learner}" for each in self.etcd.list]

    def endpoints(self) -> list[str]:
        assert self.tools.kept is not None
        return [each[len("https://") : -len(":2379")] for each in self.tools.kept.endpoints]

    def renew(self, name: str) -> None:
        """Give a node a new certificate."""
        node = self.state.node(name)
        known = self.state.certificates.get(node.uuid)
        before = known.fingerprints if known else ()
        fingerprints = (*before, f"{len(before)} of {name}")
        self.state = self.state.put(NodeCertificates(uuid=node.uuid, fingerprints=fingerprints))


class StoreMembersTests(MembersCase):
    def test_three_candidates_get_a_member_each(self) -> None:
        self.assertEqual(self.look(), ["node1", "node2", "node3"])
        self.assertEqual(self.endpoints(), ["192.0.2.1", "192.0.2.2", "192.0.2.3"])
        self.assertEqual(self.copies, 2)

    def test_a_new_member_knows_its_peers_and_has_a_certificate(self) -> None:
        self.look(1)
        call = self.nodes.members["node2"]
        self.assertEqual([each.name for each in call.settings.peers], ["node1", "node2"])
        self.assertEqual(call.certificate, f"key of node2 at 192.0.2.2 by {OLD}")
        self.assertEqual((call.authority, call.fresh, call.settings.founds), (OLD, True, False))

    def test_a_new_member_has_no_vote_before_it_has_all_data(self) -> None:
        self.etcd.ready = False
        self.assertEqual(self.look(), ["node1", "node2*"])
        self.assertEqual(self.endpoints(), ["192.0.2.1"])

    def test_a_new_master_goes_on_with_a_member_that_was_added_and_not_started(self) -> None:
        self.nodes.silent.add("node2")
        self.failureResultOf(self.members.take_step(), Failed)
        self.assertEqual([each.name for each in self.etcd.list], ["node1", ""])
        self.nodes.silent.clear()
        self.assertEqual(self.look(), ["node1", "node2", "node3"])

    def test_the_member_of_a_former_candidate_is_removed_with_its_data(self) -> None:
        self.look()
        self.use("node1", "node2", a_node("node3", master_candidate=False))
        self.assertEqual(self.look(), ["node1", "node2"])
        self.assertEqual(sorted(self.nodes.members), ["node2"])
        self.assertEqual(self.endpoints(), ["192.0.2.1", "192.0.2.2"])

    def test_a_member_that_is_down_stays_and_one_that_has_lost_its_data_does_not(self) -> None:
        self.look()
        old = self.etcd.list[2].id
        self.etcd.down.add("192.0.2.3")
        self.nodes.silent.add("node3")
        self.look()
        self.assertEqual(self.etcd.list[2].id, old)
        self.nodes.silent.clear()
        self.nodes.empty.add("node3")
        self.look(1)
        self.assertEqual(len(self.etcd.list), 2)

    def test_a_node_with_a_new_address_gives_up_its_member_at_the_old_one_first(self) -> None:
        self.look()
        self.use("node1", "node2", a_node("node3", primary_ip="192.0.2.33"))
        self.look(1)
        self.assertEqual([each.name for each in self.etcd.list], ["node1", "node2"])
        self.look()
        self.assertEqual(self.etcd.list[2].address, "192.0.2.33")

    def test_members_get_new_certificates_with_their_nodes(self) -> None:
        self.look()
        self.renew("node2")
        del self.nodes.members["node3"]
        self.look()
        call = self.nodes.members["node2"]
        self.assertEqual((call.settings.issued_with, call.fresh), ("0 of node2", False))
        self.assertEqual((list(self.nodes.members), self.tools.client_renewals), (["node2"], 0))

    def test_the_client_of_the_members_is_renewed_with_the_master(self) -> None:
        self.renew("node1")
        self.look()
        # That was the first one, of which it is not known when its member got a certificate.
        self.assertEqual(self.tools.client_renewals, 0)
        self.renew("node1")
        self.look()
        self.assertEqual(self.nodes.members["node1"].settings.issued_with, "1 of node1")
        self.assertEqual(self.tools.client_renewals, 1)

    def test_the_members_of_others_are_left_alone(self) -> None:
        assert self.tools.kept is not None
        for settings in (None, StateStore(endpoints=self.tools.kept.endpoints, prefix="/x/")):
            self.tools.kept = settings
            self.assertEqual(self.look(), ["node1"])

    def test_without_the_lease_nothing_is_changed(self) -> None:
        self.holds = False
        self.assertEqual(self.look(), ["node1"])


class AuthorityTests(MembersCase):
    """The authority of three members is replaced."""

    def setUp(self) -> None:
        super().setUp()
        self.renew("node1")  # so that its member is configured from the beginning
        self.look()
        self.tools.trusted, self.tools.issuer = [NEW, OLD], NEW

    def accepts_all(self) -> None:
        """See that the members accept each other and the masters, and the masters them."""
        calls = self.nodes.members.values()
        shown = [self.tools.client_issuer, *(NEW if NEW in c.certificate else OLD for c in calls)]
        for call in calls:
            self.assertEqual([each for each in shown if each not in call.authority], [])
        self.assertEqual([each for each in shown if each not in self.tools.trusted], [])

    def test_in_the_end_only_the_new_one_is_accepted_and_has_issued_everything(self) -> None:
        self.look(20)
        for call in self.nodes.members.values():
            self.assertIn(NEW, call.certificate)
            self.assertEqual((call.authority, call.settings.trusts), (NEW, ()))
        self.assertEqual((self.tools.trusted, self.tools.client_issuer), ([NEW], NEW))
        self.assertEqual(self.nodes.restarts, ["node1", "node2", "node3"] * 2)

    def test_at_every_moment_all_accept_each_other_whoever_is_the_master(self) -> None:
        for _ in range(20):
            self.look(1)
            self.accepts_all()
            self.members = self.new_master()
        self.assertEqual(self.tools.trusted, [NEW])

    def test_one_member_restarts_at_a_time(self) -> None:
        self.look(1)
        self.etcd.down.add("192.0.2.1")
        self.look()
        self.assertEqual(self.nodes.restarts, ["node1"])
        self.etcd.down.clear()
        self.look(1)
        self.assertEqual(self.nodes.restarts, ["node1", "node2"])

    def test_nothing_is_issued_before_every_member_accepts_the_new_one(self) -> None:
        self.nodes.silent.add("node3")
        self.look(2)
        self.failureResultOf(self.members.take_step(), Failed)
        self.renew("node2")
        self.failureResultOf(self.members.take_step(), Failed)
        self.assertIn(OLD, self.nodes.members["node2"].certificate)

    def test_nothing_is_issued_before_all_candidates_have_the_new_one(self) -> None:
        self.copied_to_all = False
        self.look(20)
        self.assertIn(OLD, self.nodes.members["node1"].certificate)
        self.assertEqual(self.tools.client_issuer, OLD)
        self.copied_to_all = True
        self.look(20)
        self.assertEqual(self.tools.trusted, [NEW])

    def test_a_member_that_has_lost_its_data_meanwhile_is_replaced_first(self) -> None:
        self.look(1)
        self.etcd.down.add("192.0.2.3")
        self.nodes.empty.add("node3")
        self.look(1)
        self.assertEqual([each.name for each in self.etcd.list], ["node1", "node2"])
        self.etcd.down.clear()
        self.nodes.empty.clear()
        self.look(20)
        self.assertEqual([each.name for each in self.etcd.list], ["node1", "node2", "node3"])
        self.assertEqual(self.nodes.members["node3"].settings.trusts, ())
        self.accepts_all()

    def test_a_replacement_that_has_no_key_ends_with_the_present_one(self) -> None:
        self.tools.issuer = OLD
        self.look(20)
        self.assertEqual(self.tools.trusted, [OLD])
        self.accepts_all()
