# SPDX-License-Identifier: BSD-2-Clause
"""Bugs in the leases of guests, and in the fencing of nodes."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutant

_RULES = "ganeti/rpc/guest_lease.py"
_NODE = "ganeti/node/guest_lease.py"
_WATCHDOG = "ganeti/node/watchdog.py"
_DECISIONS = "ganeti/master/guest_failover/decisions.py"
_CHANGES = "ganeti/config/changes/failover.py"
_SUPERVISOR = "ganeti/master/guest_failover/supervisor.py"

_MODES = ("fencing", "fencing-etcd")
_SEEDS = 150

MUTANTS = (
    Mutant(
        name="fence-without-a-wait",
        file=_RULES,
        before="""
    return CLOCK_FACTOR * (LEASE + max(ends, KILL_TIME))
""",
        after="""
    return 0.0
""",
        reason="guests start elsewhere before the lease of their node has ended",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="fence-wait-without-the-guard",
        file=_RULES,
        before="""
    return CLOCK_FACTOR * (LEASE + max(ends, KILL_TIME))
""",
        after="""
    return LEASE
""",
        reason="guests start elsewhere before the guard of their node had the time to end them",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="fence-wait-from-the-decision",
        file=_SUPERVISOR,
        before="if work.denied is None and self._is_denied(uuid, state):",
        after="if work.denied is None:",
        reason="the wait for the end of a lease begins although electors may extend it",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="guest-lease-from-its-arrival",
        file=_NODE,
        before="end = answered + LEASE if answered is not None and counts else 0.0",
        after="end = now + LEASE if answered is not None and counts else 0.0",
        reason="a renewal that was long on its way counts from when it arrives",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="guest-lease-from-the-electors-answer",
        file=_NODE,
        before="self._end = max(self._end, sent + LEASE)",
        after="self._end = max(self._end, self._uptime() + LEASE)",
        reason="an extension counts from the answers of the electors, and not from the question",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="guest-lease-by-one-elector",
        file=_NODE,
        before="if 2 * granted > len(electors) and self._lease.protected:",
        after="if granted and self._lease.protected:",
        reason="one elector extends a lease that the majority refuses",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="denial-by-one-elector",
        file=_SUPERVISOR,
        before="(2 * len(know.intersection(group)) > len(group) for group in guard.electors)",
        after="(bool(know.intersection(group)) for group in guard.electors)",
        reason="the wait for the end of a lease begins when one elector refuses to extend it",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="denial-without-effect",
        file=_NODE,
        before="granted = call.node not in self._denied.nodes",
        after="granted = True",
        reason="electors extend the lease of a node that is fenced",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="denial-not-on-disk",
        file=_NODE,
        before="""
                await self._write(self._denied_path, new)
                self._denied = new
""",
        after="""
                self._denied = new
""",
        reason="an elector that is restarted extends the lease of a node that is fenced",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="denial-of-an-older-state",
        file=_NODE,
        before="if call.revision >= self._denied.revision and call.nodes != self._denied.nodes:",
        after="if call.nodes != self._denied.nodes:",
        reason="a late message of an earlier state lets an elector extend leases again",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="guest-lease-not-on-disk",
        file=_NODE,
        before="self._lease = self._read(self._lease_path, LeaseFile)",
        after="self._lease = LeaseFile()",
        reason="a node daemon that is restarted does not know that its guests need a lease",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="guests-start-without-a-lease",
        file=_NODE,
        before="""
        if self.ended:
            raise Refused(
""",
        after="""
        if False:
            raise Refused(
""",
        reason="a node whose lease has ended starts guests that a job has asked for before",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="maintenance-keeps-guards",
        file=_CHANGES,
        before="for uuid in list(state.node_guards):",
        after="for uuid in list[str]():",
        reason="a node is fenced after a maintenance in which it was told to need no lease",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="watchdog-without-a-kill",
        file=_WATCHDOG,
        before="""
            await self._end_guests()
        # Last: the beat also tells that everything before it has worked.
""",
        after="""
            pass
        # Last: the beat also tells that everything before it has worked.
""",
        reason="the watchdog leaves the end of the guests to a node daemon that hangs",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="watchdog-by-the-longer-lease",
        file=_WATCHDOG,
        before="elif self._uptime() < note.end:",
        after="elif self._uptime() < note.end + 30:",
        reason="the watchdog lets guests run longer than the cluster expects",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="failover-before-the-fence",
        file=_DECISIONS,
        before="if fence.stage is FenceStage.FENCED and uuid in state.nodes",
        after="if uuid in state.nodes",
        reason="instances start elsewhere when their node is to be fenced, and not when it is",
        modes=_MODES,
        seeds=_SEEDS,
    ),
    Mutant(
        name="electors-exchanged-at-once",
        file=_DECISIONS,
        before="groups |= set(before.electors)",
        after="groups |= set()",
        reason="the electors that a node still asks need not refuse while they change",
        modes=_MODES,
        seeds=_SEEDS,
    ),
)
