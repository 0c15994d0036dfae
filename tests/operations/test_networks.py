# SPDX-License-Identifier: BSD-2-Clause
"""Networks: they come and go, are connected to groups, and give addresses to instances."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.errors import Code, GanetiError, Invalid, Refused
from ganeti.model.network import Network
from ganeti.testing.builders import a_cluster
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
