# SPDX-License-Identifier: BSD-2-Clause
"""Bugs in the configuration and its one writer."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutant

_WRITER = "ganeti/config/writer.py"
_INSTANCES = "ganeti/config/changes/instances.py"

MUTANTS = (
    Mutant(
        name="config-builds-on-lost-changes",
        file=_WRITER,
        before="""
                self._failures += 1
                self._newest = self._durable
""",
        after="""
                self._failures += 1
""",
        reason="after a failed commit, changes are made to a state that was never durable",
        modes=("disk",),
        seeds=150,
    ),
    Mutant(
        name="config-shows-what-is-not-durable",
        file=_WRITER,
        before="""
        self._newest = after
""",
        after="""
        self._newest = self._durable = after
""",
        reason="readers see a change before it is durable",
        modes=(
            "disk",
            "crash",
        ),
        seeds=150,
    ),
    Mutant(
        name="config-change-of-an-old-state",
        file=_WRITER,
        before="""
        before = self._newest
""",
        after="""
        before = self._durable
""",
        reason="two changes under way at once: the second one undoes the first",
        modes=(
            "plain",
            "nodes",
        ),
        seeds=150,
    ),
    Mutant(
        name="config-disks-outlive-instance",
        file=_INSTANCES,
        before="""
        for disk in disks:
            state = state.remove(disk)
        free =""",
        after="        free =",
        reason="disks of an instance that was removed stay in the configuration",
        modes=("plain",),
        seeds=150,
    ),
)
