# SPDX-License-Identifier: BSD-2-Clause
"""A request for an instance is checked as a whole before its nodes are chosen."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Invalid, Refused
from ganeti.model.disk import DiskMode, Template
from ganeti.opcodes.choices import Hypervisor
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.operations.instance.create.instance_spec import InstanceSpec, make_spec
from ganeti.operations.instance.device_specs import DiskSpec, NicSpec
from ganeti.testing.builders import a_cluster


def spec(cluster: dict[str, Any] | None = None, **over: Any) -> InstanceSpec:
    """Return the spec of a request with these fields, in a cluster with these settings."""
    fields: dict[str, Any] = {
        "instance_name": "web1",
        "mode": CreationMode.CREATE,
        "disk_template": Template.PLAIN,
        "disks": ({"size": 64},),
        "nics": (),
        "os_type": "noop",
    }
    return make_spec(CreateInstance(**{**fields, **over}), a_cluster(**(cluster or {})).cluster)


class SpecTests(SynchronousTestCase):
    def test_it_has_what_the_request_says(self) -> None:
        found = spec(
            hypervisor=Hypervisor.KVM,
            disks=({"size": 64, "mode": "ro"}, {"size": "1g"}),
            nics=({"ip": "192.0.2.7"},),
            hvparams={"kernel_path": "", "acpi": False},
            beparams={"vcpus": "4"},
            osparams={"release": "trixie"},
            osparams_private={"password": "secret"},
            tags=("web",),
        )
        expected = InstanceSpec(
            hypervisor="kvm",
            template=Template.PLAIN,
            disks=(DiskSpec(64, mode=DiskMode.READ_ONLY), DiskSpec(1024)),
            nics=(NicSpec(ip="192.0.2.7"),),
            os="noop",
            installs=True,
            hvparams={"kernel_path": "", "acpi": False},
            beparams={"vcpus": 4},
            osparams={"release": "trixie"},
            osparams_private={"password": "secret"},
            tags=("web",),
        )
        self.assertEqual(found, expected)

    def test_the_first_hypervisor_and_template_of_the_cluster_are_the_default(self) -> None:
        cluster = {"enabled_hypervisors": ("fake",), "enabled_disk_templates": ("file", "plain")}
        found = spec(cluster, disk_template=None)
        self.assertEqual((found.hypervisor, found.template), ("fake", Template.FILE))

    def test_an_os_is_installed_unless_the_disks_have_data(self) -> None:
        self.assertTrue(spec().installs)
        self.assertFalse(spec(no_install=True).installs)
        self.assertFalse(spec(disks=({"adopt": "data"},)).installs)

    def test_without_an_installation_no_os_is_needed(self) -> None:
        self.assertEqual(spec(no_install=True, os_type=None).os, "")
        with self.assertRaisesRegex(Invalid, "os_type: is required unless no_install is set"):
            spec(os_type=None)

    def test_defaults_of_the_os_count_for_the_check_of_the_parameters(self) -> None:
        settings = {"os_hvp": {"noop": {"kvm": {"cdrom_image_path": "/a.iso"}}}}
        given = {"boot_order": "cdrom", "kernel_path": ""}
        spec(settings, hypervisor=Hypervisor.KVM, hvparams=given)
        with self.assertRaisesRegex(Invalid, "cdrom_image_path: is required"):
            spec(hypervisor=Hypervisor.KVM, hvparams=given)


class RefusalTests(SynchronousTestCase):
    def test_a_hypervisor_that_is_not_enabled_is_refused_with_those_that_are(self) -> None:
        with self.assertRaisesRegex(Refused, "kvm is not enabled; enabled are: fake"):
            spec({"enabled_hypervisors": ("fake",)}, hypervisor=Hypervisor.KVM)

    def test_a_template_that_is_not_enabled_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "plain"):
            spec({"enabled_disk_templates": ("file",)})

    def test_every_problem_is_reported_at_once(self) -> None:
        with self.assertRaises(Invalid) as raised:
            spec(
                instance_name="-web1",
                disks=({"size": 0},),
                nics=({"mac": "nonsense"},),
                hvparams={"nosuch": 1},
                beparams={"vcpus": "many"},
                tags=("a b",),
                os_type=None,
            )
        expected = [
            "disks[0]/size",
            "nics[0]/mac",
            "hvparams/nosuch",
            "beparams/vcpus",
            "instance_name",
            "tags[0]",
            "os_type",
        ]
        self.assertEqual([problem.path for problem in raised.exception.problems], expected)

    def test_the_mode_of_a_card_must_fit_its_other_parameters(self) -> None:
        with self.assertRaisesRegex(Invalid, r"nics\[0\]"):
            spec(nics=({"mode": "bridged", "link": ""},))

    def test_an_address_from_a_pool_needs_a_network(self) -> None:
        with self.assertRaisesRegex(Refused, "network card 1 requests an address") as raised:
            spec(nics=({}, {"ip": "pool"}))
        self.assertEqual(raised.exception.code, Code.INPUT)
        self.assertEqual(spec(nics=({"ip": "pool", "network": "lan"},)).nics[0].ip, "pool")
