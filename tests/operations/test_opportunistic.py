# SPDX-License-Identifier: BSD-2-Clause
"""With opportunistic locking nodes are avoided that other jobs keep to themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.locking.names import LockLevel, all_of, node_lock, request
from ganeti.locking.waiting import LockWaiter
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.perform import Performer
from ganeti.operations.registry import OPERATIONS
from ganeti.testing.builders import a_cluster, uuid_of
from ganeti.testing.tools import MemoryProgress
from tests.operations.whole import WholeCluster

ORDER: Mapping[str, Any] = {
    "OP_ID": "OP_INSTANCE_CREATE",
    "instance_name": "new1",
    "mode": "create",
    "disk_template": "diskless",
    "disks": [],
    "nics": [],
    "no_install": True,
    "name_check": False,
    "ip_check": False,
    "opportunistic_locking": True,
}


class AJob(MemoryProgress):
    job_id, owner, priority = 7, "job 7", 0

    async def locked(self) -> None:
        """Nothing waits for that."""


class OpportunisticTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = WholeCluster(a_cluster(nodes=["node1", "node2"]))
        self.locks = LockWaiter(Clock())
        self.others: list[Deferred[None]] = []  # would be ended if nobody had them
        self.perform = Performer(
            lambda: OPERATIONS,
            self.whole.memory.config,
            self.locks,
            lambda configuration, progress: self.whole.tools,
        )

    def hold(self, *locks: Any) -> None:
        """Another job keeps these locks to itself."""

        async def forever() -> None:
            async with self.locks.hold_locks("job 1", request(exclusive=locks)):
                await Deferred()

        self.others.append(Deferred.fromCoroutine(forever()))

    def create(self, **over: Any) -> Any:
        return self.perform(read_opcode({**ORDER, **over}), AJob())

    def test_a_node_in_use_is_avoided(self) -> None:
        for name, other in (("node1", "node2"), ("node2", "node1")):
            self.setUp()
            self.hold(node_lock(uuid_of("node", name)))
            self.assertEqual(self.successResultOf(self.create()).result, [other])

    def test_without_it_the_job_waits(self) -> None:
        self.hold(*(node_lock(uuid_of("node", name)) for name in ("node1", "node2")))
        waiting = Deferred.fromCoroutine(self.create(opportunistic_locking=False))
        self.assertNoResult(waiting)

    def test_if_all_are_in_use_it_fails_at_once(self) -> None:
        self.hold(all_of(LockLevel.NODE))
        failure = self.failureResultOf(self.create(), Refused)
        self.assertIs(failure.value.code, Code.TEMPORARY)

    def test_an_allocator_hears_of_it(self) -> None:
        self.hold(node_lock(uuid_of("node", "node1")))
        answer = {"success": True, "info": "", "result": ["node2"]}
        self.whole.memory.allocators["mine"] = json.dumps(answer)
        self.successResultOf(self.create(iallocator="mine"))
        [text] = self.whole.memory.requests
        self.assertEqual(json.loads(text)["request"]["restrict-to-nodes"], ["node2"])
