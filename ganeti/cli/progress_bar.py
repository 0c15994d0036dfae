# SPDX-License-Identifier: BSD-2-Clause
"""A bar at the bottom of a terminal that shows how far a job is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.model.work_progress import WorkProgress

if TYPE_CHECKING:
    from ganeti.cli.session import Session

_BAR = 24
"""Columns of the bar itself."""

_ERASE = "\r\x1b[K"
"""Goes to the begin of the line and erases it (ECMA-48, EL)."""


class ProgressBar:
    """The bar of a session; it shows nothing unless the output goes to a terminal."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shown = False

    def repaint(self, progress: WorkProgress) -> bool:
        """Show the progress in place of an earlier one; return False without a terminal."""
        size = self._session.terminal_size()
        if size is None:
            return False
        # One column less: the cursor of some terminals wraps after the last one.
        self._session.show(_ERASE + format_bar(progress, size[0] - 1))
        self._shown = True
        return True

    def erase(self) -> None:
        """Erase the bar, so that other text takes its place."""
        if self._shown:
            self._session.show(_ERASE)
            self._shown = False


def format_bar(progress: WorkProgress, columns: int) -> str:
    """Return the bar, percentage, remaining time and subject in at most ``columns``."""
    full = round(progress.percent / 100 * _BAR)
    left = "" if progress.left is None else f", {_format_time(progress.left)} left"
    line = f"[{'=' * full}{' ' * (_BAR - full)}] {progress.percent:.0f} %{left}  {progress.what}"
    return line[:columns]


def _format_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
