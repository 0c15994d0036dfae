# SPDX-License-Identifier: BSD-2-Clause
"""A copy of an instance has its data and settings, and a name and addresses of its own."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.snapshots import put_snapshot
from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError, Invalid, Refused
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.model.instance_snapshots import DiskSnapshot, Snapshot, SnapshotState
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.instance.create.clone import OPERATION
from ganeti.operations.perform import collect_inputs
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_group,
    a_network,
    a_nic,
    an_instance,
    uuid_of,
)
from tests.operations.whole import WholeCluster

NEW: dict[str, Any] = {"new_name": "web2", "name_check": False, "ip_check": False}
NODES = ("node1", "node2", "node3")


class ClonesTests(SynchronousTestCase):
    """web1 is a stopped instance with two disks, and a card with an address of the network lan."""

    template = Template.PLAIN
    disks = 2

    def setUp(self) -> None:
        self.use(AdminState.DOWN)

    def use(self, wanted: AdminState, **over: Any) -> None:
        lan = a_network("lan", reservations="00010000")
        nic = a_nic("web1/0", network=lan.uuid, ip="203.0.113.3", nicparams={})
        where: Any = {"nodes": NODES[:2]} if self.template is Template.DRBD else {}
        disks = [
            a_disk(f"web1/{n}", self.template, size=64 * (n + 1), **where)
            for n in range(self.disks)
        ]
        fields: dict[str, Any] = {
            "admin_state": AdminState.DOWN,
            "nics": (nic,),
            "tags": ("web",),
            "beparams": {"vcpus": 2},
            **over,
        }
        state = a_cluster(
            nodes=NODES,
            groups=[a_group(networks={lan.uuid: {"mode": "bridged", "link": "br0"}})],
            networks=[lan],
            instances=[an_instance("web1", disks=disks, **fields)],
            enabled_disk_templates=("plain", "drbd", "diskless"),
        )
        self.whole = WholeCluster(state)
        self.successResultOf(self.whole.make_disks("web1"))
        if wanted is AdminState.UP:
            self.successResultOf(self.whole.start("web1"))

    @property
    def state(self) -> ClusterState:
        return self.whole.state

    def clone(self, **over: Any) -> Any:
        fields = {"instance_name": "web1", **NEW, **over}
        return self.whole.do("OP_INSTANCE_CLONE", **fields)

    def refusal(self, working: Any) -> str:
        error = self.failureResultOf(working, Refused, Invalid, Failed).value
        assert isinstance(error, GanetiError)
        return str(error.arguments()[0])

    def take_snapshot(self, state: SnapshotState = SnapshotState.READY) -> None:
        web1 = self.state.instance("web1")
        sizes = [DiskSnapshot(uuid=disk, size=32) for disk in web1.disks]
        made = Snapshot(name="base", uuid="s1", ctime=1.0, disks=tuple(sizes), state=state)
        self.successResultOf(self.whole.tools.config.change(put_snapshot(web1, made)))
        volumes = self.whole.volumes["node1"].held
        for name, held in list(volumes.items()):
            volumes[f"{name}.{made.stored_name}"] = held

    def contents(self, name: str, node: str) -> list[bytes]:
        """The data that were written to the disks of an instance."""
        there = self.whole.hosts[node].disk.contents()
        disks = self.state.get_disks(self.state.instance(name))
        return [there[f"/memory/{'/'.join(disk.logical_id)}"] for disk in disks]


class CloneTests(ClonesTests):
    def test_data_and_settings_are_those_of_the_original(self) -> None:
        self.assertEqual(self.successResultOf(self.clone(pnode="node2")), ["node2"])
        old, new = self.state.instance("web1"), self.state.instance("web2")
        originals = [f"/memory/{'/'.join(disk.logical_id)}" for disk in self.state.get_disks(old)]
        self.assertEqual(self.contents("web2", "node2"), [each.encode() for each in originals])
        self.assertEqual((new.beparams, new.tags), (old.beparams, old.tags))
        self.assertEqual((new.admin_state, new.os), (AdminState.DOWN, old.os))
        self.assertEqual(verify(self.state), [])

    def test_name_identifiers_and_addresses_are_its_own(self) -> None:
        self.successResultOf(self.clone())
        old, new = self.state.instance("web1"), self.state.instance("web2")
        self.assertNotEqual(old.uuid, new.uuid)
        self.assertEqual(set(old.disks) & set(new.disks), set())
        [was], [now] = old.nics, new.nics
        self.assertNotIn(now.mac, (was.mac, ""))
        self.assertEqual(now.network, was.network)
        self.assertNotIn(now.ip, (was.ip, None))

    def test_packet_filters_of_cards_in_networks_are_copied(self) -> None:
        rules: dict[str, Any] = {"firewall": "tcp:22", "anti_spoofing": True}
        lan = a_network("lan").uuid
        connection = {"mode": "bridged", "link": "br0"}
        card = a_nic("web1/0", network=lan, ip="203.0.113.3", nicparams={**connection, **rules})
        self.use(AdminState.DOWN, nics=(card,))
        self.successResultOf(self.clone())
        self.assertEqual(self.state.instance("web2").nics[0].nicparams, {**connection, **rules})

    def test_an_address_outside_of_networks_is_not_copied(self) -> None:
        self.use(AdminState.DOWN, nics=(a_nic("web1/0", ip="198.51.100.1"),))
        self.successResultOf(self.clone())
        self.assertIsNone(self.state.instance("web2").nics[0].ip)

    def test_it_is_started_on_request(self) -> None:
        self.successResultOf(self.clone(start=True, pnode="node3"))
        self.assertEqual((self.whole.where("web2"), self.whole.where("web1")), (["node3"], []))

    def test_an_instance_that_is_set_offline_is_a_template(self) -> None:
        self.use(AdminState.OFFLINE, admin_state=AdminState.OFFLINE)
        self.successResultOf(self.clone())
        self.assertEqual(self.state.instance("web2").admin_state, AdminState.DOWN)

    def test_disks_that_change_are_not_copied(self) -> None:
        self.use(AdminState.UP)
        told = self.refusal(self.clone())
        self.assertIn("instance web1 is running, and its disks change", told)
        self.assertIn("gnt-instance clone --snapshot NAME web1 web2", told)

    def test_a_snapshot_of_a_running_instance_is_copied(self) -> None:
        self.use(AdminState.UP)
        self.take_snapshot()
        self.successResultOf(self.clone(snapshot_name="base", pnode="node2"))
        self.assertEqual(self.whole.where("web1"), ["node1"])
        disks = self.state.get_disks(self.state.instance("web1"))
        originals = [f"/memory/{'/'.join(disk.logical_id)}.gnt-s1" for disk in disks]
        self.assertEqual(self.contents("web2", "node2"), [each.encode() for each in originals])
        sizes = [disk.size for disk in self.state.get_disks(self.state.instance("web2"))]
        self.assertEqual(sizes, [32, 32])

    def test_an_unfinished_or_unknown_snapshot_is_refused(self) -> None:
        told = self.refusal(self.clone(snapshot_name="base"))
        self.assertIn("instance web1 has no snapshot base; its snapshots: none", told)
        self.take_snapshot(SnapshotState.CREATING)
        told = self.refusal(self.clone(snapshot_name="base"))
        self.assertIn("snapshot base is not complete; remove it", told)

    def test_what_fails_leaves_no_copy_and_the_original_as_it_was(self) -> None:
        before = dict(self.whole.volumes["node1"].held)
        self.whole.network.lose_request("node2", call="import_start")
        self.assertIn("node2", self.refusal(self.clone(pnode="node2")))
        self.assertEqual([each.name for each in self.state.instances.values()], ["web1"])
        self.assertEqual(self.whole.volumes["node2"].held, {})
        self.assertEqual(dict(self.whole.volumes["node1"].held), before)

    def test_both_instances_are_locked(self) -> None:
        locks = self.successResultOf(self.plan_locks())
        self.assertIn(f"instance/{uuid_of('instance', 'web1')}", locks)
        self.assertIn("instance/web2", locks)

    async def plan_locks(self) -> list[str]:
        opcode: Any = read_opcode({"OP_ID": "OP_INSTANCE_CLONE", "instance_name": "web1", **NEW})
        facts = await collect_inputs(OPERATION, opcode, self.state, self.whole.tools, "new")
        return [str(name) for name in OPERATION.plan(opcode, self.state, facts).locks]


class MirroredTests(ClonesTests):
    template = Template.DRBD
    disks = 1

    def test_both_copies_are_made(self) -> None:
        self.successResultOf(self.clone())
        new = self.state.instance("web2")
        ends = {disk.nodes for disk in self.state.get_disks(new)}
        self.assertEqual([len(set(nodes)) for nodes in ends], [2])
        self.assertEqual(verify(self.state), [])
