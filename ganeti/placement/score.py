# SPDX-License-Identifier: BSD-2-Clause
"""The score of a node group: how unevenly its nodes are used, and what is wrong there.

Lower is better; a group of equal nodes that are used alike and have no faults has almost 0. The
score is a weighted sum of *spreads* and *faults*.

A spread is the standard deviation, over the usable nodes, of what a node uses of a resource. It is
taken rather than the difference of the extremes because each move between unequal nodes improves
it, so that a search never stands on a plateau. Resources are fractions of a node's size, which
makes small and large nodes comparable. Guests are counted, because how busy they are is not known:
each counts as one on a node of average size. Some guests too many on a node are a worse imbalance
than some memory more or less, so they are not divided by their number.

A fault is counted, and weighs more than any spread, so that a search first repairs what is wrong:
an instance on a node that it has to leave, a node without enough memory for a failure of another
one (N+1), instances that exclude each other on one node, a mirror within one failure domain.
"""

from __future__ import annotations

import enum
from math import sqrt

from ganeti.schema.records import Record


class Spread(enum.IntEnum):
    """The values of a node whose standard deviation counts; the numbers are indexes."""

    MEMORY = 0  # the free fraction
    DISK = 1  # the free fraction
    CPU = 2  # virtual processors per CPU
    SPINDLES = 3  # spindles in use per spindle that the policy allows
    RESERVE = 4  # the fraction reserved for a failure of another node
    GUESTS = 5  # primary instances
    COPIES = 6  # primary and secondary instances: both write to the node's disks


SPREAD_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0)
"""Weights by ``Spread``. A guest also uses the network and the host's attention."""

RESERVE_WEIGHT = 0.3
"""The weight of each node's fraction of reserved memory, which nothing else can use.

The same secondary instances reserve less if their primary nodes are many.
"""


class Fault(enum.IntEnum):
    """What is wrong and counted; the numbers are indexes."""

    STRANDED = 0  # an instance on a node that is drained or offline; twice if it is the primary
    NO_RESERVE = 1  # a node with less free memory than it reserves
    SHORTAGE = 2  # the missing memory, in units of the average node's memory
    EXCLUSION = 3  # an instance beside another one with the same exclusion tag
    DOMAIN = 4  # a mirrored instance with both nodes in one failure domain


FAULT_WEIGHTS = (20.0, 10.0, 10.0, 5.0, 2.0)
"""Weights by ``Fault``. The shortage makes each step towards a sufficient reserve count."""


class ScoreParts(Record):
    """A score and the unweighted parts that it is made of."""

    score: float
    spreads: dict[str, float]
    faults: dict[str, float]
    reserved: float


def deviation(total: float, squares: float, count: int) -> float:
    """Return the standard deviation of values with this sum and sum of squares."""
    if not count:
        return 0.0
    mean = total / count
    variance = squares / count - mean * mean
    # Rounding errors can make it negative.
    return sqrt(variance) if variance > 0 else 0.0
