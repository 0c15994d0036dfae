# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots are resources below their instance."""

from __future__ import annotations

from typing import Any

from ganeti.errors import Refused
from ganeti.luxi.methods import QueryInstances
from ganeti.opcodes.instance.snapshots import CreateSnapshot, RemoveSnapshot, RevertInstance
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes import snapshots
from ganeti.testing.master import MemoryMaster
from tests.rapi.routes.case import RouteCase

ALL = "/2/instances/{instance_name}/snapshots"
ONE = ALL + "/{snapshot_name}"
WEB1 = {"instance_name": "web1"}
BEFORE: dict[str, Any] = {**WEB1, "snapshot_name": "before"}


class SnapshotRouteTests(RouteCase):
    ROUTES = snapshots.ROUTES

    def setUp(self) -> None:
        self.master = MemoryMaster({QueryInstances: [[[{"name": "before"}, {"name": "other"}]]]})

    def test_all_of_an_instance_and_each_by_its_name_are_shown(self) -> None:
        found = self.answer("GET", ALL, variables=WEB1)
        self.assertEqual([each["name"] for each in found], ["before", "other"])
        self.assertEqual(self.answer("GET", ONE, variables=BEFORE), {"name": "before"})
        [asked, _] = self.master.asked
        self.assertEqual(asked, QueryInstances(names=("web1",), fields=("snapshots",)))

    def test_an_unknown_name_is_refused(self) -> None:
        lost = {**WEB1, "snapshot_name": "lost"}
        error = self.refusal(Refused, "GET", ONE, variables=lost)
        self.assertIn("web1 has no snapshot lost", str(error))

    def test_one_is_created_reverted_to_and_removed(self) -> None:
        self.answer("POST", ALL, {"name": "before"}, variables=WEB1)
        self.assertEqual(self.job(), CreateSnapshot(**BEFORE, reason=()))
        self.answer("PUT", ONE + "/revert", {"restart": True}, variables=BEFORE)
        self.assertEqual(self.job(), RevertInstance(**BEFORE, restart=True, reason=()))
        self.answer("DELETE", ONE, variables=BEFORE)
        self.assertEqual(self.job(), RemoveSnapshot(**BEFORE, reason=()))

    def test_they_need_the_rights_of_the_instance(self) -> None:
        self.check_access(
            {
                ("GET", ALL): AccessLevel.OPEN,
                ("POST", ALL): AccessLevel.WRITE,
                ("GET", ONE): AccessLevel.OPEN,
                ("DELETE", ONE): AccessLevel.WRITE,
                ("PUT", ONE + "/revert"): AccessLevel.WRITE,
            }
        )
