# SPDX-License-Identifier: BSD-2-Clause
"""The memory of a running guest changes within its limits, and within what its node has."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, GanetiError
from ganeti.model.instance import AdminState
from ganeti.testing.builders import a_cluster, an_instance
from tests.operations.whole import WholeCluster

MODIFY = "OP_INSTANCE_SET_PARAMS"


class RuntimeMemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        limits = {"minmem": 64, "maxmem": 512}
        web1 = an_instance("web1", beparams=limits)
        self.whole = WholeCluster(a_cluster(nodes=["node1"], instances=[web1]))
        self.successResultOf(self.whole.start("web1"))

    def do(self, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(MODIFY, instance_name="web1", **fields))

    def refusal(self, **fields: Any) -> tuple[str, object]:
        work = self.whole.do(MODIFY, instance_name="web1", **fields)
        error = self.failureResultOf(work, GanetiError).value
        assert isinstance(error, GanetiError)
        return str(error), error.arguments()[-1]

    @property
    def memory(self) -> int:
        return self.whole.guests["node1"].running()["web1"].memory

    def test_a_running_guest_is_changed_at_once(self) -> None:
        rows = self.do(runtime_mem=300)
        self.assertEqual((rows, self.memory), ([["runtime_memory", 300]], 300))
        self.do(runtime_mem=512)
        self.assertEqual(self.memory, 512)

    def test_the_memory_is_within_the_limits_of_the_instance_unless_forced(self) -> None:
        for memory in (63, 513):
            said, code = self.refusal(runtime_mem=memory)
            self.assertIn(f"must be from 64 to 512 MiB, not {memory} MiB", said)
            self.assertEqual((code, self.memory), (Code.INPUT, 512))
        self.do(runtime_mem=63, force=True)
        self.assertEqual(self.memory, 63)
        self.assertIn("was started with 512 MiB", self.refusal(runtime_mem=513, force=True)[0])

    def test_the_limits_of_the_same_request_count(self) -> None:
        self.do(runtime_mem=32, beparams={"minmem": 32})
        self.assertEqual(self.memory, 32)

    def test_the_node_must_have_what_the_guest_gets(self) -> None:
        self.do(runtime_mem=100)
        # The node keeps 100 MiB free for the guest, which only exists on paper.
        meminfo = b"MemAvailable: %d kB\n" % (150 << 10)
        self.whole.hosts["node1"].disk.put("/proc/meminfo", meminfo, 0o444, 0.0)
        said, code = self.refusal(runtime_mem=151)
        self.assertIn("has 100 MiB of memory, and its node has only 50 MiB more", said)
        self.assertEqual((code, self.memory), (Code.RESOURCES, 100))
        self.do(runtime_mem=150)
        self.do(runtime_mem=512, force=True)

    def test_a_guest_that_keeps_its_memory_keeps_its_configuration(self) -> None:
        self.whole.guests["node1"].stubborn.add("web1")
        said, _ = self.refusal(runtime_mem=100, beparams={"vcpus": 2})
        self.assertIn("does not change its memory", said)
        self.assertNotIn("vcpus", self.whole.state.instance("web1").beparams)

    def test_what_does_not_run_is_refused_with_what_to_change_instead(self) -> None:
        down = an_instance("web1", admin_state=AdminState.DOWN)
        self.whole = WholeCluster(a_cluster(nodes=["node1"], instances=[down]))
        said, code = self.refusal(runtime_mem=256)
        self.assertIn("gnt-instance modify -B maxmem=256 web1", said)
        self.assertEqual(code, Code.STATE)
