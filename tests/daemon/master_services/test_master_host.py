# SPDX-License-Identifier: BSD-2-Clause
"""The host of the master has the folders that it needs, before the master starts."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from ganeti.daemon.master_services.master_host import MasterHost, open_host
from ganeti.daemon.process.services import Daemon
from ganeti.errors import NotMaster
from ganeti.paths import Paths, local_node_name
from tests.daemon.master_services.test_file_threads import RecordingReactor


class HostTests(TestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        self.reactor = RecordingReactor()
        self.daemon = Daemon(self.reactor)
        self.daemon.startService()
        self.addCleanup(self.stop)

    async def stop(self) -> None:
        await self.daemon.stopService()
        for _, _, called in self.reactor.triggers:
            called()

    async def open(self) -> MasterHost:
        return await open_host(self.daemon, self.paths)

    def entries(self, *folders: str) -> list[list[str]]:
        """The names of what is in folders."""
        return [sorted(os.listdir(folder)) for folder in folders]

    async def test_folders_of_its_files_are_made(self) -> None:
        os.makedirs(self.paths.data)
        host = await self.open()
        self.assertEqual(self.entries(host.places.queue, self.paths.sockets), [[], []])
        self.assertEqual(host.name, local_node_name())

    async def test_folders_that_there_are_keep_their_files(self) -> None:
        os.makedirs(f"{self.paths.data}/queue/archive")
        host = await self.open()
        self.assertEqual(self.entries(host.places.queue), [["archive"]])

    async def test_a_folder_that_cannot_be_made_is_an_error(self) -> None:
        os.symlink("/dev/null", self.paths.root)
        with self.assertRaises(OSError):
            await self.open()

    async def test_a_role_that_another_master_has_ends_the_daemon(self) -> None:
        os.makedirs(self.paths.data)
        host = await self.open()
        host.lost(NotMaster("node2 is the master"))
        over: Deferred[Any] = self.daemon.over
        self.failureResultOf(over, NotMaster)
