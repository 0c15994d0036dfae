# SPDX-License-Identifier: BSD-2-Clause
"""The choices for parameters are the words that clients of Ganeti 3.0 know."""

from __future__ import annotations

import enum
import json

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.model.disk import Template
from ganeti.opcodes import choices
from ganeti.opcodes.registry import read_opcode
from tests.opcodes.test_declared import GOLDEN

KNOWN = json.loads(GOLDEN.read_text())["choices"]
ENUMS = [
    each
    for each in vars(choices).values()
    if isinstance(each, type) and issubclass(each, enum.StrEnum) and each is not enum.StrEnum
]


class ChoiceTests(SynchronousTestCase):
    def test_each_set_of_words_is_one_that_clients_know(self) -> None:
        known = [set(words) for words in KNOWN.values()]
        for kind in ENUMS:
            self.assertIn({each.value for each in kind}, known, kind.__name__)

    def test_disk_templates_that_are_types_of_storage_have_the_same_word(self) -> None:
        types = {each.value for each in choices.StorageType}
        others = {Template.PLAIN, Template.DRBD, Template.RBD}  # on volume groups and RADOS
        self.assertLessEqual({each.value for each in set(Template) - others}, types)

    def test_a_word_is_read_as_its_choice(self) -> None:
        opcode = read_opcode(
            {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "web1", "mode": "live"}
        )
        self.assertIs(getattr(opcode, "mode", None), choices.MigrationMode.LIVE)

    def test_another_word_is_refused_with_the_choices(self) -> None:
        document = {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "web1", "mode": "warm"}
        with self.assertRaises(Invalid) as caught:
            read_opcode(document)
        for part in ("mode", "live", "non-live", "warm"):
            self.assertIn(part, str(caught.exception))
