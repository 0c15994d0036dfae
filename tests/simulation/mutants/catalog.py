# SPDX-License-Identifier: BSD-2-Clause
"""All mutants."""

from __future__ import annotations

from tests.simulation.mutants import config, fencing, jobs, journal, nodes, operations, replication

MUTANTS = (
    *journal.MUTANTS,
    *config.MUTANTS,
    *jobs.MUTANTS,
    *operations.MUTANTS,
    *nodes.MUTANTS,
    *replication.MUTANTS,
    *fencing.MUTANTS,
)
