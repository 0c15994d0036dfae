# SPDX-License-Identifier: BSD-2-Clause
"""Configurations of every version since 2.7 become the same cluster."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.formats import ConfigDataEncoder, loaded
from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState
from ganeti.config.upgrade_steps import CHAIN
from ganeti.model.cluster import CONFIG_VERSION
from ganeti.testing.builders import a_cluster, an_instance

SPECS = {
    **dict.fromkeys(("cpu-count", "disk-count", "nic-count", "spindle-use"), 1),
    "disk-size": 1024,
    "memory-size": 128,
}


def node(name: str, uuid: str, number: int) -> dict[str, Any]:
    address = f"192.0.2.{number}"
    return {
        "name": name,
        "uuid": uuid,
        "group": "group1",
        "primary_ip": address,
        "secondary_ip": address,
        "offline": False,
        "drained": False,
        "master_candidate": True,
        "serial_no": 1,
        "ctime": 1.5,
        "mtime": 1.5,
    }


def instance(name: str, template: str, disks: list[Any], number: int) -> dict[str, Any]:
    return {
        "name": name,
        "uuid": f"{name}-uuid",
        "primary_node": "node1",
        "os": "noop",
        "hypervisor": "fake",
        "hvparams": {},
        "beparams": {},
        "osparams": {},
        "admin_state": "up",
        "disk_template": template,
        "disks": disks,
        "ctime": 2.5,
        "nics": [{"mac": f"aa:00:00:00:00:0{number}", "nicparams": {}}],
        "serial_no": 1,
    }


def volume(name: str, size: int) -> dict[str, Any]:
    place = ["xenvg", name]
    return {"dev_type": "lvm", "logical_id": place, "physical_id": place, "size": size}


def in_2_7() -> dict[str, Any]:
    """Two nodes, an instance with a volume, and one with a mirrored disk."""
    mirror = {
        "dev_type": "drbd8",
        "iv_name": "disk/0",
        "mode": "rw",
        "size": 1024,
        "logical_id": ["node1", "node2", 11000, 0, 0, "secret"],
        "physical_id": ["192.0.2.1", 11000, "192.0.2.2", 11000, 0, "secret"],
        "children": [volume("db1_data", 1024), volume("db1_meta", 128)],
    }
    plain = {**volume("web1", 512), "iv_name": "disk/0", "mode": "rw"}
    cluster = json.loads(ConfigDataEncoder().text(a_cluster()))["cluster"]
    del cluster["enabled_disk_templates"], cluster["data_collectors"], cluster["compression_tools"]
    policy = {"min": SPECS, "max": {**SPECS, "memory-size": 4096}, "std": SPECS}
    cluster |= {"master_node": "node1", "volume_group_name": "xenvg"}
    cluster["ipolicy"] = {**policy, "spindle-ratio": 32.0}
    group = {"name": "default", "uuid": "group1", "alloc_policy": "preferred"}
    return {
        "version": 2_070_000,
        "cluster": cluster,
        "nodes": {"node1": node("node1", "uuid1", 1), "node2": node("node2", "uuid2", 2)},
        "nodegroups": {"group1": {**group, "ipolicy": {"min": {}, "max": {}, "std": {}}}},
        "instances": {
            "web1": instance("web1", "plain", [plain], 1),
            "db1": instance("db1", "drbd", [mirror], 2),
        },
        "networks": {},
        "serial_no": 7,
        "ctime": 1.0,
        "mtime": 2.0,
    }


def read(document: Any) -> ClusterState:
    numbers = itertools.count()
    return loaded(json.dumps(document).encode(), ids=lambda: f"new{next(numbers)}")


def versions() -> Iterator[dict[str, Any]]:
    """The document as each version from 2.7 to 3.0 writes it."""
    document, numbers = in_2_7(), itertools.count()
    while True:
        yield document
        if document["version"] == CONFIG_VERSION:
            return
        following, step = CHAIN[document["version"]]
        document = {**step(document, lambda: f"made{next(numbers)}"), "version": following}


class StepTests(SynchronousTestCase):
    def test_every_version_becomes_the_same_cluster(self) -> None:
        for document in versions():
            state = read(document)
            self.assertEqual(list(verify(state)), [], document["version"])
            self.assertEqual(state.master.name, "node1")
            [volume] = state.get_disks(state.instance("web1"))
            [mirror] = state.get_disks(state.instance("db1"))
            self.assertEqual((volume.dev_type, volume.nodes), ("plain", ("uuid1",)))
            self.assertEqual((mirror.dev_type, mirror.nodes), ("drbd", ("uuid1", "uuid2")))
            self.assertEqual(mirror.logical_id[:3], ("uuid1", "uuid2", 11000))
            self.assertEqual([child.dev_type for child in mirror.children], ["plain"] * 2)
            self.assertEqual(state.cluster.ipolicy["minmax"][0]["max"]["memory-size"], 4096)

    def test_what_is_in_use_is_enabled(self) -> None:
        enabled = set(read(in_2_7()).cluster.enabled_disk_templates)
        self.assertLessEqual({"plain", "drbd"}, enabled)

    def test_a_group_that_limits_something_has_all_of_a_range(self) -> None:
        document = in_2_7()
        document["nodegroups"]["group1"]["ipolicy"] = {"min": {"cpu-count": 2}, "max": {}}
        [bounds] = read(document).group("default").ipolicy["minmax"]
        self.assertEqual((bounds["min"]["cpu-count"], bounds["max"]["memory-size"]), (2, 4096))

    def test_3_1_is_read_as_3_0(self) -> None:
        state = a_cluster(instances=["web1"])
        document = json.loads(ConfigDataEncoder().text(state))
        self.assertEqual(read({**document, "version": 3_010_000}), state)


class NumberTests(SynchronousTestCase):
    def test_whole_numbers_may_be_written_with_a_point(self) -> None:
        document = json.loads(ConfigDataEncoder().text(a_cluster(instances=["web1"])))
        before = read(document)
        for collector in document["cluster"]["data_collectors"].values():
            collector["interval"] = float(collector["interval"])
        document["serial_no"] = float(document["serial_no"])
        self.assertEqual(read(document), before)
        self.assertIsInstance(read(document).cluster.ipolicy["vcpu-ratio"], float)

    def test_parameters_of_guests_are_whole_numbers_again(self) -> None:
        built = an_instance("web1", beparams={"vcpus": 2})
        document = json.loads(ConfigDataEncoder().text(a_cluster(instances=[built])))
        [web1] = document["instances"].values()
        web1["beparams"]["vcpus"] = 2.0
        vcpus = read(document).instance("web1").beparams["vcpus"]
        self.assertEqual((vcpus, type(vcpus)), (2, int))
