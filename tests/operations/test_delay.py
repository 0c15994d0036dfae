# SPDX-License-Identifier: BSD-2-Clause
"""Waiting, for tests."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.opcodes.test import Delay
from ganeti.operations.delay import plan
from ganeti.operations.operation import NodeAnswers
from ganeti.testing.builders import a_cluster


class PlanTests(SynchronousTestCase):
    def test_a_time_that_is_over_before_it_begins_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "give 0 or more"):
            plan(Delay(duration=-1.0), a_cluster(), NodeAnswers())
