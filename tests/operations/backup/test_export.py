# SPDX-License-Identifier: BSD-2-Clause
"""Plans of exports, and what becomes of older exports, keys and the instance after them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Refused, Unreachable
from ganeti.locking.names import instance_lock, node_lock, request
from ganeti.model.disk import Disk, Template
from ganeti.model.guest import GuestState
from ganeti.model.instance import AdminState
from ganeti.opcodes.backup import ExportInstance, ExportMode
from ganeti.operations.backup.export import Export, hooks, plan, questions, run
from ganeti.operations.backup.handshake import Handshake, ImportEndpoint
from ganeti.operations.operation import AncillaryFile, NodeAnswers
from ganeti.pki.signatures import DomainSecret
from ganeti.rpc import transfers as calls
from ganeti.rpc.call import Call
from ganeti.rpc.disks import SnapshotDisk
from ganeti.rpc.instances import ListGuests, StartInstanceCall
from ganeti.rpc.node import DescribeNode, DescribeOSes
from ganeti.rpc.transfers import StartedTransfer, TransferStatus
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance, uuid_of
from ganeti.testing.certificates import new_authority
from ganeti.testing.facts import an_os, some_facts
from ganeti.testing.tools import MemoryTools, SeededIdentifiers

NODE1, NODE2 = uuid_of("node", "node1"), uuid_of("node", "node2")
WEB1 = uuid_of("instance", "web1")
PEM = new_authority(1).certificate
DONE = TransferStatus(connected=True, moved=0, rate=0, over=True)
HERE = {"web1": GuestState(name="web1", memory=128, vcpus=1)}


def cluster(**over: Any) -> ClusterState:
    """Return web1 with two local disks on node1, and three other nodes, node4 of them offline."""
    disks = [a_disk(f"disk{number}", Template.PLAIN) for number in (1, 2)]
    built = an_instance(**{"disks": disks, **over})
    return a_cluster(
        nodes=["node1", "node2", "node3", a_node("node4", offline=True)], instances=[built]
    )


def facts(node: str = NODE1) -> NodeAnswers:
    """Return what the node of web1 answers: it runs there, and its OS definition exists."""
    return NodeAnswers(
        {(node, DescribeNode): some_facts(guests=HERE), (node, DescribeOSes): [an_os()]}
    )


def replaced(answers: NodeAnswers, call: type[Call[Any]], answer: object) -> NodeAnswers:
    """Return the answers with another one of node1."""
    return NodeAnswers({**answers.answers, (NODE1, call): answer})


def local(**over: Any) -> ExportInstance:
    return ExportInstance(**{"instance_name": "web1", "target_node": "node2", **over})


def proofs() -> Handshake:
    return Handshake(DomainSecret(b"secret"), SeededIdentifiers(Random(1)))


def remote(**over: Any) -> ExportInstance:
    """Return an export to the endpoints of another cluster."""
    ours = proofs()
    places = [ours.place(n, ImportEndpoint("192.0.2.9", 7000 + n, f"magic-{n}")) for n in (0, 1)]
    fields: dict[str, Any] = {
        "mode": ExportMode.REMOTE,
        "target_node": tuple(places),
        "x509_key_name": tuple(ours.sign_key_name("x509-1")),
        "destination_x509_ca": ours.certificate(PEM),
    }
    return ExportInstance(**{"instance_name": "web1", **fields, **over})


class PlanTests(SynchronousTestCase):
    def refusal(
        self,
        words: str,
        op: ExportInstance,
        state: ClusterState,
        answers: NodeAnswers | None = None,
    ) -> Code:
        with self.assertRaisesRegex(Refused, words) as caught:
            plan(op, state, answers or facts())
        return caught.exception.code

    def test_the_nodes_are_shared_with_other_jobs_and_the_instance_is_not(self) -> None:
        locks = request(
            exclusive=[instance_lock(WEB1)], shared=[node_lock(NODE1), node_lock(NODE2)]
        )
        self.assertEqual(plan(local(), cluster(), facts()).locks, locks)
        elsewhere = request(exclusive=[instance_lock(WEB1)], shared=[node_lock(NODE1)])
        self.assertEqual(plan(remote(), cluster(), facts()).locks, elsewhere)

    def test_the_uuid_of_the_target_comes_before_its_name(self) -> None:
        op = local(target_node="node3", target_node_uuid=NODE2)
        found = plan(op, cluster(), facts())
        assert found.target is not None
        self.assertEqual(found.target.name, "node2")

    def test_both_nodes_must_be_online(self) -> None:
        words = "node4 is offline, so it cannot store the export"
        self.refusal(words, local(target_node="node4"), cluster())
        state = cluster().put(a_node("node1", offline=True))
        self.refusal("node1 is offline, so instance web1 cannot be exported", local(), state)
        self.assertEqual(questions(local(), state), ())

    def test_an_export_has_disks(self) -> None:
        self.refusal("instance web1 has no disks to export", local(), cluster(disks=[]))

    def test_another_cluster_gives_an_endpoint_for_each_disk(self) -> None:
        op = remote(target_node=remote().target_node[:1])
        words = "has 2 disks, but target_node has 1 endpoints"
        self.assertEqual(self.refusal(words, op, cluster()), Code.INPUT)

    def test_without_an_os_definition_disks_are_copied_as_they_are(self) -> None:
        none = facts()
        answers = replaced(none, DescribeOSes, [])
        words = "OS definition noop does not exist on node node1"
        self.refusal(words, local(), cluster(), answers)
        found = plan(local(), cluster(os=""), answers)
        self.assertEqual((found.raw, plan(local(), cluster(), none).raw), (True, False))

    def test_a_variant_that_the_definition_has_lost_is_no_obstacle(self) -> None:
        answers = replaced(facts(), DescribeOSes, [an_os(variants=("old",))])
        plan(local(), cluster(os="noop+new"), answers)

    def test_a_silent_node_is_an_obstacle(self) -> None:
        answers = replaced(facts(), DescribeNode, Unreachable("node1", "timed out"))
        self.refusal("node1 is unreachable", local(), cluster(), answers)

    def test_disks_that_a_guest_elsewhere_writes_are_not_exported(self) -> None:
        shared = [a_disk("disk1", Template.SHAREDFILE)]
        answers = replaced(facts(), DescribeNode, some_facts())
        nothing: dict[str, GuestState] = {}
        others: dict[tuple[str, type[Call[object]]], object] = {
            (NODE2, ListGuests): HERE,
            (uuid_of("node", "node3"), ListGuests): nothing,
        }
        both = NodeAnswers({**answers.answers, **others})
        self.refusal("web1 is running on node2", local(), cluster(disks=shared), both)

    def test_an_instance_that_is_removed_afterwards_is_stopped(self) -> None:
        op = local(remove_instance=True, shutdown=False)
        words = "must be stopped for its export if it is removed afterwards"
        self.refusal(words, op, cluster())
        stopped = replaced(facts(), DescribeNode, some_facts())
        plan(op, cluster(admin_state=AdminState.DOWN), stopped)

    def test_all_problems_of_the_request_are_told_at_once(self) -> None:
        both = {"compress": "gzip"}
        for op, paths in (
            (local(target_node=("node2",), **both), ["compress", "target_node"]),
            (
                remote(target_node="n", x509_key_name=None, destination_x509_ca=None),
                ["target_node", "x509_key_name", "destination_x509_ca"],
            ),
        ):
            with self.assertRaises(Invalid) as caught:
                plan(op, cluster(), facts())
            self.assertEqual([problem.path for problem in caught.exception.problems], paths)

    def test_hooks_run_on_the_master_and_both_nodes(self) -> None:
        state = cluster(node="node3").put(a_node("node3"))
        answers = facts(uuid_of("node", "node3"))
        op = local(target_node="node3", target_node_uuid=NODE2, shutdown_timeout=9)
        call = hooks(plan(op, state, answers), state)
        self.assertEqual(call.before, [NODE1, uuid_of("node", "node3"), NODE2])
        expected = {
            "EXPORT_MODE": "local",
            "EXPORT_NODE": "node2",
            "EXPORT_DO_SHUTDOWN": "True",
            "SHUTDOWN_TIMEOUT": "9",
            "REMOVE_INSTANCE": "False",
        }
        self.assertEqual({name: call.environment[name] for name in expected}, expected)


class RunTests(SynchronousTestCase):
    def setUp(self) -> None:
        def snapshot(node: str, call: SnapshotDisk) -> Disk:
            found: Disk = replace(call.disk, logical_id=("vg0", call.name))
            return found

        self.memory = MemoryTools(
            cluster(),
            {
                calls.StartImport: lambda node, call: StartedTransfer(name="in", port=20001),
                calls.StartExport: lambda node, call: StartedTransfer(name="out"),
                calls.DescribeTransfers: lambda node, call: [DONE for _ in call.names],
                calls.ListExports: [],
                SnapshotDisk: snapshot,
            },
        )
        secret = AncillaryFile("/var/lib/ganeti/cluster-domain-secret", b"secret\n", 0o600)
        self.memory.files.append(secret)

    def planned(self, op: ExportInstance) -> Export:
        return plan(op, cluster(), facts())

    def do(self, op: ExportInstance) -> None:
        result = self.successResultOf(run(self.planned(op), self.memory.tools))
        self.assertEqual(result, (True, [True, True]))

    def failure(self, op: ExportInstance) -> Exception:
        error: Exception = self.failureResultOf(run(self.planned(op), self.memory.tools)).value
        return error

    def answer(self, call: type[Call[Any]], answer: Exception | Callable[..., object]) -> None:
        self.memory.nodes.answers[call] = answer

    def sent(self, *kinds: type[Call[Any]]) -> list[tuple[str, Any]]:
        return [(node, call) for node, call in self.memory.nodes.asked if isinstance(call, kinds)]

    def test_an_unfinished_export_is_removed_first_and_gets_its_name_last(self) -> None:
        self.do(local())
        kinds = (calls.RemoveExportCall, calls.StartImport, calls.FinalizeExport)
        names = [(node, type(call).__name__) for node, call in self.sent(*kinds)]
        expected = ["RemoveExportCall", "StartImport", "StartImport", "FinalizeExport"]
        self.assertEqual(names, [("node2", name) for name in expected])
        [(_, first), *_] = self.sent(calls.RemoveExportCall)
        [(_, last)] = self.sent(calls.FinalizeExport)
        self.assertEqual((first.name, last.name), ("web1.new", "web1"))
        for disk in self.memory.state().disks.values():
            self.assertIn(disk.uuid, last.description)

    def test_it_gets_its_name_when_all_of_it_is_there(self) -> None:
        statuses = iter([replace(DONE, over=False)] * 9)
        self.answer(
            calls.DescribeTransfers,
            lambda node, call: [next(statuses, DONE) for _ in call.names],
        )
        self.do(local())
        names = [name for _, name in self.memory.nodes.calls()]
        polls = [place for place, name in enumerate(names) if name == "DescribeTransfers"]
        self.assertGreater(len(polls), 9)
        self.assertGreater(names.index("FinalizeExport"), polls[-1])

    def test_a_transfer_that_fails_is_the_failure_of_the_export(self) -> None:
        broken = replace(DONE, problem="connection lost")
        self.answer(calls.DescribeTransfers, lambda node, call: [broken for _ in call.names])
        for op in (local(remove_instance=True), remote(remove_instance=True)):
            self.assertIn("connection lost", str(self.failure(op)))
        self.assertEqual(self.sent(calls.FinalizeExport), [])
        self.assertIn(WEB1, self.memory.state().instances)

    def test_a_failed_export_is_removed_from_its_node(self) -> None:
        self.answer(calls.FinalizeExport, Failed("disk full"))
        self.assertEqual(str(self.failure(local(remove_instance=True))), "disk full")
        removals = [(node, call.name) for node, call in self.sent(calls.RemoveExportCall)]
        self.assertEqual(removals, [("node2", "web1.new")] * 2)
        self.assertEqual(self.sent(calls.ListExports), [])
        self.assertIn(WEB1, self.memory.state().instances)

    def test_on_its_own_node_nothing_is_sent(self) -> None:
        self.do(local(target_node="node1"))
        self.assertEqual(self.sent(calls.StartImport), [])
        sinks = [call.sink for _, call in self.sent(calls.StartExport)]
        disks = self.memory.state().get_disks(self.memory.state().instance("web1"))
        self.assertEqual(sinks, [calls.ExportData(path="web1.new", dump=d.uuid) for d in disks])

    def test_older_exports_are_removed_from_all_other_nodes_that_can_be_asked(self) -> None:
        self.answer(calls.ListExports, lambda node, call: ["web1"] if node == "node3" else ["web2"])
        self.do(local())
        asked = {node for node, _ in self.sent(calls.ListExports)}
        self.assertEqual(asked, {"node1", "node3"})
        removals = [(node, call.name) for node, call in self.sent(calls.RemoveExportCall)]
        self.assertEqual(removals[-1], ("node3", "web1"))

    def test_an_older_export_that_stays_is_told(self) -> None:
        def answer(node: str, call: calls.RemoveExportCall) -> None:
            if node == "node3":
                raise Failed("it is in use")

        self.answer(calls.ListExports, lambda node, call: ["web1"])
        self.answer(calls.RemoveExportCall, answer)
        self.do(local())
        told = "cannot remove an older export on node node3: it is in use"
        self.assertIn(told, self.memory.progress.said)

    def test_another_cluster_gets_each_disk_at_its_endpoint(self) -> None:
        self.do(remote())
        trust = calls.Trust(key="x509-1", peer=PEM)
        for number, (node, call) in enumerate(self.sent(calls.StartExport)):
            expected = calls.PeerSink(
                host="192.0.2.9",
                port=7000 + number,
                magic=f"magic-{number}",
                patience=20.0,
                tries=10,
                name=calls.PEER,
                trust=trust,
            )
            self.assertEqual((node, call.sink, call.source.index), ("node1", expected, number))
        self.assertEqual(self.sent(calls.ListExports), [])

    def test_an_endpoint_that_is_not_signed_stops_nothing(self) -> None:
        places = tuple(reversed(remote().target_node))
        error = self.failure(remote(target_node=places))
        self.assertIn("the endpoint of disk 0 was not signed", str(error))
        self.assertEqual(self.memory.nodes.asked, [])

    def test_the_key_is_removed_after_a_success_and_after_a_failure(self) -> None:
        self.do(remote())
        self.answer(calls.StartExport, Failed("no route"))
        self.assertEqual(str(self.failure(remote())), "no route")
        removed = self.sent(calls.RemoveCertificate)
        self.assertEqual(removed, [("node1", calls.RemoveCertificate(name="x509-1"))] * 2)

    def test_a_key_that_stays_is_told(self) -> None:
        self.answer(calls.RemoveCertificate, Failed("read-only file system"))
        self.do(remote())
        told = "cannot remove the key x509-1 on node node1: read-only file system"
        self.assertEqual(self.memory.progress.said[-1], told)

    def test_one_that_should_not_run_is_not_started_again(self) -> None:
        for state, starts in ((AdminState.UP, 1), (AdminState.DOWN, 0)):
            planned = plan(local(), cluster(admin_state=state), facts())
            self.successResultOf(run(planned, self.memory.tools))
            self.assertEqual(len(self.sent(StartInstanceCall)), starts, state)
            self.memory.nodes.asked.clear()

    def test_the_instance_is_removed_last_if_requested(self) -> None:
        self.do(local(remove_instance=True))
        self.assertEqual(dict(self.memory.state().instances), {})
        names = [name for _, name in self.memory.nodes.calls()]
        self.assertLess(
            names.index("FinalizeExport"), len(names) - 1 - names[::-1].index("RemoveDisk")
        )
        self.assertNotIn("StartInstanceCall", names)
