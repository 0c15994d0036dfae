# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes inside jobs: secrets stay in memory."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode
from ganeti.opcodes.test import Delay


def with_secret() -> Opcode:
    return read_opcode(
        {
            "OP_ID": "OP_INSTANCE_CREATE",
            "instance_name": "web1",
            "mode": "create",
            "disk_template": "diskless",
            "disks": [],
            "nics": [],
            "os_type": "noop",
            "osparams_secret": {"password": "tell nobody"},
        }
    )


class InputTests(SynchronousTestCase):
    def test_secrets_are_in_memory_only(self) -> None:
        given = OpcodeInput.from_opcode(with_secret())
        self.assertNotIn(b"tell nobody", given.raw)
        assert isinstance(given.opcode, CreateInstance)
        self.assertIn("tell nobody", str(msgspec.to_builtins(given.opcode)))
        self.assertFalse(given.lacks_secrets)

    def test_what_was_read_back_knows_that_it_lacks_its_secrets(self) -> None:
        self.assertTrue(OpcodeInput(OpcodeInput.from_opcode(with_secret()).raw).lacks_secrets)
        self.assertFalse(
            OpcodeInput(OpcodeInput.from_opcode(Delay(duration=1.0)).raw).lacks_secrets
        )

    def test_secrets_are_forgotten_once_it_is_only_stored(self) -> None:
        self.assertTrue(OpcodeInput.from_opcode(with_secret()).without_secrets().lacks_secrets)

    def test_inputs_are_equal_when_their_stored_forms_are(self) -> None:
        opcode = Delay(duration=1.0)
        self.assertEqual(
            OpcodeInput.from_opcode(opcode), OpcodeInput(OpcodeInput.from_opcode(opcode).raw)
        )
        self.assertEqual(OpcodeInput(OpcodeInput.from_opcode(opcode).raw).opcode, opcode)
