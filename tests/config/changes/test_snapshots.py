# SPDX-License-Identifier: BSD-2-Clause
"""Records of snapshots change with the instance and its disks."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config import access_file
from ganeti.config.changes.instances import remove_instance
from ganeti.config.changes.snapshots import (
    begin_revert,
    drop_snapshot,
    end_revert,
    list_snapshots_of,
    put_snapshot,
)
from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.model.instance_snapshots import DiskSnapshot, Snapshot, SnapshotState
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, an_instance


def a_snapshot(name: str, ctime: float = 1.0) -> Snapshot:
    return Snapshot(name=name, uuid=f"{name}-uuid", ctime=ctime, disks=())


class SnapshotTests(SynchronousTestCase):
    def setUp(self) -> None:
        instance = an_instance("web1", disks=(a_disk("disk0"),))
        self.state = a_cluster(nodes=("node1",), instances=(instance,))
        self.web1 = self.state.instance("web1")

    def names(self, state: ClusterState) -> list[str]:
        return [each.name for each in list_snapshots_of(state, self.web1)]

    def test_they_are_in_the_order_of_their_times(self) -> None:
        state = put_snapshot(self.web1, a_snapshot("second", 2.0))(self.state)
        state = put_snapshot(self.web1, a_snapshot("first", 1.0))(state)
        self.assertEqual(self.names(state), ["first", "second"])

    def test_one_with_the_same_uuid_is_replaced_and_a_name_is_not_used_twice(self) -> None:
        state = put_snapshot(self.web1, a_snapshot("one"))(self.state)
        ready = replace(a_snapshot("one"), state=SnapshotState.READY)
        state = put_snapshot(self.web1, ready)(state)
        self.assertEqual(list_snapshots_of(state, self.web1), (ready,))
        other = replace(ready, uuid="other")
        self.assertRaises(Refused, put_snapshot(self.web1, other), state)

    def test_without_snapshots_there_is_no_record(self) -> None:
        state = put_snapshot(self.web1, a_snapshot("one"))(self.state)
        for _ in range(2):
            state = drop_snapshot(self.web1, a_snapshot("one"))(state)
        self.assertEqual(len(state.snapshots), 0)

    def test_they_go_with_their_instance(self) -> None:
        state = put_snapshot(self.web1, a_snapshot("one"))(self.state)
        self.assertEqual(len(remove_instance(self.web1)(state).snapshots), 0)

    def test_reverted_disks_have_the_size_that_they_had(self) -> None:
        [disk] = self.state.get_disks(self.web1)
        then = DiskSnapshot(uuid=disk.uuid, size=disk.size - 1)
        snapshot = replace(a_snapshot("one"), disks=(then,))
        state = put_snapshot(self.web1, snapshot)(self.state)
        state = begin_revert(self.web1, snapshot)(state)
        self.assertEqual(state.snapshots[self.web1.uuid].reverting, "one-uuid")
        given_up = end_revert(self.web1, None)(state)
        self.assertEqual(given_up.disks[disk.uuid].size, disk.size)
        done = end_revert(self.web1, snapshot)(state)
        self.assertEqual(done.disks[disk.uuid].size, disk.size - 1)
        self.assertEqual(done.snapshots[self.web1.uuid].reverting, "")

    def test_they_are_part_of_a_checkpoint(self) -> None:
        state = put_snapshot(self.web1, a_snapshot("one"))(self.state)
        restored = access_file.restore(self.state, access_file.text(state))
        self.assertEqual(restored.snapshots, state.snapshots)
