# SPDX-License-Identifier: BSD-2-Clause
"""A new cluster is whole from its first moment."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config import access_file
from ganeti.config.formats import ConfigDataEncoder, loaded
from ganeti.config.initial_state import given_settings, initial_state
from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState
from ganeti.errors import Invalid
from ganeti.model.disk import Template
from ganeti.model.node import NodeRole
from ganeti.model.parameters.filling import hv_defaults
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.parsing import check_consistency
from ganeti.model.parameters.policy import Policy

WRONG_SETTINGS: dict[str, Any] = {
    "candidate_pool_size": 0,
    "drbd_usermode_helper": "true",
    "file_storage_dir": "disks",
    "mac_prefix": "zz",
    "master_netdev": "",
    "master_netmask": 99,
    "shared_file_storage_dir": "disks",
    "volume_group_name": "../x",
}


def a_new_cluster(**over: Any) -> ClusterState:
    numbers = count(1)
    arguments: dict[str, Any] = {
        "name": "cluster.example.com",
        "address": "192.0.2.10",
        "master": "node1.example.com",
        "master_address": "192.0.2.1",
        "certificate": "AA:BB",
        "ids": lambda: f"uuid-{next(numbers)}",
        "random": Random(1),
        "now": 7.0,
    }
    return initial_state(**{**arguments, **over})


class FoundedTests(SynchronousTestCase):
    def test_it_verifies_and_survives_being_written(self) -> None:
        state = a_new_cluster()
        self.assertEqual(verify(state), [])
        written = loaded(ConfigDataEncoder().text(state), ids=lambda: "")
        self.assertEqual(access_file.restore(written, access_file.text(state)), state)

    def test_names_of_several_lines_are_refused(self) -> None:
        with self.assertRaisesRegex(Invalid, "must be one line of text"):
            a_new_cluster(master="a\nb")

    def test_settings_are_judged_as_when_they_are_changed(self) -> None:
        for wrong, words in (
            ({"mac_prefix": "01:00:00"}, "mac_prefix: must be three bytes"),
            ({"file_storage_dir": "disks"}, "file_storage_dir: must be an absolute path"),
            ({"default_iallocator": "../x"}, "must be a valid iallocator name"),
            ({"candidate_pool_size": 0}, "candidate_pool_size: must be at least 1"),
            ({"address": "a\nb"}, "master_ip: must be an IP address"),
            ({"secondary_address": "x"}, "secondary_ip: x is not an IP address"),
            ({"templates": (Template.PLAIN,)}, "plain requires volume_group_name"),
            ({"templates": (Template.FILE,), "file_storage_dir": ""}, "file requires file_storage"),
        ):
            settings: dict[str, Any] = wrong
            with self.assertRaisesRegex(Invalid, words):
                a_new_cluster(**settings)
        self.assertEqual(a_new_cluster(mac_prefix="AA:00:00").cluster.mac_prefix, "aa:00:00")

    def test_the_name_is_a_host_name_in_the_form_that_is_kept(self) -> None:
        self.assertEqual(a_new_cluster(name="C.Example.").cluster.cluster_name, "c.example")
        for name in ("a\nb", "a..b", "a b"):
            with self.assertRaisesRegex(Invalid, "as in a host name"):
                a_new_cluster(name=name)

    def test_settings_are_what_they_are_when_they_are_changed(self) -> None:
        """tests/operations/test_settings.py has the same for changes."""
        for name, value in WRONG_SETTINGS.items():
            error = self.assertRaises(Invalid, a_new_cluster, **{name: value})
            self.assertEqual([each.path for each in error.problems], [name])

    def test_a_netmask_is_one_of_the_clusters_addresses(self) -> None:
        self.assertRaises(Invalid, a_new_cluster, master_netmask=64)
        a_new_cluster(master_netmask=64, primary_ip_family=10)

    def test_what_is_enabled_is_enabled_once(self) -> None:
        cluster = a_new_cluster(hypervisors=["kvm", "fake", "kvm"]).cluster
        self.assertEqual(cluster.enabled_hypervisors, ("kvm", "fake"))

    def test_the_name_is_not_that_of_the_node(self) -> None:
        with self.assertRaisesRegex(Invalid, "node1 is the name of the node; choose another"):
            a_new_cluster(name="node1", master="node1")

    def test_the_master_is_a_candidate_in_the_group_default(self) -> None:
        state = a_new_cluster()
        self.assertEqual(state.master.role(state.cluster.master_node), NodeRole.MASTER)
        self.assertEqual(state.groups[state.master.group].name, "default")
        self.assertEqual(state.cluster.candidate_certs, {state.master.uuid: "AA:BB"})

    def test_the_prefix_of_hardware_addresses_is_of_one_host_and_local(self) -> None:
        prefix = a_new_cluster().cluster.mac_prefix
        self.assertEqual(len(prefix), 8)
        self.assertEqual(int(prefix[:2], 16) & 3, 2)
        self.assertEqual(a_new_cluster(mac_prefix="aa:00:00").cluster.mac_prefix, "aa:00:00")

    def test_guests_boot_by_themselves(self) -> None:
        cluster = a_new_cluster().cluster
        for name, kind in HYPERVISORS.items():
            check_consistency(kind, hv_defaults(cluster, name), path=name)
        self.assertEqual(hv_defaults(cluster, "kvm")["kernel_path"], "")

    def test_diskless_and_tiny_instances_are_admitted(self) -> None:
        policy = a_new_cluster().cluster.ipolicy
        check_consistency(Policy, policy, path="ipolicy")
        [bounds] = policy["minmax"]
        least = bounds["min"]
        self.assertEqual(
            [least[name] for name in ("disk-count", "disk-size", "nic-count", "memory-size")],
            [0, 1, 0, 1],
        )


class GivenSettingsTests(SynchronousTestCase):
    def test_mirrored_disks_have_their_helper(self) -> None:
        self.assertIsNone(a_new_cluster().cluster.drbd_usermode_helper)
        for given, wanted in (({}, "/bin/true"), ({"drbd_usermode_helper": "/bin/ok"}, "/bin/ok")):
            cluster = a_new_cluster(
                templates=(Template.DRBD,), volume_group_name="vg0", **given
            ).cluster
            self.assertEqual(cluster.drbd_usermode_helper, wanted)

    def test_parameters_of_cards_that_ganeti_does_not_read_are_left_out(self) -> None:
        usual = {"mode": "bridged", "link": "br0", "vlan": ""}
        self.assertEqual(a_new_cluster().cluster.nicparams, {"default": usual})
        given = given_settings({"nicparams": {"anti_spoofing": "on"}})
        self.assertEqual(given["nicparams"], {"default": {**usual, "anti_spoofing": True}})

    def test_what_is_given_is_laid_over_what_is_usual(self) -> None:
        found = given_settings(
            {
                "beparams": {"memory": "1g"},
                "hvparams": {"kvm": {"acpi": "no"}},
                "nicparams": {"mode": "routed", "link": "main"},
                "diskparams": {"plain": {"stripes": "2"}},
                "ipolicy": {"std": {"disk-size": 2048}, "vcpu-ratio": 8.0},
            }
        )
        state = a_new_cluster(**found)
        self.assertEqual(list(verify(state)), [])
        cluster = state.cluster
        self.assertEqual(cluster.beparams["default"]["maxmem"], 1024)
        self.assertEqual(cluster.hvparams["kvm"], {"kernel_path": "", "acpi": False})
        self.assertEqual(cluster.nicparams["default"]["link"], "main")
        self.assertEqual(cluster.diskparams["plain"]["stripes"], 2)
        self.assertEqual(cluster.ipolicy["std"]["disk-size"], 2048)
        self.assertEqual(cluster.ipolicy["std"]["cpu-count"], 1)

    def test_every_problem_is_told(self) -> None:
        with self.assertRaises(Invalid) as caught:
            given_settings(
                {"beparams": {"colour": "red"}, "hvparams": {"vax": {}}, "ndparams": {"x": 1}}
            )
        self.assertEqual(
            [problem.path for problem in caught.exception.problems],
            ["hvparams", "beparams/colour", "ndparams/x"],
        )
