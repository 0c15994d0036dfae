# SPDX-License-Identifier: BSD-2-Clause
"""The guest lease: how long the guests of a node may run without a sign of the cluster.

A node whose guests may be started elsewhere has a lease. The master renews it every second; while
the master does not, for example because it has failed, a majority of the *electors* can. When the
lease ends, everything that runs on the node is ended, by the node itself.

A lease is counted from a time that lies before the answer which it depends on, on the clock of the
node that has it: a late message can never make it end later than the cluster expects. The master
passes back the clock's reading of the node's last answer, and a node that asks electors counts from
the time at which it has sent the question. So once a majority of the electors refuses, and the
master renews no more, the lease ends within ``LEASE`` seconds, whatever is still on its way.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ganeti.model.failover import GuardKind, NodeGuard
from ganeti.rpc.call import Call
from ganeti.rpc.callers import MEMBERS, Forbidden, RpcCaller
from ganeti.schema.records import Record
from ganeti.schema.types import MAX_INTEGER, Count, Line, Number

LEASE = 10.0
"""Seconds for which the guests of a node may run after a renewal."""

RENEWAL_INTERVAL = 1.0
"""Seconds between two renewals."""

CLOCK_FACTOR = 1.25
"""How much longer the cluster waits than a node's clock counts, as clocks are fast or slow."""

KILL_TIME = 4.0
"""Seconds within which a process that works has killed all guests of a node."""

SUSPICION = 5.0
"""Seconds without an answer after which a node is suspected."""

MIN_ELECTORS = 3
"""With fewer nodes, the failure of one would end the guests of all others."""

MAX_ELECTORS = 9

Uptime = Annotated[float, Meta(ge=0, le=MAX_INTEGER)]
"""A reading of a node's clock, which counts from its boot."""


class Elector(Record):
    """A node that may extend the lease of another one."""

    name: Line
    address: Line


class GuardReport(Record):
    """What a node reports about the lease of its guests.

    ``at`` is the time of this answer by the node's clock, of the boot ``boot_id``. ``guard`` is
    what ends its guests, None if nothing does; ``timeout`` the time-out of the device in seconds.
    ``electors`` are those that it asks. ``problem`` says why it is not guarded.
    """

    at: Uptime
    boot_id: Line
    protected: bool
    guard: GuardKind | None = None
    timeout: Count = 0
    electors: tuple[Line, ...] = ()
    problem: Line = ""


class RenewGuestLease(Call[GuardReport]):
    """Renew the lease of the node's guests from the time of an earlier answer.

    ``answered`` is the field ``at`` of that answer, if it was of the boot ``boot_id``. ``protect``
    tells whether the node needs a lease; None leaves it as it is. A node is protected only together
    with its first lease, so that its guests go on. ``revision`` is the serial number of the state
    that this follows from; older ones are ignored.
    """

    wire = "guest_lease_renew"
    call_timeout = 3

    revision: Count
    protect: bool | None = None
    electors: tuple[Elector, ...] = ()
    answered: Uptime | None = None
    boot_id: Line = ""


class ExtendGuestLease(Call[bool]):
    """Ask an elector whether ``node``, the caller, may run its guests for another while.

    It is refused if a master has said that the node is to be fenced.
    """

    wire = "guest_lease_extend"
    call_timeout = 2
    callers = MEMBERS

    node: Line

    def require(self, caller: RpcCaller) -> None:
        """Check that a node asks for itself only."""
        if caller.name != self.node:
            raise Forbidden(f"node {caller.name} cannot extend the lease of node {self.node}")


class DenyGuestLeases(Call[tuple[Line, ...]]):
    """Extend the leases of these nodes no more, and those of all others again.

    The list is on disk when this returns. Return the nodes whose leases this node has extended in
    the last seconds: they run, although the master may not reach them.
    """

    wire = "guest_lease_deny"
    call_timeout = 3

    revision: Count
    nodes: tuple[Line, ...]


class CleanReport(Record):
    """What is left on a node that was fenced: guests and open disks; none if it is clean.

    ``leftovers`` are sentences.
    """

    leftovers: tuple[Line, ...]
    uptime: Number


def compute_wait(guard: NodeGuard) -> float:
    """Return the seconds after which the guests of a node have ended.

    They count from the time at which a majority of the electors has refused to extend the lease.
    """
    ends = guard.timeout if guard.kind is GuardKind.DEVICE else 0.0
    return CLOCK_FACTOR * (LEASE + max(ends, KILL_TIME))


class ProveClean(Call[CleanReport]):
    """Report what is left of the guests on this node that was fenced."""

    wire = "guest_lease_prove_clean"
    call_timeout = 5
