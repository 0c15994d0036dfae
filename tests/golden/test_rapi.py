# SPDX-License-Identifier: BSD-2-Clause
"""Resources, methods and fields of the remote API are those that clients rely on."""

from __future__ import annotations

import json
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.routes import cluster, groups, instances, jobs, nodes
from ganeti.rapi.routes.route_table import ROUTES

GOLDEN = json.loads((Path(__file__).parent / "data" / "rapi.json").read_text())


class RoutesTests(SynchronousTestCase):
    def test_every_method_of_the_document_and_of_later_servers_is_there(self) -> None:
        ours = {re.sub(r"{\w+}", "{}", route.path): set(route.verbs) for route in ROUTES}
        known = {
            re.sub(r"{\w+}", "{}", path): set(methods)
            for path, methods in {**GOLDEN["document"], **GOLDEN["later"]}.items()
        }
        for path in (
            "/2/openapi",
            "/2/events",
            "/2/history",
            "/2/console",
            "/2/job-rates",
            "/2/capacity",
            "/2/failover/rehearsal",
            "/2/failover/survival",
            "/metrics",
        ):
            self.assertEqual(ours.pop(path), {"GET"})
        self.assertEqual(ours.pop("/2/instances/{}/console-ticket"), {"POST"})
        self.assertEqual(ours.pop("/2/balance"), {"GET", "PUT"})
        self.assertEqual(ours.pop("/2/failover"), {"GET", "PUT"})
        for path in (
            "/2/instances/{}/failover-policy",
            "/2/nodes/{}/maintenance",
            "/2/nodes/{}/confirm-off",
        ):
            self.assertEqual(ours.pop(path), {"PUT"})
        self.assertEqual(ours.pop("/2/instances/{}/snapshots"), {"GET", "POST"})
        self.assertEqual(ours.pop("/2/instances/{}/snapshots/{}"), {"GET", "DELETE"})
        self.assertEqual(ours.pop("/2/instances/{}/snapshots/{}/revert"), {"PUT"})
        self.assertEqual(ours.pop("/2/instances/{}/clone"), {"POST"})
        for path in ("/2/instances/{}/screenshot", "/2/instances/{}/usage", "/2/nodes/{}/usage"):
            self.assertEqual(ours.pop(path), {"GET"})
        for path in ("/2/instances/{}/backup", "/2/instances/{}/restore-disks"):
            self.assertEqual(ours.pop(path), {"PUT"})
        own = ("/2/access/", "/2/backup-", "/2/images", "/2/notifications")
        ours = {path: methods for path, methods in ours.items() if not path.startswith(own)}
        self.assertEqual(ours, known)
        self.assertEqual(len(GOLDEN["document"]), 33)
        self.assertEqual(sum(map(len, GOLDEN["document"].values())), 43)

    def test_objects_have_the_known_fields(self) -> None:
        ours = {
            "instance": instances.FIELDS,
            "node": nodes.FIELDS,
            "group": groups.GROUP_FIELDS,
            "network": groups.NETWORK_FIELDS,
            "filter": cluster.FILTER_FIELDS,
            "job_bulk": jobs.BULK_FIELDS,
            "job": jobs.FIELDS,
        }
        self.assertEqual({k: list(v) for k, v in ours.items()}, GOLDEN["fields"])
