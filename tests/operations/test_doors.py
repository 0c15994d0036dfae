# SPDX-License-Identifier: BSD-2-Clause
"""A check holds for every way in: what a creation refuses, a change refuses, too."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.networks import taken
from ganeti.config.state import ClusterState
from ganeti.errors import GanetiError, Invalid, Refused
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import AdminState, Nic
from ganeti.model.network import Network
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_group,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)
from ganeti.testing.names import address_of
from ganeti.testing.processes import Script
from tests.operations.whole import WholeCluster

ORDER: Mapping[str, Any] = {
    "instance_name": "new1",
    "mode": "create",
    "disk_template": "plain",
    "disks": [{"size": 64}],
    "nics": [],
    "pnode": "node1",
    "no_install": True,
    "start": False,
    "name_check": False,
    "ip_check": False,
}


class DoorsTests(SynchronousTestCase):
    """web1 is a stopped instance with a disk and a card; new1 can be created."""

    def setUp(self) -> None:
        self.whole = WholeCluster(self.state())
        self.successResultOf(self.whole.make_disks("web1"))

    def state(self, **over: Any) -> ClusterState:
        disk = a_disk("disk1", Template.PLAIN)
        web1 = an_instance("web1", disks=[disk], admin_state=AdminState.DOWN)
        return a_cluster(instances=[web1], networks=[a_network("lan")], **over)

    def create(self, **over: Any) -> Any:
        return self.whole.do("OP_INSTANCE_CREATE", **{**ORDER, **over})

    def modify(self, **fields: Any) -> Any:
        return self.whole.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", **fields)

    def refusal(self, working: Any) -> str:
        error = self.failureResultOf(working, Refused, Invalid).value
        assert isinstance(error, GanetiError)
        return str(error.arguments()[0])

    def assertRefused(self, expected: str, *ways: Any) -> None:
        """Every one of these ways ends with these words, and nothing is left of it."""
        before = self.whole.state
        for number, working in enumerate(ways):
            self.assertIn(expected, self.refusal(working), f"way {number}")
        self.assertEqual(self.whole.state.instances, before.instances)
        self.assertEqual(self.whole.state.disks, before.disks)


class DeviceTests(DoorsTests):
    def test_unknown_properties_of_disks_are_named(self) -> None:
        for key in ("sise", "foo", "provider"):
            self.assertRefused(
                f"{key}: is not a parameter of plain disks; known are size, mode, name, spindles",
                self.create(disks=[{"size": 64, key: "x"}]),
                self.modify(disks=[["add", -1, {"size": 64, key: "x"}]]),
            )

    def test_a_volume_group_is_for_disks_that_are_in_one(self) -> None:
        disks = [{"size": 64, "vg": "vg1"}]
        created = self.create(disk_template="sharedfile", disks=disks)
        self.assertRefused("vg: is not a parameter of sharedfile disks", created)
        self.assertRefused(
            "metavg: is not a parameter", self.create(disks=[{"size": 1, "metavg": "a"}])
        )

    def test_names_of_devices_are_no_numbers(self) -> None:
        for name in ("0", "-1", "17"):
            self.assertRefused(
                f"{name} must not be a number",
                self.create(disks=[{"size": 64, "name": name}]),
                self.create(nics=[{"name": name}]),
                self.modify(disks=[["add", -1, {"size": 64, "name": name}]]),
                self.modify(disks=[["modify", 0, {"name": name}]]),
                self.modify(nics=[["add", -1, {"name": name}]]),
                self.modify(nics=[["modify", 0, {"name": name}]]),
            )

    def test_names_of_devices_are_no_uuids(self) -> None:
        name = uuid_of("disk", "x")
        self.assertRefused(
            f"{name} must not be a UUID",
            self.create(disks=[{"size": 64, "name": name}]),
            self.modify(nics=[["modify", 0, {"name": name}]]),
        )

    def test_no_two_devices_have_one_name(self) -> None:
        disk = {"size": 64, "name": "a"}
        self.assertRefused(
            "a is not unique",
            self.create(disks=[disk, disk]),
            self.create(nics=[{"name": "a"}, {"name": "a"}]),
            self.modify(disks=[["add", -1, disk], ["add", -1, disk]]),
            self.modify(disks=[["add", -1, disk], ["modify", 0, {"name": "a"}]]),
            self.modify(nics=[["add", -1, {"name": "a"}], ["modify", 0, {"name": "a"}]]),
        )

    def test_names_of_devices_are_text(self) -> None:
        self.assertRefused(
            "must be text",
            self.create(disks=[{"size": 64, "name": 5}]),
            self.modify(disks=[["modify", 0, {"name": 5}]]),
            self.modify(nics=[["add", -1, {"mac": 5}]]),
            self.modify(nics=[["add", -1, {"name": 5}]]),
        )

    def test_addresses_of_cards_are_of_one_card(self) -> None:
        for mac, words in (("nonsense", "not a MAC address"), ("01:00:00:00:00:01", "multicast")):
            card = {"mac": mac}
            self.assertRefused(
                words,
                self.create(nics=[card]),
                self.modify(nics=[["add", -1, card]]),
                self.modify(nics=[["modify", 0, card]]),
            )

    def test_the_vlans_of_a_card_have_one_form(self) -> None:
        connect = {"network_name": "lan", "group_name": "default", "network_mode": "openvswitch"}
        self.assertRefused(
            "must be like .10 (untagged)",
            self.create(nics=[{"vlan": "x"}]),
            self.modify(nics=[["add", -1, {"vlan": "x"}]]),
            self.whole.do("OP_CLUSTER_SET_PARAMS", nicparams={"vlan": "x"}),
            self.whole.do("OP_NETWORK_CONNECT", **connect, network_link="br0", network_vlan="x"),
        )

    def test_a_device_is_removed_by_its_name(self) -> None:
        self.successResultOf(self.modify(disks=[["add", -1, {"size": 64, "name": "data"}]]))
        self.successResultOf(self.modify(disks=[["remove", "data", {}]]))
        self.assertEqual(len(self.whole.state.instance("web1").disks), 1)


class ParameterTests(DoorsTests):
    def state(self, **over: Any) -> ClusterState:
        disk = a_disk("disk1", Template.PLAIN)
        web1 = an_instance("web1", disks=[disk], admin_state=AdminState.DOWN, hypervisor="kvm")
        kvm = {"kvm": {"kernel_path": ""}}
        return a_cluster(instances=[web1], hvparams=kvm, **over)

    def test_isolation_that_is_not_there_is_refused(self) -> None:
        for name, value in (("use_chroot", True),):
            hvparams = {name: value}
            self.assertRefused(
                f"{name}: is not supported by this version",
                self.create(hypervisor="kvm", hvparams=hvparams),
                self.modify(hvparams=hvparams),
                self.whole.do("OP_INSTANCE_STARTUP", instance_name="web1", hvparams=hvparams),
                self.whole.do("OP_CLUSTER_SET_PARAMS", hvparams={"kvm": hvparams}),
                self.whole.do("OP_CLUSTER_SET_PARAMS", os_hvp={"noop": {"kvm": hvparams}}),
            )

    def test_a_guest_gets_no_user_of_a_pool_that_is_empty(self) -> None:
        hvparams = {"security_model": "pool"}
        self.assertRefused(
            "pool needs user IDs for guests, and the cluster has none",
            self.create(hypervisor="kvm", hvparams=hvparams),
            self.modify(hvparams=hvparams),
            self.whole.do("OP_CLUSTER_SET_PARAMS", hvparams={"kvm": hvparams}),
            self.whole.do("OP_CLUSTER_SET_PARAMS", os_hvp={"noop": {"kvm": hvparams}}),
        )

    def test_isolation_of_a_cluster_that_was_taken_over_is_not_lost(self) -> None:
        kvm = {"kvm": {"kernel_path": "", "use_chroot": True}}
        self.whole = WholeCluster(a_cluster(hvparams=kvm))
        self.assertRefused("use_chroot: is not supported", self.create(hypervisor="kvm"))

    def test_values_that_are_in_effect_can_be_set(self) -> None:
        off = {"security_model": "none", "use_chroot": "no", "user_shutdown": "default"}
        self.successResultOf(self.whole.do("OP_CLUSTER_SET_PARAMS", hvparams={"kvm": off}))

    def test_parameters_of_hypervisors_go_together(self) -> None:
        hvparams = {"boot_order": "cdrom"}
        self.assertRefused(
            "hvparams/cdrom_image_path: is required with boot_order=cdrom",
            self.create(hypervisor="kvm", hvparams=hvparams),
            self.modify(hvparams=hvparams),
            self.whole.do("OP_INSTANCE_STARTUP", instance_name="web1", hvparams=hvparams),
        )

    def test_the_least_memory_is_not_more_than_the_most(self) -> None:
        beparams = {"minmem": 512, "maxmem": 256}
        self.assertRefused(
            "beparams/minmem: 512 is more than maxmem (256)",
            self.create(beparams=beparams),
            self.modify(beparams=beparams),
            self.whole.do("OP_INSTANCE_STARTUP", instance_name="web1", beparams=beparams),
            self.whole.do("OP_CLUSTER_SET_PARAMS", beparams=beparams),
        )
        # Half of it is what the cluster says.
        self.assertRefused("more than maxmem", self.create(beparams={"minmem": 512}))

    def test_a_bridged_card_has_a_bridge(self) -> None:
        card = {"mode": "bridged", "link": ""}
        self.assertRefused(
            "link: is required with mode bridged",
            self.create(nics=[card]),
            self.modify(nics=[["add", -1, card]]),
            self.modify(nics=[["modify", 0, card]]),
        )


class OSTests(DoorsTests):
    """noop is an OS definition with one parameter, size; its script verify can refuse values."""

    def setUp(self) -> None:
        super().setUp()
        self.host = self.whole.hosts["node1"]
        self.host.list_os_parameters("noop", "size")
        self.install: dict[str, Any] = {"no_install": False, "os_type": "noop"}

    def script(self, name: str) -> str:
        return f"{self.host.paths.os_search_path[0]}/noop/{name}"

    def ways(self, **fields: Any) -> list[Any]:
        """Every way to give an instance OS parameters."""
        return [
            self.create(**self.install, **fields),
            self.modify(**fields),
            self.whole.do("OP_INSTANCE_REINSTALL", instance_name="web1", **fields),
        ]

    def test_unknown_parameters_are_named_with_the_known_ones(self) -> None:
        expected = "osparams/nosuch: OS definition noop has no such parameter; known are: size"
        self.assertRefused(expected, *self.ways(osparams={"nosuch": "1"}))
        self.assertRefused(expected, *self.ways(osparams_private={"nosuch": "1"}))
        secret = {"osparams_secret": {"nosuch": "1"}}
        self.assertRefused(
            expected,
            self.create(**self.install, **secret),
            self.whole.do("OP_INSTANCE_REINSTALL", instance_name="web1", **secret),
        )

    def test_a_dry_run_says_so_too(self) -> None:
        order = {**ORDER, **self.install, "osparams": {"nosuch": "1"}, "dry_run": True}
        self.assertRefused("no such parameter", self.whole.do("OP_INSTANCE_CREATE", **order))

    def test_the_script_verify_has_the_last_word(self) -> None:
        self.host.processes.programs[self.script("verify")] = Script(code=1, out=b"too small\n")
        self.assertRefused("too small", *self.ways(osparams={"size": "1"}))
        made = [ran.argv[0] for ran in self.host.processes.ran]
        self.assertEqual(set(made), {self.script("verify")})

    def test_the_script_verify_sees_every_parameter(self) -> None:
        seen = {"osparams_secret": {"size": "5"}}
        self.successResultOf(self.create(**self.install, **seen))
        verify = [ran for ran in self.host.processes.ran if ran.argv[0] == self.script("verify")]
        self.assertEqual([ran.env["OSP_SIZE"] for ran in verify], ["5"])

    def test_a_blacklisted_os_is_not_used(self) -> None:
        self.whole = WholeCluster(self.state(blacklisted_os=("noop",)))
        self.assertRefused(
            "OS noop is blacklisted",
            self.create(**self.install),
            self.modify(os_name="noop"),
            self.whole.do("OP_INSTANCE_REINSTALL", instance_name="web1"),
        )

    def test_parameters_of_the_cluster_are_checked_too(self) -> None:
        self.whole = WholeCluster(self.state(osparams={"noop": {"nosuch": "1"}}))
        self.assertRefused("osparams/nosuch", self.create(**self.install))


class AddressTests(DoorsTests):
    """The network lan, 198.51.100.0/24, is connected to the group of node1."""

    def state(self, **over: Any) -> ClusterState:
        lan = a_network("lan", network="198.51.100.0/24")
        group = a_group("default", networks={lan.uuid: {"mode": "bridged", "link": "br1"}})
        web1 = an_instance("web1", nics=(a_nic("a", ip="192.0.2.1"),), admin_state=AdminState.DOWN)
        web2 = an_instance(
            "web2", nics=(a_nic("b", ip="198.51.100.9"),), admin_state=AdminState.DOWN
        )
        return a_cluster(instances=[web1, web2], networks=[lan], groups=[group], **over)

    def test_an_address_of_a_network_is_for_cards_in_it(self) -> None:
        card = {"ip": "198.51.100.7"}
        self.assertRefused(
            "address 198.51.100.7 belongs to network lan",
            self.create(nics=[card]),
            self.modify(nics=[["add", -1, card]]),
            self.modify(nics=[["modify", 0, card]]),
        )

    def test_who_knows_better_turns_the_check_off(self) -> None:
        card = {"ip": "198.51.100.7"}
        self.successResultOf(self.create(nics=[card], conflicts_check=False))
        changed = self.modify(nics=[["modify", 0, card]], conflicts_check=False)
        self.successResultOf(changed)

    def test_other_addresses_and_those_of_before_stay(self) -> None:
        self.successResultOf(self.create(nics=[{"ip": "203.0.113.1"}]))
        link = [["modify", 0, {"link": "br9"}]]
        modified = self.whole.do("OP_INSTANCE_SET_PARAMS", instance_name="web2", nics=link)
        self.successResultOf(modified)


class UnsupportedTests(DoorsTests):
    """What nothing here does is refused by its name, with what to do instead."""

    def test_parameters_of_opcodes(self) -> None:
        instance = {"instance_name": "web1"}
        for op_id, fields, name in (
            ("OP_INSTANCE_CREATE", ORDER, "instance_communication"),
            ("OP_INSTANCE_CREATE", ORDER, "helper_startup_timeout"),
            ("OP_INSTANCE_SET_PARAMS", instance, "instance_communication"),
            ("OP_CLUSTER_VERIFY", {}, "debug_simulate_errors"),
            ("OP_CLUSTER_VERIFY", {}, "verify_clutter"),
            ("OP_TEST_DELAY", {"duration": 0}, "interruptible"),
            ("OP_NODE_ADD", {"node_name": "n", "primary_ip": "192.0.2.9"}, "node_setup"),
        ):
            asked = self.whole.do(op_id, **{**fields, name: True if "out" not in name else 60})
            self.assertRefused(f"{name}: is not supported by this version: ", asked)

    def test_states_of_nodes_groups_and_the_cluster(self) -> None:
        for op_id, fields in (
            ("OP_NODE_SET_PARAMS", {"node_name": "node1"}),
            ("OP_GROUP_SET_PARAMS", {"group_name": "default"}),
            ("OP_GROUP_ADD", {"group_name": "new"}),
            ("OP_CLUSTER_SET_PARAMS", {}),
        ):
            asked = self.whole.do(op_id, **fields, hv_state={"kvm": {"mem_node": 1}})
            self.assertRefused("hv_state: is not supported by this version: ", asked)

    def test_a_node_and_a_group_that_it_is_not_in(self) -> None:
        self.whole = WholeCluster(self.state(groups=["default", "east"]))
        asked = self.create(group_name="east")
        self.assertRefused("node node1 is not in node group east", asked)
        self.successResultOf(self.create(group_name="default"))

    def test_a_source_of_an_instance_that_has_none(self) -> None:
        for name, value in (("src_node", "node1"), ("src_path", "web1"), ("compress", "gzip")):
            self.assertRefused(f"{name}: is not valid for mode", self.create(**{name: value}))

    def test_what_stays_of_a_node_that_is_taken_in_again(self) -> None:
        add = {"node_name": "node1", "readd": True, "group": "east", "vm_capable": False}
        told = self.whole.do("OP_NODE_ADD", **add)
        self.assertRefused("group: cannot be changed by readd", told)

    def test_what_is_off_asks_for_nothing(self) -> None:
        off = {
            "forthcoming": False,
            "commit": False,
            "instance_communication": False,
            "helper_startup_timeout": None,
        }
        self.successResultOf(self.create(**off))


class GroupTests(DoorsTests):
    """db1 is mirrored on two nodes of the group default, web1 in the network lan of that group.

    node4 is in a group without that network, whose instances have one processor only.
    """

    def state(self, **over: Any) -> ClusterState:
        lan = a_network("lan", reservations="00011000")
        connected = a_group("default", networks={lan.uuid: {"mode": "bridged", "link": "br0"}})
        bounds = {"min": LEAST, "max": {**MOST, "cpu-count": 1}}
        small = a_group("small", ipolicy={"minmax": [bounds], "std": LEAST})
        mirrored = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        stopped: dict[str, Any] = {"admin_state": AdminState.DOWN}
        db1 = an_instance("db1", disks=[mirrored], nics=(_in(lan, 4),), **stopped)
        web1 = an_instance("web1", disks=[_plain("disk2")], nics=(_in(lan, 3),), **stopped)
        big1 = an_instance("big1", disks=[_plain("disk3")], beparams={"vcpus": 2}, **stopped)
        return a_cluster(
            nodes=["node1", "node2", a_node("node3", group="small"), "node4"],
            groups=[connected, small],
            instances=[db1, web1, big1],
            networks=[lan],
            **over,
        )

    def setUp(self) -> None:
        super().setUp()
        for name in ("db1", "big1"):
            self.successResultOf(self.whole.make_disks(name))

    def do(self, op_id: str, name: str, **fields: Any) -> Any:
        return self.whole.do(op_id, instance_name=name, **fields)

    def test_the_networks_of_an_instance_are_connected_where_it_goes(self) -> None:
        new = {"mode": "replace_new_secondary", "remote_node": "node3"}
        self.assertRefused(
            "network lan is not connected to node group small",
            self.create(pnode="node3", nics=[{"network": "lan", "ip": "pool"}]),
            self.do("OP_INSTANCE_MOVE", "web1", target_node="node3"),
            self.do("OP_INSTANCE_RECREATE_DISKS", "web1", nodes=["node3"]),
            self.do("OP_INSTANCE_REPLACE_DISKS", "db1", **new),
        )

    def test_the_policy_of_a_group_holds_for_those_that_come_to_it(self) -> None:
        self.assertRefused(
            "violates the instance policy: 2 virtual processors is outside the range 1 to 1",
            self.create(pnode="node3", beparams={"vcpus": 2}),
            self.do("OP_INSTANCE_MOVE", "big1", target_node="node3"),
            self.do("OP_INSTANCE_RECREATE_DISKS", "big1", nodes=["node3"]),
        )

    def test_disks_are_as_large_as_the_policy_says_and_no_larger(self) -> None:
        size = MOST["disk-size"] + 1
        self.assertRefused(
            f"{size} MiB of disk is outside the range 1 to {size - 1}",
            self.create(disks=[{"size": size}]),
            self.modify(disks=[["add", -1, {"size": size}]]),
            self.do("OP_INSTANCE_GROW_DISK", "web1", disk=0, amount=size, absolute=True),
            self.do("OP_INSTANCE_RECREATE_DISKS", "web1", disks=[[0, {"size": size}]]),
        )


LEAST: Mapping[str, int] = {
    "memory-size": 1,
    "cpu-count": 1,
    "disk-count": 0,
    "disk-size": 1,
    "nic-count": 0,
    "spindle-use": 0,
}
MOST: Mapping[str, int] = {
    "memory-size": 32768,
    "cpu-count": 8,
    "disk-count": 16,
    "disk-size": 1048576,
    "nic-count": 8,
    "spindle-use": 12,
}


def _plain(name: str) -> Disk:
    return a_disk(name, Template.PLAIN)


def _in(network: Network, number: int) -> Nic:
    return a_nic(f"nic{number}", network=network.uuid, ip=f"203.0.113.{number}")


class SpaceTests(DoorsTests):
    def test_new_disks_fit_on_their_node(self) -> None:
        group = {"vg_name": "vg0", "vg_size": "100", "vg_free": "32", "vg_attr": "wz--n-"}
        report = json.dumps({"report": [{"vg": [group]}]})
        self.whole.hosts["node1"].processes.programs["vgs"] = Script(out=report.encode())
        self.assertRefused(
            "node node1 has 32 MiB of free disk space, but ",
            self.modify(disks=[["add", -1, {"size": 64}]]),
            self.whole.do("OP_INSTANCE_GROW_DISK", instance_name="web1", disk=0, amount=64),
            self.whole.do("OP_INSTANCE_RECREATE_DISKS", instance_name="web1"),
        )


class NameTests(DoorsTests):
    def test_a_name_is_of_one_thing(self) -> None:
        cluster = self.whole.state.cluster.cluster_name
        for name, owner in (("node1", "a node"), (cluster, "the cluster")):
            new = {"new_name": name, "name_check": False, "ip_check": False}
            order = {"OP_ID": "OP_INSTANCE_CREATE", **ORDER, "instance_name": name}
            self.assertRefused(
                f"{name} is the name of {owner}; choose another name",
                self.create(instance_name=name),
                self.whole.do("OP_INSTANCE_MULTI_ALLOC", instances=[order]),
                self.whole.do("OP_INSTANCE_RENAME", instance_name="web1", **new),
            )
        self.assertRefused(
            "web1 is the name of an instance; choose another name",
            self.whole.do("OP_CLUSTER_RENAME", name="web1"),
            self.whole.do("OP_NODE_ADD", node_name="web1", primary_ip="192.0.2.99"),
        )

    def test_an_object_has_as_many_tags_as_it_can_carry(self) -> None:
        tags = [f"t{number}" for number in range(4097)]
        self.assertRefused(
            "an object can have at most 4096 tags",
            self.create(tags=tags),
            self.whole.do("OP_TAGS_SET", kind="instance", name="web1", tags=tags),
        )


class HostAddressTests(DoorsTests):
    def state(self, **over: Any) -> ClusterState:
        around = str(ipaddress.IPv4Network(f"{address_of('c2')}/29", strict=False))
        networks = [a_network("lan"), a_network("other", network=around)]
        return a_cluster(nodes=["node1", "node2"], networks=networks, **over)

    def setUp(self) -> None:
        self.whole = WholeCluster(self.state())

    def kept(self, network: str, address: str) -> bool:
        """Whether no instance can get an address of the network any more."""
        return taken(self.whole.state.network(network), address)

    def test_no_instance_gets_the_address_of_a_host(self) -> None:
        modify = {"node_name": "node2", "secondary_ip": "203.0.113.5"}
        for network, address, op_id, fields in (
            ("lan", "203.0.113.5", "OP_NODE_SET_PARAMS", modify),
            ("other", address_of("c2"), "OP_CLUSTER_RENAME", {"name": "c2"}),
        ):
            self.assertFalse(self.kept(network, address))
            self.successResultOf(self.whole.do(op_id, **fields))
            self.assertTrue(self.kept(network, address))

    def test_a_gateway_is_in_its_network(self) -> None:
        gateway = {"gateway6": "2001:db8:1::1"}
        add = {"network_name": "lan2", "network": "198.51.100.0/29"}
        for network6 in ({}, {"network6": "2001:db8::/64"}):
            self.assertRefused(
                "2001:db8:1::1 is not in the IPv6 network",
                self.whole.do("OP_NETWORK_ADD", **add, **network6, **gateway),
                self.whole.do("OP_NETWORK_SET_PARAMS", network_name="lan", **network6, **gateway),
            )


class NodeTests(DoorsTests):
    def state(self, **over: Any) -> ClusterState:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        web1 = an_instance("web1", disks=[disk], admin_state=AdminState.DOWN)
        return a_cluster(nodes=["node1", "node2"], instances=[web1], **over)

    def test_a_node_with_instances_goes_on_taking_them(self) -> None:
        for node in ("node1", "node2"):
            self.assertRefused(
                f"node {node} still has instances: web1; move them away first",
                self.whole.do("OP_NODE_SET_PARAMS", node_name=node, vm_capable=False),
            )

    def test_an_address_is_of_one_node(self) -> None:
        self.assertRefused(
            "address 192.0.2.2 is in use by node node2",
            self.whole.do("OP_NODE_SET_PARAMS", node_name="node1", secondary_ip="192.0.2.2"),
            self.whole.do("OP_NODE_ADD", node_name="node5", primary_ip="192.0.2.2"),
            self.whole.do(
                "OP_NODE_ADD",
                node_name="node5",
                primary_ip="192.0.2.5",
                secondary_ip="192.0.2.2",
            ),
        )
