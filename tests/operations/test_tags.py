# SPDX-License-Identifier: BSD-2-Clause
"""Plans that add, remove, list and search tags, of objects of every kind."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.tags import MAX_TAGS
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Refused
from ganeti.locking.names import (
    LockRequest,
    group_lock,
    instance_lock,
    network_lock,
    node_lock,
    request,
)
from ganeti.opcodes.tags import AddTags, GetTags, RemoveTags, SearchTags, TagKind
from ganeti.operations.operation import NodeAnswers
from ganeti.operations.tags import (
    answer,
    find_tagged_object,
    plan_add,
    plan_get,
    plan_remove,
    plan_search,
)
from ganeti.testing.builders import (
    a_cluster,
    a_group,
    a_network,
    a_node,
    an_instance,
    uuid_of,
)
from ganeti.testing.tools import MemoryTools

FACTS = NodeAnswers()
OBJECTS: dict[TagKind, tuple[str, LockRequest]] = {
    TagKind.CLUSTER: ("", {}),
    TagKind.INSTANCE: ("web1", request(exclusive=[instance_lock(uuid_of("instance", "web1"))])),
    TagKind.NODE: ("node1", request(exclusive=[node_lock(uuid_of("node", "node1"))])),
    TagKind.NODEGROUP: ("default", request(exclusive=[group_lock(uuid_of("group", "default"))])),
    TagKind.NETWORK: ("net1", request(exclusive=[network_lock(uuid_of("network", "net1"))])),
}
"""An object of each kind, and the locks for a change of its tags."""


def tagged(*tags: str) -> ClusterState:
    """Return a cluster in which one object of each kind has these tags."""
    return a_cluster(
        nodes=[a_node("node1", tags=tags)],
        groups=[a_group(tags=tags)],
        networks=[a_network("net1", tags=tags)],
        instances=[an_instance("web1", tags=tags)],
        tags=tags,
    )


def tags_of(kind: TagKind, state: ClusterState) -> object:
    return plan_get(GetTags(kind=kind, name=OBJECTS[kind][0]), state, FACTS).answer


class ChangeTests(SynchronousTestCase):
    def test_tags_of_each_kind_of_object_are_added_and_removed(self) -> None:
        for kind, (name, locks) in OBJECTS.items():
            state = tagged("b")
            add = plan_add(AddTags(kind=kind, name=name, tags=("c", "a", "b")), state, FACTS)
            more = add.change(state)
            remove = plan_remove(RemoveTags(kind=kind, name=name, tags=("a", "b")), more, FACTS)
            less = remove.change(more)
            self.assertEqual((tags_of(kind, more), tags_of(kind, less)), (["a", "b", "c"], ["c"]))
            self.assertEqual((add.locks, remove.locks), (locks, locks), kind)
            untouched = [each for each in OBJECTS if each is not kind]
            self.assertEqual([tags_of(each, less) for each in untouched], [["b"]] * 4)

    def test_tags_that_are_not_there_are_not_removed(self) -> None:
        op = RemoveTags(kind=TagKind.NODE, name="node1", tags=("x", "b", "y"))
        words = "node node1 does not have these tags: x, y; see gnt-node list-tags"
        with self.assertRaisesRegex(Refused, words) as caught:
            plan_remove(op, tagged("b"), FACTS)
        self.assertEqual(caught.exception.code, Code.UNKNOWN)

    def test_invalid_tags_are_all_told(self) -> None:
        op = AddTags(kind=TagKind.CLUSTER, tags=("a b", "good", "", "x" * 129))
        with self.assertRaises(Invalid) as caught:
            plan_add(op, tagged(), FACTS)
        paths = [problem.path for problem in caught.exception.problems]
        self.assertEqual(paths, ["tags[0]", "tags[2]", "tags[3]"])

    def test_an_object_has_a_limited_number_of_tags(self) -> None:
        state = tagged(*(f"tag{number}" for number in range(MAX_TAGS)))
        plan_add(AddTags(kind=TagKind.NODE, name="node1", tags=("tag0",)), state, FACTS)
        with self.assertRaisesRegex(Refused, "at most 4096 tags, not 4097; remove some first"):
            plan_add(AddTags(kind=TagKind.NODE, name="node1", tags=("new",)), state, FACTS)

    def test_tags_that_were_added_since_the_plan_are_kept(self) -> None:
        plan = plan_add(AddTags(kind=TagKind.NODE, name="node1", tags=("a",)), tagged(), FACTS)
        self.assertEqual(tags_of(TagKind.NODE, plan.change(tagged("b"))), ["a", "b"])


class LookupTests(SynchronousTestCase):
    def test_only_the_cluster_needs_no_name(self) -> None:
        for kind in OBJECTS.keys() - {TagKind.CLUSTER}:
            for name in (None, ""):
                words = f"the name of the {kind.value} is missing; give the parameter name"
                with self.assertRaisesRegex(Refused, words) as caught:
                    find_tagged_object(kind, name, tagged())
                self.assertEqual(caught.exception.code, Code.INPUT)

    def test_an_object_that_does_not_exist_is_named(self) -> None:
        for kind in OBJECTS.keys() - {TagKind.CLUSTER}:
            with self.assertRaisesRegex(Refused, "none9 does not exist") as caught:
                find_tagged_object(kind, "none9", tagged())
            self.assertEqual(caught.exception.code, Code.UNKNOWN)


class SearchTests(SynchronousTestCase):
    def test_objects_of_all_kinds_are_found_by_their_paths(self) -> None:
        found = plan_search(SearchTags(pattern="prod"), tagged("prod", "test"), FACTS)
        paths = ["/cluster", "/instances/web1", "/network/net1", "/nodegroup/default"]
        self.assertEqual(found.answer, [[path, "prod"] for path in [*paths, "/nodes/node1"]])
        self.assertEqual(found.locks, {})

    def test_each_tag_that_matches_anywhere_has_a_row(self) -> None:
        state = a_cluster(tags=("a:1", "a:2", "b:1", "ca:3"))
        found = plan_search(SearchTags(pattern="a:"), state, FACTS)
        self.assertEqual(found.answer, [["/cluster", tag] for tag in ("a:1", "a:2", "ca:3")])
        self.assertEqual(plan_search(SearchTags(pattern="^z"), state, FACTS).answer, [])

    def test_an_answer_is_the_result_of_the_job(self) -> None:
        planned = plan_get(GetTags(kind=TagKind.CLUSTER), tagged("b", "a"), FACTS)
        memory = MemoryTools(tagged())
        self.assertEqual(self.successResultOf(answer(planned, memory.tools)), ["b", "a"])
