# SPDX-License-Identifier: BSD-2-Clause
"""Reserved instances hold what they need, and become instances with it."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError, Invalid, Refused
from ganeti.model.disk import get_drbd_port
from ganeti.model.instance import AdminState, Instance
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.instance.create.reservation import complete_by_reservation
from ganeti.operations.node import evacuate
from ganeti.operations.operation import IAllocatorReply, NodeAnswers
from ganeti.testing.builders import a_cluster, a_group, a_network
from tests.operations.whole import WholeCluster

ORDER: dict[str, Any] = {
    "instance_name": "new1",
    "mode": "create",
    "disk_template": "drbd",
    "disks": [{"size": 64}],
    "nics": [{"network": "lan", "ip": "pool"}],
    "pnode": "node1",
    "snode": "node2",
    "os_type": None,
    "name_check": False,
    "ip_check": False,
}
COMMIT: dict[str, Any] = {
    "instance_name": "new1",
    "mode": "create",
    "disks": [],
    "nics": [],
    "commit": True,
    "no_install": True,
    "name_check": False,
    "ip_check": False,
}

EVACUATE = {"mode": "all", "iallocator": "mine"}


class ReservationsTests(SynchronousTestCase):
    def setUp(self) -> None:
        lan = a_network("lan")
        state = a_cluster(
            nodes=["node1", "node2", "node3"],
            groups=[a_group(networks={lan.uuid: {"mode": "bridged", "link": "br0"}})],
            networks=[lan],
            enabled_disk_templates=("plain", "drbd", "diskless"),
        )
        self.whole = WholeCluster(state)

    @property
    def state(self) -> ClusterState:
        return self.whole.state

    @property
    def new1(self) -> Instance:
        return self.state.instance("new1")

    def reserve(self, **over: Any) -> Any:
        order = {**ORDER, "forthcoming": True, **over}
        return self.whole.do("OP_INSTANCE_CREATE", **order)

    def commit(self, **over: Any) -> Any:
        return self.whole.do("OP_INSTANCE_CREATE", **{**COMMIT, **over})

    def refusal(self, working: Any) -> str:
        error = self.failureResultOf(working, Refused, Invalid, Failed).value
        assert isinstance(error, GanetiError)
        return str(error.arguments()[0])

    # --- to reserve

    def test_a_reservation_holds_addresses_minors_and_ports_and_is_on_no_node(self) -> None:
        self.assertEqual(self.successResultOf(self.reserve()), ["node1", "node2"])
        [disk] = self.state.get_disks(self.new1)
        [nic] = self.new1.nics
        self.assertTrue(self.new1.forthcoming and disk.forthcoming)
        self.assertEqual(self.new1.admin_state, AdminState.DOWN)
        self.assertIsNotNone(nic.ip)
        self.assertIn(nic.mac, self.state.macs)
        self.assertEqual((disk.logical_id[3:5], get_drbd_port(disk)), ((0, 0), 11001))
        self.assertNotIn(("node1", "blockdev_create"), self.whole.network.asked)
        self.assertEqual(verify(self.state), [])

    def test_nodes_are_chosen_for_it_with_its_memory(self) -> None:
        self.successResultOf(self.reserve(pnode=None, snode=None))
        asked = self.reserve(
            instance_name="new2", pnode=None, snode=None, beparams={"memory": 1 << 20}
        )
        self.assertIn("memory", self.refusal(asked))

    def test_what_exists_cannot_be_reserved(self) -> None:
        asked = self.reserve(disk_template="plain", disks=[{"adopt": "a"}], snode=None, commit=True)
        told = self.refusal(asked)
        self.assertIn("commit: and forthcoming exclude each other", told)
        self.assertIn("disks: cannot adopt volumes", told)

    # --- to create what was reserved

    def test_an_instance_gets_all_that_was_reserved(self) -> None:
        self.successResultOf(self.reserve(tags=["a"]))
        before, disks = self.new1, self.state.get_disks(self.new1)
        self.successResultOf(self.commit(tags=["b"], start=False))
        after = self.new1
        self.assertFalse(after.forthcoming)
        self.assertEqual((after.uuid, after.nics), (before.uuid, before.nics))
        self.assertEqual(after.tags, ("a", "b"))
        [was], [now] = disks, self.state.get_disks(after)
        self.assertEqual((now.uuid, now.logical_id), (was.uuid, was.logical_id))
        self.assertFalse(now.forthcoming or any(child.forthcoming for child in now.children))
        self.assertEqual(verify(self.state), [])
        self.successResultOf(self.whole.do("OP_INSTANCE_STARTUP", instance_name="new1"))

    def test_a_request_may_repeat_what_was_reserved(self) -> None:
        self.successResultOf(self.reserve(beparams={"memory": 64}))
        again = {**ORDER, "disks": [{"size": "64m", "mode": "rw"}], "beparams": {"maxmem": 64}}
        self.successResultOf(self.commit(**again, start=False))

    def test_disks_in_thin_pools_stay_there(self) -> None:
        sizes: list[Any] = [{"size": 64, "pool": "thin"}, {"size": 64, "pool": "none"}]
        plain: dict[str, Any] = {"disk_template": "plain", "snode": None}
        self.successResultOf(self.reserve(disks=sizes, **plain))
        opcode: Any = read_opcode({"OP_ID": "OP_INSTANCE_CREATE", **COMMIT})
        found = complete_by_reservation(opcode, self.state)
        self.assertEqual([each["pool"] for each in found.disks], ["thin", "none"])
        other = [{"size": 64, "pool": "other"}, {"size": 64, "pool": "thin"}]
        told = self.refusal(self.commit(disks=other))
        self.assertIn("disks[0]/pool: is other, but reserved was thin", told)
        self.assertIn("disks[1]/pool: is thin, but reserved was none", told)
        self.successResultOf(self.commit(disks=sizes, start=False))
        disks = self.state.get_disks(self.new1)
        self.assertEqual([each.params for each in disks], [{"pool": "thin"}, {}])

    def test_other_resources_are_refused_by_name(self) -> None:
        self.successResultOf(self.reserve())
        told = self.refusal(
            self.commit(
                disks=[{"size": 65}],
                nics=[{"ip": "192.0.2.77"}],
                pnode="node3",
                disk_template="plain",
                beparams={"memory": 65},
                hypervisor="kvm",
                iallocator="hail",
                file_driver="loop",
            )
        )
        for words in (
            "disks[0]/size: is 65, but reserved was 64; leave it out, or remove the reservation",
            "nics[0]/ip: is 192.0.2.77, but",
            "pnode: is node3, but reserved was node1",
            "disk_template: is plain, but reserved was drbd",
            "beparams/maxmem: is 65, but",
            "hypervisor: is kvm, but reserved was fake",
            "iallocator: is not used",
            "file_driver: belongs to the reservation",
        ):
            self.assertIn(words, told)
        self.assertTrue(self.new1.forthcoming)

    def test_parameters_that_take_no_resources_are_added(self) -> None:
        self.successResultOf(self.reserve(osparams={"a": "1"}))
        opcode: Any = read_opcode(
            {"OP_ID": "OP_INSTANCE_CREATE", **COMMIT, "osparams": {"b": "2"}, "os_type": "noop"}
        )
        found = complete_by_reservation(opcode, self.state)
        self.assertEqual((found.osparams, found.os_type), ({"a": "1", "b": "2"}, "noop"))

    def test_if_it_fails_the_reservation_stays(self) -> None:
        self.successResultOf(self.reserve())
        before, disks = self.new1, self.state.get_disks(self.new1)
        self.whole.network.lose_request("node2", call="blockdev_create")
        self.assertIn("node2", self.refusal(self.commit()))
        after = self.new1
        self.assertTrue(after.forthcoming)
        self.assertEqual((after.nics, after.disks), (before.nics, before.disks))
        self.assertEqual(
            [each.logical_id for each in self.state.get_disks(after)],
            [each.logical_id for each in disks],
        )
        self.assertIn(("node2", "blockdev_remove"), self.whole.network.asked)

    def test_only_reservations_can_be_created_this_way(self) -> None:
        told = self.refusal(self.commit())
        self.assertIn("instance new1 is not reserved; reserve it first", told)
        self.successResultOf(self.reserve())
        self.successResultOf(self.commit())
        self.assertIn("instance new1 exists already", self.refusal(self.commit()))

    # --- what else can be done

    def test_it_is_renamed_and_removed_with_all_that_it_holds(self) -> None:
        self.successResultOf(self.reserve())
        network = self.state.network("lan")
        renamed = self.whole.do(
            "OP_INSTANCE_RENAME",
            instance_name="new1",
            new_name="new2",
            name_check=False,
        )
        self.assertEqual(self.successResultOf(renamed), "new2")
        removed = self.whole.do("OP_INSTANCE_REMOVE", instance_name="new2")
        self.successResultOf(removed)
        self.assertEqual((list(self.state.instances), list(self.state.disks)), ([], []))
        self.assertNotEqual(self.state.network("lan").reservations, network.reservations)
        self.assertEqual(verify(self.state), [])

    def test_its_name_is_taken(self) -> None:
        self.successResultOf(self.reserve())
        self.assertIn("instance new1 already exists", self.refusal(self.reserve()))

    def test_nothing_can_be_done_with_a_guest_that_is_not_there(self) -> None:
        self.successResultOf(self.reserve())
        for op_id in ("OP_INSTANCE_STARTUP", "OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_MIGRATE"):
            told = self.refusal(self.whole.do(op_id, instance_name="new1"))
            self.assertIn("only reserved (forthcoming), and nothing of it exists yet", told)
            self.assertIn("gnt-instance add --commit new1", told)

    def test_the_cluster_with_it_verifies(self) -> None:
        self.successResultOf(self.reserve())
        found = self.whole.do("OP_CLUSTER_VERIFY_GROUP", group_name="default")
        self.successResultOf(found)
        self.assertNotIn("new1", self.whole.said.partition("Verifying")[2])

    def test_a_node_is_not_evacuated_without_a_word_about_it(self) -> None:
        self.successResultOf(self.reserve())
        told = self.refusal(
            self.whole.do("OP_NODE_EVACUATE", node_name="node1", mode="primary-only")
        )
        self.assertIn("new1 is only reserved", told)

    def test_an_iallocator_is_not_asked_to_evacuate_it(self) -> None:
        self.successResultOf(self.reserve())
        opcode: Any = read_opcode({"OP_ID": "OP_NODE_EVACUATE", "node_name": "node1", **EVACUATE})
        wanted = evacuate.request_allocation(opcode, self.state, NodeAnswers())
        assert wanted is not None
        self.assertEqual(wanted.request["instances"], [])
        text = json.dumps({"success": True, "info": "", "result": [[], [], []]})
        facts = NodeAnswers(advice=IAllocatorReply("mine", text))
        with self.assertRaisesRegex(Refused, "new1 is only reserved"):
            evacuate.plan(opcode, self.state, facts)
