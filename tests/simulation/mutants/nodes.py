# SPDX-License-Identifier: BSD-2-Clause
"""Bugs in what nodes do with the calls of masters."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutant

_INSTANCES = "ganeti/node/instances.py"
_SERVER = "ganeti/rpc/server.py"

MUTANTS = (
    Mutant(
        name="node-obeys-old-masters",
        file=_SERVER,
        before="""
        if term < newest:
""",
        after="""
        if term < 0:
""",
        reason="a node carries out what a master asks that was replaced",
        modes=(
            "succession",
            "partition",
        ),
        seeds=150,
    ),
    Mutant(
        name="node-obeys-unclaimed-terms",
        file=_SERVER,
        before="""
        if term > newest:
""",
        after="""
        if term > newest + 1000:
""",
        reason="a node carries out what a master asks that it has not accepted",
        modes=("succession",),
        seeds=150,
    ),
    Mutant(
        name="node-stop-does-not-insist",
        file=_INSTANCES,
        before="""
        with suppress(NotRunning):
            await hypervisor.stop(name, hard=True)
""",
        after="""
        return
""",
        reason="a guest that ignores a request to shut down goes on running",
        modes=("guests",),
        seeds=150,
    ),
)
