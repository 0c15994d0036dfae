# SPDX-License-Identifier: BSD-2-Clause
"""The check that a node can run a guest, before a guest is stopped or disks are created."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, Invalid, Problem, Refused, Unreachable
from ganeti.model.guest import CheckScope
from ganeti.operations.allocation.node_check import hypervisor_check, require_able
from ganeti.rpc.node import ValidateHypervisor
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_guest, a_node
from ganeti.testing.tools import MemoryTools

GUEST = a_guest(hypervisor="kvm", hvparams={"kernel_path": "/vmlinuz"}, disks=[a_disk(), a_disk()])


class NodeCheckTests(SynchronousTestCase):
    def check(self, answer: object, **fields: CheckScope | str) -> MemoryTools:
        memory = MemoryTools(a_cluster(), {ValidateHypervisor: answer})
        scope, version = CheckScope(fields.get("scope", CheckScope.ALL)), fields.get("version", "")
        checking = require_able(
            a_node("node2"), GUEST, memory.tools, scope=scope, minimum_version=version
        )
        self.successResultOf(checking)
        return memory

    def refusal(self, answer: Exception) -> Exception:
        memory = MemoryTools(a_cluster(), {ValidateHypervisor: answer})
        checking = require_able(a_node("node2"), GUEST, memory.tools)
        error: Exception = self.failureResultOf(checking).value
        return error

    def test_the_node_gets_what_the_guest_needs(self) -> None:
        expected = ValidateHypervisor(
            hypervisor="kvm",
            hvparams={"kernel_path": "/vmlinuz"},
            nics=(),
            disks=2,
            scope=CheckScope.ALL,
            minimum_version="",
        )
        self.assertEqual(self.check(None).nodes.asked, [("node2", expected)])
        self.assertEqual(hypervisor_check(GUEST), expected)

    def test_a_running_guest_needs_a_program_that_is_not_older(self) -> None:
        memory = self.check(None, scope=CheckScope.RUNNING, version="8.2")
        expected = hypervisor_check(GUEST, CheckScope.RUNNING, minimum_version="8.2")
        self.assertEqual(memory.nodes.asked, [("node2", expected)])

    def test_whatever_the_node_objects_to_is_a_refusal(self) -> None:
        for answer in (
            Failed("there is no /vmlinuz", Code.ENVIRONMENT),
            Refused("there is no /vmlinuz"),
            Invalid([Problem("kernel_path", "there is no /vmlinuz")]),
        ):
            error = self.refusal(answer)
            self.assertIsInstance(error, Refused)
            self.assertEqual(str(error), f"instance web1 cannot run: {answer}")

    def test_a_silent_node_is_no_refusal(self) -> None:
        error = self.refusal(Unreachable("node2", "no route to host"))
        self.assertIsInstance(error, Unreachable)

    def test_masks_of_processors_are_counted_before_the_guest_is_stopped(self) -> None:
        guest = replace(GUEST, hvparams={"cpu_mask": "0:1:2"}, beparams={"vcpus": 1})
        memory = MemoryTools(a_cluster(), {ValidateHypervisor: None})
        refused = self.failureResultOf(require_able(a_node("node2"), guest, memory.tools), Refused)
        self.assertIn("cpu_mask has 3 masks", str(refused.value))
        # A guest that runs has other processors than those that wait for its next start.
        running = require_able(a_node("node2"), guest, memory.tools, scope=CheckScope.RUNNING)
        self.assertIsNone(self.successResultOf(running))
