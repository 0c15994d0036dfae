# SPDX-License-Identifier: BSD-2-Clause
"""Starting, stopping, rebooting, reinstalling and removing instances."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused, Unreachable
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.lifecycle import (
    RebootInstance,
    RebootType,
    ReinstallInstance,
    RemoveInstance,
    ShutdownInstance,
)
from ganeti.opcodes.instance.lifecycle import StartInstance as StartOpcode
from ganeti.operations.instance.lifecycle import reboot, reinstall, remove, start, stop
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.disks import DetachDisk, RemoveDisk
from ganeti.rpc.instances import InstallOS, StartInstanceCall, StopInstance
from ganeti.rpc.node import DescribeNode, DescribeOSes, ValidateOS
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance, uuid_of
from ganeti.testing.facts import an_os, some_facts
from ganeti.testing.tools import MemoryTools

NODE1 = uuid_of("node", "node1")


def facts(*, runs: tuple[str, ...] = (), **over: Any) -> NodeAnswers:
    return NodeAnswers(
        {
            (NODE1, DescribeNode): some_facts(runs=runs, **over),
            (NODE1, DescribeOSes): [an_os()],
        }
    )


def stopped(**over: Any) -> ClusterState:
    return a_cluster(instances=[an_instance("web1", admin_state=AdminState.DOWN, **over)])


class StartTests(SynchronousTestCase):
    def test_a_stopped_instance_is_wanted_up_and_started(self) -> None:
        memory = MemoryTools(stopped())
        plan = start.plan(StartOpcode(instance_name="web1"), memory.state(), facts())
        self.successResultOf(start.run(plan, memory.tools))
        self.assertIs(memory.state().instance("web1").admin_state, AdminState.UP)
        self.assertEqual(memory.nodes.calls(), [("node1", "StartInstanceCall")])

    def test_a_hypervisor_that_nothing_drives_is_refused(self) -> None:
        taken_over = a_cluster(instances=[an_instance("web1", hypervisor="xen-pvm")])
        with self.assertRaisesRegex(
            Refused, "xen-pvm is not supported by this version; supported are: fake"
        ):
            start.plan(StartOpcode(instance_name="web1"), taken_over, facts())

    def test_an_offline_node_is_told_of_with_the_way_out(self) -> None:
        state = a_cluster(
            nodes=["node1", a_node("node2", offline=True)],
            instances=[an_instance("web1", node="node2")],
        )
        with self.assertRaisesRegex(Refused, "node2 is offline; use --ignore-offline"):
            start.plan(StartOpcode(instance_name="web1"), state, NodeAnswers())

    def test_too_little_memory_refuses(self) -> None:
        with self.assertRaisesRegex(Refused, "has 100 MiB of free memory"):
            start.plan(StartOpcode(instance_name="web1"), stopped(), facts(memory_free=100))

    def test_one_that_runs_needs_no_more_memory(self) -> None:
        lack = facts(runs=("web1",), memory_free=0)
        start.plan(StartOpcode(instance_name="web1"), stopped(), lack)

    def test_a_node_that_does_not_answer_refuses_with_what_to_do(self) -> None:
        silent = NodeAnswers({(NODE1, DescribeNode): Unreachable("node1", "no route")})
        with self.assertRaisesRegex(Refused, "start its node daemon"):
            start.plan(StartOpcode(instance_name="web1"), stopped(), silent)

    def test_parameters_of_one_start_are_not_kept(self) -> None:
        memory = MemoryTools(stopped())
        op = StartOpcode(instance_name="web1", beparams={"vcpus": 3}, no_remember=True)
        self.successResultOf(start.run(start.plan(op, memory.state(), facts()), memory.tools))
        [(_, call)] = memory.nodes.asked
        assert isinstance(call, StartInstanceCall)
        self.assertEqual(call.guest.vcpus, 3)
        self.assertEqual(memory.journal.commits, [])


class StopTests(SynchronousTestCase):
    def test_a_running_instance_is_wanted_down_and_stopped(self) -> None:
        memory = MemoryTools(a_cluster(instances=["web1"]))
        op = ShutdownInstance(instance_name="web1", timeout=7)
        self.successResultOf(stop.run(stop.plan(op, memory.state(), facts()), memory.tools))
        self.assertIs(memory.state().instance("web1").admin_state, AdminState.DOWN)
        [(_, call)] = memory.nodes.asked
        assert isinstance(call, StopInstance)
        self.assertEqual((call.instance_name, call.timeout), ("web1", 7))

    def test_one_that_cannot_be_stopped_is_wanted_as_before(self) -> None:
        memory = MemoryTools(a_cluster(instances=["web1"]))
        memory.nodes.answers[StopInstance] = Unreachable("node1", "no route")
        plan = stop.plan(ShutdownInstance(instance_name="web1"), memory.state(), facts())
        self.failureResultOf(stop.run(plan, memory.tools), Unreachable)
        instance = memory.state().instance("web1")
        self.assertEqual((instance.admin_state, instance.disks_active), (AdminState.UP, True))

    def test_stopping_one_that_is_marked_offline_leaves_it_so(self) -> None:
        memory = MemoryTools(
            a_cluster(instances=[an_instance("web1", admin_state=AdminState.OFFLINE)])
        )
        op = ShutdownInstance(instance_name="web1", force=True)
        self.successResultOf(stop.run(stop.plan(op, memory.state(), facts()), memory.tools))
        self.assertIs(memory.state().instance("web1").admin_state, AdminState.OFFLINE)
        self.assertEqual([type(call) for _, call in memory.nodes.asked], [StopInstance])

    def test_an_offline_node_is_left_alone_if_asked_to(self) -> None:
        state = a_cluster(
            nodes=["node1", a_node("node2", offline=True)],
            instances=[an_instance("web1", node="node2")],
        )
        memory = MemoryTools(state)
        op = ShutdownInstance(instance_name="web1", ignore_offline_nodes=True)
        self.successResultOf(stop.run(stop.plan(op, state, facts()), memory.tools))
        self.assertEqual(memory.nodes.asked, [])
        self.assertIs(memory.state().instance("web1").admin_state, AdminState.DOWN)


class RebootTests(SynchronousTestCase):
    def calls(self, kind: RebootType, *, runs: bool) -> list[str]:
        memory = MemoryTools(a_cluster(instances=["web1"]))
        op = RebootInstance(instance_name="web1", reboot_type=kind)
        plan = reboot.plan(op, memory.state(), facts(runs=("web1",) if runs else ()))
        self.successResultOf(reboot.run(plan, memory.tools))
        return [name for _, name in memory.nodes.calls()]

    def test_soft_and_hard_are_the_nodes_business(self) -> None:
        asked = self.calls(RebootType.SOFT, runs=True)
        self.assertEqual(asked, ["RebootInstanceCall", "DescribeRunning"])
        asked = self.calls(RebootType.HARD, runs=True)
        self.assertEqual(asked, ["ValidateHypervisor", "RebootInstanceCall"])

    def test_full_stops_and_starts(self) -> None:
        asked = self.calls(RebootType.FULL, runs=True)
        self.assertEqual(asked, ["ValidateHypervisor", "StopInstance", "StartInstanceCall"])

    def test_memory_that_it_would_not_get_back_refuses_what_stops_it(self) -> None:
        bigger = an_instance("web1", beparams={"minmem": 512, "maxmem": 512})
        state, lack = a_cluster(instances=[bigger]), facts(runs=("web1",), memory_free=100)
        for kind in (RebootType.HARD, RebootType.FULL):
            with self.assertRaisesRegex(Refused, "requires 512 MiB"):
                reboot.plan(RebootInstance(instance_name="web1", reboot_type=kind), state, lack)
        soft = RebootInstance(instance_name="web1", reboot_type=RebootType.SOFT)
        reboot.plan(soft, state, lack)

    def test_one_that_does_not_run_is_started(self) -> None:
        self.assertEqual(self.calls(RebootType.SOFT, runs=False), ["StartInstanceCall"])


class RemoveTests(SynchronousTestCase):
    def setUp(self) -> None:
        disks = [a_disk("web1/0")]
        self.memory = MemoryTools(a_cluster(instances=[an_instance("web1", disks=disks)]))

    def run_it(self, **over: Any) -> Any:
        op = RemoveInstance(instance_name="web1", **over)
        return remove.run(remove.plan(op, self.memory.state(), facts()), self.memory.tools)

    def test_the_guest_is_stopped_before_its_disks_go(self) -> None:
        self.successResultOf(self.run_it())
        names = [name for _, name in self.memory.nodes.calls()]
        self.assertEqual(names, ["StopInstance", "RemoveDisk"])
        self.assertEqual(len(self.memory.state().instances), 0)
        self.assertEqual(len(self.memory.state().disks), 0)

    def test_a_disk_that_stays_keeps_the_instance(self) -> None:
        self.memory.nodes.answers[RemoveDisk] = Failed("device busy")
        failure = self.failureResultOf(self.run_it(), Failed)
        self.assertIn("device busy", str(failure.value))
        self.assertEqual(len(self.memory.state().instances), 1)

    def test_unless_failures_are_to_be_ignored(self) -> None:
        self.memory.nodes.answers[RemoveDisk] = Failed("device busy")
        self.successResultOf(self.run_it(ignore_failures=True))
        self.assertEqual(len(self.memory.state().instances), 0)
        self.assertIn("device busy", self.memory.progress.said[0])

    def test_a_removal_that_cannot_be_recorded_says_that_the_disks_are_gone(self) -> None:
        def breaks(node: str, call: Any) -> None:
            self.memory.journal.break_down("the disk is full")

        self.memory.nodes.answers[RemoveDisk] = breaks
        failure = self.failureResultOf(self.run_it(), Failed)
        self.assertRegex(
            str(failure.value),
            "were removed, but not its configuration.*disk is full.*remove the instance again",
        )


class ReinstallTests(SynchronousTestCase):
    def test_one_that_is_to_run_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "shut it down first"):
            op = ReinstallInstance(instance_name="web1")
            reinstall.plan(op, a_cluster(instances=["web1"]), facts())

    def test_another_os_is_kept_and_installed(self) -> None:
        memory = MemoryTools(stopped())
        there = NodeAnswers(
            {
                (NODE1, DescribeNode): some_facts(),
                (NODE1, DescribeOSes): [an_os("mini", variants=("small",))],
                (NODE1, ValidateOS): None,
            }
        )
        op = ReinstallInstance(instance_name="web1", os_type="mini+small")
        plan = reinstall.plan(op, memory.state(), there)
        self.successResultOf(reinstall.run(plan, memory.tools))
        self.assertEqual(memory.state().instance("web1").os, "mini+small")
        [(_, call)] = memory.nodes.asked
        assert isinstance(call, InstallOS)
        self.assertTrue(call.reinstall)

    def test_disks_that_cannot_be_detached_do_not_fail_the_installation(self) -> None:
        memory = MemoryTools(stopped(disks=[a_disk("disk1")]))
        memory.nodes.answers[DetachDisk] = Failed("it is in use")
        there = NodeAnswers({**facts().answers, (NODE1, ValidateOS): None})
        plan = reinstall.plan(ReinstallInstance(instance_name="web1"), memory.state(), there)
        self.successResultOf(reinstall.run(plan, memory.tools))
        self.assertIn("cannot detach the disks of instance web1", memory.progress.said[-1])

    def test_an_unknown_variant_is_refused_with_the_known_ones(self) -> None:
        there = NodeAnswers(
            {
                (NODE1, DescribeNode): some_facts(),
                (NODE1, DescribeOSes): [an_os("mini", variants=("small", "large"))],
            }
        )
        with self.assertRaisesRegex(Refused, "no variant huge; known are: small, large"):
            op = ReinstallInstance(instance_name="web1", os_type="mini+huge")
            reinstall.plan(op, stopped(), there)
