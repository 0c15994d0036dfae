# SPDX-License-Identifier: BSD-2-Clause
"""Parameters that opcodes share mean the same, and are refused for the same, in each of them."""

from __future__ import annotations

from functools import cache
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.opcodes.fields import SHUTDOWN_TIMEOUT
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import OPCODES, read_opcode
from ganeti.schema.parameters import Parameter, parameters

CREATE = {"OP_ID": "OP_INSTANCE_CREATE", "instance_name": "web1", "mode": "create", "nics": []}
NAME = {"instance_name": "web1"}


def read(**fields: Any) -> Opcode:
    return read_opcode({**CREATE, "disk_template": "diskless", "disks": [], **fields})


def declarations(name: str) -> dict[str, Parameter]:
    """The declarations of a parameter, by the opcodes that have it."""
    return {kind: found[name] for kind, found in _parameters().items() if name in found}


@cache
def _parameters() -> dict[str, dict[str, Parameter]]:
    return {kind.__name__: {p.name: p for p in parameters(kind)} for kind in OPCODES.values()}


class MeaningTests(SynchronousTestCase):
    def test_a_guest_has_the_same_time_to_shut_down_everywhere(self) -> None:
        found = declarations("shutdown_timeout")
        self.assertGreater(len(found), 3)
        self.assertEqual({each.default for each in found.values()}, {SHUTDOWN_TIMEOUT})

    def test_private_and_secret_parameters_are_so_in_every_opcode(self) -> None:
        for name, secrecy in (("osparams_private", "private"), ("osparams_secret", "secret")):
            found = declarations(name)
            self.assertTrue(found)
            for kind, each in found.items():
                self.assertTrue(each.extra.get(secrecy), f"{kind}.{name}")

    def test_every_shared_parameter_is_documented(self) -> None:
        for name in ("iallocator", "hvparams", "beparams", "wait_for_sync", "ignore_ipolicy"):
            for kind, each in declarations(name).items():
                self.assertTrue(each.doc, f"{kind}.{name}")

    def test_what_is_not_supported_has_an_alternative_and_is_not_set_by_default(self) -> None:
        for name in ("hv_state", "disk_state", "instance_communication", "helper_startup_timeout"):
            for kind, each in declarations(name).items():
                self.assertTrue(each.extra["instead"], f"{kind}.{name}")
                self.assertIn(each.default, (None, False))


class RefusalTests(SynchronousTestCase):
    def refusal(self, **fields: Any) -> str:
        with self.assertRaises(Invalid) as caught:
            read(**fields)
        return str(caught.exception)

    def test_a_network_card_has_only_the_parameters_of_network_cards(self) -> None:
        read(nics=[{"mac": "auto", "ip": None, "network": "net1"}])
        self.assertIn("colour", self.refusal(nics=[{"colour": "red"}]))
        self.assertIn("nics[0]", self.refusal(nics=[{"mac": 7}]))

    def test_a_disk_may_have_parameters_of_its_provider(self) -> None:
        read(disk_template="ext", disks=[{"size": 1024, "provider": "x", "pool": "fast"}])
        read(disk_template="file", disks=[{"size": "1G", "mode": None}])
        self.assertIn("disks[0]", self.refusal(disk_template="file", disks=[{"size": [1]}]))

    def test_a_time_is_not_negative(self) -> None:
        document = {"OP_ID": "OP_INSTANCE_FAILOVER", "shutdown_timeout": -1, **NAME}
        with self.assertRaisesRegex(Invalid, "shutdown_timeout"):
            read_opcode(document)

    def test_a_name_has_no_control_characters(self) -> None:
        self.assertIn("iallocator", self.refusal(iallocator="hail\n"))

    def test_what_is_no_version_is_no_release(self) -> None:
        for release in ("3.2.0", "1.4.0~rc1", "0.1.0.dev3+g12ab", "2"):
            read_opcode({"OP_ID": "OP_CLUSTER_UPGRADE", "release": release})
        for other in ("banana", "", "1.2; reboot", "v1.2"):
            with self.assertRaisesRegex(Invalid, "release: must be a version number"):
                read_opcode({"OP_ID": "OP_CLUSTER_UPGRADE", "release": other})
