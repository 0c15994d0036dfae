# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots are shown with all their fields, and without what their memory needs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.snapshots import put_snapshot
from ganeti.model.instance_snapshots import DiskSnapshot, Snapshot
from ganeti.testing.builders import a_cluster, an_instance
from ganeti.views.instances.row import InstanceRow
from tests.views.moments import a_moment


class SnapshotsTests(SynchronousTestCase):
    def test_fields_that_have_their_default_are_shown_too(self) -> None:
        state = a_cluster(instances=[an_instance("web1")])
        web1 = state.instance("web1")
        disks = (DiskSnapshot(uuid="d1", size=8),)
        made = Snapshot(name="before", uuid="s1", ctime=1.0, disks=disks)
        state = put_snapshot(web1, made)(state)
        [shown] = InstanceRow(a_moment(state), web1).snapshots
        self.assertEqual(
            shown,
            {
                "name": "before",
                "uuid": "s1",
                "ctime": 1.0,
                "disks": [{"uuid": "d1", "size": 8}],
                "state": "creating",
                "running": False,
                "frozen": False,
                "memory": False,
                "reverting": False,
            },
        )
