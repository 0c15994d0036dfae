# SPDX-License-Identifier: BSD-2-Clause
"""The preparation of an export to another cluster: a key, and proofs that it can verify."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.locking.names import instance_lock, node_lock, request
from ganeti.opcodes.backup import ExportMode, PrepareExport
from ganeti.operations.backup.handshake import KEY_LIFETIME, Handshake
from ganeti.operations.backup.prepare import plan, run
from ganeti.operations.operation import AncillaryFile, NodeAnswers
from ganeti.pki.signatures import DomainSecret
from ganeti.rpc.transfers import CreateCertificate, NewCertificate
from ganeti.testing.builders import a_cluster, a_node, an_instance, uuid_of
from ganeti.testing.certificates import new_authority
from ganeti.testing.tools import MemoryTools, SeededIdentifiers

PEM = new_authority(1).certificate
STATE = a_cluster(nodes=["node1", "node2"], instances=[an_instance("web1", node="node2")])


class PrepareTests(SynchronousTestCase):
    def setUp(self) -> None:
        made = NewCertificate(name="x509-1", certificate=PEM)
        self.memory = MemoryTools(STATE, {CreateCertificate: made})
        path = "/var/lib/ganeti/cluster-domain-secret"
        self.memory.files.append(AncillaryFile(path, b"secret\n", 0o600))

    def prepare(self, mode: ExportMode) -> object:
        planned = plan(PrepareExport(instance_name="web1", mode=mode), STATE, NodeAnswers())
        return self.successResultOf(run(planned, self.memory.tools))

    def test_other_jobs_may_use_the_instance_meanwhile(self) -> None:
        op = PrepareExport(instance_name="web1", mode=ExportMode.REMOTE)
        locks = [instance_lock(uuid_of("instance", "web1")), node_lock(uuid_of("node", "node2"))]
        self.assertEqual(plan(op, STATE, NodeAnswers()).locks, request(shared=locks))

    def test_the_node_of_the_instance_must_be_online(self) -> None:
        state = STATE.put(a_node("node2", offline=True))
        op = PrepareExport(instance_name="web1", mode=ExportMode.REMOTE)
        words = "node2 is offline, so instance web1 cannot be exported"
        with self.assertRaisesRegex(Refused, words):
            plan(op, state, NodeAnswers())

    def test_another_cluster_with_the_same_secret_accepts_the_proofs(self) -> None:
        found = self.prepare(ExportMode.REMOTE)
        assert isinstance(found, dict)
        theirs = Handshake(DomainSecret(b"secret"), SeededIdentifiers(Random(2)))
        theirs.check_handshake(found["handshake"])
        self.assertEqual(theirs.check_key_name(found["x509_key_name"]), "x509-1")
        self.assertEqual(theirs.check_certificate(found["x509_ca"]), PEM)
        other = Handshake(DomainSecret(b"another"), SeededIdentifiers(Random(2)))
        self.assertRaises(Refused, other.check_handshake, found["handshake"])

    def test_the_key_is_made_on_the_node_of_the_instance_for_some_time(self) -> None:
        self.prepare(ExportMode.REMOTE)
        expected = [("node2", CreateCertificate(validity=KEY_LIFETIME))]
        self.assertEqual(self.memory.nodes.asked, expected)

    def test_an_export_to_a_node_of_this_cluster_needs_no_key(self) -> None:
        self.assertIsNone(self.prepare(ExportMode.LOCAL))
        self.assertEqual(self.memory.nodes.asked, [])

    def test_without_a_secret_no_key_is_made(self) -> None:
        self.memory.files.clear()
        op = PrepareExport(instance_name="web1", mode=ExportMode.REMOTE)
        working = run(plan(op, STATE, NodeAnswers()), self.memory.tools)
        error = self.failureResultOf(working, Refused).value
        self.assertIn("gnt-cluster renew-crypto --new-cluster-domain-secret", str(error))
        self.assertEqual(self.memory.nodes.asked, [])

    def test_a_key_that_cannot_be_made_is_a_failure(self) -> None:
        self.memory.nodes.answers[CreateCertificate] = Failed("disk full")
        op = PrepareExport(instance_name="web1", mode=ExportMode.REMOTE)
        working = run(plan(op, STATE, NodeAnswers()), self.memory.tools)
        self.assertEqual(str(self.failureResultOf(working, Failed).value), "disk full")
