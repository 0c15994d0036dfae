# SPDX-License-Identifier: BSD-2-Clause
"""Changes of disks and network cards, in both forms that clients write."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.instance.device_changes import ChangeAction, DeviceChange, changes
from ganeti.opcodes.instance.disks import RecreateDisks
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.opcodes.registry import read_opcode

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


class ChangesTests(SynchronousTestCase):
    def test_both_forms_say_the_same(self) -> None:
        new = changes([["add", -1, {"size": 5}], ["modify", 2, {}], ["remove", "root", {}]])
        old = changes([["add", {"size": 5}], [2, {}]])
        self.assertEqual(new[:2], old)
        self.assertEqual(new[2], DeviceChange(ChangeAction.REMOVE, "root", {}))

    def test_an_index_may_be_text(self) -> None:
        written = [["add", "-1", {"size": 5}], ["modify", "2", {}], ["remove", "0", {}]]
        self.assertEqual([change.where for change in changes(written)], [-1, 2, 0])

    def test_a_wrong_change_is_named_in_the_answer(self) -> None:
        wrong: list[tuple[str, Any, str]] = [
            ("disks", [["paint", 0, {}]], "disks: change 0: unknown action paint; known are add"),
            ("nics", [["add", {}], [True, {}]], "nics: change 1 must be"),
            (
                "nics",
                [["add", {"colour": "red"}]],
                "nics: change 0: unknown parameter colour; known are mac",
            ),
            ("disks", [["add", {"size": [5]}]], "disks: change 0: size must be"),
            ("disks", [["add"]], "disks"),
        ]
        for name, value, message in wrong:
            document = {"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "web1", name: value}
            self.assertRaisesRegex(Invalid, message, read_opcode, document)

    def test_parameters_of_cards_have_the_types_that_clients_get(self) -> None:
        card = {"anti_spoofing": True, "bandwidth_in": 10, "firewall": "tcp:22"}
        common: dict[str, Any] = {"instance_name": "web1"}
        create = {**common, "OP_ID": "OP_INSTANCE_CREATE", "mode": "create", "disks": []}
        create["nics"] = [card]
        read = read_opcode(create)
        assert isinstance(read, CreateInstance)
        self.assertEqual(read.nics, (card,))
        modify = {**common, "OP_ID": "OP_INSTANCE_SET_PARAMS", "nics": [["add", -1, card]]}
        read_opcode(modify)
        for wrong in ({"mac": True}, {"firewall": True}):
            with self.assertRaises(Invalid):
                read_opcode({**modify, "nics": [["add", -1, wrong]]})

    def test_recreated_disks_come_alone_or_with_parameters(self) -> None:
        RecreateDisks(instance_name="web1", disks=(0, (1, {"vg": "fast"})))
        entries: tuple[Any, ...] = (-1, True, "0", (True, {}), (0,))
        for wrong in entries:
            self.assertRaises(ValueError, RecreateDisks, instance_name="web1", disks=(wrong,))

    @given(st.lists(st.lists(ANYTHING)))
    def test_anything_else_is_refused_and_nothing_worse(self, written: list[list[Any]]) -> None:
        try:
            found = changes(written)
        except ValueError:
            return
        self.assertEqual(len(found), len(written))

    def test_an_accepted_change_keeps_its_wire_form(self) -> None:
        opcode = ModifyInstance(instance_name="web1", nics=(("add", {"mac": "auto"}),))
        self.assertEqual(opcode.nics, (("add", {"mac": "auto"}),))
