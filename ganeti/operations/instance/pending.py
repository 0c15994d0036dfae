# SPDX-License-Identifier: BSD-2-Clause
"""What is configured of an instance, and waits for the next start of its guest."""

from __future__ import annotations

from ganeti.errors import Failed, Refused
from ganeti.model.running import RunningConfig, pending_changes
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.subject import Subject
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import DescribeRunning


async def running_config(subject: Subject, tools: Tools) -> RunningConfig | None:
    """Return what the guest of an instance was started with; None if its node cannot tell."""
    guest = guest_of(tools.config.state(), subject.instance)
    try:
        return await tools.nodes.ask(subject.primary, DescribeRunning(guest=guest))
    except (Failed, Refused):
        return None


async def say_pending(subject: Subject, tools: Tools) -> None:
    """Say what a running guest does not have yet, and how it gets that.

    A node that cannot tell is no reason to fail: the configuration is as it was asked for.
    """
    running, state = await running_config(subject, tools), tools.config.state()
    if running is None:
        return
    name = subject.instance.name
    if waiting := pending_changes(running, guest_of(state, state.instance(name))):
        tools.progress.say(
            f"instance {name} is running and keeps what it was started with; at its next start "
            f"these take effect: {', '.join(map(str, waiting))}; to restart it now: gnt-instance "
            f"reboot {name} (a reboot from inside the guest does not apply them)"
        )
