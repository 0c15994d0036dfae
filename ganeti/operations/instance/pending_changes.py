# SPDX-License-Identifier: BSD-2-Clause
"""Pending changes of an instance, which take effect at the next start of its guest."""

from __future__ import annotations

from ganeti.errors import Failed, Refused
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.model.running import RunningConfig, pending_changes
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import DescribeRunning


async def running_config(node: Node, guest: Guest, tools: Tools) -> RunningConfig | None:
    """Return the settings that a guest was started with, or None if its node does not know them."""
    try:
        return await tools.nodes.ask(node, DescribeRunning(guest=guest))
    except (Failed, Refused):
        return None


async def report_pending(subject: InstanceContext, tools: Tools) -> None:
    """Report the pending changes of a running guest in the job's log.

    A node that does not know the running settings is no failure, as the configuration is changed.
    """
    state, name = tools.config.state(), subject.instance.name
    guest = make_guest(state, state.instances[subject.instance.uuid])
    running = await running_config(subject.primary, guest, tools)
    if running is not None and (waiting := pending_changes(running, guest)):
        tools.progress.log_message(
            f"instance {name} is running and keeps its running settings; at its next start "
            f"these take effect: {', '.join(map(str, waiting))}; to restart it now: gnt-instance "
            f"reboot {name} (a reboot from inside the guest does not apply them)"
        )
