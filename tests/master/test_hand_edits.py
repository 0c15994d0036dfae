# SPDX-License-Identifier: BSD-2-Clause
"""What was edited in config.data becomes a commit, or is refused with what to do instead."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.cluster import update_cluster
from ganeti.config.changes.instances import add_instance, remove_instance
from ganeti.config.changes.objects import update
from ganeti.config.changes.tags import add_tags
from ganeti.config.formats import ConfigDataEncoder, loaded
from ganeti.config.replay import apply
from ganeti.config.state import ClusterState, RecordKind
from ganeti.config.writer import Change, ConfigWriter
from ganeti.errors import Refused
from ganeti.master.hand_edits import (
    MAX_LISTED,
    WHO,
    HandEdits,
    adoption,
    differences,
    digest_of,
    is_edited,
)
from ganeti.schema.records import replace
from ganeti.testing.builders import SINCE, a_cluster, an_instance
from ganeti.testing.journal import MemoryJournal

BASE = a_cluster(nodes=["node1", "node2"], instances=["web1", "web2"])
WEB, NODE = BASE.instance("web1"), BASE.node("node2")


def edited(*changes: Change) -> ClusterState:
    """The state that a file holds after some changes of it by hand."""
    state = BASE
    for change in changes:
        state = change(state)
    return loaded(ConfigDataEncoder().text(state.settled()), ids=str)


def adopted(*changes: Change, current: ClusterState = BASE) -> HandEdits:
    found = adoption(BASE, edited(*changes), current)
    assert found is not None
    return found


class DigestTests(SynchronousTestCase):
    def test_a_file_that_was_written_by_a_checkpoint_is_known(self) -> None:
        before, after = b"before\n", b"after\n"
        self.assertFalse(is_edited(before, [digest_of(before)]))
        self.assertFalse(is_edited(after, [digest_of(before), digest_of(after)]))
        self.assertTrue(is_edited(after, [digest_of(before)]))

    def test_without_a_digest_nothing_can_be_said(self) -> None:
        self.assertFalse(is_edited(b"anything", []))


class DifferenceTests(SynchronousTestCase):
    def test_an_edit_is_told_by_objects_and_fields_and_without_values(self) -> None:
        state = edited(
            update(WEB, tags=("a",), osparams_private={"password": "secret"}),
            remove_instance(BASE.instance("web2")),
            add_instance(an_instance("web3").instance),
            update_cluster(max_running_jobs=7),
        )
        self.assertEqual(
            sorted(map(str, differences(BASE, state))),
            [
                f"cluster {BASE.cluster.uuid}: max_running_jobs",
                "instance web1: tags, osparams_private",
                "instance web2 removed",
                "instance web3 added",
            ],
        )

    def test_another_form_of_the_same_is_no_difference(self) -> None:
        self.assertEqual(differences(BASE, edited()), ())
        self.assertIsNone(adoption(BASE, edited(), BASE))

    def test_serial_numbers_and_times_do_not_count(self) -> None:
        moved = update(WEB, serial_no=99, mtime=SINCE + 9)
        self.assertEqual(differences(BASE, edited(moved)), ())


class AdoptionTests(SynchronousTestCase):
    def test_an_edit_becomes_a_commit_that_makes_the_same_elsewhere(self) -> None:
        journal = MemoryJournal()
        config = ConfigWriter(BASE, journal, lambda: SINCE + 60)
        edit = adopted(
            update(WEB, hvparams={"kernel_args": "ro"}, serial_no=99),
            remove_instance(BASE.instance("web2")),
            update_cluster(max_running_jobs=7),
        )
        state = self.successResultOf(config.change(edit.apply, because=edit.cause))
        [(_, commit)] = journal.replay(0)
        self.assertEqual(apply(BASE, commit.edits), state)
        self.assertEqual((commit.who, commit.job), (WHO, None))
        self.assertIn("instance web1: hvparams; instance web2 removed", commit.why)
        web = state.instance("web1")
        self.assertEqual((web.hvparams, web.serial_no), ({"kernel_args": "ro"}, WEB.serial_no + 1))
        self.assertEqual(state.serial_no, BASE.serial_no + 1)

    def test_an_edit_joins_commits_that_the_file_did_not_have(self) -> None:
        current = add_tags(BASE.instance("web2"), ["new"])(BASE)
        state = adopted(update(WEB, tags=("a",)), current=current).apply(current)
        tags = [state.instance(name).tags for name in ("web1", "web2")]
        self.assertEqual(tags, [("a",), ("new",)])

    def test_an_edit_of_what_a_commit_has_changed_since_is_refused(self) -> None:
        current = add_tags(WEB, ["new"])(BASE)
        with self.assertRaisesRegex(Refused, "web1: tags, but a commit has changed it"):
            adopted(update(WEB, tags=("a",)), current=current)

    def test_who_is_master_and_candidate_is_not_decided_by_an_edit(self) -> None:
        def without_node(state: ClusterState) -> ClusterState:
            return state.remove(NODE)

        cases: list[tuple[Change, str]] = [
            (update_cluster(master_node=NODE.uuid), "gnt-cluster master-failover"),
            (update(NODE, master_candidate=False), "node2: master_candidate; use gnt-node modify"),
            (update(NODE, offline=True), "gnt-node modify --offline"),
            (without_node, "node node2 removed; use gnt-node remove"),
        ]
        for change, told in cases:
            with self.assertRaisesRegex(Refused, f"cannot be applied: .*{told}"):
                adopted(change)

    def test_an_edit_that_breaks_the_configuration_is_refused_with_every_reason(self) -> None:
        broken = update(WEB, primary_node="nowhere", disks=("lost",))
        with self.assertRaisesRegex(Refused, "unknown node nowhere; .*unknown disk lost"):
            adopted(broken)

    def test_what_was_wrong_before_does_not_keep_an_edit_out(self) -> None:
        wrong = BASE.put(replace(BASE.instance("web2"), hypervisor="xen-pvm")).settled()
        after = update(wrong.instance("web1"), tags=("a",))(wrong).settled()
        self.assertIsNotNone(adoption(wrong, after, wrong))

    def test_a_long_list_of_edits_is_cut_short(self) -> None:
        names = [f"web{number}" for number in range(3, 3 + MAX_LISTED + 5)]
        edit = adopted(*(add_instance(an_instance(name).instance) for name in names))
        self.assertEqual(len(edit.differences), MAX_LISTED + 5)
        self.assertTrue(edit.cause.why.endswith("and 5 more objects"))
        self.assertEqual({each.kind for each in edit.differences}, {RecordKind.INSTANCE})
