# SPDX-License-Identifier: BSD-2-Clause
"""Tickets for the consoles of this node's guests, and the consoles that are open.

A ticket is good once and for a short time. QEMU serves one client of a serial line at a time and
lets others wait in silence: so all viewers of a line share one connection to it. A screen has a
connection for each viewer. Both tell their viewers who is there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol

from ganeti.errors import Code, Failed, Refused
from ganeti.hypervisor.interfaces import ConsoleSocket, ConsoleStream, IHypervisor
from ganeti.node.console_viewers import GuestConsole, Line, Viewer
from ganeti.rpc.instances import TICKET_SECONDS, PrepareConsole
from ganeti.web.web_socket import ServerWebSocket

MAX_TICKETS = 1000
MAX_VIEWERS = 32
"""How many may be at one console."""

Connect: TypeAlias = Callable[[ConsoleSocket, Protocol], Awaitable[object]]
"""Connects a protocol to the socket of a guest; fails with ``Failed``."""


async def no_connection(socket: ConsoleSocket, protocol: Protocol) -> object:
    """Connect to nothing, where there are no sockets."""
    raise Failed("this node opens no consoles", Code.ENVIRONMENT)


@dataclass(frozen=True)
class Ticket:
    """What one viewer may open, until a time of the clock."""

    guest: str
    stream: ConsoleStream
    socket: ConsoleSocket
    viewer: str
    take_over: bool
    until: float


class Consoles:
    """Hands out tickets for consoles, and opens what they are for."""

    def __init__(
        self,
        hypervisors: Mapping[str, IHypervisor],
        connect: Connect,
        clock: IReactorTime,
        secret: Callable[[], str],
    ) -> None:
        self._hypervisors = hypervisors
        self._connect = connect
        self._clock = clock
        self._secret = secret
        self._tickets: OrderedDict[str, Ticket] = OrderedDict()
        self._open: dict[tuple[str, ConsoleStream], GuestConsole] = {}

    async def prepare(self, call: PrepareConsole) -> str:
        """Return a ticket.

        :raises Refused: the guest does not run here, or has no such console.
        """
        guest, hypervisor = call.guest, self._hypervisors.get(call.guest.hypervisor)
        if hypervisor is None:
            raise Refused(f"there is no hypervisor {guest.hypervisor} on this node")
        sockets = await hypervisor.console_sockets(guest)
        stream = ConsoleStream(call.stream)
        if stream not in sockets:
            raise Refused(_NO_CONSOLE[stream].format(name=guest.name), Code.STATE)
        until = self._clock.seconds() + TICKET_SECONDS
        ticket = self._secret()
        self._tickets[ticket] = Ticket(
            guest.name, stream, sockets[stream], call.viewer, call.take_over, until
        )
        # Those that were never used would remain; the oldest one has most likely expired.
        if len(self._tickets) > MAX_TICKETS:
            self._tickets.popitem(last=False)
        return ticket

    async def open(self, secret: str, socket: ServerWebSocket) -> None:
        """Show a console to the holder of a ticket, which is spent by that.

        :raises Failed: the console cannot be reached.
        :raises Refused: the ticket is not good, or too many viewers are there.
        """
        # Removed first: a ticket that is used twice at once opens one console.
        ticket = self._tickets.pop(secret, None)
        if ticket is None or ticket.until < self._clock.seconds():
            raise Refused("the ticket was used before, or is too old; ask for another one")
        console = self._console(ticket.guest, ticket.stream)
        # QEMU serves one client of a serial line, so that two viewers must not open two
        # connections.
        async with console.opening:
            if len(console.viewers) >= MAX_VIEWERS:
                raise Refused(f"{MAX_VIEWERS} viewers are at this console; ask one to leave")
            line = console.line
            if line is None:
                line = Line(console, self._clock)
                await self._connect(ticket.socket, line)
                console.opened(line)
            line.join(Viewer(line, ticket.viewer, socket), take_over=ticket.take_over)

    def close(self) -> None:
        """Send all viewers away, as the node daemon ends."""
        for console in self._open.values():
            console.close_all("the node daemon is stopping")

    def _console(self, guest: str, stream: ConsoleStream) -> GuestConsole:
        key = guest, stream
        if key not in self._open:
            self._open[key] = GuestConsole(guest, stream)
        return self._open[key]


_NO_CONSOLE = {
    ConsoleStream.SERIAL: "instance {name} has no serial console: set its hypervisor parameter"
    " serial_console, and stop and start it",
    ConsoleStream.VNC: "instance {name} has no VNC console: set its hypervisor parameter"
    " vnc_bind_address, and stop and start it",
}
