# SPDX-License-Identifier: BSD-2-Clause
"""Names, defaults and choices of parameters are those that existing clients and files know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msgspec.inspect import LiteralType
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.disk import Template
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.declaration import ParameterSet, defaults
from ganeti.model.parameters.disk import DISKS
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.node import DiskState, HypervisorState, NodeParameters
from ganeti.model.parameters.policy import Policy
from ganeti.schema.parameters import parameters

_OURS: dict[str, dict[str, Any]] = {
    "kvm": {
        "kvm_accel": "auto",
        "kvm_firmware": "bios",
        "kvm_forward_ports": "",
        "kvm_net": "host",
        "kvm_tpm": "",
    },
    "nicparams": {"anti_spoofing": False, "bandwidth_in": 0, "bandwidth_out": 0, "firewall": ""},
}
"""What this software adds."""


class ParametersTests(SynchronousTestCase):
    def setUp(self) -> None:
        path = Path(__file__).parent / "data" / "parameters.json"
        self.known: dict[str, Any] = json.loads(path.read_text())

    def test_hypervisor_parameters_have_the_known_defaults(self) -> None:
        for name, known in self.known["hypervisors"].items():
            expected = {each: facts["default"] for each, facts in known.items()}
            self.assertEqual(
                dict(defaults(HYPERVISORS[name])), {**expected, **_OURS.get(name, {})}, name
            )

    def test_hypervisor_parameters_take_the_known_values(self) -> None:
        for name, known in self.known["hypervisors"].items():
            for each in parameters(HYPERVISORS[name]):
                values = set(known.get(each.name, {}).get("values", ()))
                if values:
                    assert isinstance(each.type, LiteralType)
                    self.assertEqual(set(each.type.values) - {""}, values - {""}, each.name)

    def test_what_can_only_be_set_for_the_cluster_is_marked(self) -> None:
        for name, known in self.known["hypervisors"].items():
            marked = {e.name for e in parameters(HYPERVISORS[name]) if e.extra.get("shared")}
            self.assertEqual(marked, {n for n, facts in known.items() if "global_only" in facts})

    def test_the_other_kinds_have_the_known_defaults(self) -> None:
        kinds = {
            "beparams": Backend,
            "ndparams": NodeParameters,
            "nicparams": NicParameters,
            "hv_state": HypervisorState,
            "disk_state": DiskState,
            "ipolicy": Policy,
        }
        for name, kind in kinds.items():
            known = {**self.known[name], **_OURS.get(name, {})}
            self.assertEqual(dict(defaults(kind)), known, name)

    def test_disk_parameters_have_the_known_defaults(self) -> None:
        found = {template.value: dict(defaults(DISKS[template])) for template in Template}
        # Empty is the volume group of the data, whatever that is called here.
        drbd = {**self.known["disks"]["drbd"], "metavg": ""}
        # Thin pools are an addition.
        plain = {**self.known["disks"]["plain"], "overcommit": 1.0, "pool": ""}
        self.assertEqual(found, {**self.known["disks"], "drbd": drbd, "plain": plain})

    def test_every_parameter_is_explained(self) -> None:
        kinds: list[type[ParameterSet]] = [*HYPERVISORS.values(), *DISKS.values(), Policy]
        kinds += [Backend, NodeParameters, NicParameters, HypervisorState, DiskState]
        silent = [(kind, each.name) for kind in kinds for each in parameters(kind) if not each.doc]
        self.assertEqual(silent, [])
