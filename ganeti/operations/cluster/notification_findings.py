# SPDX-License-Identifier: BSD-2-Clause
"""Notifications whose receivers do not accept events."""

from __future__ import annotations

from collections.abc import Iterator

from ganeti.config.state import ClusterState
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.operations.cluster.findings import Finding


def notification_findings(state: ClusterState, now: float) -> Iterator[Finding]:
    """Yield a warning for each enabled notification that fails; ``now`` in seconds."""
    for name, progress in sorted(state.notification_progress.items()):
        notification = state.notifications.get(name)
        if notification is None or not notification.enabled or not progress.failing_since:
            continue
        minutes = max(0, int(now - progress.failing_since)) // 60
        yield Finding(
            Code.ECLUSTERCFG,
            "notification",
            name,
            f"it has not been delivered for {minutes} minutes: {progress.error}; repair the"
            f" receiver, then check with gnt-cluster notify test {name}",
            warning=True,
        )
