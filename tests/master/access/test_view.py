# SPDX-License-Identifier: BSD-2-Clause
"""A view has the instances in scope with what belongs to them, their jobs and their events."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.rights import Right, Rights
from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.events.event import Event, EventAction, EventKind, make_event
from ganeti.events.stream_position import StreamPosition
from ganeti.jobs.job import Job, QueuedOpcode
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.jobs.submission import new_job
from ganeti.master.access.view import View, subject_of, visible_state
from ganeti.model.disk import Template
from ganeti.model.users import Role, Scope
from ganeti.opcodes.instance.lifecycle import DescribeInstances, ShutdownInstance
from ganeti.opcodes.node import ModifyNode
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.schema.records import replace
from ganeti.testing.builders import (
    SINCE,
    a_cluster,
    a_disk,
    a_group,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)
from tests.jobs.rig import Rig

TEAM_A = Rights(frozenset({Right(Role.VIEWER, (Scope(tags=("team-a",)),))}))
NET1, NET2 = uuid_of("network", "net1"), uuid_of("network", "net2")


def a_state() -> ClusterState:
    """web1 of team A is on node2 and node3, db1 of team B on node4 and node5; node1 is master."""
    group = a_group("far", tags=("rack",), networks={NET1: {"mode": "routed"}, NET2: {}})
    far = [a_node(f"node{n}", group="far", tags=("rack",)) for n in (2, 3, 4, 5)]
    web1 = an_instance(
        "web1",
        node="node2",
        tags=("team-a",),
        nics=(a_nic("one", network=NET1), a_nic("two")),
        disks=[a_disk("disk1", Template.DRBD, nodes=("node2", "node3"))],
    )
    db1 = an_instance(
        "db1",
        node="node4",
        tags=("team-b",),
        nics=(a_nic("three", network=NET2),),
        disks=[a_disk("disk2", Template.DRBD, nodes=("node4", "node5"))],
    )
    return a_cluster(
        nodes=["node1", *far],
        groups=["default", group, "empty"],
        networks=[a_network("net1", tags=("dmz",)), a_network("net2")],
        instances=[web1, db1],
        tags=("production",),
    )


class VisibleStateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = a_state()
        self.seen = visible_state(self.whole, TEAM_A)

    def names(self, *kinds: str) -> list[list[str]]:
        return [sorted(each.name for each in getattr(self.seen, kind).values()) for kind in kinds]

    def test_instances_in_scope_are_seen_with_their_disks_and_networks(self) -> None:
        self.assertEqual(self.names("instances", "networks"), [["web1"], ["net1"]])
        self.assertEqual(set(self.seen.disks), {uuid_of("disk", "disk1")})
        self.assertEqual(self.seen.instance("web1"), self.whole.instance("web1"))

    def test_the_nodes_of_an_instance_and_the_master_are_seen_with_their_groups(self) -> None:
        nodes, groups = self.names("nodes", "groups")
        self.assertEqual(nodes, ["node1", "node2", "node3"])
        self.assertEqual(groups, ["default", "far"])

    def test_a_group_has_only_the_networks_that_are_seen(self) -> None:
        self.assertEqual(set(self.seen.groups[uuid_of("group", "far")].networks), {NET1})

    def test_tags_of_anything_else_than_instances_are_not_seen(self) -> None:
        others = (
            *self.seen.nodes.values(),
            *self.seen.groups.values(),
            *self.seen.networks.values(),
            self.seen.cluster,
        )
        self.assertEqual({each.tags for each in others}, {()})

    def test_the_serial_number_and_the_times_are_those_of_the_whole(self) -> None:
        for state in (self.seen, self.whole):
            self.assertEqual((state.serial_no, state.ctime, state.mtime), (1, SINCE, SINCE))

    def test_with_nothing_in_scope_there_is_the_cluster_and_its_master(self) -> None:
        self.seen = visible_state(self.whole, Rights())
        counts = self.names("instances", "networks", "nodes")
        self.assertEqual(counts, [[], [], ["node1"]])
        self.assertEqual(self.seen.cluster.master_node, uuid_of("node", "node1"))


class SubjectTests(SynchronousTestCase):
    def test_the_uuid_goes_before_the_name(self) -> None:
        self.assertEqual(subject_of(ShutdownInstance(instance_name="web1")), "web1")
        both = ShutdownInstance(instance_name="web1", instance_uuid="u-1")
        self.assertEqual(subject_of(both), "u-1")

    def test_a_list_of_one_instance_is_about_it_and_other_lists_are_about_none(self) -> None:
        for names, subject in ((("web1",), "web1"), ((), None), (("web1", "web2"), None)):
            self.assertEqual(subject_of(DescribeInstances(instances=names)), subject)

    def test_tags_are_about_an_instance_if_it_is_their_kind(self) -> None:
        for kind, subject in ((TagKind.INSTANCE, "x"), (TagKind.NODE, None)):
            self.assertEqual(subject_of(AddTags(kind=kind, name="x", tags=("a",))), subject)

    def test_other_opcodes_are_about_no_instance(self) -> None:
        self.assertIsNone(subject_of(ModifyNode(node_name="node1", offline=True)))


class ViewCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = a_state()
        self.rig = Rig()
        self.rig.max_running = 0
        self.view = View(TEAM_A, lambda: self.whole, self.rig.queue)

    def submit(self, *opcodes: Opcode) -> int:
        return self.successResultOf(Deferred.fromCoroutine(self.rig.queue.submit(opcodes)))


class JobTests(ViewCase):
    def test_a_job_is_seen_if_all_of_its_opcodes_are_about_instances_in_scope(self) -> None:
        web1, db1 = (ShutdownInstance(instance_name=name) for name in ("web1", "db1"))
        node = ModifyNode(node_name="node1", offline=True)
        seen = self.submit(web1, web1)
        hidden = [self.submit(*ops) for ops in ((db1,), (web1, db1), (node,), (web1, node))]
        self.assertEqual([job.id for job in self.view.jobs()], [seen])
        self.assertIsNotNone(self.view.find_job(seen))
        self.assertEqual([self.view.find_job(job) for job in (*hidden, 99)], [None] * 5)

    def test_a_job_that_is_older_than_its_instance_was_about_another(self) -> None:
        opcode = ShutdownInstance(instance_name="web1")
        self.assertTrue(self.view.shows_job(new_job(1, [opcode], SINCE)))
        self.assertFalse(self.view.shows_job(new_job(1, [opcode], SINCE - 1)))

    def test_a_job_without_opcodes_or_a_known_time_is_not_seen(self) -> None:
        job = new_job(1, [ShutdownInstance(instance_name="web1")], SINCE)
        self.assertFalse(self.view.shows_job(replace(job, received_timestamp=None)))
        self.assertFalse(self.view.shows_job(replace(job, ops=())))

    def test_a_job_of_another_version_is_not_seen(self) -> None:
        unknown = QueuedOpcode(input=OpcodeInput(b'{"OP_ID":"OP_OTHER","instance_name":"web1"}'))
        job = Job(id=1, ops=(unknown,), received_timestamp=(int(SINCE), 0))
        self.assertFalse(self.view.shows_job(job))

    def test_archived_jobs_are_seen_by_the_same_rule(self) -> None:
        for number, name in ((1, "web1"), (2, "db1")):
            opcode = ShutdownInstance(instance_name=name)
            self.rig.archive.jobs[number] = new_job(number, [opcode], SINCE)
        found = [self.view.archived(number) is not None for number in (1, 2, 3)]
        self.assertEqual(found, [True, False, False])

    def test_whether_the_queue_is_drained_is_seen(self) -> None:
        self.assertFalse(self.view.drained)
        self.successResultOf(self.rig.queue.set_drained(True))
        self.assertTrue(self.view.drained)


class StateTests(ViewCase):
    def test_the_state_is_made_once_for_each_whole_state(self) -> None:
        first = self.view.state()
        self.assertIs(self.view.state(), first)
        self.whole = self.whole.put(replace(self.whole.instance("db1"), tags=("team-a",)))
        self.assertEqual(len(self.view.state().instances), 2)

    def test_what_is_out_of_scope_is_unknown(self) -> None:
        with self.assertRaises(Refused):
            self.view.state().instance("db1")


class EventTests(ViewCase):
    def event(self, kind: str, name: str | None, **details: Any) -> Event:
        return make_event(
            StreamPosition(5, 2), at=7.0, kind=kind, action="changed", name=name, **details
        )

    def about(self, name: str) -> Event:
        return self.event(EventKind.INSTANCE, name, uuid=uuid_of("instance", name))

    def retag(self, *tags: str) -> None:
        self.whole = self.whole.put(replace(self.whole.instance("web1"), tags=tags))

    def test_events_of_an_instance_are_for_those_who_see_it(self) -> None:
        web1 = self.about("web1")
        self.assertEqual(self.view.events([web1, self.about("db1")]), [web1])

    def test_events_of_a_disk_are_those_of_its_instance(self) -> None:
        seen = self.event(EventKind.DISK, "web1", uuid="d1")
        hidden = (self.event(EventKind.DISK, name, uuid="d2") for name in ("db1", None))
        self.assertEqual(self.view.events([seen, *hidden]), [seen])

    def test_what_nodes_observe_is_about_the_instance_that_has_the_name(self) -> None:
        seen = self.event(EventKind.INSTANCE, "web1")
        self.assertEqual(self.view.events([seen, self.event(EventKind.INSTANCE, "db1")]), [seen])

    def test_events_of_a_job_are_for_those_who_see_the_job(self) -> None:
        jobs = [self.submit(ShutdownInstance(instance_name=name)) for name in ("web1", "db1")]
        seen, *hidden = (self.event(EventKind.JOB, str(job)) for job in (*jobs, 99, "x"))
        nameless = self.event(EventKind.JOB, None)
        self.assertEqual(self.view.events([seen, *hidden, nameless]), [seen])

    def test_events_of_all_other_kinds_are_not_seen(self) -> None:
        kinds = set(EventKind) - {EventKind.JOB, EventKind.INSTANCE, EventKind.DISK}
        self.assertEqual(self.view.events([self.event(kind, "web1") for kind in kinds]), [])

    def test_an_instance_that_leaves_the_scope_is_reported_as_removed_once(self) -> None:
        self.view.state()
        self.retag("team-b")
        [gone] = self.view.events([self.about("web1"), self.about("web1")])
        told = msgspec.json.decode(gone.data)
        self.assertEqual((told["action"], told["name"]), (EventAction.REMOVED, "web1"))
        self.assertEqual((told["at"], gone.cursor), (7.0, StreamPosition(5, 2)))
        self.assertEqual(told["tags"], [])

    def test_an_instance_that_comes_back_can_leave_again(self) -> None:
        for _ in range(2):
            self.retag("team-a")
            self.view.state()
            self.retag("team-b")
            self.assertEqual(len(self.view.events([self.about("web1")])), 1)

    def test_an_instance_that_was_not_seen_before_it_left_is_not_reported(self) -> None:
        self.retag("team-b")
        self.assertEqual(self.view.events([self.about("web1")]), [])
