# SPDX-License-Identifier: BSD-2-Clause
"""The rest of the contract of mirrored disks with the real DRBD of two virtual nodes, on demand.

``python -m twisted.trial tests.system.drbd_mirrors`` takes about three minutes; ``test_drbd`` has
the basics.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.contracts.mirror import MirrorContract, MirrorRepairsContract
from tests.system.test_drbd import RealMirrorCase


class RealMirrorRolesTests(MirrorContract, RealMirrorCase, SynchronousTestCase):
    """Roles of the nodes, and what happens when the wire between them breaks."""


class RealMirrorRepairTests(MirrorRepairsContract, RealMirrorCase, SynchronousTestCase):
    """Copies that lack data, break, are replaced, grow or go."""
