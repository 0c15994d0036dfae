# SPDX-License-Identifier: BSD-2-Clause
"""Tickets for the consoles of instances, which their nodes hand out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import check_exists, check_online, standing
from ganeti.rpc.call import Nodes
from ganeti.rpc.instances import CaptureScreen, PrepareConsole

STREAMS = ("serial", "vnc")


class ConsoleTickets:
    """Finds the node of an instance, and asks it for a ticket."""

    def __init__(self, state: Callable[[], ClusterState], nodes: Nodes) -> None:
        self._state = state
        self._nodes = nodes

    async def take_screenshot(self, instance: str) -> str:
        """Return a small picture of the screen of an instance, as PNG in base64.

        :raises Refused: the instance is not there or does not run, or has no screen.
        """
        state = self._state()
        subject = standing(state.instance(instance), state)
        check_exists(subject.instance)
        name = subject.instance.name
        check_online(subject.primary, f"the screen of instance {name} cannot be seen")
        guest = make_guest(state, subject.instance)
        return await self._nodes.ask(subject.primary, CaptureScreen(guest=guest))

    async def create_ticket(
        self, instance: str, stream: str, viewer: str, *, take_over: bool = False
    ) -> dict[str, Any]:
        """Return the node of an instance, and a ticket for one of its consoles.

        :raises Refused: the instance is not there or does not run, or has no such console.
        """
        if stream not in STREAMS:
            raise Refused(f"stream must be one of {', '.join(STREAMS)}, not {stream}")
        state = self._state()
        subject = standing(state.instance(instance), state)
        check_exists(subject.instance)
        node = subject.primary
        name = subject.instance.name
        check_online(node, f"the console of instance {name} cannot be reached")
        call = PrepareConsole(
            guest=make_guest(state, subject.instance),
            stream=stream,
            viewer=viewer,
            take_over=take_over,
        )
        ticket = await self._nodes.ask(node, call)
        return {"node": node.name, "address": node.primary_ip, "ticket": ticket}
