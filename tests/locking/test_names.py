# SPDX-License-Identifier: BSD-2-Clause
"""Lock names and modes: what clashes, what covers what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.locking.names import (
    CLUSTER,
    CONFLICTS,
    LockLevel,
    LockMode,
    LockRequest,
    all_of,
    covers,
    instance_lock,
    node_lock,
    request,
    widened,
)

NAMES = (CLUSTER, all_of(LockLevel.NODE), node_lock("n1"), node_lock("n2"), instance_lock("i1"))
requests = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from([LockMode.SHARED, LockMode.EXCLUSIVE]), max_size=4
)


def clash(one: LockRequest, other: LockRequest) -> bool:
    """Whether two requests cannot be granted together."""
    one, other = widened(one), widened(other)
    return any(other[name] in CONFLICTS[one[name]] for name in one.keys() & other.keys())


class NameTests(SynchronousTestCase):
    def test_what_is_named_twice_is_wanted_exclusively(self) -> None:
        self.assertEqual(
            request(exclusive=[node_lock("n1")], shared=[node_lock("n1"), instance_lock("i1")]),
            {"node/n1": LockMode.EXCLUSIVE, "instance/i1": LockMode.SHARED},
        )

    def test_an_object_is_seen_by_who_wants_all_of_its_kind(self) -> None:
        self.assertEqual(
            widened({"node/n1": LockMode.EXCLUSIVE}),
            {
                "node/n1": LockMode.EXCLUSIVE,
                "node/[lockset]": LockMode.SOME_EXCLUSIVE,
                "cluster/BGL": LockMode.SOME_EXCLUSIVE,
            },
        )

    def test_clashes_between_one_object_and_all_of_a_kind(self) -> None:
        one, every = node_lock("n1"), all_of(LockLevel.NODE)
        share, exclude = LockMode.SHARED, LockMode.EXCLUSIVE
        self.assertFalse(clash({one: share}, {every: share}))
        self.assertTrue(clash({one: exclude}, {every: share}))
        self.assertTrue(clash({one: share}, {every: exclude}))
        self.assertFalse(clash({one: exclude}, {node_lock("n2"): exclude}))
        self.assertFalse(clash({one: exclude}, {all_of(LockLevel.INSTANCE): exclude}))
        self.assertTrue(clash({one: share}, {CLUSTER: exclude}))

    @given(requests)
    def test_widening_again_adds_nothing(self, wants: LockRequest) -> None:
        self.assertEqual(widened(widened(wants)), widened(wants))

    @given(requests, requests)
    def test_clashes_are_mutual(self, one: LockRequest, other: LockRequest) -> None:
        self.assertEqual(clash(one, other), clash(other, one))

    @given(requests, requests, requests)
    def test_who_clashes_with_what_is_covered_clashes_with_what_covers(
        self, held: LockRequest, needed: LockRequest, other: LockRequest
    ) -> None:
        if covers(held, needed) and clash(needed, other):
            self.assertTrue(clash(held, other))

    def test_all_of_a_kind_cover_one_of_it(self) -> None:
        self.assertTrue(
            covers({all_of(LockLevel.NODE): LockMode.EXCLUSIVE}, {"node/n1": LockMode.SHARED})
        )
        self.assertFalse(
            covers({all_of(LockLevel.NODE): LockMode.SHARED}, {"node/n1": LockMode.EXCLUSIVE})
        )
        self.assertFalse(covers({"node/n1": LockMode.EXCLUSIVE}, {"node/n2": LockMode.SHARED}))
        wide = widened({"node/n1": LockMode.EXCLUSIVE})
        self.assertFalse(covers(wide, {"node/n2": LockMode.SHARED}))
