# SPDX-License-Identifier: BSD-2-Clause
"""Instances are made of volumes that are there, with what is on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.errors import Code, Failed, GanetiError, Invalid, Refused, Unreachable
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.instance.create import create
from ganeti.operations.instance.create.disk_adoption import adopted, adoption_queries, adopts
from ganeti.operations.instance.device_specs import DiskSpec
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.disks import CreateDisk, RemoveDisk, RenameDisk
from ganeti.rpc.node import DescribeNode
from ganeti.rpc.storage import ListVolumesCall, StoredVolume
from ganeti.testing.builders import a_cluster, a_disk, an_instance, uuid_of
from ganeti.testing.facts import some_facts
from ganeti.testing.storage import Held
from ganeti.testing.tools import MemoryTools
from tests.operations.whole import WholeCluster

ORDER: Mapping[str, Any] = {
    "instance_name": "new1",
    "mode": "create",
    "disk_template": "plain",
    "disks": [{"adopt": "data"}],
    "nics": [],
    "os_type": "noop",
    "pnode": "node1",
    "start": False,
    "name_check": False,
    "ip_check": False,
}

ON_NODE2: Mapping[str, Any] = {"nodes": ("node2",), "logical_id": ("vg0", "used")}


class AdoptTests(SynchronousTestCase):
    """node1 has the volumes vg0/data and vg9/root, and that of web1."""

    def setUp(self) -> None:
        web1 = an_instance(
            "web1",
            disks=[a_disk("d", Template.PLAIN, logical_id=("vg0", "used"))],
            admin_state=AdminState.DOWN,
        )
        state = a_cluster(instances=[web1], reserved_lvs=("vg0/keep.*",))
        self.whole = WholeCluster(state)
        self.successResultOf(self.whole.make_disks("web1"))
        self.held = self.whole.volumes["node1"].held
        self.held |= {"vg0/data": Held(5000), "vg9/root": Held(64), "vg0/keep1": Held(64)}

    def create(self, **over: Any) -> Any:
        return self.whole.do("OP_INSTANCE_CREATE", **{**ORDER, **over})

    def refusal(self, **over: Any) -> str:
        before = dict(self.held)
        error = self.failureResultOf(self.create(**over), Refused, Invalid).value
        assert isinstance(error, GanetiError)
        self.assertEqual(self.held, before)
        return str(error.arguments()[0])

    def test_volumes_become_the_disks_of_an_instance(self) -> None:
        disks = [{"adopt": "data", "mode": "ro"}, {"adopt": "root", "vg": "vg9"}]
        self.successResultOf(self.create(disks=disks))
        state = self.whole.state
        made = state.get_disks(state.instance("new1"))
        self.assertEqual([disk.size for disk in made], [5000, 64])
        names = {"/".join(map(str, disk.logical_id)) for disk in made}
        self.assertEqual(names | {"vg0/used", "vg0/keep1"}, set(self.held))
        self.assertEqual(verify(state), [])

    def test_what_is_on_them_stays(self) -> None:
        scripts = self.whole.hosts["node1"].processes
        self.successResultOf(self.create())
        self.assertEqual([ran for ran in scripts.ran if ran.argv[0].endswith("create")], [])

    def test_volumes_that_are_not_there_or_somebodys_are_refused(self) -> None:
        for adopt, words in (
            ("nosuch", "volume vg0/nosuch does not exist on node node1"),
            ("used", "volume vg0/used belongs to instance web1"),
            ("keep1", "volume vg0/keep1 is reserved by the cluster setting reserved_lvs"),
        ):
            self.assertIn(words, self.refusal(disks=[{"adopt": adopt}]))
        twice = [{"adopt": "data"}, {"adopt": "data"}]
        self.assertIn("is given twice", self.refusal(disks=twice))

    def test_all_disks_are_adopted_or_none(self) -> None:
        told = self.refusal(disks=[{"adopt": "data"}, {"size": 64}])
        self.assertIn("must either all adopt a volume, or none", told)

    def test_only_volumes_of_a_named_node_are_adopted(self) -> None:
        self.assertIn("requires mode create and a primary node", self.refusal(pnode=None))
        self.assertIn("adopt: is not a parameter", self.refusal(disk_template="sharedfile"))

    def test_the_policy_knows_the_real_sizes(self) -> None:
        self.held["vg0/data"] = Held(1 << 21)
        self.assertIn("2097152 MiB of disk is outside the range", self.refusal())


class VolumeTests(SynchronousTestCase):
    """Which volumes a request may adopt, by the answer of the node that has them."""

    state = a_cluster(
        nodes=("node1", "node2"),
        instances=[
            an_instance("db1", disks=[a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))]),
            an_instance("web1", node="node2", disks=[a_disk("d", Template.PLAIN, **ON_NODE2)]),
        ],
        reserved_lvs=("vg0/kep.",),
    )

    def adopt(self, *wishes: DiskSpec, node: str = "node1") -> tuple[DiskSpec, ...]:
        [db1_data, _] = self.state.disks[uuid_of("disk", "disk1")].children
        names = ("vg0/data", "vg1/data", "vg0/used", "vg0/kept", "vg0/kept2")
        volumes = [
            StoredVolume(name=name, size=64 * n, attached=False, opened=False, owner="")
            for n, name in enumerate((*names, "/".join(db1_data.logical_id)), start=1)
        ]
        found = self.state.node(node)
        facts = NodeAnswers({(found.uuid, ListVolumesCall): volumes})
        return adopted(wishes, found, self.state, facts)

    def test_a_disk_has_the_size_of_its_volume_in_its_group(self) -> None:
        found = self.adopt(DiskSpec(0, adopt="data"), DiskSpec(0, adopt="data", vg="vg1"))
        self.assertEqual([disk.size for disk in found], [64, 128])

    def test_the_volume_below_a_mirrored_disk_belongs_to_its_instance(self) -> None:
        volume = f"{uuid_of('disk', 'disk1_data')}.disk0"
        with self.assertRaisesRegex(Refused, "belongs to instance db1") as raised:
            self.adopt(DiskSpec(0, adopt=volume))
        self.assertEqual(raised.exception.code, Code.NOT_UNIQUE)

    def test_a_volume_with_the_name_of_a_disk_on_another_node_is_free(self) -> None:
        self.assertEqual(len(self.adopt(DiskSpec(0, adopt="used"))), 1)
        with self.assertRaisesRegex(Refused, "belongs to instance web1"):
            self.adopt(DiskSpec(0, adopt="used"), node="node2")

    def test_a_reservation_is_for_the_whole_name(self) -> None:
        with self.assertRaisesRegex(Refused, "vg0/kept is reserved"):
            self.adopt(DiskSpec(0, adopt="kept"))
        self.assertEqual(len(self.adopt(DiskSpec(0, adopt="kept2"))), 1)

    def test_volumes_are_listed_only_if_some_are_adopted(self) -> None:
        nodes = [self.state.node("node1")]
        for disks, asked in ([{"size": 64}], 0), ([{"adopt": "data"}], 1):
            op = read_opcode({"OP_ID": "OP_INSTANCE_CREATE", **ORDER, "disks": disks})
            assert isinstance(op, CreateInstance)
            self.assertEqual(len(list(adoption_queries(op, nodes, self.state))), asked)
            self.assertEqual(adopts(op), bool(asked))


class BrokenTests(SynchronousTestCase):
    """Nodes that are scripted, so that they can fail."""

    def setUp(self) -> None:
        self.memory = MemoryTools(a_cluster())

    def plan(self, **volume: Any) -> Any:
        known = {"size": 64, "attached": False, "opened": False, "owner": "", **volume}
        found = [StoredVolume(name=f"vg0/{name}", **known) for name in ("data", "more")]
        node = uuid_of("node", "node1")
        facts = NodeAnswers(
            {(node, DescribeNode): some_facts(), (node, ListVolumesCall): found}, "identity"
        )
        order = {"OP_ID": "OP_INSTANCE_CREATE", **ORDER}
        op = read_opcode({**order, "disks": [{"adopt": "data"}, {"adopt": "more"}]})
        assert isinstance(op, CreateInstance)
        return create.plan(op, self.memory.state(), facts)

    def test_a_volume_in_use_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "vg0/data on node node1 is in use"):
            self.plan(opened=True)

    def test_volumes_get_their_names_back_and_are_never_removed(self) -> None:
        renamed: list[tuple[Any, Any]] = []

        def rename(_: str, call: RenameDisk) -> Failed | None:
            renamed.append((call.disk.logical_id[1], call.to.logical_id[1]))
            return Failed("volume group is full") if len(renamed) == 2 else None

        self.memory.nodes.answers[RenameDisk] = rename
        self.failureResultOf(create.run(self.plan(), self.memory.tools), Failed)
        self.assertEqual(renamed[0], tuple(reversed(renamed[2])))
        self.assertEqual((renamed[0][0], renamed[1][0], len(renamed)), ("data", "more", 3))
        self.assertEqual(self.memory.nodes.calls(CreateDisk, RemoveDisk), [])
        self.assertEqual(len(self.memory.state().instances), 0)

    def test_a_volume_that_a_silent_node_may_have_renamed_gets_its_name_back(self) -> None:
        def rename(_: str, call: RenameDisk) -> Unreachable | None:
            silent = call.disk.logical_id[1] == "data"
            return Unreachable("node1", "gone") if silent else None

        self.memory.nodes.answers[RenameDisk] = rename
        self.failureResultOf(create.run(self.plan(), self.memory.tools), Unreachable)
        calls = [call for _, call in self.memory.nodes.asked if isinstance(call, RenameDisk)]
        self.assertEqual([call.to.logical_id[1] for call in calls[1:]], ["data"])

    def test_a_volume_that_was_not_renamed_keeps_its_name(self) -> None:
        self.memory.nodes.answers[RenameDisk] = Refused("volume group is full")
        self.failureResultOf(create.run(self.plan(), self.memory.tools), Refused)
        self.assertEqual(len(self.memory.nodes.calls(RenameDisk)), 1)
