# SPDX-License-Identifier: BSD-2-Clause
"""A path says its variables, and the name of its resource in the reasons of jobs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.routes.route import MAX_NUMBERS, Route
from ganeti.rapi.routes.route_table import ROUTES
from ganeti.rapi.verbs import streams


class RouteTests(SynchronousTestCase):
    def test_variables_are_the_segments_in_braces(self) -> None:
        route = Route("/2/instances/{instance_name}/disk/{disk}/grow", {})
        self.assertEqual(route.variables, ("instance_name", "disk"))
        self.assertEqual(len(route.segments), 6)
        self.assertEqual(Route("/2/info", {}).variables, ())

    def test_the_resource_has_the_name_that_ganeti_gives_it(self) -> None:
        for path, name in (
            ("/2/instances/{instance_name}/startup", "instances_name_startup"),
            ("/2/instances/{instance_name}/disk/{disk}/grow", "instances_name_disk_grow"),
            ("/2/nodes/{node_name}/storage/repair", "nodes_name_storage_repair"),
            ("/2/jobs/{job_id}/wait", "jobs_id_wait"),
            ("/2/filters/{filter_uuid}", "filters_uuid"),
            ("/2/redistribute-config", "redistribute_config"),
            ("/2", ""),
        ):
            self.assertEqual(Route(path, {}).source, name)

    def test_methods_are_listed_with_those_that_follow_from_them(self) -> None:
        self.assertEqual(Route("/2/x", {}).allowed, "OPTIONS")
        self.assertEqual(Route("/2/x", {"PUT": streams()}).allowed, "OPTIONS, PUT")
        self.assertEqual(Route("/2/x", {"GET": streams()}).allowed, "GET, HEAD, OPTIONS")

    def test_numbers_in_paths_are_used(self) -> None:
        variables = {name for route in ROUTES for name in route.variables}
        self.assertEqual(MAX_NUMBERS.keys() - variables, set())
