# SPDX-License-Identifier: BSD-2-Clause
"""Nodes that are lost are fenced, their guests start elsewhere, and no guest runs twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.failover import FailoverPolicy, FenceStage, GuardKind, NodeFence
from ganeti.opcodes.failover import (
    ConfirmNodeOff,
    ModifyFailover,
    SetFailoverPolicy,
    SetNodeMaintenance,
)
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode
from ganeti.rpc.guest_lease import DenyGuestLeases, RenewGuestLease
from ganeti.rpc.node_client import TransportError
from ganeti.rpc.wire import CallRequest
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.simulated_host import SimulatedHost
from tests.metrics.test_family import read
from tests.simulation.playing import played

LOST = "node3"


class FencingTests(SynchronousTestCase):
    """Five hosts, of which the third has the guest web1, which is to fail over."""

    device = True

    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1, 5, guarded=True)
        for host in self.cluster.hosts:
            host.has_device = self.device
        self.create("web1", LOST)
        self.do(SetFailoverPolicy(instance_name="web1", policy=FailoverPolicy.FAILOVER))
        self.cluster.pass_time(5.0)

    def create(self, name: str, node: str) -> None:
        fields: dict[str, Any] = {
            "OP_ID": "OP_INSTANCE_CREATE",
            "instance_name": name,
            "pnode": node,
            "mode": "create",
            "os_type": "noop",
            "disk_template": "diskless",
            "disks": [],
            "nics": [],
        }
        self.do(read_opcode(fields))
        self.assertEqual(self.cluster.running()[name], [node])

    def do(self, opcode: Opcode) -> None:
        self.cluster.submit(opcode)
        self.cluster.finish_jobs()

    @property
    def lost(self) -> SimulatedHost:
        return self.cluster.host(LOST)

    def fence(self) -> NodeFence | None:
        state = self.cluster.master.config.state()
        return state.node_fences.get(state.node(LOST).uuid)

    def status(self) -> list[dict[str, Any]]:
        found: Any = self.successResultOf(self.cluster.master.guests.query())
        return [*found["nodes"]]

    def homes(self, name: str = "web1") -> list[str]:
        return self.cluster.running().get(name, [])

    def cut_off(self) -> None:
        others = [host.name for host in self.cluster.hosts if host.name != LOST]
        self.cluster.links.cut_between([LOST], others)

    def wait_for_move(self, seconds: float = 60.0) -> float:
        """Return after how many seconds the guest runs on another node."""
        began = self.cluster.clock.seconds()
        while self.homes() in ([], [LOST]):
            self.cluster.pass_time(0.5)
            self.assertLess(self.cluster.clock.seconds() - began, seconds)
        self.assertEqual(self.cluster.doubles, set())
        return self.cluster.clock.seconds() - began

    def test_a_node_with_such_a_guest_is_guarded(self) -> None:
        state = self.cluster.master.config.state()
        kinds = {state.nodes[uuid].name: each.kind for uuid, each in state.node_guards.items()}
        self.assertEqual(kinds, {LOST: GuardKind.DEVICE if self.device else GuardKind.PROCESS})

    def test_when_its_host_loses_its_power_the_guest_starts_elsewhere(self) -> None:
        self.cluster.power_off(self.lost)
        self.assertLess(self.wait_for_move(), 45.0)

    def test_when_it_is_cut_off_the_guest_ends_there_before_it_starts_elsewhere(self) -> None:
        self.cut_off()
        self.wait_for_move()
        fence = self.fence()
        assert fence is not None
        self.assertEqual((fence.stage, self.lost.guests.running()), (FenceStage.FENCED, {}))

    def events(self, since: str) -> list[tuple[str, str]]:
        """What happened to nodes since a position, as far as it is about their fences."""
        waiting = self.cluster.master.events.wait_for_events(since, 0, kinds=["node"])
        told: Any = msgspec.json.decode(bytes(self.cluster.wait(waiting)))
        return [
            (each["action"], each.get("method") or each.get("reason", ""))
            for each in told["events"]
            if each["action"] in ("fencing", "fenced", "rejoined", "held")
        ]

    def numbers(self) -> dict[tuple[str, tuple[str, ...]], float]:
        return read(*self.cluster.master.guests.families())

    def test_each_step_is_an_event_and_a_number(self) -> None:
        since = str(self.cluster.master.events.newest_position)
        self.cut_off()
        self.wait_for_move()
        found = self.numbers()
        self.assertEqual(found["ganeti_node_fences", ("fenced",)], 1)
        method = "device" if self.device else "process"
        self.assertEqual(found["ganeti_node_fenced_total", (method,)], 1)
        self.assertEqual(found["ganeti_guest_failovers_total", ("submitted",)], 1)
        self.cluster.links.heal_all()
        self.cluster.restart_node(self.lost)
        self.cluster.pass_time(30.0)
        (first, why), *others = self.events(since)
        self.assertEqual(first, "fencing")
        self.assertIn("node node3 is silent", why)
        self.assertEqual(others, [("fenced", method), ("rejoined", "")])
        self.assertEqual(self.numbers()["ganeti_node_fences", ("fenced",)], 0)

    def test_nothing_is_confirmed_before_a_majority_of_the_electors_refuses(self) -> None:
        async def lose_denials(
            request: CallRequest, answer: Callable[[], Awaitable[bytes]]
        ) -> bytes:
            if request.name == DenyGuestLeases.wire:
                raise TransportError("the connection was lost")
            return await answer()

        others = ("node2", "node4", "node5")
        for name in others:
            self.cluster.network.misbehave(name, lose_denials)
        self.cut_off()
        self.cluster.pass_time(90.0)
        fence = self.fence()
        assert fence is not None
        self.assertEqual((fence.stage, self.homes()), (FenceStage.FENCING, []))
        for name in others:
            self.cluster.network.behave(name)
        self.wait_for_move()

    def test_a_frozen_node_daemon_does_not_keep_the_guest_running(self) -> None:
        self.lost.daemon_clock.pause()
        self.wait_for_move()
        self.lost.daemon_clock.resume()
        self.cluster.pass_time(30.0)
        self.assertEqual(self.cluster.doubles, set())

    def test_it_rejoins_with_its_role_when_it_is_clean(self) -> None:
        self.cut_off()
        self.wait_for_move()
        self.cluster.links.heal_all()
        self.cluster.restart_node(self.lost)
        self.cluster.pass_time(30.0)
        node = self.cluster.master.config.state().node(LOST)
        self.assertEqual((self.fence(), node.offline, node.master_candidate), (None, False, True))

    def test_the_loss_of_the_master_ends_no_guest(self) -> None:
        self.cluster.process.die()
        self.cluster.pass_time(120.0)
        self.assertEqual(self.homes(), [LOST])

    def test_a_new_master_goes_on_with_a_fence(self) -> None:
        self.cluster.power_off(self.lost)
        while self.fence() is None:
            self.cluster.pass_time(0.5)
        self.cluster.process.die()
        self.cluster.pass_time(8.0)
        self.cluster.start_master(self.cluster.hosts[0])
        self.wait_for_move()

    def test_a_node_that_only_the_master_does_not_reach_is_not_fenced(self) -> None:
        self.cluster.links.cut_between([LOST], ["node1"])
        self.cluster.pass_time(120.0)
        self.assertEqual((self.fence(), self.homes()), (None, [LOST]))

    def test_during_maintenance_it_is_not_fenced_and_keeps_its_guests(self) -> None:
        for begin, end in (
            (ModifyFailover(maintenance=True), ModifyFailover(maintenance=False)),
            (
                SetNodeMaintenance(node_name=LOST),
                SetNodeMaintenance(node_name=LOST, maintenance=False),
            ),
        ):
            self.do(begin)
            self.cluster.pass_time(5.0)
            self.cut_off()
            self.cluster.pass_time(60.0)
            self.assertEqual((self.fence(), self.homes()), (None, [LOST]))
            self.cluster.links.heal_all()
            self.do(end)
            self.cluster.pass_time(5.0)

    def test_more_nodes_than_the_limit_are_left_to_a_person(self) -> None:
        self.create("web2", "node4")
        self.do(SetFailoverPolicy(instance_name="web2", policy=FailoverPolicy.FAILOVER))
        self.cluster.pass_time(5.0)
        for name in (LOST, "node4"):
            self.cluster.power_off(self.cluster.host(name))
        since = str(self.cluster.master.events.newest_position)
        self.cluster.pass_time(120.0)
        self.assertEqual((self.homes("web1"), self.homes("web2")), ([], []))
        held = self.events(since)
        self.assertEqual({action for action, _ in held}, {"held"})
        self.assertIn("at most 1 are fenced automatically", held[-1][1])
        self.assertEqual(self.numbers()["ganeti_nodes_held", ()], 2)
        for name in (LOST, "node4"):
            self.do(ConfirmNodeOff(node_name=name))
        self.wait_for_move(20.0)

    def test_a_node_that_answers_cannot_be_confirmed_to_be_off(self) -> None:
        self.do(ConfirmNodeOff(node_name=LOST))
        [op] = self.cluster.master.queue.job(self.cluster.acknowledged[-1]).ops
        self.assertIn("node3 answers, so it is not off", str(op.result))

    def test_a_node_that_was_not_asked_for_long_is_not_silent_at_once(self) -> None:
        self.cluster.pass_time(120.0)
        self.cluster.network.lose_request("node4", call=RenewGuestLease.wire)
        suspected: set[str] = set()
        self.cluster.watchers.append(
            lambda: suspected.update(each["name"] for each in self.status() if each["suspected"])
        )
        self.do(MigrateInstance(instance_name="web1", target_node="node4"))
        self.cluster.pass_time(3.0)
        self.assertEqual(suspected, set())

    def test_a_guest_that_stops_is_restarted_on_its_node(self) -> None:
        self.cluster.wait(self.lost.guests.stop("web1", hard=True))
        self.cluster.pass_time(15.0)
        self.assertEqual(self.homes(), [LOST])


class ProcessGuardTests(FencingTests):
    """The same without watchdog devices."""

    device = False


class ModeTests(SynchronousTestCase):
    def test_no_guest_runs_twice_whatever_fails(self) -> None:
        for mode in ("fencing", "fencing-etcd"):
            self.assertEqual(played(mode, "--seeds", "5"), "", mode)
