# SPDX-License-Identifier: BSD-2-Clause
"""A node daemon starts the remote API when its node becomes a candidate."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.node_services.candidate_api import CandidateApi
from ganeti.errors import Failed


class CandidateApiTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.wanted = True
        self.runs = self.fails = False
        self.starts = 0
        self.api = CandidateApi(lambda: self.wanted, lambda: self.runs, self.start)

    async def start(self) -> None:
        self.starts += 1
        if self.fails:
            raise Failed("its port is taken")
        self.runs = True

    def look(self) -> int:
        self.successResultOf(self.api.look())
        return self.starts

    def test_it_is_started_on_a_candidate(self) -> None:
        self.wanted = False
        self.assertEqual(self.look(), 0)
        self.wanted = True
        self.assertEqual(self.look(), 1)

    def test_an_administrator_can_stop_it(self) -> None:
        self.look()
        self.runs = False
        self.assertEqual(self.look(), 1)

    def test_one_that_runs_already_is_left_alone(self) -> None:
        self.runs = True
        self.assertEqual(self.look(), 0)
        self.runs = False
        self.assertEqual(self.look(), 0)

    def test_a_node_that_is_promoted_again_gets_it_again(self) -> None:
        self.look()
        self.wanted = self.runs = False
        self.look()
        self.wanted = True
        self.assertEqual(self.look(), 2)

    def test_a_start_that_fails_is_tried_again(self) -> None:
        self.fails = True
        self.failureResultOf(self.api.look(), Failed)
        self.fails = False
        self.assertEqual(self.look(), 2)
