# SPDX-License-Identifier: BSD-2-Clause
"""A configuration of version 2.2 gets UUIDs for names, one node group and a section of disks."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.names_to_uuids import upgrade_from_2_2
from ganeti.model.cluster import CONFIG_VERSION


def volume(name: str, **over: Any) -> dict[str, Any]:
    place = ["xenvg", name]
    fields = {"dev_type": "lvm", "logical_id": place, "physical_id": place, "size": 512}
    return {**fields, **over}


def mirror(first: str = "node1", second: str = "node2") -> dict[str, Any]:
    return {
        "dev_type": "drbd8",
        "size": 1024,
        "logical_id": [first, second, 11000, 0, 1, "secret"],
        "physical_id": None,
        "children": [volume("data"), volume("meta")],
    }


def instance(name: str, *disks: dict[str, Any], **over: Any) -> dict[str, Any]:
    return {
        "name": name,
        "primary_node": "node1",
        "admin_up": True,
        "disk_template": "plain",
        "beparams": {},
        "nics": [],
        "disks": list(disks),
        **over,
    }


def old(*instances: dict[str, Any], **over: Any) -> dict[str, Any]:
    return {
        "version": 2_020_000,
        "serial_no": 7,
        "ctime": 1.5,
        "mtime": 2.5,
        "cluster": {
            "master_node": "node2",
            "default_bridge": "xen-br0",
            "default_hypervisor": "kvm",
            "beparams": {"default": {"memory": 128, "vcpus": 1}},
            "tcpudp_port_pool": None,
        },
        "nodes": {
            "node1": {"name": "node1", "uuid": "uuid1", "serial_no": 5},
            "node2": {"name": "node2", "primary_ip": "192.0.2.2"},
        },
        "instances": {each["name"]: each for each in instances},
        **over,
    }


def upgrade(document: dict[str, Any]) -> dict[str, Any]:
    numbers = itertools.count(1)
    return upgrade_from_2_2(document, lambda: f"new{next(numbers)}")


def only(section: dict[str, Any]) -> dict[str, Any]:
    [found] = section.values()
    assert isinstance(found, dict)
    return found


class UpgradeTests(SynchronousTestCase):
    def test_nodes_keep_the_uuids_that_they_have_and_are_in_one_group(self) -> None:
        found = upgrade(old())
        group = only(found["nodegroups"])
        self.assertEqual(group["name"], "default")
        nodes = {node["name"]: node for node in found["nodes"].values()}
        self.assertEqual(nodes["node1"]["uuid"], "uuid1")
        self.assertEqual(set(found["nodes"]), {"uuid1", nodes["node2"]["uuid"]})
        self.assertEqual({node["group"] for node in nodes.values()}, {group["uuid"]})
        self.assertEqual((nodes["node1"]["serial_no"], nodes["node2"]["serial_no"]), (5, 1))
        self.assertEqual(found["cluster"]["master_node"], nodes["node2"]["uuid"])

    def test_the_whole_has_the_present_version_and_its_times(self) -> None:
        found = upgrade(old())
        kept = found["version"], found["serial_no"], found["ctime"], found["mtime"]
        self.assertEqual(kept, (CONFIG_VERSION, 7, 1.5, 2.5))
        document = old()
        del document["ctime"], document["mtime"]
        found = upgrade(document)
        self.assertEqual((found["ctime"], found["mtime"]), (0.0, 0.0))

    def test_settings_that_were_given_up_and_empty_ones_are_gone(self) -> None:
        cluster = upgrade(old())["cluster"]
        for name in ("default_bridge", "default_hypervisor", "tcpudp_port_pool"):
            self.assertNotIn(name, cluster)

    def test_the_memory_becomes_a_range_of_one_value(self) -> None:
        found = upgrade(old(instance("web1", beparams={"memory": 512})))
        expected = {"minmem": 128, "maxmem": 128, "vcpus": 1}
        self.assertEqual(found["cluster"]["beparams"], {"default": expected})
        web1 = only(found["instances"])
        self.assertEqual(web1["beparams"], {"minmem": 512, "maxmem": 512})

    def test_an_instance_without_a_memory_of_its_own_has_none_afterwards(self) -> None:
        self.assertEqual(only(upgrade(old(instance("web1")))["instances"])["beparams"], {})

    def test_the_wanted_state_is_a_word(self) -> None:
        for up, word in ((True, "up"), (False, "down")):
            web1 = only(upgrade(old(instance("web1", admin_up=up)))["instances"])
            self.assertEqual(web1["admin_state"], word)
            self.assertNotIn("admin_up", web1)
            self.assertNotIn("disk_template", web1)

    def test_a_disk_moves_to_a_section_and_its_instance_names_it(self) -> None:
        found = upgrade(old(instance("web1", volume("web1"))))
        disk = only(found["disks"])
        self.assertEqual((disk["dev_type"], disk["nodes"]), ("plain", ["uuid1"]))
        self.assertEqual(disk["logical_id"], ["xenvg", "web1"])
        self.assertNotIn("physical_id", disk)
        self.assertEqual(only(found["instances"])["disks"], [disk["uuid"]])

    def test_a_volume_may_be_named_like_a_node(self) -> None:
        like_node = volume("node2", logical_id=["node1", "node2"])
        db1 = {**mirror(), "children": [like_node, volume("meta")]}
        found = upgrade(old(instance("web1", like_node), instance("db1", db1)))
        disks = list(found["disks"].values())
        places = [each["logical_id"] for each in (disks[0], disks[1]["children"][0])]
        self.assertEqual(places, [["node1", "node2"]] * 2)

    def test_a_mirrored_disk_and_its_volumes_are_on_both_nodes(self) -> None:
        found = upgrade(old(instance("db1", mirror())))
        node2 = found["cluster"]["master_node"]
        disk = only(found["disks"])
        self.assertEqual((disk["dev_type"], disk["nodes"]), ("drbd", ["uuid1", node2]))
        self.assertEqual(disk["logical_id"], ["uuid1", node2, 11000, 0, 1, "secret"])
        for child in disk["children"]:
            self.assertEqual((child["dev_type"], child["nodes"]), ("plain", ["uuid1", node2]))

    def test_templates_in_use_are_enabled_and_otherwise_the_usual_ones(self) -> None:
        used = upgrade(old(instance("web1", volume("a"), {**volume("b"), "dev_type": "file"})))
        self.assertEqual(used["cluster"]["enabled_disk_templates"], ["file", "plain"])
        unused = upgrade(old(instance("web1")))
        self.assertEqual(unused["cluster"]["enabled_disk_templates"], ["drbd", "plain"])

    def test_the_bridge_of_a_network_card_is_its_link_unless_it_has_one(self) -> None:
        nics: list[dict[str, Any]] = [
            {"mac": "aa:00:00:00:00:01", "ip": None, "bridge": "br1"},
            {"mac": "aa:00:00:00:00:02", "bridge": "br1", "nicparams": {"link": "br2"}},
            {"mac": "aa:00:00:00:00:03", "ip": "192.0.2.9", "nicparams": None},
        ]
        found = only(upgrade(old(instance("web1", nics=nics)))["instances"])["nics"]
        params = [nic["nicparams"] for nic in found]
        self.assertEqual(params, [{"link": "br1"}, {"link": "br2"}, {}])
        self.assertEqual([nic["ip"] for nic in found], [None, None, "192.0.2.9"])
        self.assertEqual(len({nic["uuid"] for nic in found}), 3)
        self.assertEqual(nics[1]["nicparams"], {"link": "br2"})  # the old document is unchanged

    def test_no_two_objects_have_the_same_uuid(self) -> None:
        found = upgrade(old(instance("web1", volume("a")), instance("db1", mirror())))
        sections = ("nodes", "nodegroups", "instances", "disks")
        uuids = [uuid for section in sections for uuid in found[section]]
        uuids.append(found["cluster"]["uuid"])
        self.assertEqual(len(set(uuids)), len(uuids))
