# SPDX-License-Identifier: BSD-2-Clause
"""All data of instances, with what nodes know of them; a silent node hides nothing else."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused, Unreachable
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.model.running import RunningConfig
from ganeti.opcodes.instance.lifecycle import DescribeInstances
from ganeti.operations.instance.lifecycle.describe import plan, questions, run
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.disks import DescribeDisks, DiskStatus
from ganeti.rpc.instances import DescribeRunning
from ganeti.rpc.node import DescribeNode
from ganeti.schema.records import replace
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

GOOD = DiskStatus(path="/dev/drbd0", major=147, minor=0)
LAN = a_network("lan")


def a_state(*, offline: str = "", **over: Any) -> ClusterState:
    """Return db1 with a mirrored disk on node2 and node3, and web1, stopped, on node1."""
    disk = replace(a_disk("disk1", Template.DRBD, nodes=("node2", "node3")), name="root")
    db1 = an_instance("db1", node="node2", disks=[disk], **over)
    web1 = an_instance("web1", admin_state=AdminState.DOWN)
    nodes = [a_node(name, offline=name == offline) for name in ("node1", "node2")]
    nodes.append(a_node("node3", group="far"))
    return a_cluster(nodes=nodes, groups=["default", "far"], instances=[db1, web1], networks=[LAN])


class Describing(SynchronousTestCase):
    running: object = Failed("unknown")

    def describe(
        self,
        state: ClusterState | None = None,
        *,
        name: str = "db1",
        static: bool = False,
        node2: object = None,
        statuses: object = None,
    ) -> dict[str, Any]:
        """Describe an instance; ``node2`` is what that node says of itself."""
        state = state or a_state()
        given: dict[type[Call[object]], object] = {
            DescribeDisks: [GOOD] if statuses is None else statuses,
            DescribeRunning: self.running,
        }
        self.memory = MemoryTools(state, given)
        answers: dict[tuple[str, type[Call[object]]], object] = {
            (state.node("node1").uuid, DescribeNode): some_facts(),
            (state.node("node2").uuid, DescribeNode): node2 or some_facts(runs=["db1"]),
        }
        op = DescribeInstances(instances=(name,), static=static)
        found = plan(op, state, NodeAnswers({} if static else answers))
        [(key, described)] = self.successResultOf(run(found, self.memory.tools)).items()
        self.assertEqual((key, found.locks), (name, {}))
        assert isinstance(described, dict)
        return described


class DescriptionTests(Describing):
    def test_it_has_the_place_of_an_instance_and_its_groups(self) -> None:
        found = self.describe()
        expected = {
            "name": "db1",
            "pnode": "node2",
            "pnode_group_uuid": uuid_of("group", "default"),
            "pnode_group_name": "default",
            "snodes": ["node3"],
            "snodes_group_uuids": [uuid_of("group", "far")],
            "snodes_group_names": ["far"],
            "os": "noop",
            "disk_template": "drbd",
            "hypervisor": "fake",
            "network_port": None,
            "serial_no": 1,
            "uuid": uuid_of("instance", "db1"),
        }
        self.assertEqual({name: found[name] for name in expected}, expected)
        self.assertEqual(self.describe(name="web1")["disk_template"], "diskless")

    def test_the_state_is_that_of_the_record_and_that_of_the_node(self) -> None:
        silent = Unreachable("node2", "gone")
        for node2, state in ((None, "up"), (some_facts(), "down"), (silent, None)):
            found = self.describe(node2=node2)
            self.assertEqual((found["config_state"], found["run_state"]), ("up", state))
        found = self.describe(static=True)
        self.assertEqual((found["config_state"], found["run_state"]), ("up", None))

    def test_parameters_are_those_of_the_instance_and_filled_in(self) -> None:
        found = self.describe(a_state(beparams={"vcpus": 4}, osparams={"release": "trixie"}))
        self.assertEqual(found["be_instance"], {"vcpus": 4})
        self.assertEqual((found["be_actual"]["vcpus"], found["be_actual"]["maxmem"]), (4, 128))
        self.assertEqual(found["os_instance"], {"release": "trixie"})
        self.assertEqual(found["os_actual"], {"release": "trixie"})

    def test_private_parameters_of_the_instance_are_not_shown(self) -> None:
        found = self.describe(a_state(osparams_private={"password": "secret"}))
        self.assertNotIn("secret", str(found))

    def test_private_parameters_of_the_cluster_are_not_shown(self) -> None:
        state = a_state()
        cluster = replace(state.cluster, osparams_private_cluster={"noop": {"password": "secret"}})
        found = self.describe(state.put(cluster))
        self.assertNotIn("secret", str(found))

    def test_a_card_is_a_row_with_its_network(self) -> None:
        plain = a_nic("card", ip="192.0.2.7")
        inside = replace(a_nic("inside", network=LAN.uuid), name="eth")
        first, second = self.describe(a_state(nics=(plain, inside)))["nics"]
        expected = [None, plain.uuid, "192.0.2.7", plain.mac, "bridged", "br0", "", None, None]
        self.assertEqual(first, expected)
        self.assertEqual((second[0], second[7], second[8]["name"]), ("eth", LAN.uuid, "lan"))

    def test_a_disk_has_its_status_on_both_nodes_and_its_volumes(self) -> None:
        syncing = DiskStatus(
            path="/dev/drbd0", major=147, minor=0, sync_percent=50.0, estimated_time=9
        )
        syncing = replace(syncing, degraded=True, local="syncing")
        [disk] = self.describe(statuses=lambda n, _: [GOOD if n == "node2" else syncing])["disks"]
        self.assertEqual(disk["pstatus"], ["/dev/drbd0", 147, 0, None, None, False, 1])
        self.assertEqual(disk["sstatus"], ["/dev/drbd0", 147, 0, 50.0, 9, True, 2])
        expected = {
            "primary_node": "node2",
            "primary_minor": 0,
            "secondary_node": "node3",
            "secondary_minor": 0,
            "port": 11000,
        }
        self.assertEqual(disk["drbd_info"], expected)
        values = [disk[key] for key in ("iv_name", "dev_type", "mode", "size", "name")]
        self.assertEqual(values, ["disk/0", "drbd", "rw", 1024, "root"])
        volumes = [(c["dev_type"], c["size"], c["drbd_info"]) for c in disk["children"]]
        self.assertEqual(volumes, [("plain", 1024, None), ("plain", 128, None)])

    def test_each_end_has_its_own_minor_whichever_is_the_primary(self) -> None:
        state = a_state()
        [disk] = state.get_disks(state.instance("db1"))
        one, other, port, *_, secret = disk.logical_id
        for ends, minors in (((one, other), (7, 8)), ((other, one), (8, 7))):
            state = state.put(replace(disk, logical_id=(*ends, port, *minors, secret)))
            [found] = self.describe(state)["disks"]
            info = found["drbd_info"]
            self.assertEqual((info["primary_minor"], info["secondary_minor"]), (7, 8))

    def test_the_last_value_of_a_status_is_a_number(self) -> None:
        for number, word in enumerate(("ok", "syncing", "unknown", "faulty"), start=1):
            status = DiskStatus(path="", local=word)
            [disk] = self.describe(statuses=[status])["disks"]
            self.assertEqual(disk["pstatus"][-1], number)

    def test_missing_disks_and_disks_of_silent_nodes_have_no_status(self) -> None:
        [disk] = self.describe(statuses=[None])["disks"]
        self.assertEqual((disk["pstatus"], disk["sstatus"]), (None, None))
        [disk] = self.describe(
            statuses=lambda n, _: Unreachable(n, "gone") if n == "node3" else [GOOD]
        )["disks"]
        self.assertEqual((disk["pstatus"][0], disk["sstatus"]), ("/dev/drbd0", None))
        self.assertEqual(self.memory.progress.said, ["node node3 is unreachable: gone"])

    def test_offline_nodes_are_not_asked_for_disks(self) -> None:
        [disk] = self.describe(a_state(offline="node2"), node2=Failed("offline"))["disks"]
        self.assertEqual((disk["pstatus"], disk["sstatus"][0]), (None, "/dev/drbd0"))
        self.assertEqual({node for node, _ in self.memory.nodes.calls()}, {"node3"})

    def test_nothing_is_asked_for_static_data(self) -> None:
        found = self.describe(static=True)
        self.assertEqual(self.memory.nodes.asked, [])
        self.assertEqual((found["disks"][0]["pstatus"], found["running"]), (None, None))


class RunningTests(Describing):
    def test_a_guest_has_the_settings_that_it_runs_with(self) -> None:
        self.running = RunningConfig(
            memory=64, vcpus=1, hvparams={}, nics=(), disks=(), version="8.2", chosen={"m": "q35"}
        )
        found = self.describe()["running"]
        values = (found["memory"], found["vcpus"], found["version"], found["chosen"])
        self.assertEqual(values, (64, 1, "8.2", {"m": "q35"}))
        self.assertIn(["be/maxmem", 64, 128], found["pending"])

    def test_they_are_unknown_if_it_does_not_run_or_its_node_does_not_know(self) -> None:
        self.assertIsNone(self.describe()["running"])
        self.describe(node2=some_facts())
        self.assertEqual(self.memory.nodes.calls(DescribeRunning), [])


class SelectionTests(SynchronousTestCase):
    def test_online_primary_nodes_are_asked_once(self) -> None:
        for offline, names in (("", ["node1", "node2"]), ("node2", ["node1"])):
            [query] = questions(DescribeInstances(), a_state(offline=offline))
            self.assertEqual(sorted(node.name for node in query.nodes), names)
        self.assertEqual(questions(DescribeInstances(static=True), a_state()), ())

    def test_all_instances_or_the_named_ones_are_described(self) -> None:
        for names, expected in (((), ["db1", "web1"]), (("web1",), ["web1"])):
            op = DescribeInstances(instances=names)
            found = plan(op, a_state(), NodeAnswers())
            self.assertEqual(sorted(each.instance.name for each in found.subjects), expected)
        with self.assertRaises(Refused) as raised:
            plan(DescribeInstances(instances=("nosuch",)), a_state(), NodeAnswers())
        self.assertEqual(raised.exception.code, Code.UNKNOWN)
