# SPDX-License-Identifier: BSD-2-Clause
"""The rest of the contract of mirrored disks with the real DRBD of two virtual nodes, on demand.

``python -m twisted.trial tests.system.drbd_repairs`` takes about two minutes; ``test_drbd`` has the
roles of the nodes and broken wires.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.contracts.mirror import MirrorRepairsContract
from tests.system.test_drbd import RealMirrorCase


class RealMirrorRepairTests(MirrorRepairsContract, RealMirrorCase, SynchronousTestCase):
    """Copies that lack data, break, are replaced, grow or go."""
