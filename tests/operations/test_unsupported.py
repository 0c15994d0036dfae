# SPDX-License-Identifier: BSD-2-Clause
"""No opcode that users send is refused without a word on what to do instead."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.opcodes.registry import OPCODES
from ganeti.operations.registry import OPERATIONS
from ganeti.testing.builders import a_cluster
from tests.operations.whole import WholeCluster


class LeftOutTests(SynchronousTestCase):
    def test_every_opcode_is_carried_out_or_says_what_to_do_instead(self) -> None:
        unknown = [name for name, kind in OPCODES.items() if kind not in OPERATIONS]
        self.assertEqual(unknown, ["OP_TEST_DUMMY", "OP_TEST_JQUEUE", "OP_TEST_OS_PARAMS"])

    def test_what_is_left_to_others_is_refused_with_their_names(self) -> None:
        whole = WholeCluster(a_cluster())
        for op_id, fields, words in (
            ("OP_NODE_POWERCYCLE", {"node_name": "node1"}, "gnt-node power cycle NODE"),
        ):
            error = self.failureResultOf(whole.do(op_id, **fields), Refused).value
            assert isinstance(error, Refused)
            self.assertEqual(error.code, Code.STATE)
            self.assertIn(words, str(error))
