# SPDX-License-Identifier: BSD-2-Clause
"""Single parameters are fields: effective values, those of other hypervisors without one."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.query.fields import FieldStatus, FieldType, Table
from ganeti.testing.builders import a_cluster, an_instance
from ganeti.views.instances.parameter_fields import parameter_fields
from ganeti.views.instances.row import NODE_WIDE_PARAMETERS, rows
from tests.views.moments import a_moment

FIELDS = Table(parameter_fields(), key="be/maxmem").fields


def values(*names: str, **over: Any) -> list[object]:
    """Values of an instance of a cluster of which all parameters are the defaults."""
    [row] = rows(a_moment(a_cluster(instances=[an_instance("web1", **over)])))
    return [FIELDS[name].value(row) for name in names]


class BackendTests(SynchronousTestCase):
    def test_the_defaults_of_the_cluster_are_filled_in(self) -> None:
        found = values("be/vcpus", "be/maxmem", "be/minmem", beparams={"maxmem": 512})
        self.assertEqual(found, [1, 512, 128])

    def test_memory_is_the_older_name_of_the_maximum(self) -> None:
        found = values("be/memory", "be/maxmem", beparams={"maxmem": 512})
        self.assertEqual(found, [512, 512])

    def test_sizes_have_units(self) -> None:
        kinds = {name: FIELDS[f"be/{name}"].kind for name in ("maxmem", "vcpus", "auto_balance")}
        wanted = {
            "maxmem": FieldType.UNIT,
            "vcpus": FieldType.NUMBER,
            "auto_balance": FieldType.BOOL,
        }
        self.assertEqual(kinds, wanted)


class HypervisorTests(SynchronousTestCase):
    def test_those_of_the_instance_go_before_those_of_the_cluster(self) -> None:
        given = {"hypervisor": "kvm", "hvparams": {"acpi": False, "kernel_path": "/vmlinuz"}}
        found = values("hv/acpi", "hv/kernel_path", "hv/pae", **given)
        self.assertEqual(found[:2], [False, "/vmlinuz"])

    def test_those_of_another_hypervisor_are_unavailable(self) -> None:
        found = values("hv/acpi", "hv/bootloader_path", hypervisor="fake")
        self.assertEqual(found, [FieldStatus.UNAVAILABLE] * 2)

    def test_a_parameter_of_the_whole_node_is_none_of_an_instance(self) -> None:
        names = {name.removeprefix("hv/") for name in FIELDS}
        self.assertEqual(names & NODE_WIDE_PARAMETERS, set())

    def test_fields_that_people_know_have_their_titles(self) -> None:
        titles = [FIELDS[f"hv/{name}"].title for name in ("acpi", "pae", "cpu_mask")]
        self.assertEqual(titles, ["ACPI", "PAE", "hv/cpu_mask"])
