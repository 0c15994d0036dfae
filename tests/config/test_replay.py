# SPDX-License-Identifier: BSD-2-Clause
"""Memory equals replay, after whatever changes, wherever the journal ends."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config import access_file
from ganeti.config.changes.instances import (
    add_disk,
    add_instance,
    remove_disk,
    remove_instance,
    set_primary_node,
    want,
)
from ganeti.config.changes.nodes import add_node, remove_node, set_role
from ganeti.config.changes.objects import together, update
from ganeti.config.changes.tags import add_tags, remove_tags
from ganeti.config.formats import ConfigDataEncoder, loaded
from ganeti.config.invariants import verify
from ganeti.config.replay import apply
from ganeti.config.writer import Change, ChangeCause, ConfigWriter
from ganeti.errors import Refused
from ganeti.journal.interfaces import Put
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import AdminState
from ganeti.model.node import NodeRole
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.journal import MemoryJournal

NODES = tuple(a_node(f"node{i}") for i in range(1, 5))
MACHINES = tuple(
    an_instance(
        f"web{i}",
        node=f"node{i}",
        disks=[
            a_disk(f"{2 * i + n}", Template.DRBD, nodes=[f"node{i}", f"node{i % 3 + 1}"])
            for n in range(2)
        ],
    )
    for i in range(1, 5)
)


def unported(disk: Disk) -> Disk:
    """The disk without a port, so that it gets one when it is added."""
    return replace(disk, logical_id=(*disk.logical_id[:2], None, *disk.logical_id[3:]))


one_node = st.sampled_from(NODES)
one = st.sampled_from(MACHINES)
steps: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        lambda m: add_instance(m.instance, [unported(d) for d in m.disks], with_port=True), one
    ),
    st.builds(lambda m: remove_instance(m.instance), one),
    st.builds(lambda m, w: want(m.instance, w), one, st.sampled_from(AdminState)),
    st.builds(lambda m, n: set_primary_node(m.instance, n), one, one_node),
    st.builds(lambda m: remove_disk(m.instance, m.disks[0]), one),
    st.builds(lambda m: add_disk(m.instance, unported(m.disks[0]), 0), one),
    st.builds(lambda m, name: update(m.instance, name=name), one, st.sampled_from(["a", "web1"])),
    st.builds(lambda m, t: add_tags(m.instance, [t]), one, st.sampled_from("ab")),
    st.builds(lambda n, t: remove_tags(n, [t]), one_node, st.sampled_from("ab")),
    st.builds(add_node, one_node),
    st.builds(remove_node, one_node),
    st.builds(set_role, one_node, st.sampled_from(NodeRole)),
)
changes = st.lists(steps | st.builds(together, steps, steps), min_size=5, max_size=25)


class ReplayTests(SynchronousTestCase):
    @given(changes)
    @settings(max_examples=200, deadline=None)
    def test_replaying_any_beginning_gives_the_state_of_that_moment(
        self, sequence: list[Change]
    ) -> None:
        start = a_cluster(nodes=NODES[:3], instances=MACHINES[:3])
        journal = MemoryJournal()
        config = ConfigWriter(start, journal, iter(range(1, 1000)).__next__)
        states = [start]
        for change in sequence:
            made = Deferred.fromCoroutine(config.change(change, because=ChangeCause("", "")))
            made.addErrback(lambda failure: failure.trap(Refused))
            if self.successResultOf(made) is config.state() is not states[-1]:
                states.append(config.state())
        replayed = start
        for commit, state in zip(journal.commits, states[1:], strict=True):
            replayed = apply(replayed, commit.edits)
            self.assertEqual(replayed, state)
            self.assertEqual(verify(state), [])

    @given(changes)
    @settings(max_examples=100, deadline=None)
    def test_any_state_is_read_from_a_checkpoint_as_it_was_written(
        self, sequence: list[Change]
    ) -> None:
        state = a_cluster(nodes=NODES[:3], instances=MACHINES[:3])
        for change in sequence:
            with contextlib.suppress(Refused):
                state = change(state)
        text = ConfigDataEncoder().text(state)
        again = access_file.restore(loaded(text, ids=str), access_file.text(state))
        self.assertEqual(again, state.settled())
        self.assertEqual(ConfigDataEncoder().text(again), text)

    def test_commits_that_a_checkpoint_has_are_passed_over(self) -> None:
        start = a_cluster()
        journal = MemoryJournal()
        config = ConfigWriter(start, journal, lambda: 1.0)
        for tag in "abc":
            change = add_tags(start.cluster, [tag])
            self.successResultOf(config.change(change, because=ChangeCause("", "")))
        replayed = config.state()
        for commit in journal.commits:
            replayed = apply(replayed, commit.edits)
        self.assertIs(replayed, config.state())

    def test_what_is_not_of_the_configuration_is_passed_over(self) -> None:
        start = a_cluster()
        job = Put(kind="job", key="1", value=b"[")  # type: ignore[arg-type]  # any bytes do
        self.assertIs(apply(start, [job]), start)
