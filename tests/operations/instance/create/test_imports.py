# SPDX-License-Identifier: BSD-2-Clause
"""The data of a new instance come from an export, or from another cluster that proves itself."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Refused, Unreachable
from ganeti.model.disk import Template
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.operations.backup.handshake import KEY_LIFETIME, Handshake
from ganeti.operations.instance.create.imports import (
    CONNECT_TIMEOUT,
    NOTE,
    ClusterSource,
    ExportSource,
    ImportSource,
    arriving,
    check_source,
    export_queries,
    fill,
    hook_variables,
)
from ganeti.operations.operation import AncillaryFile, NodeAnswers
from ganeti.pki.signatures import DomainSecret
from ganeti.rpc.call import Call
from ganeti.rpc.instances import RenameOS
from ganeti.rpc.transfers import (
    CreateCertificate,
    DescribeExport,
    DescribeTransfers,
    DiskData,
    ExportData,
    NewCertificate,
    PeerSource,
    RemoveCertificate,
    RemoveTransfer,
    StartedTransfer,
    StartExport,
    StartImport,
    TransferStatus,
)
from ganeti.testing.builders import a_cluster, a_disk, a_guest, a_node
from ganeti.testing.tools import A_CERTIFICATE, MemoryTools

DESCRIPTION = """
[export]
version = 0
os = noop
[instance]
name = web1
disk_template = plain
hypervisor = fake
disk_count = 2
disk0_dump = dump0
disk0_size = 64
disk1_dump = dump1
disk1_size = 128
"""
PEM = A_CERTIFICATE.decode()
HANDSHAKE = {
    "source_handshake": (0, "signature", "salt"),
    "source_x509_ca": PEM,
    "source_instance_name": "web1",
}


def an_op(mode: CreationMode = CreationMode.IMPORT, **over: Any) -> CreateInstance:
    fields: dict[str, Any] = {"instance_name": "web1", "disks": (), "nics": ()}
    return CreateInstance(mode=mode, **{**fields, **over})


def a_state() -> ClusterState:
    """Return three nodes, the last of them offline."""
    return a_cluster(nodes=["node1", "node2", a_node("node3", offline=True)])


def answers(**by_name: object) -> NodeAnswers:
    """Return the answers to the query for the export, by name of the node."""
    return NodeAnswers({(a_node(name).uuid, DescribeExport): a for name, a in by_name.items()})


NO_EXPORT = Failed("no export found")


class QueryTests(SynchronousTestCase):
    def asked(self, **over: Any) -> tuple[list[str], object]:
        [query] = export_queries(an_op(**over), a_state())
        return sorted(node.name for node in query.nodes), query.call

    def test_online_nodes_are_asked_for_an_export_of_the_instance(self) -> None:
        self.assertEqual(self.asked(), (["node1", "node2"], DescribeExport(path="web1")))

    def test_a_named_node_is_asked_for_the_named_export(self) -> None:
        expected = (["node2"], DescribeExport(path="/backup/web9"))
        self.assertEqual(self.asked(src_node="node2", src_path="/backup/web9"), expected)
        uuid = a_node("node2").uuid
        self.assertEqual(self.asked(src_node_uuid=uuid)[0], ["node2"])

    def test_only_an_import_needs_an_export(self) -> None:
        for mode in (CreationMode.CREATE, CreationMode.REMOTE_IMPORT):
            self.assertEqual(export_queries(an_op(mode), a_state()), ())


class ExportTests(SynchronousTestCase):
    def arrive(self, facts: NodeAnswers, **over: Any) -> tuple[CreateInstance, ImportSource | None]:
        return arriving(an_op(**over), a_state(), facts)

    def assert_refused(self, reason: str, code: Code, facts: NodeAnswers, **over: Any) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            self.arrive(facts, **over)
        self.assertEqual(raised.exception.code, code)

    def test_the_export_completes_the_request_and_names_its_dumps(self) -> None:
        op, source = self.arrive(answers(node1=NO_EXPORT, node2=DESCRIPTION))
        self.assertEqual((op.disks, op.os_type), (({"size": 64}, {"size": 128}), "noop"))
        self.assertEqual(source, ExportSource(a_node("node2"), "web1", "web1", ("dump0", "dump1")))

    def test_more_disks_than_the_export_has_stay_empty_but_not_fewer(self) -> None:
        facts, disk = answers(node1=DESCRIPTION, node2=NO_EXPORT), {"size": 128}
        self.assertEqual(len(self.arrive(facts, disks=(disk, disk, disk))[0].disks), 3)
        with self.assertRaisesRegex(Invalid, "disks: must have at least the 2 disks"):
            self.arrive(facts, disks=(disk,))

    def test_without_an_export_it_is_refused(self) -> None:
        silent = answers(node1=Unreachable("node1", "gone"), node2=NO_EXPORT)
        self.assert_refused("no reachable node has an export web1; see gnt", Code.UNKNOWN, silent)

    def test_two_exports_are_ambiguous(self) -> None:
        facts = answers(node1=DESCRIPTION, node2=DESCRIPTION)
        self.assert_refused("nodes node1, node2 have an export web1; choose", Code.INPUT, facts)
        _, source = self.arrive(facts, src_node="node2")
        assert isinstance(source, ExportSource)
        self.assertEqual(source.node.name, "node2")

    def test_a_named_node_says_why_it_has_none(self) -> None:
        facts = answers(node2=NO_EXPORT)
        self.assert_refused("no export found", Code.ENVIRONMENT, facts, src_node="node2")

    def test_a_named_node_must_be_online(self) -> None:
        self.assert_refused("node node3 is offline", Code.STATE, answers(), src_node="node3")

    def test_compressed_data_are_refused(self) -> None:
        for mode in (CreationMode.IMPORT, CreationMode.REMOTE_IMPORT):
            with self.assertRaisesRegex(Invalid, "compress"):
                arriving(an_op(mode, compress="gzip"), a_state(), answers())


class OtherModeTests(SynchronousTestCase):
    def test_a_creation_has_no_source_and_its_request_stays_as_it_is(self) -> None:
        op = an_op(CreationMode.CREATE)
        self.assertEqual(arriving(op, a_state(), answers()), (op, None))

    def test_a_creation_takes_no_parameters_of_a_source(self) -> None:
        op = an_op(CreationMode.CREATE, src_node="node1", src_path="web1", **HANDSHAKE)
        with self.assertRaises(Invalid) as raised:
            arriving(op, a_state(), answers())
        names = {problem.path for problem in raised.exception.problems}
        self.assertEqual(names, {"src_node", "src_path", *HANDSHAKE})

    def test_another_cluster_must_prove_itself(self) -> None:
        with self.assertRaises(Invalid) as raised:
            arriving(an_op(CreationMode.REMOTE_IMPORT), a_state(), answers())
        self.assertEqual({problem.path for problem in raised.exception.problems}, {*HANDSHAKE})

    def test_another_cluster_may_take_its_time_to_stop_the_instance(self) -> None:
        op = an_op(CreationMode.REMOTE_IMPORT, source_shutdown_timeout=600, **HANDSHAKE)
        completed, source = arriving(op, a_state(), answers())
        handshake = (0, "signature", "salt")
        expected = ClusterSource(handshake, PEM, "web1", CONNECT_TIMEOUT + 600)
        self.assertEqual(source, expected)
        self.assertTrue(completed.no_install)

    def test_hooks_get_the_source_of_an_import_of_an_export(self) -> None:
        source = ExportSource(a_node("node2"), "web1", "web1", ("dump0", "dump1"))
        expected = {
            "SRC_NODE": "node2",
            "SRC_PATH": "web1",
            "SRC_IMAGES": "web1/dump0 web1/dump1",
        }
        self.assertEqual(hook_variables(source), expected)
        self.assertEqual(hook_variables(None), {})
        self.assertEqual(hook_variables(ClusterSource((), "", "web1", 1.0)), {})


class Filling(SynchronousTestCase):
    """The disks of web1, which two nodes fill with transfers that complete at once."""

    def setUp(self) -> None:
        done = TransferStatus(connected=True, moved=0, rate=0.0, over=True)
        given: dict[type[Call[object]], object] = {
            StartImport: StartedTransfer(name="in", port=20001),
            StartExport: StartedTransfer(name="out"),
            DescribeTransfers: [done],
            CreateCertificate: NewCertificate(name="key1", certificate=PEM),
        }
        self.memory = MemoryTools(a_state(), given)
        secret = AncillaryFile("/var/lib/ganeti/cluster-domain-secret", b"secret", 0o600)
        self.memory.files = [secret]
        disks = [a_disk(f"web1/{n}", Template.PLAIN) for n in range(2)]
        self.guest = a_guest("web1", disks=disks)

    @property
    def calls(self) -> list[tuple[str, str]]:
        """The calls except those that look after the transfers."""
        rest = {DescribeTransfers.__name__, RemoveTransfer.__name__}
        return [(node, name) for node, name in self.memory.nodes.calls() if name not in rest]

    def imports(self) -> list[StartImport]:
        return [call for _, call in self.memory.nodes.asked if isinstance(call, StartImport)]

    def break_transfers(self) -> None:
        status = TransferStatus(connected=True, moved=0, rate=0.0, problem="broken pipe")
        self.memory.nodes.answers[DescribeTransfers] = [status]

    def sinks(self) -> list[DiskData]:
        return [call.sink for call in self.imports() if isinstance(call.sink, DiskData)]


class RestoreTests(Filling):
    def fill(self, node: str, name: str = "web1", **guest: Any) -> None:
        source = ExportSource(a_node("node1"), "web1", name, ("dump0", "dump1"))
        filled = a_guest("web1", disks=self.guest.disks, **guest)
        self.successResultOf(fill(source, a_node(node), filled, self.memory.tools))

    def test_on_the_node_of_the_export_the_dumps_are_read_directly(self) -> None:
        self.fill("node1")
        self.assertEqual(self.calls, [("node1", "StartImport")] * 2)
        sources = [call.source for call in self.imports()]
        self.assertEqual(sources, [ExportData(path="web1", dump=f"dump{n}") for n in range(2)])

    def test_to_another_node_they_are_sent(self) -> None:
        self.fill("node2")
        expected = [("node2", "StartImport"), ("node1", "StartExport")]
        self.assertEqual(self.calls, expected * 2)

    def test_each_dump_goes_to_its_disk_by_the_scripts_of_the_os(self) -> None:
        self.fill("node1")
        found = [(sink.index, sink.raw) for sink in self.sinks()]
        self.assertEqual(found, [(0, False), (1, False)])

    def test_without_an_os_the_data_are_copied_as_they_are(self) -> None:
        self.fill("node1", name="web9", os="")
        self.assertEqual([sink.raw for sink in self.sinks()], [True, True])
        self.assertEqual(self.memory.nodes.calls(RenameOS), [])

    def test_a_dump_that_is_not_read_completely_fails_the_import(self) -> None:
        self.break_transfers()
        source = ExportSource(a_node("node1"), "web1", "web9", ("dump0", "dump1"))
        working = fill(source, a_node("node1"), self.guest, self.memory.tools)
        self.assertIn("broken pipe", str(self.failureResultOf(working, Failed).value))
        self.assertEqual(self.memory.nodes.calls(RenameOS), [])

    def test_a_guest_with_another_name_is_renamed_afterwards(self) -> None:
        self.fill("node1", name="web9")
        [rename] = [call for _, call in self.memory.nodes.asked if isinstance(call, RenameOS)]
        self.assertEqual((rename.old_name, rename.guest.name), ("web9", "web1"))
        self.assertEqual(self.calls[-1], ("node1", "RenameOS"))
        self.assertIn("web9 is now web1", self.memory.progress.said[-1])


class ReceiveTests(Filling):
    def setUp(self) -> None:
        super().setUp()
        self.ours = Handshake(DomainSecret.read(b"secret"), self.memory.tools.ids)
        self.source = self.a_source(self.ours)

    def a_source(self, theirs: Handshake) -> ClusterSource:
        handshake = tuple(theirs.handshake())
        return ClusterSource(handshake, theirs.certificate(PEM), "web1", 300.0)

    def receive(self) -> None:
        self.successResultOf(fill(self.source, a_node("node1"), self.guest, self.memory.tools))

    def test_the_other_cluster_learns_where_each_disk_is_received(self) -> None:
        self.receive()
        [(kind, note)] = self.memory.progress.noted
        self.assertEqual(kind, NOTE)
        assert isinstance(note, dict)
        places = [self.ours.check_endpoint(n, row) for n, row in enumerate(note["disks"])]
        self.assertEqual([(p.host, p.port) for p in places], [("192.0.2.1", 20001)] * 2)
        self.assertEqual(len({place.magic for place in places}), 2)
        self.assertEqual(self.ours.check_certificate(note["x509_ca"]), PEM)

    def test_only_the_other_cluster_may_connect(self) -> None:
        self.receive()
        for call in self.imports():
            assert isinstance(call.source, PeerSource)
            self.assertEqual((call.source.trust.key, call.source.trust.peer), ("key1", PEM))
            self.assertEqual((call.source.address, call.source.patience), ("192.0.2.1", 300.0))

    def test_the_key_lives_a_day_at_most_and_is_removed_at_the_end(self) -> None:
        self.receive()
        first, *_, last = [c for _, c in self.memory.nodes.asked]
        self.assertEqual(first, CreateCertificate(validity=KEY_LIFETIME))
        self.assertEqual(last, RemoveCertificate(name="key1"))

    def test_the_key_is_also_removed_after_a_failure(self) -> None:
        self.memory.nodes.answers[StartImport] = Failed("no port is free")
        working = fill(self.source, a_node("node1"), self.guest, self.memory.tools)
        self.failureResultOf(working, Failed)
        self.assertEqual(self.calls[-1], ("node1", "RemoveCertificate"))
        self.assertEqual(self.memory.progress.noted, [])

    def test_a_disk_that_is_not_received_completely_fails_the_import(self) -> None:
        self.break_transfers()
        working = fill(self.source, a_node("node1"), self.guest, self.memory.tools)
        self.assertIn("broken pipe", str(self.failureResultOf(working, Failed).value))
        self.assertEqual(self.calls[-1], ("node1", "RemoveCertificate"))

    def test_a_key_that_stays_is_reported(self) -> None:
        self.memory.nodes.answers[RemoveCertificate] = Failed("it is busy")
        self.receive()
        said = self.memory.progress.said
        self.assertIn("cannot remove the key key1 on node node1: it is busy", said)

    def check(self, source: ImportSource | None) -> None:
        self.successResultOf(check_source(source, self.memory.tools))

    def test_a_cluster_with_the_same_secret_is_accepted(self) -> None:
        self.check(self.source)
        self.check(None)

    def test_a_cluster_with_another_secret_is_refused(self) -> None:
        other = self.a_source(Handshake(DomainSecret.read(b"other"), self.memory.tools.ids))
        for source in (
            other,
            ClusterSource(self.source.handshake, other.certificate, "web1", 1),
            ClusterSource(other.handshake, self.source.certificate, "web1", 1),
        ):
            self.failureResultOf(check_source(source, self.memory.tools), Refused)

    def test_a_cluster_without_a_secret_cannot_check_the_other(self) -> None:
        self.memory.files = []
        failure = self.failureResultOf(check_source(self.source, self.memory.tools), Refused)
        self.assertIn("this cluster has no domain secret", str(failure.value))
