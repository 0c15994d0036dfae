# SPDX-License-Identifier: BSD-2-Clause
"""New names and addresses are such that nothing breaks that they are written into."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import RecordKind
from ganeti.errors import Code, Invalid, Refused
from ganeti.model.instance import AdminState
from ganeti.operations.name_rules import (
    check_address,
    check_label,
    require_node_addresses,
    require_own_name,
)
from ganeti.testing.builders import a_cluster, a_node, an_instance
from tests.operations.whole import WholeCluster

DISKLESS = {
    "mode": "create",
    "disk_template": "diskless",
    "disks": [],
    "nics": [],
    "no_install": True,
}
NETWORK = {"network": "192.0.2.0/24"}


class RuleTests(SynchronousTestCase):
    def test_a_label_may_have_spaces_inside_and_any_printable_characters(self) -> None:
        for name in ("a", "rack 1", "été", "a.b_c-d", "#1"):
            check_label(name, "group_name")
        for name in ("a/b", "a ", "\ta", "a\u2028b", "a\x7f", "\u00a0a"):
            with self.assertRaisesRegex(Invalid, "^group_name: must be printable"):
                check_label(name, "group_name")

    def test_a_host_name_is_of_one_object_of_any_kind(self) -> None:
        state = a_cluster(nodes=["node1"], instances=["web1"])
        owners = {
            RecordKind.CLUSTER: ("cluster.example.com", "the cluster"),
            RecordKind.NODE: ("node1", "a node"),
            RecordKind.INSTANCE: ("web1", "an instance"),
        }
        for owner, (name, words) in owners.items():
            require_own_name(owner, name, state)
            for kind in owners.keys() - {owner}:
                told = f"{name} is the name of {words}; choose another name for the {kind.value}"
                with self.assertRaisesRegex(Refused, told) as caught:
                    require_own_name(kind, name, state)
                self.assertEqual(caught.exception.code, Code.NOT_UNIQUE)

    def test_a_name_of_no_object_is_free_for_each_kind(self) -> None:
        for kind in (RecordKind.CLUSTER, RecordKind.NODE, RecordKind.INSTANCE):
            require_own_name(kind, "new.example.com", a_cluster(instances=["web1"]))

    def test_an_address_is_of_one_node_as_primary_or_secondary(self) -> None:
        known = a_node("node1", primary_ip="192.0.2.1", secondary_ip="198.51.100.1")
        state = a_cluster(nodes=[known, "node2"])
        for field in ("primary_ip", "secondary_ip"):
            for address in (known.primary_ip, known.secondary_ip):
                words = f"address {address} is in use by node node1"
                with self.assertRaisesRegex(Refused, words):
                    require_node_addresses(a_node("node2", **{field: address}), state)

    def test_a_node_may_keep_and_exchange_its_own_addresses(self) -> None:
        state = a_cluster(nodes=[a_node("node1", secondary_ip="198.51.100.1")])
        swapped = a_node("node1", primary_ip="198.51.100.1", secondary_ip="192.0.2.1")
        require_node_addresses(swapped, state)

    def test_addresses_of_both_versions_and_none_are_accepted(self) -> None:
        for address in (None, "192.0.2.1", "2001:db8::1"):
            check_address(address, "ip")
        for wrong in ("", "192.0.2.256", "192.0.2.1/24", "192.0.2.1 "):
            with self.assertRaisesRegex(Invalid, "^ip: .* is not an IP address such as 192.0.2.1"):
                check_address(wrong, "ip")


class NamingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = WholeCluster(a_cluster(nodes=["node1"], instances=[an_instance("web1")]))

    def refusal(self, op_id: str, **fields: Any) -> str:
        return str(self.failureResultOf(self.whole.do(op_id, **fields), Invalid).value)

    def test_names_of_groups_and_networks_fit_into_lists_and_addresses(self) -> None:
        control = "must be one line of text without control characters"
        shape = "must be printable, without slashes and without leading or trailing spaces"
        for name, rule in (("a\nb", control), ("\x1b[2J", control), ("a/b", shape), (" a", shape)):
            self.assertEqual(
                [
                    self.refusal("OP_GROUP_ADD", group_name=name),
                    self.refusal("OP_GROUP_RENAME", group_name="default", new_name=name),
                    self.refusal("OP_NETWORK_ADD", network_name=name, **NETWORK),
                ],
                [f"{path}: {rule}" for path in ("group_name", "new_name", "network_name")],
            )

    def test_addresses_of_nodes_are_addresses(self) -> None:
        for each in ("x", "127.0.0", "node1"):
            self.assertEqual(
                self.refusal("OP_NODE_SET_PARAMS", node_name="node1", secondary_ip=each),
                f"secondary_ip: {each} is not an IP address such as 192.0.2.1",
            )

    def test_tags_to_begin_with_are_tags(self) -> None:
        network = self.refusal("OP_NETWORK_ADD", network_name="n", tags=["a b"], **NETWORK)
        created = self.refusal("OP_INSTANCE_CREATE", instance_name="i", tags=["a b"], **DISKLESS)
        for told in (network, created):
            self.assertIn("tags[0]: 'a b' is not a valid tag", told)


class HostNameTests(SynchronousTestCase):
    """Instances, nodes and the cluster have host names, which are kept in one form."""

    def setUp(self) -> None:
        instance = an_instance("web1.example.com", admin_state=AdminState.DOWN)
        self.whole = WholeCluster(a_cluster(nodes=["node1"], instances=[instance]))

    def create(self, name: str) -> Any:
        order = {**DISKLESS, "start": False, "name_check": False, "ip_check": False}
        return self.whole.do("OP_INSTANCE_CREATE", instance_name=name, **order)

    def rename(self, name: str, new_name: str) -> Any:
        checks = {"name_check": False, "ip_check": False}
        fields = {"instance_name": name, "new_name": new_name, **checks}
        return self.whole.do("OP_INSTANCE_RENAME", **fields)

    def names(self) -> list[str]:
        return sorted(each.name for each in self.whole.state.instances.values())

    def test_a_new_instance_has_the_form_that_is_kept(self) -> None:
        self.successResultOf(self.create("Web2.Example.COM."))
        self.assertEqual(self.names(), ["web1.example.com", "web2.example.com"])

    def test_no_two_instances_have_names_of_one_host(self) -> None:
        for name in ("Web1.Example.COM", "web1.example.com."):
            error = self.failureResultOf(self.create(name), Refused).value
            self.assertEqual(error.arguments()[1], Code.EXISTS)

    def test_a_renamed_instance_has_the_form_that_is_kept(self) -> None:
        self.successResultOf(self.rename("web1", "Web3.Example.COM."))
        self.assertEqual(self.names(), ["web3.example.com"])

    def test_an_instance_is_found_however_its_name_is_written(self) -> None:
        for name in ("WEB1.example.com", "web1.example.com.", "Web1", "Web1.Example"):
            self.assertEqual(self.whole.state.instance(name).name, "web1.example.com")

    def test_parts_of_names_are_not_empty(self) -> None:
        for name in ("a..b", ".a", "a.."):
            for asked in (self.create(name), self.rename("web1", name)):
                told = str(self.failureResultOf(asked, Invalid).value)
                self.assertIn("in parts with a dot between them", told, name)

    def test_the_cluster_is_not_named_like_a_node(self) -> None:
        renamed = self.whole.do("OP_CLUSTER_RENAME", name="Node1")
        told = str(self.failureResultOf(renamed, Refused).value)
        self.assertIn("node1 is the name of a node", told)

    def test_a_node_is_not_named_like_the_cluster(self) -> None:
        add = {"node_name": "cluster.example.com", "primary_ip": "192.0.2.9"}
        told = str(self.failureResultOf(self.whole.do("OP_NODE_ADD", **add), Refused).value)
        self.assertIn("cluster.example.com is the name of the cluster", told)

    def test_a_node_has_the_name_that_its_certificate_says(self) -> None:
        add = {"node_name": "Node2", "primary_ip": "192.0.2.9"}
        told = str(self.failureResultOf(self.whole.do("OP_NODE_ADD", **add), Invalid).value)
        self.assertIn("in lower case", told)
