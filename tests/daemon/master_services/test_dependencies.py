# SPDX-License-Identifier: BSD-2-Clause
"""The master is given the files, programs and clocks of its host."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.blocking_files import local_files
from ganeti.daemon.master_services.cluster_keys import LocalClusterKeys
from ganeti.daemon.master_services.dependencies import make_dependencies
from ganeti.daemon.master_services.local_ancillary_files import LocalAncillaryFiles
from ganeti.daemon.master_services.master_host import MasterHost
from ganeti.daemon.store.store_connection import StoreClients
from ganeti.errors import Code, Failed, NotMaster, Refused
from ganeti.master.master import Dependencies
from ganeti.paths import Paths
from ganeti.testing.processes import MemoryProcesses


class DependencyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(self.paths.run)
        self.settled = 0

    def settle(self) -> Awaitable[None]:
        self.settled += 1
        return succeed(None)

    def make(self) -> Dependencies:
        files: Any = local_files()
        processes: Any = MemoryProcesses(Clock(), {})
        self.lost: list[NotMaster] = []
        host = MasterHost(
            reactor=Clock(),
            name="node1",
            paths=self.paths,
            files=files,
            processes=processes,
            stores=StoreClients(),
            lost=self.lost.append,
        )
        self.host = host
        nothing: Any = None
        return make_dependencies(
            host,
            nothing,
            shared=LocalAncillaryFiles(files, self.paths),
            keys=LocalClusterKeys(processes, files, self.paths),
            senders=nothing,
            make_votes=lambda: nothing,
            settle_uploads=self.settle,
        )

    def test_files_and_clocks_are_those_of_the_host(self) -> None:
        made = self.make()
        self.assertEqual((made.name, made.machine), ("node1", os.uname().machine))
        self.assertEqual(made.places, self.host.places)
        self.assertTrue(made.places.queue.startswith(f"{self.paths.data}/"))
        self.assertIs(made.clock, self.host.reactor)
        self.assertIs(made.now, time.time)

    def test_sessions_are_kept_where_only_the_daemon_can_read_them(self) -> None:
        self.make().sessions.put("0123", b"secret")
        path = f"{self.paths.run}/sessions/0123"
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(self.make().sessions.read_all(), {"0123": b"secret"})

    def test_allocators_are_those_of_the_search_path(self) -> None:
        folder = self.paths.allocator_search_path[0]
        os.makedirs(folder)
        made = self.make()
        self.assertFalse(made.run_allocator.installed("mine"))
        with open(f"{folder}/mine", "w", opener=lambda path, flags: os.open(path, flags, 0o755)):
            pass
        self.assertTrue(made.run_allocator.installed("mine"))

        async def request() -> str:
            return "{}"

        error = self.failureResultOf(made.run_allocator("other", request), Failed).value
        self.assertEqual(error.code, Code.UNKNOWN)

    def test_a_move_of_the_state_waits_for_uploads_and_needs_settings(self) -> None:
        tools = self.make().move_tools
        assert tools is not None
        self.successResultOf(tools.wait_for_settings())
        self.assertEqual(self.settled, 1)
        with self.assertRaisesRegex(Refused, f"there is no {self.paths.state_store}"):
            tools.settings()
