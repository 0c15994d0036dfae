# SPDX-License-Identifier: BSD-2-Clause
"""Indexes that follow each change are those that are built from the objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st
from immutables import Map
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.indexes import Identified, Index, Indexes, build_indexes, lookup, reindex
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.testing.builders import a_network, a_nic, a_node, an_instance, uuid_of

NAMES = st.sampled_from(["web", "web.a.example", "web.b.example", "db.a.example"])
TAGS = st.lists(st.sampled_from(["blue", "green"]), unique=True).map(tuple)
NETWORKS = st.sampled_from([None, a_network("lan").uuid, a_network("wan").uuid])


def instances(uuid: str) -> st.SearchStrategy[Instance]:
    """Return instances with this UUID, in any of a few forms."""
    nics = st.lists(NETWORKS.map(lambda network: a_nic(network=network)), max_size=2).map(tuple)
    return st.builds(
        lambda name, tags, nics: an_instance(name, uuid=uuid, tags=tags, nics=nics).instance,
        NAMES,
        TAGS,
        nics,
    )


def nodes(uuid: str) -> st.SearchStrategy[Node]:
    """Return nodes with this UUID, in any of a few forms."""
    return st.builds(
        lambda name, tags, group: a_node(name, uuid=uuid, tags=tags, group=group),
        NAMES,
        TAGS,
        st.sampled_from(["default", "other"]),
    )


def changes() -> st.SearchStrategy[tuple[str, Identified | None]]:
    """Return the UUID of an object, and what it becomes."""
    return st.sampled_from(["i1", "i2", "n1", "n2"]).flatmap(
        lambda uuid: st.tuples(
            st.just(uuid),
            st.none() | (instances(uuid) if uuid.startswith("i") else nodes(uuid)),
        )
    )


class IndexTests(SynchronousTestCase):
    @given(st.lists(changes(), max_size=12))
    def test_after_any_changes_they_are_those_of_the_objects_that_are_there(
        self, made: Sequence[tuple[str, Identified | None]]
    ) -> None:
        objects: dict[str, Identified] = {}
        indexes: Indexes = Map()
        for uuid, new in made:
            indexes = reindex(indexes, objects.get(uuid), new)
            if new is None:
                objects.pop(uuid, None)
            else:
                objects[uuid] = new
        self.assertEqual(_plain(indexes), _plain(build_indexes(objects.values())))

    def test_a_change_of_another_field_costs_nothing(self) -> None:
        node = a_node("node1")
        indexes = build_indexes([node])
        self.assertIs(reindex(indexes, node, a_node("node1", offline=True)), indexes)

    def test_objects_of_a_kind_are_found_by_a_key(self) -> None:
        first, second = (an_instance(f"web.{domain}").instance for domain in ("a", "b"))
        indexes = build_indexes([first, second, a_node("web.c")])
        found = lookup(indexes, Index.LABEL, Instance, "web")
        self.assertEqual(set(found), {first.uuid, second.uuid})
        self.assertEqual(list(lookup(indexes, Index.LABEL, Node, "web")), [a_node("web.c").uuid])
        group = uuid_of("group", "default")
        self.assertEqual(list(lookup(indexes, Index.GROUP, Node, group)), [a_node("web.c").uuid])
        self.assertEqual(list(lookup(indexes, Index.TAG, Node, "blue")), [])


def _plain(indexes: Indexes) -> Mapping[Index, Mapping[object, frozenset[str]]]:
    return {
        index: {
            key: frozenset((owners,) if isinstance(owners, str) else owners)
            for key, owners in entries.items()
        }
        for index, entries in indexes.items()
    }
