# SPDX-License-Identifier: BSD-2-Clause
"""Which backups of an instance are kept; pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ganeti.model.backups import BackupSummary


@dataclass(frozen=True)
class RetentionRules:
    """How many backups to keep: the newest, and the newest of each of so many periods.

    Periods without a backup do not count. They are those of UTC, weeks those of ISO 8601.
    """

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    @property
    def keep_nothing(self) -> bool:
        """Whether no rule would keep any backup."""
        return not (self.last or self.daily or self.weekly or self.monthly)


def select_kept(backups: Sequence[BackupSummary], rules: RetentionRules) -> set[str]:
    """Return the IDs of the backups of one instance that a rule keeps."""
    newest_first = sorted(backups, key=lambda each: (each.created, each.id), reverse=True)
    kept = {each.id for each in newest_first[: rules.last]}
    for count, period in (
        (rules.daily, _day),
        (rules.weekly, _week),
        (rules.monthly, _month),
    ):
        kept |= _newest_of_periods(newest_first, count, period)
    return kept


def _newest_of_periods(
    newest_first: Sequence[BackupSummary], count: int, period: Callable[[datetime], object]
) -> set[str]:
    found: dict[object, str] = {}
    for each in newest_first:
        found.setdefault(period(datetime.fromtimestamp(each.created, UTC)), each.id)
    return set(list(found.values())[:count])


def _day(moment: datetime) -> object:
    return moment.date()


def _week(moment: datetime) -> object:
    return moment.isocalendar()[:2]


def _month(moment: datetime) -> object:
    return moment.year, moment.month
