# SPDX-License-Identifier: BSD-2-Clause
"""Some seeds of each mode across machines, as ``python -m tests.simulation.seeds`` plays them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.playing import played

SEEDS = "5"
"""How many seeds of a mode are played each time."""


class ModeTests(SynchronousTestCase):
    def play(self, mode: str) -> None:
        self.assertEqual(played(mode, "--seeds", SEEDS), "")

    def test_daemons_that_die_and_hosts_without_power_lose_nothing(self) -> None:
        self.play("crashes")

    def test_the_master_role_moves_under_load_and_loses_nothing(self) -> None:
        self.play("succession")

    def test_frozen_daemons_and_hosts_that_go_on_later_lose_nothing(self) -> None:
        self.play("pauses")

    def test_clocks_that_run_fast_or_slow_or_jump_lose_nothing(self) -> None:
        self.play("skew")

    def test_partitions_cost_nothing_that_was_acknowledged(self) -> None:
        self.play("partition")

    def test_copies_that_are_cut_off_from_those_that_vote_cost_nothing(self) -> None:
        self.play("isolation")

    def test_links_that_carry_one_direction_only_cost_nothing(self) -> None:
        self.play("one-way")

    def test_links_that_come_and_go_cost_nothing(self) -> None:
        self.play("flapping")

    def test_late_messages_and_reset_connections_cost_nothing(self) -> None:
        self.play("delays")

    def test_disks_that_fail_or_stall_on_any_host_lose_nothing(self) -> None:
        self.play("disks")

    def test_old_disks_bring_back_nothing(self) -> None:
        self.play("old-disk")

    def test_hosts_with_old_disks_that_take_over_adopt_what_they_lack_or_are_refused(self) -> None:
        self.play("takeover")

    def test_two_that_want_the_role_at_once_leave_one_master(self) -> None:
        self.play("rivals")

    def test_nodes_that_leave_together_while_others_are_cut_off_take_nothing_along(self) -> None:
        self.play("departures")

    def test_nodes_that_come_go_and_change_their_role_take_nothing_along(self) -> None:
        self.play("membership")

    def test_all_of_it_at_once_costs_nothing(self) -> None:
        self.play("chaos")

    def test_faults_of_etcd_cost_nothing_and_lost_masters_are_replaced(self) -> None:
        self.play("etcd")
