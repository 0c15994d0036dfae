# SPDX-License-Identifier: BSD-2-Clause
"""Which backups are kept: the newest of so many periods, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.backups import BackupSummary
from ganeti.operations.backup.retention import RetentionRules, select_kept


def a_backup(moment: str) -> BackupSummary:
    created = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())
    return BackupSummary(id=moment, instance="web1", uuid="u1", cluster="c", created=created)


BACKUPS = [
    a_backup(moment)
    for moment in (
        "2026-01-31T23:00",
        "2026-02-01T01:00",
        "2026-02-01T23:00",
        "2026-02-02T01:00",
        "2026-02-09T01:00",
    )
]


class RetentionTests(SynchronousTestCase):
    def kept(self, **rules: int) -> list[str]:
        return sorted(select_kept(BACKUPS, RetentionRules(**rules)))

    def test_the_newest_are_kept(self) -> None:
        self.assertEqual(self.kept(last=2), ["2026-02-02T01:00", "2026-02-09T01:00"])

    def test_the_newest_of_each_day_is_kept(self) -> None:
        days = ["2026-02-01T23:00", "2026-02-02T01:00", "2026-02-09T01:00"]
        self.assertEqual(self.kept(daily=3), days)

    def test_weeks_begin_on_monday(self) -> None:
        # 1 February 2026 is a Sunday.
        weeks = ["2026-02-01T23:00", "2026-02-02T01:00", "2026-02-09T01:00"]
        self.assertEqual(self.kept(weekly=9), weeks)

    def test_the_newest_of_each_month_is_kept(self) -> None:
        self.assertEqual(self.kept(monthly=5), ["2026-01-31T23:00", "2026-02-09T01:00"])

    def test_rules_add_up(self) -> None:
        kept = ["2026-01-31T23:00", "2026-02-02T01:00", "2026-02-09T01:00"]
        self.assertEqual(self.kept(last=2, monthly=2), kept)

    @given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
    def test_the_newest_is_kept_by_any_rule(
        self, last: int, day: int, week: int, month: int
    ) -> None:
        rules = RetentionRules(last, day, week, month)
        found = select_kept(BACKUPS, rules)
        self.assertEqual(BACKUPS[-1].id in found, not rules.keep_nothing)
