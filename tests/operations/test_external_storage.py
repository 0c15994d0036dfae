# SPDX-License-Identifier: BSD-2-Clause
"""Instances with disks of external storage: made, changed, moved and removed by its scripts."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.errors import Code, Failed, GanetiError, Invalid, Refused
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.perform import collect_inputs
from ganeti.operations.registry import OPERATIONS
from ganeti.testing.builders import a_cluster
from ganeti.testing.external_provider import MemoryArray, MemoryProvider
from ganeti.testing.processes import Script
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")
ORDER = {
    "instance_name": "web1",
    "mode": "create",
    "disk_template": "ext",
    "disks": [{"size": 64, "provider": "san", "pool": "fast"}],
    "nics": [{}],
    "os_type": "noop",
    "pnode": "node1",
}


class ExternalStorageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = WholeCluster(a_cluster(nodes=NODES, enabled_disk_templates=("ext", "file")))
        self.array = MemoryArray(room=1024)
        self.providers = {name: self.install(name) for name in ("node1", "node2")}

    def install(self, node: str) -> MemoryProvider:
        host = self.whole.hosts[node]
        provider = MemoryProvider(
            self.array,
            host.disk,
            host.images,
            f"{host.paths.provider_search_path[0]}/san",
            node=node,
            parameters={"pool": "The pool."},
        )
        host.processes.programs.update(provider.programs)
        return provider

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(op_id, **{"instance_name": "web1", **fields}))

    def refusal(self, op_id: str, **fields: Any) -> GanetiError:
        working = self.whole.do(op_id, **{"instance_name": "web1", **fields})
        error = self.failureResultOf(working, Refused, Failed, Invalid).value
        assert isinstance(error, GanetiError)
        return error

    def create(self, **over: Any) -> None:
        self.do("OP_INSTANCE_CREATE", **{**ORDER, **over})

    def assert_nothing_made(self) -> None:
        self.assertEqual((self.array.volumes, len(self.whole.state.instances)), ({}, 0))

    def volume(self) -> Any:
        [found] = self.array.volumes.values()
        return found

    def scripts(self, node: str = "node1") -> list[str]:
        return [script for script, _ in self.providers[node].calls]

    def test_an_instance_gets_a_volume_whose_parameters_were_checked_first(self) -> None:
        self.create()
        [disk] = self.whole.state.get_disks(self.whole.state.instance("web1"))
        provider, name = disk.logical_id
        self.assertEqual((provider, disk.params), ("san", {"pool": "fast"}))
        self.assertRegex(str(name), r"^[0-9a-f-]{36}\.ext\.disk0$")
        self.assertEqual(self.volume().info, "originstname+web1")
        self.assertEqual(self.scripts()[:3], ["verify", "create", "setinfo"])
        self.assertEqual(self.providers["node1"].calls[1][1]["EXTP_POOL"], "fast")
        self.assertEqual(self.whole.where("web1"), ["node1"])
        self.assertEqual(verify(self.whole.state), [])

    def test_a_disk_without_a_provider_is_refused_at_once(self) -> None:
        error = self.refusal("OP_INSTANCE_CREATE", **{**ORDER, "disks": [{"size": 64}]})
        self.assertIn("disks[0]/provider: must be the name of a provider", str(error))

    def test_parameters_are_refused_before_anything_is_made(self) -> None:
        for disk, expected in (
            ({"colour": "red"}, "colour is not a parameter"),
            ({"vg": "xenvg"}, "vg: is not a parameter of ext disks"),
            ({"a-b": "x"}, "is no name of a provider's parameter"),
            ({"pool": None}, "must be text in one line"),
            ({"pool": "x", "POOL": "y"}, "is given twice"),
        ):
            disks = [{"size": 64, "provider": "san", **disk}]
            error = self.refusal("OP_INSTANCE_CREATE", **{**ORDER, "disks": disks})
            self.assertIn(expected, str(error))
        self.assertEqual(self.scripts(), [])
        self.assert_nothing_made()

    def test_a_node_without_the_provider_is_named(self) -> None:
        error = self.refusal("OP_INSTANCE_CREATE", **{**ORDER, "pnode": "node3"})
        self.assertIn("node3: this node has no external storage provider san", str(error))
        self.assert_nothing_made()

    def test_what_a_failed_creation_has_made_is_removed(self) -> None:
        self.providers["node1"].trouble["setinfo"] = Script(1, err=b"no reply\n")
        error = self.refusal("OP_INSTANCE_CREATE", **ORDER)
        self.assertIn("node1: script setinfo of external storage provider san", str(error))
        self.assertEqual(self.scripts(), ["verify", "create", "setinfo", "remove"])
        self.assert_nothing_made()

    def test_a_volume_grows(self) -> None:
        self.create()
        self.do("OP_INSTANCE_GROW_DISK", disk=0, amount=36, absolute=False)
        [disk] = self.whole.state.get_disks(self.whole.state.instance("web1"))
        self.assertEqual((disk.size, self.volume().size), (100, 100))

    def test_a_renamed_instance_is_recorded_with_its_volume(self) -> None:
        self.create(start=False)
        self.do("OP_INSTANCE_RENAME", new_name="web2")
        self.assertEqual(self.volume().info, "originstname+web2")

    def test_a_name_that_cannot_be_recorded_stays(self) -> None:
        self.create(start=False)
        self.providers["node1"].trouble["setinfo"] = Script(1, err=b"no reply\n")
        self.refusal("OP_INSTANCE_RENAME", new_name="web2")
        self.flushLoggedErrors(Failed)  # the name cannot be recorded again, either
        self.assertIn("web1", [each.name for each in self.whole.state.instances.values()])

    def test_a_failover_attaches_the_same_volume_on_the_other_node(self) -> None:
        self.create()
        self.do("OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertEqual(self.whole.where("web1"), ["node2"])
        self.assertEqual(self.scripts()[-2:], ["close", "detach"])
        self.assertEqual(self.scripts("node2")[-2:], ["attach", "open"])
        self.assertEqual(self.volume().open_on, {"node2"})

    def test_a_migration_shares_the_volume_and_ends_with_one_node(self) -> None:
        self.create()
        self.do("OP_INSTANCE_MIGRATE", target_node="node2")
        self.assertEqual(self.whole.where("web1"), ["node2"])
        opened = [
            (script, found.get("VOL_OPEN_EXCLUSIVE"))
            for script, found in self.providers["node2"].calls
            if script in ("attach", "open")
        ]
        expected = [("attach", None), ("open", "False"), ("open", "True")]
        self.assertEqual(opened, expected)
        self.assertEqual(self.scripts()[-3:], ["open", "close", "detach"])
        self.assertEqual((self.volume().open_on, self.volume().exclusive), ({"node2"}, True))

    def test_a_migration_that_fails_leaves_the_volume_to_the_old_node(self) -> None:
        self.create()
        self.providers["node2"].trouble["attach"] = Script(1, err=b"no path to the target\n")
        said = str(self.refusal("OP_INSTANCE_MIGRATE", target_node="node2"))
        self.assertIn("node2: script attach of external storage provider san failed", said)
        self.assertEqual(self.whole.where("web1"), ["node1"])
        self.assertEqual((self.volume().open_on, self.volume().exclusive), ({"node1"}, True))

    def test_a_node_without_the_provider_is_refused_before_the_guest_is_stopped(self) -> None:
        self.create()
        said = str(self.refusal("OP_INSTANCE_FAILOVER", target_node="node3"))
        self.assertIn("node3: this node has no external storage provider san", said)
        self.assertEqual(self.whole.where("web1"), ["node1"])

    def test_another_disk_can_be_added_and_removed(self) -> None:
        self.create(start=False)
        added = [["add", -1, {"size": 32, "provider": "san"}]]
        self.do("OP_INSTANCE_SET_PARAMS", disks=added)
        self.assertEqual([each.size for each in self.array.volumes.values()], [64, 32])
        self.do("OP_INSTANCE_SET_PARAMS", disks=[["remove", -1, {}]])
        self.assertEqual([each.size for each in self.array.volumes.values()], [64])

    def test_a_lost_volume_is_recreated_under_a_new_name(self) -> None:
        self.create(start=False)
        [old] = self.array.volumes
        said = str(self.refusal("OP_INSTANCE_RECREATE_DISKS"))
        self.assertIn("disk/0 of instance web1 still exists on node node1", said)
        self.array.volumes.clear()
        self.do("OP_INSTANCE_RECREATE_DISKS")
        [disk] = self.whole.state.get_disks(self.whole.state.instance("web1"))
        [new] = self.array.volumes
        self.assertEqual((disk.logical_id, disk.params), (("san", new), {"pool": "fast"}))
        self.assertIn(f"the lost volume of disk/0 was {old} of provider san", self.whole.said)

    def test_a_recreation_that_fails_leaves_the_old_volume_alone(self) -> None:
        self.create(start=False)
        before = dict(self.array.volumes)
        host = self.providers["node1"]
        host.trouble |= {"attach": Script(1, err=b"no path\n"), "setinfo": Script(1)}
        self.refusal("OP_INSTANCE_RECREATE_DISKS")
        self.assertEqual(self.array.volumes, before)

    def test_disks_are_converted_to_those_of_a_provider_that_is_named(self) -> None:
        self.create(disk_template="file", disks=[{"size": 64}], start=False)
        said = str(self.refusal("OP_INSTANCE_SET_PARAMS", disk_template="ext"))
        self.assertIn("ext_params/provider: must be the name of a provider", said)
        self.refusal("OP_INSTANCE_SET_PARAMS", ext_params={"provider": "san"})
        params = {"provider": "san", "pool": "slow"}
        opcode = read_opcode(
            {
                "OP_ID": "OP_INSTANCE_SET_PARAMS",
                "instance_name": "web1",
                "disk_template": "ext",
                "ext_params": params,
            }
        )
        operation, state = OPERATIONS[type(opcode)], self.whole.state
        collecting = collect_inputs(operation, opcode, state, self.whole.tools, "i")
        plan = operation.plan(
            opcode, state, self.successResultOf(Deferred.fromCoroutine(collecting))
        )
        self.assertEqual(plan.external.provider, "san")
        self.assertEqual(plan.external.params, {"pool": "slow"})

    def test_a_removed_instance_leaves_no_volume(self) -> None:
        self.create()
        self.do("OP_INSTANCE_REMOVE", shutdown_timeout=0)
        self.assert_nothing_made()

    def test_the_code_of_a_rejected_parameter_is_that_of_the_input(self) -> None:
        self.providers["node1"].trouble["verify"] = Script(1, err=b"no such pool\n")
        error = self.refusal("OP_INSTANCE_CREATE", **ORDER)
        assert isinstance(error, Failed)
        self.assertEqual(error.code, Code.INPUT)
        self.assert_nothing_made()
