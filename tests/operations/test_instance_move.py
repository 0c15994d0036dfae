# SPDX-License-Identifier: BSD-2-Clause
"""Instances whose disks are on one node move with them, and are whole somewhere whatever breaks."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.errors import Code, Failed, GanetiError, Invalid, JobCanceled, Refused
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.node.transfers import ABANDON_TIMEOUT
from ganeti.opcodes.instance.moves import MoveInstance
from ganeti.operations.instance.moves.move import OPERATION
from ganeti.operations.perform import collect_inputs
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_group,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)
from ganeti.testing.storage import Held
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")
FOLDER = "/srv/ganeti/file-storage/web1"


class MoveTests(SynchronousTestCase):
    template = Template.PLAIN

    def whole(self, nodes: Any = NODES, more: Any = None, **over: Any) -> WholeCluster:
        """Three nodes, and an instance with two disks on the first."""
        disks = [a_disk(f"web1/{n}", self.template, size=64 * (n + 1)) for n in range(2)]
        built = an_instance("web1", disks=disks, **over)
        whole = WholeCluster(a_cluster(nodes=nodes, instances=[built], **(more or {})))
        self.successResultOf(Deferred.fromCoroutine(whole.make_disks("web1")))
        if built.instance.admin_state is AdminState.UP:
            self.successResultOf(Deferred.fromCoroutine(whole.start("web1")))
        self.before = self.stored(whole)
        return whole

    def move(self, whole: WholeCluster, target: str = "node2", **fields: Any) -> Any:
        work = whole.do("OP_INSTANCE_MOVE", instance_name="web1", target_node=target, **fields)
        return Deferred.fromCoroutine(work)

    def refusal(self, whole: WholeCluster, target: str = "node2", **fields: Any) -> GanetiError:
        error: GanetiError = self.failureResultOf(
            self.move(whole, target, **fields), GanetiError
        ).value
        return error

    def stored(self, whole: WholeCluster) -> dict[str, set[str]]:
        """The disks that there are, by node."""
        return {name: set(volumes.held) for name, volumes in whole.volumes.items()}

    def nothing_has_moved(self, whole: WholeCluster) -> None:
        self.assertEqual(whole.where("web1"), ["node1"])
        self.assertEqual(self.stored(whole), self.before)
        self.assertEqual(whole.state.instance("web1").primary_node, uuid_of("node", "node1"))
        self.nothing_under_way(whole)

    def nothing_under_way(self, whole: WholeCluster) -> None:
        whole.clock.advance(ABANDON_TIMEOUT)  # after which what nobody knows of has ended by itself
        for host in whole.hosts.values():
            self.assertEqual((host.streams.open, host.network.listening), (set(), {}))
            self.assertEqual([flow for flow in host.streams.flows if not flow.over], [])


class WellTests(MoveTests):
    def test_the_instance_runs_there_with_what_was_on_its_disks(self) -> None:
        whole = self.whole()
        old = whole.state.get_disks(whole.state.instance("web1"))
        self.assertIsNone(self.successResultOf(self.move(whole)))
        self.assertEqual(whole.where("web1"), ["node2"])
        new = whole.state.get_disks(whole.state.instance("web1"))
        contents = whole.hosts["node2"].disk.contents()
        for before, after in zip(old, new, strict=True):
            path = f"/memory/{'/'.join(before.logical_id)}"
            self.assertEqual(contents[f"/memory/{'/'.join(after.logical_id)}"], path.encode())
            self.assertEqual((after.uuid, after.size), (before.uuid, before.size))
        names = {"/".join(disk.logical_id) for disk in new}
        self.assertEqual(self.stored(whole), {"node1": set(), "node2": names, "node3": set()})
        self.assertEqual(list(verify(whole.state)), [])
        self.nothing_under_way(whole)

    def test_a_stopped_one_stays_down_with_its_disks_detached(self) -> None:
        whole = self.whole(admin_state=AdminState.DOWN)
        self.successResultOf(self.move(whole))
        self.assertEqual(whole.where("web1"), [])
        held = whole.volumes["node2"].held.values()
        self.assertEqual([each.attached for each in held], [False, False])

    def test_it_can_go_back_and_forth(self) -> None:
        whole = self.whole()
        for target in ("node2", "node1", "node2", "node3", "node1"):
            self.successResultOf(self.move(whole, target))
            self.assertEqual(whole.where("web1"), [target])
            self.assertEqual(sum(map(len, self.stored(whole).values())), 2)

    def test_what_a_move_has_left_that_died_with_its_master_is_taken_away(self) -> None:
        whole = self.whole()
        self.successResultOf(self.move(whole))
        left = dict(whole.volumes["node2"].held)
        again = self.whole()
        again.tools.ids.uuid()  # another job is another one
        again.volumes["node2"].held.update(left, **{"vg0/other": Held(8)})
        self.successResultOf(self.move(again))
        held = again.volumes["node2"].held
        self.assertEqual((len(held), "vg0/other" in held, held.keys() & left), (3, True, set()))

    def test_what_cannot_be_taken_away_is_not_in_the_way(self) -> None:
        whole = self.whole()
        self.successResultOf(self.move(whole))
        left = dict(whole.volumes["node2"].held)
        again = self.whole()
        again.tools.ids.uuid()
        again.volumes["node2"].held.update(left)
        again.volumes["node2"].trouble["remove"] = Refused("it is in use")
        self.successResultOf(self.move(again))
        self.assertIn("cannot remove a leftover of an earlier move: disk/0 on node2", again.said)
        self.assertEqual(len(again.volumes["node2"].held), 4)

    def test_a_dry_run_tells_what_is_copied(self) -> None:
        whole, op = self.whole(), MoveInstance(instance_name="web1", target_node="node2")
        facts = self.successResultOf(collect_inputs(OPERATION, op, whole.state, whole.tools, ""))
        plan = OPERATION.plan(op, whole.state, facts)
        disks = {"disk/0": "64 MiB", "disk/1": "128 MiB"}
        shown = {"from": "node1", "to": "node2", "disks": disks, "stopped meanwhile": True}
        self.assertEqual(OPERATION.preview(plan), shown)

    def test_an_old_disk_that_cannot_be_removed_is_told_of(self) -> None:
        whole = self.whole()
        whole.volumes["node1"].trouble["remove"] = Refused("it is in use")
        self.successResultOf(self.move(whole))
        self.assertEqual(whole.where("web1"), ["node2"])
        self.assertIn("cannot remove an old disk: disk/0 on node1", whole.said)


class BrokenTests(MoveTests):
    def test_without_room_it_does_not_even_stop(self) -> None:
        whole = self.whole()
        whole.volumes["node2"].room = 100
        self.assertIn("are free", str(self.refusal(whole)))
        self.assertNotIn("stopping", whole.said)
        self.nothing_has_moved(whole)

    def test_whatever_call_is_lost_it_runs_once_and_nothing_is_left(self) -> None:
        calls = {
            "node1": ("instance_shutdown", "export_start", "impexp_status"),
            "node2": ("blockdev_create", "import_start", "impexp_status"),
        }
        for node, names in calls.items():
            for name in names:
                for lose in ("lose_request", "lose_answer"):
                    with self.subTest(node=node, call=name, lose=lose):
                        whole = self.whole()
                        getattr(whole.network, lose)(node, call=name)
                        error = self.refusal_or_none(whole)
                        if error is None:
                            self.assertEqual(whole.where("web1"), ["node2"])
                        else:
                            self.nothing_has_moved(whole)

    def refusal_or_none(self, whole: WholeCluster) -> GanetiError | None:
        told: list[Any] = []
        self.move(whole).addBoth(told.append)
        [result] = told
        return getattr(result, "value", None)

    def test_a_copy_that_breaks_off_leaves_it_where_it_was(self) -> None:
        whole = self.whole()
        whole.hosts["node2"].streams.takes = whole.hosts["node1"].streams.takes = 30

        def restart() -> None:
            whole.hosts["node2"].restart()
            whole.network.add_node("node2", whole.hosts["node2"].answers)

        whole.clock.callLater(10, restart)
        error = self.refusal(whole)
        self.assertIsInstance(error, Failed)
        self.assertIn("its node daemon was restarted", str(error))
        self.nothing_has_moved(whole)

    def test_one_that_stood_still_is_detached_again(self) -> None:
        whole = self.whole(admin_state=AdminState.DOWN)
        whole.network.lose_request("node2", call="import_start")
        self.refusal(whole)
        held = whole.volumes["node1"].held.values()
        self.assertEqual([each.attached for each in held], [False, False])
        self.assertEqual(whole.where("web1"), [])

    def test_its_owner_can_cancel_it_while_it_copies(self) -> None:
        whole = self.whole()
        whole.hosts["node2"].streams.takes = whole.hosts["node1"].streams.takes = 30
        began = whole.clock.seconds()
        whole.memory.progress.canceled = lambda: whole.clock.seconds() > began + 5
        self.assertIsInstance(self.refusal(whole), JobCanceled)
        self.nothing_has_moved(whole)

    def test_a_start_that_fails_says_where_it_is(self) -> None:
        whole = self.whole()
        whole.network.lose_request("node2", call="instance_start")
        self.assertIn("was moved to node2, but cannot be started there", str(self.refusal(whole)))
        self.assertEqual(whole.where("web1"), [])
        self.assertEqual(self.stored(whole)["node1"], set())
        self.assertEqual(len(self.stored(whole)["node2"]), 2)


class FileMoveTests(MoveTests):
    template = Template.FILE

    def stored(self, whole: WholeCluster) -> dict[str, set[str]]:
        return {name: set(host.images.sizes) for name, host in whole.hosts.items()}

    def test_a_file_comes_into_the_same_folder_of_the_other_node(self) -> None:
        whole = self.whole()
        self.successResultOf(self.move(whole))
        disks = whole.state.get_disks(whole.state.instance("web1"))
        paths = [str(disk.logical_id[1]) for disk in disks]
        self.assertEqual({path.rpartition("/")[0] for path in paths}, {FOLDER})
        there = {f"/node2{path}" for path in paths}
        self.assertEqual(self.stored(whole), {"node1": set(), "node2": there, "node3": set()})
        contents = whole.hosts["node2"].disk.contents()
        old = [f"/node1{FOLDER}/{number}".encode() for number in range(2)]
        self.assertEqual([contents[f"/node2{path}"] for path in paths], old)
        self.assertEqual(whole.where("web1"), ["node2"])

    def test_nothing_is_left_of_one_that_fails(self) -> None:
        whole = self.whole()
        whole.network.lose_answer("node2", call="import_start")
        self.refusal(whole)
        self.nothing_has_moved(whole)


class RefusedTests(MoveTests):
    def test_each_thing_in_the_way_is_told_with_a_way_out(self) -> None:
        nodes = [
            a_node("node1"),
            a_node("node2", offline=True),
            a_node("node3", drained=True),
            a_node("node4", vm_capable=False),
            a_node("node5", group="other"),
        ]
        nic = a_nic(network=uuid_of("network", "net1"))
        more = {
            "groups": ["default", a_group("other")],
            "networks": [a_network("net1")],
        }
        whole = self.whole(nodes, more, nics=(nic,))
        told = {
            "node1": "is already on node node1",
            "node2": "gnt-node modify --offline=no node2",
            "node3": "gnt-node modify --drained=no node3",
            "node4": "gnt-node modify --vm-capable=yes node4",
            "node5": "gnt-network connect net1 MODE LINK other",
        }
        for target, words in told.items():
            self.assertIn(words, str(self.refusal(whole, target)))
        error = self.refusal(whole, "node4", compress="gzip")
        self.assertIsInstance(error, Invalid)
        self.nothing_has_moved(whole)

    def test_a_node_without_enough_memory_is_refused(self) -> None:
        whole = self.whole()
        host = whole.hosts["node2"]
        host.disk.put("/proc/meminfo", b"MemAvailable: 1024 kB\n", 0o444, 0.0)
        error = self.refusal(whole)
        self.assertEqual(error.arguments()[1], Code.RESOURCES)
        self.nothing_has_moved(whole)

    def test_what_need_not_be_copied_is_sent_to_the_command_that_moves_it(self) -> None:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node3"))
        for built, words in (
            (an_instance("web1"), "gnt-instance migrate -n node2 web1"),
            (an_instance("web1", disks=[disk]), "gnt-instance replace-disks -n node2 web1"),
        ):
            error = self.refusal(WholeCluster(a_cluster(nodes=NODES, instances=[built])))
            self.assertEqual(error.arguments()[1], Code.INPUT)
            self.assertIn(words, str(error))
