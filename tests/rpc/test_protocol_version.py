# SPDX-License-Identifier: BSD-2-Clause
"""Nodes of neighbouring releases speak to each other; others are refused with both versions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import ProtocolError
from ganeti.rpc.protocol_version import (
    FIRST,
    OWN,
    IncompatibleProtocol,
    ProtocolVersions,
    parse_versions,
    require_common,
)

VERSIONS = st.tuples(st.integers(1, 999), st.integers(0, 9)).map(
    lambda each: ProtocolVersions(each[0], sum(each))
)


class VersionTests(SynchronousTestCase):
    def test_the_release_before_is_understood_in_both_directions(self) -> None:
        before = ProtocolVersions(max(1, OWN.newest - 1), OWN.newest - 1)
        after = ProtocolVersions(OWN.newest, OWN.newest + 1)
        for other in (FIRST, before, OWN, after):
            require_common("node2", other)
            require_common("node2", OWN, other)

    def test_a_release_too_far_away_is_refused_with_both_versions(self) -> None:
        for theirs, own, older in ((5, 3, "this node"), (3, 5, "node2")):
            with self.assertRaisesRegex(
                IncompatibleProtocol,
                rf"node2 speaks versions {theirs - 1}-{theirs} .* this node speaks {own - 1}-{own} "
                rf".*; upgrade {older}$",
            ):
                require_common(
                    "node2",
                    ProtocolVersions(theirs - 1, theirs),
                    ProtocolVersions(own - 1, own),
                )

    @given(VERSIONS)
    def test_versions_survive_the_header(self, versions: ProtocolVersions) -> None:
        self.assertEqual(parse_versions(str(versions)), versions)

    @given(st.text())
    def test_anything_else_is_malformed(self, text: str) -> None:
        try:
            parsed = parse_versions(text)
        except ProtocolError:
            return
        self.assertEqual(str(parsed), text)

    @given(VERSIONS, VERSIONS)
    def test_both_ends_judge_alike(self, one: ProtocolVersions, other: ProtocolVersions) -> None:
        self.assertEqual(one.meets(other), other.meets(one))
