# SPDX-License-Identifier: BSD-2-Clause
"""The contract of volumes with those of a thin pool on a real kernel, on demand.

``python -m twisted.trial tests.system.thin_volumes`` takes some minutes: each command of lvm2 takes
half a second in the emulated node. ``test_lvm`` has what is particular to them.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.contracts.volumes import VolumesContract
from tests.system.test_lvm import DataContract, ThinCase


class ThinVolumesTests(VolumesContract, DataContract, ThinCase, SynchronousTestCase):
    """Creation, growth, renaming and removal, data and snapshots."""
