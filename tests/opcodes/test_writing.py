# SPDX-License-Identifier: BSD-2-Clause
"""What leaves the master: nulls left out, secrets kept in."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.opcodes.cluster import ModifyCluster
from ganeti.opcodes.instance.create import AllocateInstances, CreateInstance, CreationMode
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.test import Delay
from ganeti.opcodes.writing import redact, to_storage, to_wire

CREATION = CreateInstance(
    instance_name="web1",
    mode=CreationMode.CREATE,
    disks=(),
    nics=(),
    osparams_private={"key": "abc"},
    osparams_secret={"password": "xyz", "more": ["xyz"]},
)


class WireTests(SynchronousTestCase):
    def test_nulls_are_left_out_but_for_two(self) -> None:
        self.assertEqual(
            to_wire(Delay(duration=2)),
            {
                "OP_ID": "OP_TEST_DELAY",
                "priority": 0,
                "depends": None,
                "comment": None,
                "reason": (),
                "duration": 2,
                "on_master": True,
                "on_nodes": (),
                "repeat": 0,
                "interruptible": False,
                "no_locks": True,
            },
        )

    def test_who_runs_it_gets_the_secrets(self) -> None:
        self.assertEqual(to_wire(CREATION)["osparams_secret"]["password"], "xyz")


class SecretTests(SynchronousTestCase):
    def hidden(self, document: dict[str, Any]) -> tuple[Any, Any]:
        return document.get("osparams_private"), document.get("osparams_secret")

    def test_what_is_shown_has_the_names_only(self) -> None:
        black = "<redacted>"
        self.assertEqual(
            self.hidden(redact(CREATION)), ({"key": black}, {"password": black, "more": black})
        )

    def test_what_is_stored_lacks_the_secrets(self) -> None:
        self.assertEqual(self.hidden(to_storage(CREATION)), ({"key": "abc"}, None))

    def test_opcodes_within_opcodes_keep_theirs_too(self) -> None:
        several = AllocateInstances(instances=(CREATION,))
        self.assertNotIn("xyz", str(redact(several)) + str(to_storage(several)))

    def test_parameters_for_each_os_are_hidden_too(self) -> None:
        opcode = ModifyCluster(osparams_private_cluster={"debian": {"key": "abc"}})
        self.assertEqual(
            redact(opcode)["osparams_private_cluster"], {"debian": {"key": "<redacted>"}}
        )

    def test_no_opcode_prints_its_parameters(self) -> None:
        opcodes: tuple[Opcode, ...] = (CREATION, AllocateInstances(instances=(CREATION,)))
        self.assertEqual(
            [repr(each) for each in opcodes],
            ["<OP_INSTANCE_CREATE web1>", "<OP_INSTANCE_MULTI_ALLOC >"],
        )
