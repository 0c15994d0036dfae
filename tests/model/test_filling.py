# SPDX-License-Identifier: BSD-2-Clause
"""What a finer level sets wins over the coarser ones."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.model.disk import Template
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.declaration import defaults, plain
from ganeti.model.parameters.filling import (
    backend_of,
    fill_backend,
    fill_disk,
    fill_hypervisor,
    fill_nic,
    fill_node,
    fill_os,
    fill_policy,
    nic_parameters_of,
    node_parameters_of,
    policy_of,
)
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.policy import Policy
from ganeti.testing.builders import a_cluster, a_group, a_nic, a_node, an_instance


class FillingTests(SynchronousTestCase):
    def test_an_instance_wins_over_its_os_over_the_cluster_over_the_defaults(self) -> None:
        cluster = a_cluster(
            hvparams={"kvm": {"vga": "std", "acpi": False, "keymap": "en"}},
            os_hvp={"debian": {"kvm": {"acpi": True, "cpu_type": "host"}}},
        ).cluster
        web = an_instance(hypervisor="kvm", os="debian+min", hvparams={"cpu_type": "qemu64"})
        filled = fill_hypervisor(cluster, web.instance)
        names = ("kvm_path", "vga", "acpi", "keymap", "cpu_type")
        self.assertEqual(
            [filled[name] for name in names], ["/usr/bin/kvm", "std", True, "en", "qemu64"]
        )

    def test_a_hypervisor_of_other_software_keeps_its_parameters(self) -> None:
        cluster = a_cluster(hvparams={"xen-pvm": {"kernel_path": "/boot/x"}}).cluster
        web = an_instance(hypervisor="xen-pvm", hvparams={"root_path": "/dev/xvda1"})
        self.assertEqual(
            fill_hypervisor(cluster, web.instance),
            {"kernel_path": "/boot/x", "root_path": "/dev/xvda1"},
        )

    def test_memory_comes_from_the_instance_and_the_rest_from_the_cluster(self) -> None:
        cluster = a_cluster(beparams={"default": {"vcpus": 4}}).cluster
        filled = fill_backend(cluster, an_instance(beparams={"maxmem": 512}).instance)
        self.assertEqual((filled["maxmem"], filled["minmem"], filled["vcpus"]), (512, 128, 4))

    def test_a_network_card_may_have_its_own_link(self) -> None:
        filled = fill_nic(a_cluster().cluster, a_nic(nicparams={"link": "br1"}))
        self.assertEqual(filled, {**defaults(NicParameters), "link": "br1"})

    def test_a_node_wins_over_its_group_over_the_cluster(self) -> None:
        group = a_group(ndparams={"ssh_port": 23, "ovs": True})
        node = a_node(ndparams={"ssh_port": 24})
        filled = fill_node(a_cluster(ndparams={"spindle_count": 7}).cluster, group, node)
        self.assertEqual(
            (filled["ssh_port"], filled["ovs"], filled["spindle_count"]), (24, True, 7)
        )

    def test_a_group_wins_for_disks_and_policy(self) -> None:
        cluster = a_cluster(diskparams={"plain": {"stripes": 2}}).cluster
        group = a_group(diskparams={"plain": {"stripes": 3}}, ipolicy={"vcpu-ratio": 1.0})
        self.assertEqual(fill_disk(cluster, group, Template.PLAIN)["stripes"], 3)
        self.assertEqual(fill_disk(cluster, a_group(), Template.PLAIN)["stripes"], 2)
        self.assertEqual(fill_policy(cluster, group)["vcpu-ratio"], 1.0)
        self.assertEqual(fill_policy(cluster)["vcpu-ratio"], 4.0)

    def test_os_parameters_come_from_the_os_its_variant_and_the_instance(self) -> None:
        cluster = a_cluster(
            osparams={"debian": {"a": "1", "b": "1"}, "debian+min": {"b": "2"}},
            osparams_private_cluster={"debian": {"key": "cluster"}},
        ).cluster
        web = an_instance(os="debian+min", osparams={"c": "3"}, osparams_private={"key": "own"})
        self.assertEqual(
            fill_os(cluster, web.instance), {"a": "1", "b": "2", "c": "3", "key": "own"}
        )


class RecordTests(SynchronousTestCase):
    def test_parameters_are_a_record_with_the_types_that_are_declared(self) -> None:
        cluster = a_cluster(beparams={"default": {"vcpus": 4}}).cluster
        web = an_instance(beparams={"maxmem": 512}).instance
        self.assertEqual(backend_of(cluster, web), Backend(maxmem=512, vcpus=4))

    def test_a_number_that_is_written_as_text_is_one(self) -> None:
        web = an_instance(beparams={"maxmem": "512"}).instance
        self.assertEqual(backend_of(a_cluster().cluster, web).maxmem, 512)

    def test_parameters_of_other_software_are_left_out(self) -> None:
        node = a_node(ndparams={"oob_program": "/sbin/oob", "colour": "red"})
        found = node_parameters_of(a_cluster().cluster, a_group(), node)
        self.assertEqual(found, NodeParameters(oob_program="/sbin/oob"))

    def test_an_invalid_value_names_the_object_that_has_it(self) -> None:
        web = an_instance("web1", beparams={"maxmem": "much"}).instance
        with self.assertRaisesRegex(Refused, "instance web1 has an invalid parameter: .*maxmem"):
            backend_of(a_cluster().cluster, web)

    def test_a_policy_has_ranges_of_specs(self) -> None:
        ranges = [{"min": {**plain(Policy().std), "memory-size": 64}}]
        policy = policy_of(a_cluster().cluster, a_group(ipolicy={"minmax": ranges}))
        self.assertEqual([each.min.memory_size for each in policy.minmax], [64])

    def test_a_network_card_has_the_mode_of_the_cluster(self) -> None:
        cluster = a_cluster(nicparams={"default": {"mode": "routed"}}).cluster
        found = nic_parameters_of(cluster, a_nic(nicparams={"link": "100"}))
        self.assertEqual(found, NicParameters(mode="routed", link="100"))
