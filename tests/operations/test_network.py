# SPDX-License-Identifier: BSD-2-Clause
"""Networks: they come and go, are connected to groups, and give addresses to instances."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.networks import reserve_addresses
from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState
from ganeti.errors import Code, GanetiError, Invalid, Refused
from ganeti.locking.names import group_lock, network_lock, request
from ganeti.model.group import Group
from ganeti.model.network import Network
from ganeti.model.node import Node
from ganeti.opcodes.choices import NicMode
from ganeti.opcodes.network import (
    AddNetwork,
    ConnectNetwork,
    DisconnectNetwork,
    ModifyNetwork,
    RemoveNetwork,
    RenameNetwork,
)
from ganeti.operations.group import GroupEdit
from ganeti.operations.network import (
    plan_add,
    plan_connect,
    plan_disconnect,
    plan_modify,
    plan_remove,
    plan_rename,
)
from ganeti.operations.operation import HookCall, NodeAnswers
from ganeti.schema.records import replace
from ganeti.testing.builders import (
    a_cluster,
    a_group,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)
from tests.operations.whole import WholeCluster

ORDER: dict[str, Any] = {
    "mode": "create",
    "disk_template": "diskless",
    "disks": [],
    "os_type": "noop",
}


def _named(op_id: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"network_name": "net1", **fields} if op_id.startswith("OP_NETWORK") else fields


class NetworkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = WholeCluster(a_cluster(nodes=["node1"]))
        self.do("OP_NETWORK_ADD", network="203.0.113.0/29", gateway="203.0.113.1")

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(op_id, **_named(op_id, fields)))

    def refusal(self, op_id: str, **fields: Any) -> Any:
        working = self.whole.do(op_id, **_named(op_id, fields))
        error = self.failureResultOf(working, Refused, Invalid).value
        assert isinstance(error, GanetiError)
        return error.arguments()[1]

    def connect(self) -> None:
        how = {"network_mode": "bridged", "network_link": "br7", "network_vlan": ""}
        self.do("OP_NETWORK_CONNECT", group_name="default", **how)

    def create(self, name: str, **nic: Any) -> Any:
        order = {**ORDER, "instance_name": name, "nics": [{"network": "net1", **nic}]}
        return self.whole.do("OP_INSTANCE_CREATE", **order)

    @property
    def network(self) -> Network:
        return self.whole.state.network("net1")

    def test_a_new_network_keeps_its_ends_and_its_gateway(self) -> None:
        self.assertEqual(self.network.ext_reservations, "11000001")
        self.assertEqual(self.network.reservations, "00000000")

    def test_reserved_addresses_come_and_go(self) -> None:
        self.do("OP_NETWORK_SET_PARAMS", add_reserved_ips=["203.0.113.5"], gateway="203.0.113.2")
        self.assertEqual(self.network.ext_reservations, "10100101")
        self.do("OP_NETWORK_SET_PARAMS", remove_reserved_ips=["203.0.113.5"])
        self.assertEqual(self.network.ext_reservations, "10100001")
        again = {"remove_reserved_ips": ["203.0.113.5"]}
        self.assertEqual(self.refusal("OP_NETWORK_SET_PARAMS", **again), Code.INPUT)
        outside = {"add_reserved_ips": ["192.0.2.1"]}
        self.assertEqual(self.refusal("OP_NETWORK_SET_PARAMS", **outside), Code.INPUT)

    def test_instances_get_free_addresses_and_give_them_back(self) -> None:
        self.connect()
        self.successResultOf(self.create("web1", ip="pool"))
        self.successResultOf(self.create("web2", ip="203.0.113.3"))
        [nic] = self.whole.state.instance("web1").nics
        self.assertEqual((nic.ip, nic.network), ("203.0.113.2", self.network.uuid))
        self.assertEqual(nic.nicparams, {"mode": "bridged", "link": "br7", "vlan": ""})
        self.assertEqual(self.network.reservations, "00110000")
        self.assertEqual(verify(self.whole.state), [])
        self.do("OP_INSTANCE_REMOVE", instance_name="web1")
        self.assertEqual(self.network.reservations, "00010000")

    def test_cards_change_their_addresses(self) -> None:
        self.connect()
        self.successResultOf(self.create("web1", ip="pool"))
        for change in ([0, {"ip": "203.0.113.6"}], [0, {"name": "front"}]):
            self.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", nics=[["modify", *change]])
            self.assertEqual(self.network.reservations, "00000010")
        self.do(
            "OP_INSTANCE_SET_PARAMS",
            instance_name="web1",
            nics=[["remove", 0, {}]],
            force=True,
            ignore_ipolicy=True,
        )
        self.assertEqual(self.network.reservations, "00000000")

    def test_addresses_that_cannot_be_had_have_their_class(self) -> None:
        self.connect()
        self.successResultOf(self.create("web1", ip="pool"))
        for ip, code in (
            ("203.0.113.1", Code.NOT_UNIQUE),
            ("203.0.113.2", Code.NOT_UNIQUE),
            ("192.0.2.1", Code.INPUT),
        ):
            with self.subTest(ip=ip):
                failure = self.failureResultOf(self.create("web9", ip=ip), Refused)
                self.assertEqual(failure.value.code, code)
        for number in range(3, 7):
            self.successResultOf(self.create(f"web{number}", ip="pool"))
        failure = self.failureResultOf(self.create("web9", ip="pool"), Refused)
        self.assertEqual(failure.value.code, Code.RESOURCES)
        self.assertFalse(any(i.name == "web9" for i in self.whole.state.instances.values()))

    def test_a_network_gets_another_name_and_stays_connected(self) -> None:
        self.connect()
        self.successResultOf(self.create("web1", ip="pool"))
        before = self.network.uuid
        self.assertEqual(self.do("OP_NETWORK_RENAME", new_name="lan"), "lan")
        self.assertEqual(self.whole.state.network("lan").uuid, before)
        self.do("OP_NETWORK_ADD", network_name="other", network="192.0.2.0/29")
        taken = {"network_name": "other", "new_name": "lan"}
        self.assertEqual(self.refusal("OP_NETWORK_RENAME", **taken), Code.EXISTS)

    def test_a_network_that_is_used_stays(self) -> None:
        failure = self.failureResultOf(self.create("web1", ip="pool"), Refused)
        self.assertIn("gnt-network connect net1", str(failure.value))
        self.connect()
        self.successResultOf(self.create("web1", ip="pool"))
        group = {"group_name": "default"}
        self.assertEqual(self.refusal("OP_NETWORK_REMOVE"), Code.STATE)
        self.assertEqual(self.refusal("OP_NETWORK_DISCONNECT", **group), Code.STATE)
        self.do("OP_INSTANCE_REMOVE", instance_name="web1")
        self.do("OP_NETWORK_DISCONNECT", **group)
        self.do("OP_NETWORK_REMOVE")
        self.assertEqual(len(self.whole.state.networks), 0)

    def test_what_makes_no_network_is_refused(self) -> None:
        for fields, code in (
            ({"network": "203.0.113.0/29"}, Code.EXISTS),
            ({"network_name": "n", "network": "203.0.113.0/31"}, Code.INPUT),
            ({"network_name": "n", "network": "10.0.0.0/8"}, Code.INPUT),
            ({"network_name": "n", "network": "203.0.113.0/29", "mac_prefix": "x"}, Code.INPUT),
            ({"network_name": "n", "network": "10.0.0.0/24", "gateway": "10.1.0.1"}, Code.INPUT),
        ):
            with self.subTest(**fields):
                self.assertEqual(self.refusal("OP_NETWORK_ADD", **fields), code)


FACTS = NodeAnswers(identity="new-uuid")
NET1, DEFAULT, OTHER = uuid_of("network", "net1"), uuid_of("group", "default"), "other"
BRIDGED = {"mode": "bridged", "link": "br7", "vlan": ""}


def add(**fields: Any) -> AddNetwork:
    return AddNetwork(**{"network_name": "lan", "network": "198.51.100.0/29", **fields})


def modify(**fields: Any) -> ModifyNetwork:
    return ModifyNetwork(network_name="net1", **fields)


def connect(**fields: Any) -> ConnectNetwork:
    how = {"network_mode": NicMode.BRIDGED, "network_link": "br7"}
    return ConnectNetwork(group_name="default", network_name="net1", **{**how, **fields})


def connected(**over: Any) -> ClusterState:
    """Return node1 of a group with the network net1, and node2 of a group without networks."""
    groups = [a_group(networks={NET1: BRIDGED}), a_group(OTHER)]
    nodes: list[Node | str] = ["node1", a_node("node2", group=OTHER)]
    return a_cluster(nodes=nodes, groups=groups, networks=["net1"], **over)


def hooks_of(plan: GroupEdit) -> HookCall:
    assert plan.hooks is not None
    return plan.hooks


class AddPlanTests(SynchronousTestCase):
    state = a_cluster(nodes=[a_node("node1", primary_ip="198.51.100.4")])

    def added(self, state: ClusterState | None = None, **fields: Any) -> Network:
        state = state or self.state
        return plan_add(add(**fields), state, FACTS).change(state).network("lan")

    def test_the_first_and_the_last_address_are_reserved(self) -> None:
        network = self.added(conflicts_check=False)
        self.assertEqual((network.network, network.uuid), ("198.51.100.0/29", "new-uuid"))
        self.assertEqual((network.reservations, network.ext_reservations), ("0" * 8, "10000001"))

    def test_addresses_of_the_cluster_and_its_nodes_are_reserved_unless_not_checked(self) -> None:
        state = a_cluster(
            nodes=[a_node("node1", primary_ip="198.51.100.4", secondary_ip="198.51.100.5")],
            master_ip="198.51.100.2",
        )
        self.assertEqual(self.added(state).ext_reservations, "10101101")
        unchecked = self.added(state, conflicts_check=False, add_reserved_ips=("198.51.100.1",))
        self.assertEqual(unchecked.ext_reservations, "11000001")

    def test_a_reserved_address_must_be_in_the_network(self) -> None:
        words = r"address 192.0.2.9 is not in network lan \(198.51.100.0/29\)"
        with self.assertRaisesRegex(Refused, words):
            plan_add(add(add_reserved_ips=("192.0.2.9",)), self.state, FACTS)

    def test_the_prefix_length_has_limits(self) -> None:
        for length in (16, 30):
            found = self.added(network=f"10.0.0.0/{length}")
            self.assertEqual(len(found.ext_reservations or ""), 1 << (32 - length))
        for length in (15, 31):
            words = f"a prefix length of {length}; it must be from 16 to 30"
            with self.assertRaisesRegex(Refused, words):
                plan_add(add(network=f"10.0.0.0/{length}"), self.state, FACTS)

    def test_a_mac_prefix_is_of_unicast_addresses_and_is_kept_in_lower_case(self) -> None:
        self.assertEqual(self.added(mac_prefix="AA:00:1F").mac_prefix, "aa:00:1f")
        for wrong in ("ab:00:00", "aa:00", "aa:00:00:00", "aa-00-00", "aa:00:0g"):
            with self.assertRaisesRegex(Refused, "with an even first byte"):
                plan_add(add(mac_prefix=wrong), self.state, FACTS)

    def test_a_name_fits_into_lists_and_addresses(self) -> None:
        rename = RenameNetwork(network_name="net1", new_name="a/b")
        with self.assertRaisesRegex(Invalid, "network_name: must be printable, without slashes"):
            plan_add(add(network_name="a/b"), self.state, FACTS)
        with self.assertRaisesRegex(Invalid, "new_name: must be printable, without slashes"):
            plan_rename(rename, connected(), FACTS)

    def test_a_name_in_use_is_refused(self) -> None:
        state = a_cluster(networks=["lan"])
        with self.assertRaisesRegex(Refused, "network lan already exists") as caught:
            plan_add(add(), state, FACTS)
        self.assertEqual(caught.exception.code, Code.EXISTS)

    def test_an_ipv6_gateway_needs_an_ipv6_network(self) -> None:
        network = self.added(network6="2001:db8::/64", gateway6="2001:db8::1")
        self.assertEqual(network.gateway6, "2001:db8::1")
        with self.assertRaisesRegex(Refused, r"is not in the IPv6 network \(none\)"):
            plan_add(add(gateway6="2001:db8::1"), self.state, FACTS)

    def test_the_name_and_the_network_are_locked_and_hooks_run_on_the_master(self) -> None:
        plan = plan_add(add(gateway="198.51.100.1", tags=("b", "a")), self.state, FACTS)
        locks = request(exclusive=[network_lock("lan"), network_lock("new-uuid")])
        self.assertEqual(plan.locks, locks)
        variables = {
            "NETWORK_NAME": "lan",
            "NETWORK_UUID": "new-uuid",
            "NETWORK_TAGS": "a b",
            "NETWORK_SUBNET": "198.51.100.0/29",
            "NETWORK_GATEWAY": "198.51.100.1",
        }
        here = [uuid_of("node", "node1")]
        self.assertEqual(plan.hooks, HookCall("network-add", "NETWORK", variables, here, here))


class ModifyPlanTests(SynchronousTestCase):
    def refusal(self, words: str, state: ClusterState, **fields: Any) -> None:
        with self.assertRaisesRegex(Refused, words):
            plan_modify(modify(**fields), state, FACTS)

    def test_nothing_to_change_is_refused(self) -> None:
        self.refusal("no changes requested", connected())
        self.refusal("no changes requested", connected(), add_reserved_ips=())

    def test_an_address_of_an_instance_is_not_reserved(self) -> None:
        nic = a_nic(network=NET1, ip="203.0.113.3")
        state = connected(instances=[an_instance(nics=(nic,))])
        state = state.put(a_network(reservations="00010000"))
        words = "address 203.0.113.3 is in use by an instance"
        self.refusal(words, state, add_reserved_ips=("203.0.113.3",))
        self.refusal(words, state, gateway="203.0.113.3")

    def test_an_address_that_is_not_reserved_is_not_released(self) -> None:
        words = "address 203.0.113.2, 203.0.113.3 is not reserved in network net1"
        free = ("203.0.113.2", "203.0.113.1", "203.0.113.3")
        self.refusal(words, connected(), remove_reserved_ips=free)

    def test_addresses_that_no_instance_can_have_stay_reserved(self) -> None:
        for address in ("203.0.113.0", "203.0.113.7", "203.0.113.1"):
            state = connected().put(a_network(ext_reservations="11000001"))
            words = f"address {address} stays reserved in network net1"
            self.refusal(words, state, remove_reserved_ips=(address,))
        # The former gateway can be released.
        state = connected().put(a_network(ext_reservations="11100001"))
        op = ModifyNetwork(
            network_name="net1", gateway="203.0.113.2", remove_reserved_ips=("203.0.113.1",)
        )
        plan_modify(op, state, FACTS)

    def test_addresses_of_nodes_stay_reserved(self) -> None:
        node = replace(connected().node("node1"), primary_ip="203.0.113.4")
        state = connected().put(node).put(a_network(ext_reservations="10001001"))
        words = "203.0.113.4 stays reserved in network net1: it is that of node node1"
        self.refusal(words, state, remove_reserved_ips=("203.0.113.4",))

    def test_a_pool_never_gives_out_the_address_of_a_node(self) -> None:
        # As in a network that was created without a check for conflicts.
        network = a_network(ext_reservations="11000001")
        node = replace(connected().node("node1"), primary_ip="203.0.113.2")
        state = connected().put(node).put(network)
        [card], _ = reserve_addresses(state, [a_nic(network=network.uuid, ip="pool")])
        self.assertEqual(card.ip, "203.0.113.3")

    def test_addresses_outside_the_network_are_refused_in_the_plan(self) -> None:
        words = r"address 192.0.2.1 is not in network net1 \(203.0.113.0/29\)"
        for name in ("add_reserved_ips", "remove_reserved_ips"):
            self.refusal(words, connected(), **{name: ("192.0.2.1",)})
        self.refusal(words, connected(), gateway="192.0.2.1")

    def test_a_new_gateway_is_reserved_and_the_old_one_released(self) -> None:
        state = connected()
        new = plan_modify(modify(gateway="203.0.113.6"), state, FACTS).change(state).network("net1")
        self.assertEqual((new.gateway, new.ext_reservations), ("203.0.113.6", "10000011"))
        same = plan_modify(modify(gateway="203.0.113.1"), state, FACTS).change(state)
        self.assertEqual(same.network("net1").ext_reservations, "11000001")

    def test_reservations_made_since_the_plan_are_kept(self) -> None:
        state = connected()
        plan = plan_modify(modify(add_reserved_ips=("203.0.113.5",)), state, FACTS)
        since = state.put(a_network(ext_reservations="11001001", reservations="00100000"))
        found = plan.change(since).network("net1")
        self.assertEqual((found.ext_reservations, found.reservations), ("11001101", "00100000"))

    def test_an_ipv6_network_stays_around_its_gateway(self) -> None:
        six = {"network6": "2001:db8::/64", "gateway6": "2001:db8::1"}
        state = connected().put(a_network(**six))
        words = r"gateway 2001:db8::1 is not in the IPv6 network \(2001:db8:1::/64\)"
        self.refusal(words, state, network6="2001:db8:1::/64")
        both = {"network6": "2001:db8:1::/64", "gateway6": "2001:db8:1::1"}
        found = plan_modify(modify(**both), state, FACTS).change(state).network("net1")
        self.assertEqual((found.network6, found.gateway6), tuple(both.values()))

    def test_hooks_get_the_new_values(self) -> None:
        plan = plan_modify(modify(mac_prefix="AA:00:01"), connected(), FACTS)
        self.assertEqual(hooks_of(plan).environment["NETWORK_MAC_PREFIX"], "aa:00:01")
        self.assertEqual(plan.locks, request(exclusive=[network_lock(NET1)]))


class RemoveAndRenamePlanTests(SynchronousTestCase):
    def test_all_groups_of_a_connected_network_are_named(self) -> None:
        state = connected().put(a_group(OTHER, networks={NET1: BRIDGED}))
        words = "net1 is connected to default, other; disconnect it first: gnt-network disconnect"
        with self.assertRaisesRegex(Refused, words):
            plan_remove(RemoveNetwork(network_name="net1"), state, FACTS)

    def test_a_network_that_is_not_connected_is_removed(self) -> None:
        state = a_cluster(networks=["net1", "net2"])
        plan = plan_remove(RemoveNetwork(network_name="net1"), state, FACTS)
        self.assertEqual([each.name for each in plan.change(state).networks.values()], ["net2"])
        self.assertEqual(hooks_of(plan).directory, "network-remove")

    def test_a_rename_locks_both_names_and_hooks_get_both(self) -> None:
        op = RenameNetwork(network_name="net1", new_name="lan")
        plan = plan_rename(op, connected(), FACTS)
        self.assertEqual(plan.locks, request(exclusive=[network_lock(NET1), network_lock("lan")]))
        variables = hooks_of(plan).environment
        self.assertEqual((variables["OLD_NAME"], variables["NEW_NAME"]), ("net1", "lan"))
        self.assertEqual(plan.result, "lan")

    def test_a_network_may_be_renamed_to_its_own_name_only_if_that_is_in_use(self) -> None:
        state = a_cluster(networks=["net1", "net2"])
        plan_rename(RenameNetwork(network_name="net1", new_name="net1"), state, FACTS)
        with self.assertRaisesRegex(Refused, "network net2 already exists"):
            plan_rename(RenameNetwork(network_name="net1", new_name="net2"), state, FACTS)


class ConnectionPlanTests(SynchronousTestCase):
    def group(self, plan: GroupEdit, state: ClusterState) -> Group:
        return plan.change(state).group("default")

    def test_a_connection_is_recorded_in_the_group(self) -> None:
        state = a_cluster(networks=["net1"])
        plan = plan_connect(connect(), state, FACTS)
        self.assertEqual(self.group(plan, state).networks, {NET1: BRIDGED})
        locks = request(exclusive=[group_lock(DEFAULT)], shared=[network_lock(NET1)])
        self.assertEqual(plan.locks, locks)
        with self.assertRaisesRegex(Refused, "already connected to group default") as caught:
            plan_connect(connect(), plan.change(state), FACTS)
        self.assertEqual(caught.exception.code, Code.EXISTS)

    def test_hooks_of_a_connection_run_on_the_nodes_of_the_group(self) -> None:
        state = a_cluster(
            nodes=["node1", "node2", a_node("node3", group=OTHER)],
            groups=["default", OTHER],
            networks=["net1"],
        )
        call = hooks_of(plan_connect(connect(), state, FACTS))
        members = {uuid_of("node", name) for name in ("node1", "node2")}
        self.assertEqual((set(call.before), set(call.after)), (members, members))
        how = {key: call.environment[f"GROUP_NETWORK_{key}"] for key in ("MODE", "LINK", "VLAN")}
        self.assertEqual(how, {"MODE": "bridged", "LINK": "br7", "VLAN": ""})

    def test_instances_of_the_group_with_addresses_of_the_network_are_in_the_way(self) -> None:
        def an_outsider(name: str, node: str, ip: str) -> Any:
            return an_instance(name, node=node, nics=(a_nic(f"{name}/0", ip=ip),))

        web = [an_outsider(f"web{n}", "node1", f"203.0.113.{n}") for n in (3, 2)]
        away = [
            an_outsider("far", "node2", "203.0.113.4"),
            an_outsider("own", "node1", "192.0.2.9"),
        ]
        state = a_cluster(
            nodes=["node1", a_node("node2", group=OTHER)],
            groups=["default", OTHER],
            networks=["net1"],
            instances=[*web, *away],
        )
        with self.assertRaisesRegex(Refused, "do not use the network: web2, web3; change them"):
            plan_connect(connect(), state, FACTS)
        plan = plan_connect(connect(conflicts_check=False), state, FACTS)
        self.assertIn(NET1, self.group(plan, state).networks)

    def test_a_connection_has_valid_parameters_of_network_cards(self) -> None:
        state = a_cluster(networks=["net1"])
        with self.assertRaisesRegex(Invalid, "network/vlan: must be like .10"):
            plan_connect(connect(network_vlan="x"), state, FACTS)

    def test_only_a_connection_can_be_removed(self) -> None:
        op = DisconnectNetwork(group_name=OTHER, network_name="net1")
        with self.assertRaisesRegex(Refused, "net1 is not connected to group other"):
            plan_disconnect(op, connected(), FACTS)

    def test_a_connection_that_instances_of_the_group_use_is_kept(self) -> None:
        state = connected(
            instances=[
                an_instance(name, node=node, nics=(a_nic(f"{name}/0", network=NET1),))
                for name, node in (("web2", "node1"), ("web1", "node1"), ("far", "node2"))
            ]
        )
        op = DisconnectNetwork(group_name="default", network_name="net1")
        with self.assertRaisesRegex(Refused, "is in use by instances: web1, web2; move"):
            plan_disconnect(op, state, FACTS)

    def test_other_connections_of_the_group_are_kept(self) -> None:
        net2 = uuid_of("network", "net2")
        group = a_group(networks={NET1: BRIDGED, net2: BRIDGED})
        state = a_cluster(groups=[group], networks=["net1", "net2"])
        op = DisconnectNetwork(group_name="default", network_name="net1")
        plan = plan_disconnect(op, state, FACTS)
        self.assertEqual(self.group(plan, state).networks, {net2: BRIDGED})
        self.assertEqual(hooks_of(plan).environment["GROUP_NETWORK_LINK"], "br7")
