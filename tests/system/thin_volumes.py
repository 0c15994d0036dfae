# SPDX-License-Identifier: BSD-2-Clause
"""The contract of volumes with those of a thin pool on a real kernel, on demand.

``python -m twisted.trial tests.system.thin_volumes`` takes some minutes: each command of lvm2 takes
half a second in the emulated node. ``test_lvm`` has their data and snapshots.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.contracts.volumes import VolumesContract
from tests.system.test_lvm import ThinCase


class ThinVolumesTests(VolumesContract, ThinCase, SynchronousTestCase):
    """Creation, growth, renaming and removal."""
