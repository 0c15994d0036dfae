# SPDX-License-Identifier: BSD-2-Clause
"""The master daemon on real files and sockets, with the node daemon of its host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ganeti.config.formats import loaded
from ganeti.config.state import ClusterState
from ganeti.errors import NotMaster
from ganeti.luxi.async_client import MasterClient
from ganeti.luxi.methods import QueryTags, SubmitJob, WaitForJobChange
from ganeti.luxi.socket_connector import SocketConnector
from ganeti.opcodes.tags import AddTags, TagKind
from tests.daemon.one_node import OneNodeTestCase, reactor


class MasterStartTests(OneNodeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = MasterClient(SocketConnector(reactor, self.paths.master_socket), reactor)

    def read_state(self) -> ClusterState:
        return loaded(Path(self.paths.config_file).read_bytes(), ids=lambda: "")

    async def run_job(self, *tags: str) -> str:
        """Add tags to the cluster; return the status in which the job ends."""
        job = await self.client.ask(SubmitJob(ops=(AddTags(kind=TagKind.CLUSTER, tags=tags),)))
        seen: Any = None
        while seen is None or seen[0] not in ("success", "error", "canceled"):
            wait = WaitForJobChange(job_id=job, fields=("status",), prev_job_info=seen)
            [seen, _] = msgspec.to_builtins(await self.client.ask(wait))
        return str(seen[0])

    async def test_a_job_runs_and_its_change_is_in_the_files_when_the_master_has_stopped(
        self,
    ) -> None:
        await self.run_node()
        master = await self.run_master()
        try:
            self.assertEqual(await self.run_job("green"), "success")
        finally:
            self.client.close()
            await master.stopService()
        self.assertEqual(self.read_state().cluster.tags, ("green",))

    async def test_until_the_nodes_have_voted_queries_are_answered(self) -> None:
        await self.run_master()
        try:
            tags = await self.client.ask(QueryTags(kind="cluster", name=""))
        finally:
            self.client.close()
        self.assertEqual(tags, [])

    async def test_it_does_not_start_where_another_node_has_the_vote(self) -> None:
        self.write_vote(3, "node9.example.com")
        with self.assertRaisesRegex(NotMaster, r"node9\.example\.com is the master"):
            await self.run_master()
