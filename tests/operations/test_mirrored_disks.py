# SPDX-License-Identifier: BSD-2-Clause
"""Mirrored disks come with an instance, break, are replaced, grow and go."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.errors import Code, Failed, GanetiError, Refused
from ganeti.operations.guest_conversion import fill_disk_parameters
from ganeti.testing.builders import a_cluster
from ganeti.testing.mirror import Key
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")
ORDER = {
    "instance_name": "web1",
    "mode": "create",
    "disk_template": "drbd",
    "disks": [{"size": 1024}, {"size": 2048}],
    "nics": [{}],
    "os_type": "noop",
    "pnode": "node1",
    "snode": "node2",
}


class MirroredDiskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = WholeCluster(a_cluster(nodes=NODES, highest_used_port=10999))
        self.copies = self.whole.copies

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(op_id, **{"instance_name": "web1", **fields}))

    def refusal(self, op_id: str, **fields: Any) -> Any:
        working = self.whole.do(op_id, **{"instance_name": "web1", **fields})
        error = self.failureResultOf(working, Refused, Failed).value
        assert isinstance(error, GanetiError)
        return error

    def create(self, **over: Any) -> None:
        self.do("OP_INSTANCE_CREATE", **{**ORDER, **over})

    def keys(self) -> list[Key]:
        return sorted(self.copies.all_copies())

    def fine(self) -> None:
        """Every copy is current and connected, and the configuration has nothing wrong."""
        for key, copy in self.copies.all_copies().items():
            self.assertTrue(copy.current and self.copies.connected(key), f"{key}: {copy}")
        self.assertEqual(verify(self.whole.state), [])

    def test_create_makes_both_copies_and_waits_until_they_are_the_same(self) -> None:
        self.create()
        first, second = self.whole.state.get_disks(self.whole.state.instance("web1"))
        self.assertEqual(first.logical_id[2:5], (11000, 0, 0))
        self.assertEqual(second.logical_id[2:5], (11001, 1, 1))
        self.assertIn("syncing disk/1", self.whole.said)
        self.assertEqual(self.whole.where("web1"), ["node1"])
        self.fine()

    def test_minors_are_counted_for_each_node(self) -> None:
        self.create()
        other = {"pnode": "node3", "snode": "node2", "disks": [{"size": 64}]}
        working = self.whole.do("OP_INSTANCE_CREATE", **{**ORDER, **other, "instance_name": "web2"})
        self.successResultOf(working)
        [disk] = self.whole.state.get_disks(self.whole.state.instance("web2"))
        self.assertEqual(disk.logical_id[2:5], (11002, 0, 2))

    def test_a_secondary_that_fails_leaves_nothing(self) -> None:
        self.whole.network.lose_answer("node2", 2, call="blockdev_create")
        self.refusal("OP_INSTANCE_CREATE", **ORDER)
        self.assertEqual((self.keys(), len(self.whole.state.instances)), ([], 0))

    def test_removal_takes_both_copies_and_gives_the_ports_back(self) -> None:
        self.create()
        self.do("OP_INSTANCE_REMOVE")
        self.assertEqual((self.keys(), len(self.whole.state.disks)), ([], 0))
        self.assertEqual(self.whole.state.cluster.tcpudp_port_pool, (11000, 11001))

    def test_the_broken_side_is_found_and_built_anew(self) -> None:
        for address, node in (("192.0.2.1", "node1"), ("192.0.2.2", "node2")):
            with self.subTest(broken=node):
                self.setUp()
                self.create()
                self.copies.break_device((address, 11001))
                self.do("OP_INSTANCE_REPLACE_DISKS", mode="replace_auto")
                self.assertIn(f"rebuilding disk/1 on {node}", self.whole.said)
                self.assertNotIn("building disk/0", self.whole.said)
                self.fine()

    def test_nothing_broken_is_nothing_to_do(self) -> None:
        self.create()
        self.do("OP_INSTANCE_REPLACE_DISKS", mode="replace_auto")
        self.assertIn("instance web1 has no faulty disks", self.whole.said)

    def test_a_side_is_not_replaced_whose_other_is_broken(self) -> None:
        self.create()
        self.copies.break_device(("192.0.2.2", 11000))
        error = self.refusal("OP_INSTANCE_REPLACE_DISKS", mode="replace_on_primary")
        self.assertIn("disk/0 is faulty", str(error))

    def test_both_sides_in_place(self) -> None:
        self.create()
        for mode in ("replace_on_primary", "replace_on_secondary"):
            self.do("OP_INSTANCE_REPLACE_DISKS", mode=mode, disks=[1])
        self.fine()

    def test_a_new_secondary_takes_the_copies_and_the_old_one_loses_them(self) -> None:
        self.create()
        new = {"mode": "replace_new_secondary", "remote_node": "node3"}
        self.do("OP_INSTANCE_REPLACE_DISKS", **new)
        addresses = [key[0] for key in self.keys()]
        self.assertEqual(addresses, ["192.0.2.1", "192.0.2.1", "192.0.2.3", "192.0.2.3"])
        self.assertEqual(self.whole.where("web1"), ["node1"])
        self.fine()

    def test_a_new_secondary_that_fails_gives_back_to_the_old_one(self) -> None:
        self.create()
        before = self.whole.state.get_disks(self.whole.state.instance("web1"))
        for call in ("blockdev_create", "blockdev_assemble"):
            for n in (1, 2):
                self.whole.network.lose_request("node3", n, call=call)
                new = {"mode": "replace_new_secondary", "remote_node": "node3"}
                self.refusal("OP_INSTANCE_REPLACE_DISKS", **new)
                self.whole.network.behave("node3")
                after = self.whole.state.get_disks(self.whole.state.instance("web1"))
                self.assertEqual(
                    [disk.logical_id for disk in before], [disk.logical_id for disk in after]
                )
                self.fine()

    def test_a_dead_secondary_is_left_behind(self) -> None:
        self.create()
        self.whole.network.vanish("node2")
        self.copies.cut_link("192.0.2.1", "192.0.2.2")
        new = {"mode": "replace_new_secondary", "iallocator": "hail"}
        offline = self.whole.do("OP_NODE_SET_PARAMS", node_name="node2", offline=True, force=True)
        self.successResultOf(offline)
        self.do("OP_INSTANCE_REPLACE_DISKS", **new)
        self.assertIn("on node node2: the node is offline", self.whole.said)
        state = self.whole.state
        self.assertEqual(
            [state.nodes[uuid].name for uuid in state.get_secondaries(state.instance("web1"))],
            ["node3"],
        )

    def test_disks_are_made_anew_where_they_were_or_elsewhere(self) -> None:
        self.create()
        error = self.refusal("OP_INSTANCE_RECREATE_DISKS")
        self.assertEqual(error.arguments()[1], Code.STATE)
        self.do("OP_INSTANCE_SHUTDOWN")
        self.copies.all_copies().clear()
        self.do("OP_INSTANCE_RECREATE_DISKS", disks=[0, [1, {"size": 512}]])
        self.assertEqual(len(self.keys()), 4)
        before = dict(self.copies.all_copies())
        for fields in ({}, {"disks": [1]}, {"nodes": ["node2", "node1"]}):
            error = self.refusal("OP_INSTANCE_RECREATE_DISKS", **fields)
            self.assertEqual(error.arguments()[1], Code.EXISTS)
            self.assertEqual(self.copies.all_copies(), before)
        self.copies.all_copies().clear()
        self.do("OP_INSTANCE_RECREATE_DISKS", nodes=["node3", "node1"])
        state = self.whole.state
        first, second = state.get_disks(state.instance("web1"))
        self.assertEqual((first.logical_id[3:5], second.size), ((0, 2), 512))
        self.assertEqual(state.nodes[state.instance("web1").primary_node].name, "node3")
        self.do("OP_INSTANCE_STARTUP")
        self.whole.clock.advance(1000)
        self.assertEqual(self.whole.where("web1"), ["node3"])
        self.fine()

    def test_new_disks_that_fail_leave_the_record_as_it_was(self) -> None:
        self.create()
        self.do("OP_INSTANCE_SHUTDOWN")
        before = self.whole.state.disks
        self.whole.network.lose_request("node3", call="blockdev_create")
        self.refusal("OP_INSTANCE_RECREATE_DISKS", nodes=["node3", "node1"])
        after = self.whole.state.disks
        self.assertEqual(
            {uuid: disk.logical_id for uuid, disk in before.items()},
            {uuid: disk.logical_id for uuid, disk in after.items()},
        )
        self.assertEqual(verify(self.whole.state), [])

    def verified(self) -> list[str]:
        self.whole.memory.progress.said.clear()
        self.successResultOf(
            self.whole.do("OP_CLUSTER_VERIFY_GROUP", group_name="default", error_codes=True)
        )
        return [line for line in self.whole.memory.progress.said if "EINSTANCE" in line]

    def test_verification_finds_what_is_broken(self) -> None:
        self.create()
        self.assertEqual(self.verified(), [])
        self.copies.break_device(("192.0.2.2", 11000))
        expected = [
            "EINSTANCEFAULTYDISK:instance:web1:disk/0 on node1 is degraded",
            "EINSTANCEFAULTYDISK:instance:web1:disk/0 on node2 is faulty",
        ]
        for line, words in zip(sorted(self.verified()), expected, strict=True):
            self.assertIn(words, line)
        del self.copies.all_copies()["192.0.2.2", 11001]
        self.assertIn("disk/1 on node2 is missing", "".join(self.verified()))

    def test_what_is_missing_and_what_is_to_be_activated_is_told(self) -> None:
        self.create()
        del self.copies.all_copies()["192.0.2.2", 11001]
        self.whole.network.vanish("node3")
        look = self.whole.do("OP_GROUP_VERIFY_DISKS", group_name="default")
        silent, passive, missing = self.successResultOf(look)
        self.assertEqual((silent, passive), ({}, []))
        self.assertEqual(missing, {"web1": [["node2", "disk/1"]]})

    def test_what_makes_no_sense_is_refused_as_input(self) -> None:
        self.create()
        for fields in (
            {"mode": "replace_new_secondary"},
            {"mode": "replace_on_primary", "remote_node": "node3"},
            {"mode": "replace_on_primary", "disks": [7]},
            {"mode": "replace_auto", "disks": [0]},
            {"mode": "replace_new_secondary", "remote_node": "node1"},
        ):
            with self.subTest(**fields):
                error = self.refusal("OP_INSTANCE_REPLACE_DISKS", **fields)
                self.assertEqual(error.arguments()[1], Code.INPUT)

    def test_a_disk_grows_on_both_nodes(self) -> None:
        self.create()
        self.do("OP_INSTANCE_GROW_DISK", disk=0, amount=100)
        self.do("OP_INSTANCE_GROW_DISK", disk=0, amount=1200, absolute=True)
        disk = self.whole.state.get_disks(self.whole.state.instance("web1"))[0]
        self.assertEqual((disk.size, disk.children[0].size), (1200, 1200))
        sizes = [copy.size for (_, port), copy in self.copies.all_copies().items() if port == 11000]
        self.assertEqual(sizes, [1200, 1200])

    def test_a_disk_that_has_grown_on_one_node_does_not_grow_twice(self) -> None:
        self.create()
        self.whole.network.lose_request("node1", call="blockdev_grow")
        self.refusal("OP_INSTANCE_GROW_DISK", disk=0, amount=100)
        self.do("OP_INSTANCE_GROW_DISK", disk=0, amount=100)
        sizes = [copy.size for (_, port), copy in self.copies.all_copies().items() if port == 11000]
        self.assertEqual(sizes, [1124, 1124])

    def test_disks_do_not_shrink(self) -> None:
        self.create()
        error = self.refusal("OP_INSTANCE_GROW_DISK", disk=0, amount=10, absolute=True)
        self.assertIn("cannot be shrunk", str(error))


class LayoutTests(SynchronousTestCase):
    """How the volumes of mirrored disks are made follows from their parameters."""

    def made(self, diskparams: dict[str, Any], **disk: Any) -> Any:
        whole = WholeCluster(a_cluster(nodes=["node1", "node2"], diskparams={"drbd": diskparams}))
        order = {
            "instance_name": "new1",
            "mode": "create",
            "disk_template": "drbd",
            "disks": [{"size": 64, **disk}],
            "nics": [],
            "no_install": True,
            "name_check": False,
            "ip_check": False,
        }
        self.successResultOf(whole.do("OP_INSTANCE_CREATE", **order))
        instance = whole.state.instance("new1")
        [made] = whole.state.get_disks(instance)
        return fill_disk_parameters(whole.state, instance, made)

    def test_the_metadata_are_where_the_disk_the_parameters_or_the_data_are(self) -> None:
        for disk, params, group in (
            ({"metavg": "vg9"}, {"metavg": "vg5"}, "vg9"),
            ({}, {"metavg": "vg5"}, "vg5"),
            ({"vg": "vg2"}, {}, "vg2"),
        ):
            _, meta = self.made(params, **disk).children
            self.assertEqual(meta.logical_id[0], group)

    def test_volumes_are_striped_as_the_parameters_of_the_disk_say(self) -> None:
        data, meta = self.made({"data-stripes": 3, "meta-stripes": 2}).children
        self.assertEqual([each.params["stripes"] for each in (data, meta)], [3, 2])
