# SPDX-License-Identifier: BSD-2-Clause
"""A stopped instance gets another name, with its files, or keeps all it has."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, GanetiError, Invalid, Refused, Unreachable
from ganeti.locking.names import instance_lock
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.lifecycle import RenameInstance
from ganeti.operations.instance.lifecycle.rename import (
    InstanceRename,
    hooks,
    plan,
    questions,
    run,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.disks import AttachDisk, DetachDisk, RenameDisk
from ganeti.rpc.instances import ListGuests, RenameOS
from ganeti.rpc.node import DescribeNode, ResolvedName, ResolveName
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools


def in_folder(name: str, folder: str = "web1", kind: Template = Template.SHAREDFILE) -> Disk:
    return a_disk(name, kind, logical_id=("loop", f"/srv/shared/{folder}/{name}.0"))


def a_state(*disks: Disk, offline: bool = False, **over: Any) -> ClusterState:
    """Return web1, stopped, on node1; node2 could run it if its disks are shared."""
    instance = {"admin_state": AdminState.DOWN, **over}
    web1 = an_instance("web1", disks=disks or [in_folder("a"), in_folder("b")], **instance)
    node1 = a_node("node1", offline=offline)
    return a_cluster(nodes=[node1, "node2"], instances=[web1, an_instance("web3", node="node2")])


def answers(state: ClusterState, **over: Any) -> NodeAnswers:
    """Return the answers of the nodes; ``over`` are the guests of nodes by name."""
    known: dict[tuple[str, type[Call[object]]], object] = {
        (state.node("node1").uuid, DescribeNode): some_facts(runs=over.get("node1", ())),
        (state.node("node2").uuid, ListGuests): some_facts(runs=over.get("node2", ())).guests,
        (state.master.uuid, ResolveName): ResolvedName(addresses=("192.0.2.50",)),
    }
    return NodeAnswers(known)


def make_plan(state: ClusterState, new_name: str = "web2", **over: Any) -> InstanceRename:
    op = RenameInstance(instance_name="web1", new_name=new_name)
    return plan(op, state, answers(state, **over))


class PlanTests(SynchronousTestCase):
    def assert_refused(
        self, reason: str, code: Code, state: ClusterState | None = None, **over: Any
    ) -> None:
        with self.assertRaisesRegex((Refused, Invalid), reason) as raised:
            make_plan(state or a_state(), **over)
        error = raised.exception
        assert isinstance(error, GanetiError)
        self.assertEqual(error.arguments()[1], code)

    def test_nodes_are_asked_for_both_names(self) -> None:
        op = RenameInstance(instance_name="web1", new_name="web2", ip_check=False)
        resolve, described, listed = questions(op, a_state())
        self.assertEqual(resolve.call, ResolveName(name="web2", probe=False))
        self.assertIsInstance(described.call, DescribeNode)
        assert isinstance(listed.call, ListGuests)
        self.assertEqual(listed.call.only, ("web1", "web2"))
        [query] = questions(op, a_state(offline=True))
        self.assertIsInstance(query.call, ResolveName)

    def test_only_a_stopped_instance_is_renamed(self) -> None:
        stop = "gnt-instance shutdown web1"
        self.assert_refused(stop, Code.STATE, node1=["web1"])
        self.assert_refused(stop, Code.STATE, a_state(admin_state=AdminState.UP))
        self.assert_refused("running on node2, which is not", Code.STATE, node2=["web1"])

    def test_its_node_must_be_online(self) -> None:
        reason = "node1 is offline, so instance web1 cannot be renamed"
        self.assert_refused(reason, Code.STATE, a_state(offline=True))

    def test_the_name_must_be_a_host_name_that_is_free(self) -> None:
        self.assert_refused("new_name: must be letters", Code.INPUT, new_name="a/b")
        self.assert_refused("web3", Code.EXISTS, new_name="web3")
        self.assert_refused("name of a node", Code.NOT_UNIQUE, new_name="node2")

    def test_the_name_of_an_unknown_guest_is_refused(self) -> None:
        reason = "runs an unknown guest with the name web2"
        self.assert_refused(f"node1 {reason}", Code.NOT_UNIQUE, node1=["web2"])
        self.assert_refused(f"node2 {reason}", Code.NOT_UNIQUE, node2=["web2"])

    def test_both_names_are_locked(self) -> None:
        found = make_plan(a_state())
        self.assertEqual({**found.subject.locks, **found.locks}, found.locks)
        self.assertIn(instance_lock("web2"), found.locks)

    def test_files_in_the_folder_of_the_instance_move(self) -> None:
        found = make_plan(a_state(in_folder("a"), in_folder("b", folder="other")))
        [(old, new)] = found.moved
        self.assertEqual(old.logical_id, ("loop", "/srv/shared/web1/a.0"))
        self.assertEqual(new.logical_id, ("loop", "/srv/shared/web2/a.0"))

    def test_volumes_have_names_that_do_not_depend_on_the_instance(self) -> None:
        device = a_disk("d", Template.BLOCKDEV, logical_id=("manual", "/dev/web1/root"))
        for disk in (a_disk("web1", Template.PLAIN), device):
            self.assertEqual(make_plan(a_state(disk)).moved, ())

    def test_hooks_get_the_new_name(self) -> None:
        state = a_state()
        call = hooks(make_plan(state), state)
        assert call is not None
        environment = call.environment
        self.assertEqual(environment["INSTANCE_NEW_NAME"], "web2")
        self.assertEqual(environment["INSTANCE_NAME"], "web1")


class RunTests(SynchronousTestCase):
    def prepare(self, state: ClusterState) -> None:
        self.memory = MemoryTools(state)

    def rename(self) -> Any:
        return run(make_plan(self.memory.state()), self.memory.tools)

    def moves(self) -> list[tuple[object, object]]:
        calls = [call for _, call in self.memory.nodes.asked if isinstance(call, RenameDisk)]
        return [(call.disk.logical_id[1], call.to.logical_id[1]) for call in calls]

    def paths(self) -> list[object]:
        return [disk.logical_id[1] for disk in self.memory.state().disks.values()]

    def test_files_move_and_the_record_follows(self) -> None:
        self.prepare(a_state())
        self.assertEqual(self.successResultOf(self.rename()), "web2")
        expected = [(f"/srv/shared/web1/{n}.0", f"/srv/shared/web2/{n}.0") for n in ("a", "b")]
        self.assertEqual(self.moves(), expected)
        self.assertCountEqual(self.paths(), ["/srv/shared/web2/a.0", "/srv/shared/web2/b.0"])
        self.assertIsNotNone(self.memory.state().instance("web2"))

    def test_a_file_that_cannot_be_moved_leaves_all_where_they_were(self) -> None:
        for error in (Failed("no space"), Unreachable("node1", "gone")):
            self.prepare(a_state())
            count = 0

            def move(*_: object, error: Failed = error) -> Failed | None:
                nonlocal count
                count += 1
                return error if count == 2 else None

            self.memory.nodes.answers[RenameDisk] = move
            self.failureResultOf(self.rename(), Failed)
            there, again = self.moves()[:2], self.moves()[2:]
            self.assertEqual(again, [(new, old) for old, new in reversed(there)])
            self.assertCountEqual(self.paths(), ["/srv/shared/web1/a.0", "/srv/shared/web1/b.0"])
            self.assertEqual(self.memory.state().instance("web1").name, "web1")

    def test_a_record_that_cannot_be_kept_moves_the_files_back(self) -> None:
        recovered: Deferred[None] = Deferred()

        async def recover() -> None:
            await recovered

        self.prepare(a_state())
        self.memory.journal.break_down()
        self.memory.progress.recover = recover
        renaming = Deferred.fromCoroutine(self.rename())
        self.assertEqual(len(self.moves()), 2)
        recovered.callback(None)
        self.failureResultOf(renaming, Failed)
        self.assertEqual(len(self.moves()), 4)

    def test_the_guest_learns_its_name_with_the_disks_attached(self) -> None:
        self.prepare(a_state(in_folder("a")))
        self.successResultOf(self.rename())
        names = [name for _, name in self.memory.nodes.calls(AttachDisk, RenameOS, DetachDisk)]
        self.assertEqual(names, ["AttachDisk", "RenameOS", "DetachDisk"])
        [call] = [call for _, call in self.memory.nodes.asked if isinstance(call, RenameOS)]
        self.assertEqual((call.old_name, call.guest.name), ("web1", "web2"))
        self.assertEqual(call.guest.disks[0].logical_id[1], "/srv/shared/web2/a.0")

    def test_disks_that_cannot_be_detached_do_not_fail_the_rename(self) -> None:
        for error in (Failed("it is in use"), Refused("no"), Unreachable("node1", "gone")):
            self.prepare(a_state())
            self.memory.nodes.answers[DetachDisk] = error
            self.assertEqual(self.successResultOf(self.rename()), "web2")
            [message] = self.memory.progress.said
            self.assertIn(f"cannot detach the disks of instance web2: {error}; later: ", message)

    def test_active_disks_stay_attached(self) -> None:
        self.prepare(a_state(disks_active=True))
        self.successResultOf(self.rename())
        self.assertEqual(self.memory.nodes.calls(AttachDisk, DetachDisk), [])

    def test_without_an_os_or_disks_no_script_is_run(self) -> None:
        down = an_instance("web1", admin_state=AdminState.DOWN)
        for state in (a_state(os=""), a_cluster(nodes=["node1", "node2"], instances=[down])):
            self.prepare(state)
            self.successResultOf(self.rename())
            self.assertEqual(self.memory.nodes.calls(RenameOS, AttachDisk), [])

    def test_a_script_that_fails_is_reported_and_the_name_stays(self) -> None:
        self.prepare(a_state())
        self.memory.nodes.answers[RenameOS] = Failed("exit code 1")
        self.successResultOf(self.rename())
        [message] = self.memory.progress.said
        expected = "was renamed to web2, but its guest may still use the name web1: exit code 1"
        self.assertIn(expected, message)
        self.assertEqual(len(self.memory.nodes.calls(DetachDisk)), 2)
