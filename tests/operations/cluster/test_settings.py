# SPDX-License-Identifier: BSD-2-Clause
"""A request to change cluster settings is read as a whole, on top of the present settings."""

from __future__ import annotations

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.model.cluster import DataCollector
from ganeti.model.disk import Template
from ganeti.opcodes.choices import Hypervisor
from ganeti.opcodes.cluster import ListAction, ModifyCluster
from ganeti.operations.cluster.settings import settings, validate_diskparams
from ganeti.schema.records import FieldValues
from ganeti.testing.builders import a_cluster

ADD, REMOVE = ListAction.ADD, ListAction.REMOVE


def change(cluster: Any = None, **request: Any) -> FieldValues:
    """Return the fields that a request changes in a cluster with these settings."""
    return settings(ModifyCluster(**request), a_cluster(**(cluster or {})))


class SettingTests(SynchronousTestCase):
    def problems(self, cluster: Any = None, **request: Any) -> dict[str, str]:
        """The messages about an invalid request, by path."""
        with self.assertRaises(Invalid) as raised:
            change(cluster, **request)
        return {problem.path: problem.message for problem in raised.exception.problems}


class PlainTests(SettingTests):
    def test_only_what_is_given_is_changed(self) -> None:
        self.assertEqual(change(), {})
        given = {"candidate_pool_size": 3, "prealloc_wipe_disks": False, "master_netdev": "br1"}
        self.assertEqual(change(**given), given)

    def test_volume_group_and_drbd_helper_are_unset_by_an_empty_text(self) -> None:
        found = change(vg_name="", drbd_helper="/bin/false")
        expected = {"volume_group_name": None, "drbd_usermode_helper": "/bin/false"}
        self.assertEqual(found, expected)

    def test_directories_and_patterns_replace_the_old_ones(self) -> None:
        given = {"file_storage_dir": "/srv/new", "reserved_lvs": ("vg0/keep.*",)}
        self.assertEqual(change({"reserved_lvs": ("old",)}, **given), given)

    def test_a_mac_prefix_is_kept_in_lower_case(self) -> None:
        self.assertEqual(change(mac_prefix="AA:00:1F"), {"mac_prefix": "aa:00:1f"})

    def test_problems_have_the_names_of_the_request(self) -> None:
        found = self.problems(vg_name="a/b", mac_prefix="01:00:00", reserved_lvs=("(",))
        self.assertEqual({*found}, {"vg_name", "mac_prefix", "reserved_lvs[0]"})

    def test_the_netmask_is_that_of_the_clusters_address_family(self) -> None:
        self.assertEqual({*self.problems(master_netmask=33)}, {"master_netmask"})
        ipv6 = {"primary_ip_family": socket.AF_INET6}
        self.assertEqual(change(ipv6, master_netmask=64), {"master_netmask": 64})

    def test_every_step_reports_its_problems(self) -> None:
        found = self.problems(
            enabled_hypervisors=(),
            beparams={"vcpus": 0},
            hvparams={"qemu": {}},
            os_hvp={"noop": {"qemu": {}}},
            diskparams={Template.PLAIN: {"nosuch": 1}},
            enabled_data_collectors={"nosuch": True},
        )
        expected = {
            "enabled_hypervisors",
            "beparams/vcpus",
            "hvparams/qemu",
            "os_hvp/noop/qemu",
            "diskparams/plain/nosuch",
            "nosuch",
        }
        self.assertEqual({*found}, expected)


class EnabledTests(SettingTests):
    def test_the_first_of_each_is_the_default_and_none_is_listed_twice(self) -> None:
        found = change(
            enabled_hypervisors=(Hypervisor.KVM, Hypervisor.FAKE, Hypervisor.KVM),
            enabled_disk_templates=(Template.PLAIN, Template.FILE, Template.PLAIN),
        )
        self.assertEqual(found["enabled_hypervisors"], ("kvm", "fake"))
        self.assertEqual(found["enabled_disk_templates"], ("plain", "file"))

    def test_at_least_one_of_each_is_enabled(self) -> None:
        for name in ("enabled_hypervisors", "enabled_disk_templates"):
            self.assertEqual(self.problems(**{name: ()}), {name: "must not be empty"})

    def test_what_this_version_does_not_have_is_not_enabled(self) -> None:
        given = {"enabled_hypervisors": (Hypervisor.KVM, Hypervisor.LXC)}
        [(path, message)] = self.problems(**given).items()
        self.assertEqual(path, "enabled_hypervisors[1]")
        self.assertIn("hypervisor lxc is not supported; supported are", message)
        few = {"enabled_disk_templates": ("plain",)}
        templates = (Template.PLAIN, Template.RBD)
        found = self.problems(few, enabled_disk_templates=templates)
        self.assertEqual({*found}, {"enabled_disk_templates[1]"})

    def test_a_template_of_a_cluster_that_was_taken_over_may_stay(self) -> None:
        old = {"enabled_disk_templates": ("rbd",)}
        found = change(old, enabled_disk_templates=(Template.RBD, Template.PLAIN))
        self.assertEqual(found, {"enabled_disk_templates": ("rbd", "plain")})


class ParameterTests(SettingTests):
    def test_parameters_are_merged_into_the_present_ones(self) -> None:
        before = a_cluster().cluster
        found = change(
            beparams={"vcpus": "4"},
            nicparams={"link": "br9", "vlan": None},
            ndparams={"spindle_count": 3},
        )
        self.assertEqual(found["beparams"], {"default": {**before.beparams["default"], "vcpus": 4}})
        nic = {"mode": "bridged", "link": "br9", "vlan": ""}
        self.assertEqual(found["nicparams"], {"default": nic})
        self.assertEqual(found["ndparams"], {**before.ndparams, "spindle_count": 3})

    def test_parameters_must_agree_with_those_that_stay(self) -> None:
        memory = {"beparams": {"default": {"minmem": 512, "maxmem": 512, "vcpus": 1}}}
        self.assertEqual({*self.problems(memory, beparams={"maxmem": 256})}, {"beparams/minmem"})
        self.assertIn("nicparams", "".join(self.problems(nicparams={"link": ""})))

    def test_hypervisors_have_their_own_parameters(self) -> None:
        before = a_cluster().cluster.hvparams
        found = change(hvparams={"kvm": {"vnc_bind_address": "0.0.0.0"}})["hvparams"]
        self.assertEqual(found["kvm"], {**before["kvm"], "vnc_bind_address": "0.0.0.0"})
        self.assertEqual(found["fake"], before["fake"])

    def test_parameters_of_an_os_are_merged_and_removed_by_default(self) -> None:
        old = {"os_hvp": {"noop": {"kvm": {"acpi": False, "keymap": "de"}}}}
        found = change(old, os_hvp={"noop": {"kvm": {"acpi": "default"}}, "new": {"kvm": {}}})
        self.assertEqual(found, {"os_hvp": {"noop": {"kvm": {"keymap": "de"}}}})

    def test_parameters_of_an_os_are_by_hypervisor(self) -> None:
        found = self.problems(os_hvp={"noop": {"kvm": "acpi"}})
        self.assertEqual(found, {"os_hvp/noop/kvm": "must be an object of parameters by name"})

    def test_os_parameters_are_merged_and_removed_by_default(self) -> None:
        for name in ("osparams", "osparams_private_cluster"):
            old = {name: {"noop": {"a": "1", "b": "2"}, "gone": {"x": "1"}}}
            given = {"noop": {"a": "default", "c": "3"}, "gone": {"x": "default"}}
            expected = {name: {"noop": {"b": "2", "c": "3"}}}
            self.assertEqual(change(old, **{name: given}), expected)

    def test_a_part_of_the_policy_leaves_the_rest(self) -> None:
        before = a_cluster().cluster.ipolicy
        found = change(ipolicy={"vcpu-ratio": 2.5})["ipolicy"]
        self.assertEqual(found, {**before, "vcpu-ratio": 2.5})

    def test_disk_parameters_are_merged_by_template(self) -> None:
        before = {"drbd": {"resync-rate": 1024}, "plain": {"stripes": 2}}
        given: dict[Template, Any] = {
            Template.DRBD: {"metavg": "vg9"},
            Template.PLAIN: {"stripes": "default"},
        }
        expected = {"drbd": {"resync-rate": 1024, "metavg": "vg9"}}
        self.assertEqual(validate_diskparams(given, before), expected)
        self.assertEqual(change({"diskparams": before}, diskparams=given)["diskparams"], expected)

    def test_every_problem_of_disk_parameters_is_reported(self) -> None:
        with self.assertRaises(Invalid) as raised:
            validate_diskparams({Template.DRBD: {"a": 1}, Template.PLAIN: {"stripes": 0}}, {})
        paths = [problem.path for problem in raised.exception.problems]
        self.assertEqual(paths, ["diskparams/drbd/a", "diskparams/plain/stripes"])


class ListTests(SettingTests):
    def test_lists_of_os_definitions_grow_and_shrink(self) -> None:
        old = {"hidden_os": ("a", "b")}
        found = change(old, hidden_os=((REMOVE, "a"), (ADD, "c"), (ADD, "b"), (REMOVE, "x")))
        self.assertEqual(found, {"hidden_os": ("b", "c")})

    def test_lists_are_not_changed_in_another_way(self) -> None:
        other = next(action for action in ListAction if action not in (ADD, REMOVE))
        found = self.problems(blacklisted_os=((other, "a"),))
        self.assertEqual(found, {"blacklisted_os": "supports only the actions add and remove"})

    def test_ranges_of_user_ids_come_and_go(self) -> None:
        old = {"uid_pool": ((100, 200), (300, 400))}
        self.assertEqual(change(old, remove_uids=old["uid_pool"]), {"uid_pool": ()})
        given = {"uid_pool": ((300, 400),), "add_uids": ((100, 200), (300, 400))}
        self.assertEqual(change(old, **given), old)
        self.assertEqual(change(old, add_uids=((1, 9),))["uid_pool"], ((1, 9), *old["uid_pool"]))
        self.assertIn("0 is root", self.problems(old, add_uids=((0, 9),))["uid_pool"])
        self.assertIn("0 is root", self.problems(old, add_uids=((9, 1 << 32),))["uid_pool"])

    def test_ranges_that_make_no_sense_are_refused(self) -> None:
        for given in ((5, 4), (-1, 4)):
            for name in ("uid_pool", "add_uids", "remove_uids"):
                message = self.problems(**{name: (given,)})["uid_pool"]
                self.assertEqual(message, f"{given[0]}-{given[1]} is not a valid range of user IDs")
        found = self.problems({"uid_pool": ((1, 9),)}, remove_uids=((1, 5),))
        self.assertEqual(found, {"remove_uids": "1-5 is not a range of the pool"})

    def test_only_data_collectors_that_exist_are_changed(self) -> None:
        cpu = DataCollector(active=True, interval=5)
        old = {"data_collectors": {"cpu": cpu}}
        found = self.problems(old, data_collector_interval={"disk": 1})
        self.assertEqual(found, {"disk": "is not a data collector; known are cpu"})
        found = self.problems({"data_collectors": {}}, data_collector_interval={"disk": 1})
        self.assertEqual(found, {"disk": "is not a data collector; known are none"})
        self.assertEqual(change(old, data_collector_interval={"cpu": 5}), {})
