# SPDX-License-Identifier: BSD-2-Clause
"""Events say all that clients may know of a change, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.images import add_image, remove_image
from ganeti.config.changes.instances import remove_instance
from ganeti.config.changes.objects import update
from ganeti.config.changes.tags import remove_tags
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change, ChangeCause, ConfigWriter
from ganeti.errors import Refused
from ganeti.events.event import Event
from ganeti.events.stream_position import STREAM_START, StreamPosition
from ganeti.journal.interfaces import Commit, Delete
from ganeti.master.change_events import (
    SHOWN,
    CommitEntry,
    describe_job,
    find_previous_objects,
    make_owner_lookup,
    shown,
)
from ganeti.model.disk import Template
from ganeti.opcodes.instance.lifecycle import StartInstance
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.journal import MemoryJournal
from tests.config.changes.test_images import an_image
from tests.config.test_replay import MACHINES, NODES, changes
from tests.jobs.rig import Rig

Snapshot = dict[tuple[str, str], Any]


def snapshot(state: ClusterState) -> Snapshot:
    """The objects of a state as clients see them."""
    return {
        (kind, key): msgspec.json.decode(
            msgspec.json.encode(shown(kind, msgspec.json.decode(msgspec.json.encode(record))))
        )
        for kind, stored in SHOWN.items()
        for key, record in state.objects.get(stored, {}).items()
    }


def applied(before: Snapshot, events: list[Event]) -> Snapshot:
    """What a client makes of a snapshot and the events after it."""
    found = dict(before)
    for event in events:
        said = msgspec.json.decode(event.data)
        key = said["kind"], said["uuid"]
        if said["action"] == "removed":
            del found[key]
        else:
            found[key] = said["value"]
    return found


class Recorder:
    """A configuration, and the events of its changes."""

    def __init__(self, state: ClusterState) -> None:
        self.journal = MemoryJournal()
        self.config = ConfigWriter(state, self.journal, lambda: 1.0)
        self.events: list[Event] = []
        self.journal.observe(self._committed)

    def _committed(self, position: int, commit: Commit) -> None:
        state = self.config.state()
        entry = CommitEntry(
            position, commit, find_previous_objects(commit, state), make_owner_lookup(state)
        )
        self.events += entry.events(STREAM_START, 1000)

    def change(self, change: Change) -> list[dict[str, Any]]:
        """Make a change, and return its events."""
        count = len(self.events)
        because = ChangeCause("alice", "to see", 7)
        Deferred.fromCoroutine(self.config.change(change, because=because)).addErrback(
            lambda failure: failure.trap(Refused)
        )
        return [msgspec.json.decode(event.data) for event in self.events[count:]]


class ConfigurationTests(SynchronousTestCase):
    @given(changes)
    @settings(max_examples=100, deadline=None)
    def test_a_snapshot_and_the_events_after_it_make_the_state(
        self, sequence: list[Change]
    ) -> None:
        recorder = Recorder(a_cluster(nodes=NODES[:3], instances=MACHINES[:3]))
        before = snapshot(recorder.config.state())
        for change in sequence:
            recorder.change(change)
        self.assertEqual(applied(before, recorder.events), snapshot(recorder.config.state()))
        cursors = [event.cursor for event in recorder.events]
        self.assertEqual(cursors, sorted(set(cursors)))

    def test_an_event_tells_who_did_what_and_why(self) -> None:
        recorder = Recorder(a_cluster(instances=[an_instance("web1", tags=["a"])]))
        web1 = recorder.config.state().instance("web1")
        [event] = recorder.change(update(web1, os="noop2"))
        expected = {"id": "1.1", "kind": "instance", "action": "changed", "name": "web1"}
        self.assertLessEqual(expected.items(), event.items())
        self.assertLessEqual({"who": "alice", "why": "to see", "job": 7}.items(), event.items())
        self.assertEqual((event["tags"], event["value"]["os"]), (["a"], "noop2"))

    def test_a_removed_object_has_its_name_and_its_tags(self) -> None:
        machine = an_instance("web1", tags=["a"], disks=[a_disk("d1")])
        recorder = Recorder(a_cluster(instances=[machine]))
        events = recorder.change(remove_instance(machine.instance))
        self.assertEqual({(e["action"], e["name"]) for e in events}, {("removed", "web1")})
        [instance] = [event for event in events if event["kind"] == "instance"]
        self.assertEqual(instance["tags"], ["a"])

    def test_whoever_watches_the_old_name_or_tag_hears_that_it_is_gone(self) -> None:
        machine = an_instance("web1", tags=["a"])
        recorder = Recorder(a_cluster(instances=[machine]))
        recorder.change(update(machine.instance, name="web2"))
        self.assertEqual(recorder.events[-1].names, ("web2", "web1"))
        recorder.change(remove_tags(machine.instance, ["a"]))
        self.assertEqual(recorder.events[-1].tags, ("a",))

    def test_secrets_are_in_no_event(self) -> None:
        disk = a_disk("d1", Template.DRBD, nodes=["node1", "node2"])
        disk = replace(disk, logical_id=(*disk.logical_id[:5], "mirror-secret"))
        machine = an_instance("web1", disks=[disk], osparams_private={"password": "hush"})
        nodes = [a_node("node1"), a_node("node2")]
        recorder = Recorder(a_cluster(nodes=nodes, instances=[machine]))
        recorder.change(update(machine.instance, os="other"))
        recorder.change(update(recorder.config.state().disks[disk.uuid], size=5))
        told = b"".join(event.data for event in recorder.events)
        self.assertEqual(len(recorder.events), 2)
        self.assertNotIn(b"hush", told)
        self.assertNotIn(b"mirror-secret", told)

    def test_without_knowledge_of_before_a_removal_may_be_of_any_object(self) -> None:
        edit = Delete(kind="instance", key="uuid-1")
        commit = Commit(at=1.0, who="a", why="b", edits=(edit,))
        [event] = CommitEntry(9, commit, {}, lambda _: None).events(STREAM_START, 10)
        self.assertEqual((event.names, event.tags), ((), None))

    def test_an_event_of_an_image_does_not_show_its_url(self) -> None:
        recorder = Recorder(a_cluster())
        image = an_image(url="https://example.com/disk?secret")
        for change, action in ((add_image(image), "changed"), (remove_image("debian"), "removed")):
            [event] = recorder.change(change)
            said = (event["kind"], event["action"], event["name"])
            self.assertEqual(said, ("image", action, "debian"))
            self.assertNotIn("secret", str(event))

    def test_certificates_and_tokens_are_no_events(self) -> None:
        edits = (Delete(kind="certificate", key="x"), Delete(kind="spent-token", key="y"))
        entry = CommitEntry(9, Commit(at=1.0, who="a", why="b", edits=edits), {}, lambda _: None)
        self.assertEqual((entry.events(STREAM_START, 10), entry.cursor), ([], StreamPosition(9)))


class JobTests(SynchronousTestCase):
    def events(self, rig: Rig) -> list[dict[str, Any]]:
        return [
            msgspec.json.decode(event.data)
            for position, commit in rig.journal.replay(0)
            for event in CommitEntry(position, commit, {}, lambda _: None).events(STREAM_START, 99)
        ]

    def test_each_move_of_a_job_is_an_event(self) -> None:
        rig = Rig()
        job_id = rig.submit()
        rig.settle()
        events = [each for each in self.events(rig) if each["kind"] == "job"]
        statuses = [each["value"]["status"] for each in events]
        self.assertEqual(statuses, ["queued", "running", "success"])
        self.assertEqual(events[0]["action"], "created")
        expected = msgspec.json.decode(msgspec.json.encode(describe_job(rig.store.jobs[job_id])))
        self.assertEqual(events[-1]["value"], expected)
        self.assertEqual({each["name"] for each in events}, {str(job_id)})

    def test_a_job_goes_by_the_names_of_what_it_is_about(self) -> None:
        rig = Rig()
        Deferred.fromCoroutine(rig.queue.submit([StartInstance(instance_name="web1")]))
        self.assertEqual(self.events(rig)[0]["names"], ["web1"])
