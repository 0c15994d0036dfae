# SPDX-License-Identifier: BSD-2-Clause
"""What a request for an instance leaves out comes from the description of an export."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.model.disk import Template
from ganeti.opcodes.choices import Hypervisor
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.operations.backup.description import DumpedDisk, ExportDescription
from ganeti.operations.instance.create.export_defaults import apply_export
from ganeti.testing.builders import a_cluster

CARD = {
    "mac": "aa:00:10:00:00:01",
    "ip": "192.0.2.7",
    "network": None,
    "name": "",
    "mode": "bridged",
    "link": "br0",
    "vlan": ".7",
}


def an_export(**over: Any) -> ExportDescription:
    fields: dict[str, Any] = {
        "name": "web1",
        "os": "noop",
        "disk_template": "plain",
        "hypervisor": "kvm",
        "tags": ("web",),
        "nics": (CARD,),
        "disks": (DumpedDisk(64, "dump0", "root"), DumpedDisk(128, "dump1")),
        "hvparams": {"acpi": "False", "root_path": None, "migration_port": "4102"},
        "beparams": {"maxmem": "256", "minmem": "128", "vcpus": "3", "nosuch": "1"},
        "osparams": {"release": "trixie", "unset": None},
        "osparams_private": {"password": "secret", "unset": None},
    }
    return ExportDescription(**{**fields, **over})


def complete(
    export: ExportDescription | None = None, cluster: Any = None, **over: Any
) -> CreateInstance:
    """Return the completed request; ``over`` are the fields that it has already."""
    fields = {"instance_name": "web1", "mode": CreationMode.IMPORT, "disks": (), "nics": ()}
    op = CreateInstance(**{**fields, **over})
    return apply_export(op, export or an_export(), a_cluster(**(cluster or {})).cluster)


class CompletionTests(SynchronousTestCase):
    def test_an_empty_request_gets_what_was_exported(self) -> None:
        op = complete()
        self.assertEqual((op.hypervisor, op.disk_template), (Hypervisor.KVM, Template.PLAIN))
        self.assertEqual((op.os_type, op.tags), ("noop", ("web",)))
        self.assertEqual(op.disks, ({"size": 64, "name": "root"}, {"size": 128}))
        self.assertEqual(op.osparams, {"release": "trixie"})
        self.assertEqual(op.osparams_private, {"password": "secret"})

    def test_nothing_is_installed_over_the_imported_data(self) -> None:
        self.assertTrue(complete().no_install)

    def test_what_the_request_says_holds(self) -> None:
        op = complete(
            hypervisor=Hypervisor.FAKE,
            disk_template=Template.FILE,
            os_type="debian",
            tags=("mine",),
            disks=({"size": 512},),
            nics=({"link": "br9"},),
        )
        self.assertEqual((op.hypervisor, op.disk_template), (Hypervisor.FAKE, Template.FILE))
        self.assertEqual((op.os_type, op.tags), ("debian", ("mine",)))
        self.assertEqual((op.disks, op.nics), (({"size": 512},), ({"link": "br9"},)))

    def test_parameters_are_merged_one_by_one(self) -> None:
        op = complete(
            beparams={"vcpus": 8}, osparams={"arch": "arm64"}, osparams_private={"password": "new"}
        )
        self.assertEqual(op.beparams, {"maxmem": "256", "minmem": "128", "vcpus": 8})
        self.assertEqual(op.osparams, {"release": "trixie", "arch": "arm64"})
        self.assertEqual(op.osparams_private, {"password": "new"})

    def test_parameters_that_an_instance_cannot_have_here_are_left_out(self) -> None:
        op = complete()
        self.assertEqual(op.hvparams, {"acpi": "False", "root_path": "none"})
        self.assertNotIn("nosuch", op.beparams)

    def test_a_hypervisor_without_parameters_here_gets_none(self) -> None:
        self.assertEqual(complete(hypervisor=Hypervisor.XEN_PVM).hvparams, {})

    def test_a_choice_that_does_not_exist_is_refused_with_those_that_do(self) -> None:
        for field, value in (("hypervisor", "bhyve"), ("disk_template", "zfs")):
            with self.assertRaisesRegex(Invalid, f"{field}: .* unknown value {value}; give one of"):
                complete(an_export(**{field: value}))

    def test_a_choice_that_the_request_makes_need_not_be_known_in_the_export(self) -> None:
        op = complete(an_export(hypervisor="bhyve"), hypervisor=Hypervisor.FAKE)
        self.assertEqual(op.hypervisor, Hypervisor.FAKE)


class CardTests(SynchronousTestCase):
    def test_an_instance_that_keeps_its_name_keeps_its_addresses(self) -> None:
        [card] = complete().nics
        self.assertEqual(card, {k: v for k, v in CARD.items() if v})

    def test_another_instance_gets_another_mac_address(self) -> None:
        [card] = complete(instance_name="web2").nics
        self.assertEqual((card.get("mac"), card["ip"]), (None, "192.0.2.7"))


class DefaultTests(SynchronousTestCase):
    """With identify_defaults, a later change of a default also changes the instance."""

    def test_values_that_equal_the_defaults_are_not_recorded(self) -> None:
        backend = {"maxmem": "128", "minmem": "128", "vcpus": "2"}
        export = an_export(beparams=backend, hvparams={"acpi": "True", "disk_type": "ide"})
        op = complete(export, identify_defaults=True)
        self.assertEqual(op.beparams, {"vcpus": 2})
        self.assertEqual(op.hvparams, {"disk_type": "ide"})
        [card] = op.nics
        self.assertNotIn("mode", card)
        self.assertNotIn("link", card)
        self.assertEqual(card["vlan"], ".7")

    def test_defaults_of_the_os_are_defaults_too(self) -> None:
        settings = {"os_hvp": {"noop": {"kvm": {"disk_type": "ide"}}}}
        export = an_export(hvparams={"disk_type": "ide"})
        op = complete(export, settings, identify_defaults=True)
        self.assertEqual(op.hvparams, {})
        op = complete(export, settings, identify_defaults=True, os_type="other")
        self.assertEqual(op.hvparams, {"disk_type": "ide"})

    def test_without_it_they_are(self) -> None:
        [card] = complete(an_export(beparams={"vcpus": "1"})).nics
        self.assertEqual((card["mode"], card["link"]), ("bridged", "br0"))

    def test_values_that_make_no_sense_here_are_refused(self) -> None:
        for name, over in (("beparams/vcpus", "beparams"), ("hvparams/acpi", "hvparams")):
            export = an_export(**{over: {name.partition("/")[2]: "many"}})
            with self.assertRaisesRegex(Invalid, name):
                complete(export, identify_defaults=True)

    def test_a_hypervisor_without_parameters_here_has_no_defaults(self) -> None:
        op = complete(hypervisor=Hypervisor.XEN_PVM, identify_defaults=True)
        self.assertEqual(op.hvparams, {})
