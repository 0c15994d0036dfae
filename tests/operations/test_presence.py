# SPDX-License-Identifier: BSD-2-Clause
"""An instance runs on one node only, whatever is asked for, wherever another copy of it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, GanetiError, Refused
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.moves import migrate
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.instances import ListGuests, StartInstanceCall
from ganeti.rpc.wire import CallRequest
from ganeti.testing.builders import (
    Built,
    a_cluster,
    a_disk,
    a_guest,
    a_node,
    an_instance,
    uuid_of,
)
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")


def an_instance_on(template: Template, **over: Any) -> Built:
    """An instance of this template whose primary node is node1, mirrored to node2 if at all."""
    match template:
        case Template.DISKLESS:
            return an_instance("web1", **over)
        case Template.DRBD:
            disk = a_disk("disk1", template, nodes=("node1", "node2"))
        case _:
            disk = a_disk("disk1", template, nodes=("node1",))
    return an_instance("web1", disks=[disk], **over)


STARTS: dict[str, tuple[AdminState, dict[str, Any]]] = {
    "OP_INSTANCE_STARTUP": (AdminState.UP, {}),
    "OP_INSTANCE_REBOOT": (AdminState.UP, {"reboot_type": "hard"}),
    "OP_INSTANCE_FAILOVER": (AdminState.UP, {}),
    "OP_INSTANCE_MIGRATE": (AdminState.UP, {"allow_failover": True}),
}
"""Operations that start a guest: the state that the instance is in before, and parameters."""

WRITES: dict[str, tuple[AdminState, dict[str, Any]]] = {
    "OP_INSTANCE_ACTIVATE_DISKS": (AdminState.DOWN, {}),
    "OP_INSTANCE_REINSTALL": (AdminState.DOWN, {}),
    "OP_INSTANCE_RENAME": (AdminState.DOWN, {"new_name": "web2", "name_check": False}),
    "OP_INSTANCE_RECREATE_DISKS": (AdminState.DOWN, {}),
    "OP_INSTANCE_GROW_DISK": (AdminState.DOWN, {"disk": 0, "amount": 16}),
    "OP_INSTANCE_SET_PARAMS": (AdminState.DOWN, {"disks": [["remove", {}]]}),
    "OP_BACKUP_EXPORT": (AdminState.DOWN, {"mode": "local", "target_node": "node1"}),
}
"""Operations that let something write to the disks, or remove or rename them."""

MIRRORED: dict[str, tuple[AdminState, dict[str, Any]]] = {
    "OP_INSTANCE_REPLACE_DISKS": (
        AdminState.UP,
        {"mode": "replace_new_secondary", "remote_node": "node3"},
    ),
}
"""Operations of mirrored disks only."""

ELSEWHERE = "is running on node2, which is not its primary node"
TWICE = "is running on node1 and on node2"
SILENT = "is unknown whether instance web1 is running on node2"


class Presences(SynchronousTestCase):
    def whole(self, template: Template, wanted: AdminState = AdminState.UP) -> WholeCluster:
        """A cluster whose instance, with its disks made, does not run anywhere yet."""
        instance = an_instance_on(template, admin_state=wanted, disks_active=False)
        whole = WholeCluster(a_cluster(nodes=NODES, instances=[instance]))
        self.successResultOf(whole.make_disks("web1"))
        return whole

    def do(self, whole: WholeCluster, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(whole.do(op_id, **{"instance_name": "web1", **fields}))

    def refusal(self, whole: WholeCluster, op_id: str, **fields: Any) -> GanetiError:
        """The refusal of an operation that leaves guests and configuration as they are."""
        before, ran = whole.state, whole.where("web1")
        failure = self.failureResultOf(
            whole.do(op_id, **{"instance_name": "web1", **fields}), Refused, Failed
        )
        self.assertEqual((whole.state, whole.where("web1")), (before, ran))
        assert isinstance(failure.value, GanetiError)
        return failure.value

    def run_on(self, whole: WholeCluster, *nodes: str) -> None:
        """Let the guest run on nodes that nobody has told to."""
        guest = make_guest(whole.state, whole.state.instance("web1"))
        for node in nodes:
            self.successResultOf(whole.guests[node].start(guest, ()))

    def mirrored_on_its_secondary(self) -> WholeCluster:
        """A cluster whose instance runs on the secondary node of its mirrored disks."""
        whole = self.whole(Template.DRBD)
        self.do(whole, "OP_INSTANCE_STARTUP")
        whole.clock.advance(1000)
        self.do(whole, "OP_INSTANCE_SHUTDOWN")
        self.successResultOf(whole.start_on("node2", "web1"))
        return whole

    def primary(self, whole: WholeCluster) -> str:
        state = whole.state
        return state.nodes[state.instance("web1").primary_node].name


class TableTests(Presences):
    """Every operation that starts or writes, with the other copy in every place."""

    def rows(self) -> list[tuple[Template, str, AdminState, dict[str, Any]]]:
        tables = {
            Template.DISKLESS: STARTS,
            Template.SHAREDFILE: STARTS | WRITES,
            Template.DRBD: STARTS | WRITES | MIRRORED,
        }
        return [
            (template, op_id, wanted, fields)
            for template, table in tables.items()
            for op_id, (wanted, fields) in table.items()
        ]

    def test_an_instance_that_runs_on_another_node_is_refused(self) -> None:
        for template, op_id, wanted, fields in self.rows():
            with self.subTest(template=template.value, op_id=op_id):
                whole = self.whole(template, wanted)
                self.run_on(whole, "node2")
                error = self.refusal(whole, op_id, **fields)
                self.assertIn(ELSEWHERE, str(error))
                self.assertIn("gnt-instance migrate --cleanup web1", str(error))
                self.assertIn("gnt-instance shutdown web1", str(error))

    def test_an_instance_that_runs_twice_is_refused(self) -> None:
        for template, op_id, wanted, fields in self.rows():
            if template is Template.DRBD:
                continue  # its copies do not let two nodes write
            with self.subTest(template=template.value, op_id=op_id):
                whole = self.whole(template, wanted)
                self.run_on(whole, "node1", "node2")
                self.assertIn(TWICE, str(self.refusal(whole, op_id, **fields)))

    def test_a_node_that_does_not_answer_may_run_it(self) -> None:
        for template, op_id, wanted, fields in self.rows():
            with self.subTest(template=template.value, op_id=op_id):
                whole = self.whole(template, wanted)
                whole.network.vanish("node2")
                error = self.refusal(whole, op_id, **self.away_from_silent(op_id, template, fields))
                if op_id in ("OP_INSTANCE_FAILOVER", "OP_INSTANCE_MIGRATE"):
                    self.assertIn("node2", str(error))
                else:
                    self.assertIn(SILENT, str(error))
                    self.assertEqual(error.arguments()[1], Code.INTERNAL)
                self.assertIn("gnt-node modify --offline=yes node2", str(error))

    def away_from_silent(
        self, op_id: str, template: Template, fields: dict[str, Any]
    ) -> dict[str, Any]:
        """Moves go to a node that answers, if the disks can."""
        if op_id in ("OP_INSTANCE_FAILOVER", "OP_INSTANCE_MIGRATE") and (
            template is not Template.DRBD
        ):
            return {**fields, "target_node": "node3"}
        return fields

    def test_disks_in_use_on_another_node_are_not_taken_away(self) -> None:
        for op_id, fields in (
            ("OP_INSTANCE_DEACTIVATE_DISKS", {}),
            ("OP_INSTANCE_SET_PARAMS", {"offline": True}),
        ):
            for template in (Template.SHAREDFILE, Template.DRBD):
                whole = self.whole(template, AdminState.DOWN)
                self.run_on(whole, "node2")
                self.assertIn(ELSEWHERE, str(self.refusal(whole, op_id, **fields)))


class SilenceTests(Presences):
    def test_a_node_that_is_marked_offline_runs_nothing(self) -> None:
        nodes = [a_node("node1"), a_node("node2", offline=True)]
        whole = WholeCluster(a_cluster(nodes=nodes, instances=["web1"]))
        whole.network.vanish("node2")
        self.do(whole, "OP_INSTANCE_STARTUP")
        self.assertEqual(whole.where("web1"), ["node1"])

    def test_a_node_that_cannot_open_the_disks_need_not_answer(self) -> None:
        for template, silent in ((Template.PLAIN, "node2"), (Template.DRBD, "node3")):
            whole = self.whole(template)
            whole.network.vanish(silent)
            self.do(whole, "OP_INSTANCE_STARTUP")
            self.assertEqual(whole.where("web1"), ["node1"])

    def test_an_instance_that_runs_on_its_node_was_proven_to_run_nowhere_else(self) -> None:
        for op_id in ("OP_INSTANCE_STARTUP", "OP_INSTANCE_REBOOT", "OP_INSTANCE_ACTIVATE_DISKS"):
            fields = STARTS.get(op_id, (None, {}))[1]
            whole = self.whole(Template.DRBD)
            self.do(whole, "OP_INSTANCE_STARTUP")
            whole.network.vanish("node2")
            with self.subTest(op_id=op_id):
                self.do(whole, op_id, **fields, **({"force": True} if "UP" in op_id else {}))

    def test_a_node_that_answers_with_an_error_has_not_said_that_it_does_not_run_it(self) -> None:
        whole = self.whole(Template.DISKLESS)
        whole.network.garbage("node2")
        self.assertIn(SILENT, str(self.refusal(whole, "OP_INSTANCE_STARTUP")))


class FailoverTests(Presences):
    def test_inconsistent_disks_can_be_ignored_but_not_a_node_that_does_not_answer(self) -> None:
        whole = self.whole(Template.DRBD)
        self.do(whole, "OP_INSTANCE_STARTUP")
        whole.network.vanish("node1")
        error = self.refusal(whole, "OP_INSTANCE_FAILOVER", ignore_consistency=True)
        self.assertIn("gnt-node modify --offline=yes node1", str(error))
        self.assertEqual(whole.where("web1"), ["node1"])

    def test_a_guest_that_is_not_known_to_have_stopped_is_not_started_again(self) -> None:
        whole = self.whole(Template.DISKLESS)
        self.do(whole, "OP_INSTANCE_STARTUP")
        whole.network.lose_request("node1", call="instance_shutdown")
        error = self.refusal(
            whole, "OP_INSTANCE_FAILOVER", target_node="node2", ignore_consistency=True
        )
        self.assertIn("may still be running on node node1", str(error))

    def test_a_stopped_instance_that_runs_elsewhere_keeps_its_node(self) -> None:
        whole = self.whole(Template.DISKLESS, AdminState.DOWN)
        self.run_on(whole, "node2")
        for target in ("node2", "node3"):
            error = self.refusal(whole, "OP_INSTANCE_FAILOVER", target_node=target)
            self.assertIn(ELSEWHERE, str(error))

    def test_a_stopped_instance_changes_its_node_although_another_does_not_answer(self) -> None:
        whole = self.whole(Template.DISKLESS, AdminState.DOWN)
        whole.network.vanish("node3")
        self.do(whole, "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertEqual((self.primary(whole), whole.where("web1")), ("node2", []))


class StopTests(Presences):
    def test_a_shutdown_stops_every_copy(self) -> None:
        for template in (Template.DISKLESS, Template.SHAREDFILE):
            whole = self.whole(template)
            self.run_on(whole, *NODES)
            self.do(whole, "OP_INSTANCE_SHUTDOWN")
            self.assertEqual(whole.where("web1"), [])
            self.assertIs(whole.state.instance("web1").admin_state, AdminState.DOWN)

    def test_a_shutdown_stops_a_copy_on_the_secondary_node(self) -> None:
        whole = self.mirrored_on_its_secondary()
        self.do(whole, "OP_INSTANCE_SHUTDOWN")
        self.assertEqual(whole.where("web1"), [])
        self.assertFalse(any(copy.writable for copy in whole.copies.all_copies().values()))
        self.do(whole, "OP_INSTANCE_STARTUP")
        self.assertEqual(whole.where("web1"), ["node1"])

    def test_a_copy_is_stopped_although_the_primary_node_is_offline(self) -> None:
        nodes = [a_node("node2"), a_node("node1", offline=True)]
        whole = WholeCluster(a_cluster(nodes=nodes, instances=["web1"]))
        self.run_on(whole, "node2")
        self.do(whole, "OP_INSTANCE_SHUTDOWN", ignore_offline_nodes=True)
        self.assertEqual(whole.where("web1"), [])

    def test_a_node_that_does_not_answer_is_named_in_the_log(self) -> None:
        whole = self.whole(Template.DISKLESS)
        self.do(whole, "OP_INSTANCE_STARTUP")
        whole.network.vanish("node3")
        self.do(whole, "OP_INSTANCE_SHUTDOWN")
        self.assertIn("instance web1 may be running on node node3", whole.said)

    def test_a_copy_that_does_not_stop_leaves_the_instance_wanted_as_it_was(self) -> None:
        whole = self.whole(Template.DISKLESS)
        self.run_on(whole, "node2")
        whole.network.lose_request("node2", call="instance_shutdown")
        self.failureResultOf(whole.do("OP_INSTANCE_SHUTDOWN", instance_name="web1"), Failed)
        self.assertIs(whole.state.instance("web1").admin_state, AdminState.UP)


class RemoveTests(Presences):
    def test_every_copy_is_stopped_first(self) -> None:
        whole = self.whole(Template.SHAREDFILE)
        self.run_on(whole, *NODES)
        self.do(whole, "OP_INSTANCE_REMOVE")
        self.assertEqual((whole.where("web1"), len(whole.state.instances)), ([], 0))

    def test_a_node_that_does_not_answer_keeps_it_even_if_failures_are_ignored(self) -> None:
        for lenient in (False, True):
            whole = self.whole(Template.SHAREDFILE)
            whole.network.vanish("node3")
            error = self.refusal(whole, "OP_INSTANCE_REMOVE", ignore_failures=lenient)
            self.assertIn("gnt-node modify --offline=yes node3", str(error))

    def test_a_node_that_stops_answering_keeps_it_too(self) -> None:
        whole = self.whole(Template.SHAREDFILE)
        self.run_on(whole, "node2")
        whole.network.lose_request("node2", call="instance_shutdown")
        working = whole.do("OP_INSTANCE_REMOVE", instance_name="web1", ignore_failures=True)
        self.failureResultOf(working, Failed)
        self.assertEqual(len(whole.state.instances), 1)


class CleanupTests(Presences):
    def test_the_node_that_runs_it_becomes_its_primary_node(self) -> None:
        diskless = self.whole(Template.DISKLESS)
        self.run_on(diskless, "node2")
        for whole in (diskless, self.mirrored_on_its_secondary()):
            self.do(whole, "OP_INSTANCE_MIGRATE", cleanup=True)
            self.assertEqual((self.primary(whole), whole.where("web1")), ("node2", ["node2"]))

    def test_also_if_it_is_in_another_group(self) -> None:
        nodes = [a_node("node1"), a_node("node2", group="other")]
        state = a_cluster(nodes=nodes, groups=("default", "other"), instances=["web1"])
        whole = WholeCluster(state)
        self.run_on(whole, "node2")
        self.do(whole, "OP_INSTANCE_MIGRATE", cleanup=True)
        self.assertEqual(self.primary(whole), "node2")

    def whole_offline(self) -> WholeCluster:
        nodes = [a_node("node2"), a_node("node1", offline=True), a_node("node3")]
        return WholeCluster(a_cluster(nodes=nodes, instances=["web1"]))

    def test_also_if_its_primary_node_is_marked_offline(self) -> None:
        whole = self.whole_offline()
        self.run_on(whole, "node2")
        self.do(whole, "OP_INSTANCE_MIGRATE", cleanup=True)
        self.assertEqual(self.primary(whole), "node2")

    def test_a_guest_that_is_held_is_not_woken_while_its_primary_node_is_offline(self) -> None:
        nowhere: dict[tuple[str, Any], Any] = {
            (uuid_of("node", name), ListGuests): {} for name in ("node2", "node3")
        }
        op = MigrateInstance(instance_name="web1", cleanup=True)
        with self.assertRaisesRegex(Refused, "node1 is offline"):
            migrate.plan(op, self.whole_offline().state, NodeAnswers(nowhere))

    def test_nor_if_the_one_that_runs_ends_meanwhile(self) -> None:
        whole = self.whole_offline()
        self.run_on(whole, "node2")

        async def ends_once_seen(
            request: CallRequest, answer: Callable[[], Awaitable[bytes]]
        ) -> bytes:
            seen = await answer()
            if whole.where("web1"):
                await whole.guests["node2"].stop("web1", hard=True)
            return seen

        whole.network.misbehave("node2", ends_once_seen)
        working = whole.do("OP_INSTANCE_MIGRATE", instance_name="web1", cleanup=True)
        error = self.failureResultOf(working, Refused).value
        self.assertIn("node1 is offline", str(error))

    def test_a_node_that_does_not_answer_may_run_it(self) -> None:
        whole = self.whole(Template.DISKLESS)
        whole.network.vanish("node2")
        self.assertIn(SILENT, str(self.refusal(whole, "OP_INSTANCE_MIGRATE", cleanup=True)))


class CreateTests(Presences):
    NEW = {
        "mode": "create",
        "disk_template": "diskless",
        "disks": [],
        "nics": [],
        "no_install": True,
        "name_check": False,
        "ip_check": False,
    }

    def with_a_stray(self) -> WholeCluster:
        """A cluster one of whose nodes runs a guest that the configuration does not know."""
        whole = WholeCluster(a_cluster(nodes=NODES, instances=[an_instance_on(Template.DISKLESS)]))
        self.run_on(whole, "node3")
        whole.memory.config = WholeCluster(a_cluster(nodes=NODES)).memory.config
        return whole

    def test_a_guest_of_that_name_runs_already(self) -> None:
        for where in ({"pnode": "node1"}, {"pnode": "node3"}, {}):
            with self.subTest(where=where):
                error = self.refusal(self.with_a_stray(), "OP_INSTANCE_CREATE", **self.NEW, **where)
                self.assertIn("node3 runs an unknown guest with the name web1", str(error))

    def test_several_at_once_are_refused_alike(self) -> None:
        each = {"OP_ID": "OP_INSTANCE_CREATE", "instance_name": "web1", **self.NEW}
        working = self.with_a_stray().do("OP_INSTANCE_MULTI_ALLOC", instances=[each])
        error = self.failureResultOf(working, Refused).value
        self.assertIn("node3 runs an unknown guest with the name web1", str(error))

    def test_an_instance_does_not_get_the_name_of_such_a_guest(self) -> None:
        whole = self.with_a_stray()
        self.do(whole, "OP_INSTANCE_CREATE", **{**self.NEW, "instance_name": "db1", "start": False})
        new = {"instance_name": "db1", "new_name": "web1", "name_check": False}
        error = self.failureResultOf(whole.do("OP_INSTANCE_RENAME", **new), Refused).value
        self.assertIn("node3 runs an unknown guest with the name web1", str(error))

    def test_a_node_that_does_not_answer_is_no_obstacle(self) -> None:
        whole = WholeCluster(a_cluster(nodes=NODES))
        whole.network.vanish("node3")
        self.do(whole, "OP_INSTANCE_CREATE", **self.NEW, pnode="node1")
        self.assertEqual(whole.where("web1"), ["node1"])


class OtherGuestTests(SynchronousTestCase):
    """Nodes are asked about the guests that an operation is about, and no others."""

    def setUp(self) -> None:
        down = an_instance("web1", admin_state=AdminState.DOWN, nics=())
        self.cluster = WholeCluster(a_cluster(nodes=["node1", "node2"], instances=[down]))

    def test_a_guest_with_the_new_name_is_found_on_any_node(self) -> None:
        stranger = StartInstanceCall(guest=a_guest("web9"))
        node = self.cluster.state.node("node2")
        self.successResultOf(self.cluster.network.ask(node, stranger))
        renaming = self.cluster.do(
            "OP_INSTANCE_RENAME",
            instance_name="web1",
            new_name="web9",
            name_check=False,
            ip_check=False,
        )
        failure = self.failureResultOf(renaming, Refused)
        self.assertIn("node node2 runs an unknown guest with the name web9", str(failure.value))
