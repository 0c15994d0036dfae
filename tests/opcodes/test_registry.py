# SPDX-License-Identifier: BSD-2-Clause
"""Reading opcodes: what is right becomes a record, what is wrong is told all at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from ganeti.opcodes.registry import OPCODES, decode_opcode, decode_opcodes, read_opcode
from ganeti.opcodes.test import Delay
from ganeti.opcodes.writing import to_wire


class ReadTests(SynchronousTestCase):
    def test_a_document_becomes_the_opcode_it_names(self) -> None:
        self.assertEqual(
            read_opcode({"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": "web1"}),
            ShutdownInstance(instance_name="web1"),
        )

    def test_a_whole_number_of_seconds_is_a_duration(self) -> None:
        self.assertEqual(
            decode_opcode(b'{"OP_ID":"OP_TEST_DELAY","duration":1}'), Delay(duration=1)
        )

    def test_every_problem_is_told_at_once(self) -> None:
        wrong = {"OP_ID": "OP_INSTANCE_SHUTDOWN", "timeout": -1, "colour": "red"}
        for attempt in (read_opcode, lambda each: decode_opcode(msgspec.json.encode(each))):
            error = self.assertRaises(Invalid, attempt, wrong)
            self.assertEqual(
                [each.path for each in error.problems], ["instance_name", "timeout", "colour"]
            )

    def test_problems_of_several_opcodes_say_which(self) -> None:
        raw = b'[{"OP_ID":"OP_TEST_DELAY"},{"OP_ID":"OP_NO_SUCH"},{},7]'
        error = self.assertRaises(Invalid, decode_opcodes, raw)
        self.assertEqual(
            [each.path for each in error.problems], ["0.duration", "1.OP_ID", "2.OP_ID", "3"]
        )

    def test_a_wrong_choice_is_told_with_the_right_ones(self) -> None:
        wrong = {"OP_ID": "OP_TAGS_GET", "kind": "planet"}
        message = "kind: must be one of cluster, instance, .*, not 'planet'"
        self.assertRaisesRegex(Invalid, message, read_opcode, wrong)

    def test_a_query_string_may_spell_numbers_and_truth(self) -> None:
        document = {"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": "web1", "timeout": "5"}
        self.assertEqual(
            read_opcode({**document, "no_remember": 1}, lax=True),
            ShutdownInstance(instance_name="web1", timeout=5, no_remember=True),
        )

    def test_a_bad_address_is_told_with_an_example(self) -> None:
        bad = {"OP_ID": "OP_NETWORK_ADD", "network_name": "net", "network": "10.0.0.0/33"}
        self.assertRaisesRegex(Invalid, "network: 10.0.0.0/33 is not .*/24", read_opcode, bad)

    @given(st.binary() | st.text().map(str.encode))
    def test_garbage_is_invalid_and_nothing_worse(self, raw: bytes) -> None:
        for decode in (decode_opcode, decode_opcodes):
            try:
                decode(raw)
            except Invalid as e:
                self.assertTrue(str(e))
            else:
                self.assertEqual(msgspec.json.decode(raw), [])


class WrittenTests(SynchronousTestCase):
    def test_every_opcode_survives_the_wire(self) -> None:
        least = {
            "instance_name": "web1", "node_name": "n", "group_name": "g", "network_name": "net",
            "duration": 1.5, "mode": None, "network": "192.0.2.0/24", "name": "x",
        }  # fmt: skip
        for name, kind in OPCODES.items():
            document = {key: least[key] for key in least if key in kind.__struct_fields__}
            document.pop("mode", None)
            try:
                opcode = read_opcode({"OP_ID": name, **document})
            except Invalid:
                continue
            self.assertEqual(read_opcode(to_wire(opcode)), opcode)
            self.assertEqual(decode_opcode(msgspec.json.encode(to_wire(opcode))), opcode)

    def test_a_creation_is_read_as_clients_write_it(self) -> None:
        opcode = read_opcode(
            {
                "OP_ID": "OP_INSTANCE_CREATE",
                "instance_name": "web1",
                "mode": "create",
                "disk_template": "plain",
                "disks": [{"size": "1024", "spindles": 2}],
                "nics": [{"mac": "auto", "ip": None}],
            }
        )
        assert isinstance(opcode, CreateInstance)
        self.assertEqual(opcode.nics, ({"mac": "auto", "ip": None},))


class LazyTests(SynchronousTestCase):
    def test_asking_for_one_opcode_loads_one_family(self) -> None:
        script = (
            "import sys; from ganeti.opcodes.registry import OPCODES; OPCODES['OP_TEST_DELAY'];"
            "assert 'ganeti.opcodes.test' in sys.modules;"
            "assert 'ganeti.opcodes.cluster' not in sys.modules;"
            "assert not any(name.startswith('twisted') for name in sys.modules)"
        )
        root = Path(__file__).parent.parent.parent
        subprocess.run([sys.executable, "-c", script], check=True, timeout=30, cwd=root)
