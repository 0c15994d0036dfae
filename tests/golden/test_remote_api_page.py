# SPDX-License-Identifier: BSD-2-Clause
"""The reference of the remote API is the one that the declarations make."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.routes.route_table import ROUTES
from tools.remote_api_page import MARKER, PAGE, reference


class RemoteApiPageTests(SynchronousTestCase):
    def test_the_page_is_of_the_present_declarations(self) -> None:
        written = PAGE.read_text().partition(MARKER)[2]
        self.assertEqual(written, reference(), "run: python -m tools.remote_api_page")

    def test_every_method_of_every_resource_is_there(self) -> None:
        text = reference()
        missing = [
            f"{method} {route.path}"
            for route in ROUTES
            for method in route.verbs
            if f"### `{method} {route.path}`" not in text
        ]
        self.assertEqual(missing, [])
