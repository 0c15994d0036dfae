# SPDX-License-Identifier: BSD-2-Clause
"""What is configured of an instance, and waits for the next start of its guest."""

from __future__ import annotations

from ganeti.errors import Failed, Refused
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.model.running import RunningConfig, pending_changes
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import DescribeRunning


async def running_config(node: Node, guest: Guest, tools: Tools) -> RunningConfig | None:
    """Return what a guest was started with; None if its node cannot tell."""
    try:
        return await tools.nodes.ask(node, DescribeRunning(guest=guest))
    except (Failed, Refused):
        return None


async def say_pending(subject: InstanceContext, tools: Tools) -> None:
    """Say what a running guest does not have yet, and how it gets that.

    A node that cannot tell is no reason to fail: the configuration is as it was asked for.
    """
    state, name = tools.config.state(), subject.instance.name
    guest = guest_of(state, state.instances[subject.instance.uuid])
    running = await running_config(subject.primary, guest, tools)
    if running is not None and (waiting := pending_changes(running, guest)):
        tools.progress.say(
            f"instance {name} is running and keeps what it was started with; at its next start "
            f"these take effect: {', '.join(map(str, waiting))}; to restart it now: gnt-instance "
            f"reboot {name} (a reboot from inside the guest does not apply them)"
        )
