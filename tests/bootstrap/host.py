# SPDX-License-Identifier: BSD-2-Clause
"""A host on which a cluster can be founded."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.init_cluster import init_cluster
from ganeti.paths import Paths


class Host(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))

    def init_cluster(self, **settings: Any) -> None:
        init_cluster(
            self.paths,
            cluster="cluster1",
            address="127.0.0.1",
            master="node1",
            master_address="127.0.0.1",
            hypervisors=["fake"],
            **settings,
        )

    def read(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()
