# SPDX-License-Identifier: BSD-2-Clause
"""Instances that move between two clusters, both whole in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, GanetiError, JobCanceled
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.operations.operation import AncillaryFile
from ganeti.testing.builders import a_cluster, a_disk, an_instance
from ganeti.testing.processes import Script
from ganeti.testing.streams import MemoryNetwork
from tests.operations.whole import WholeCluster

SETTINGS: dict[str, Any] = {"enabled_disk_templates": ("plain", "diskless")}


class MoveTests(SynchronousTestCase):
    """A cluster with a stopped instance of two disks, and one that takes it in."""

    def setUp(self) -> None:
        self.clock, wires = Clock(), MemoryNetwork()
        disks = [a_disk(f"web1/{n}", Template.PLAIN, size=64) for n in range(2)]
        built = an_instance("web1", disks=disks, admin_state=AdminState.DOWN)
        source = a_cluster(nodes=["node1"], instances=[built], **SETTINGS)
        self.source = WholeCluster(source, self.clock, wires)
        self.target = WholeCluster(a_cluster(nodes=["node7"], **SETTINGS), self.clock, wires)
        for cluster in (self.source, self.target):
            self.share(cluster, b"secret of both\n")
        self.successResultOf(Deferred.fromCoroutine(self.source.make_disks("web1")))

    def share(self, cluster: WholeCluster, secret: bytes) -> None:
        path = "/var/lib/ganeti/cluster-domain-secret"
        cluster.memory.files[:] = [AncillaryFile(path, secret, 0o600)]

    def begin(self, cluster: WholeCluster, op_id: str, **fields: Any) -> Deferred[Any]:
        work = cluster.do(op_id, **{"instance_name": "web1", **fields})
        return Deferred.fromCoroutine(work)

    def prepare(self) -> dict[str, Any]:
        prepared: dict[str, Any] = self.successResultOf(
            self.begin(self.source, "OP_BACKUP_PREPARE", mode="remote")
        )
        return prepared

    def take_in(self, prepared: dict[str, Any], **over: Any) -> Deferred[Any]:
        order: dict[str, Any] = {
            "mode": "remote-import",
            "disk_template": "plain",
            "disks": [{"size": 64}, {"size": 64}],
            "nics": [],
            "os_type": "noop",
            "pnode": "node7",
            "start": False,
            "ip_check": False,
            "name_check": False,
            "source_handshake": prepared["handshake"],
            "source_x509_ca": prepared["x509_ca"],
            "source_instance_name": "web1",
        }
        return self.begin(self.target, "OP_INSTANCE_CREATE", **{**order, **over})

    def note(self) -> dict[str, Any]:
        [(kind, payload)] = self.target.memory.progress.noted
        self.assertEqual(kind, "remote-import")
        assert isinstance(payload, dict)
        return payload

    def send(self, prepared: dict[str, Any], **over: Any) -> Deferred[Any]:
        note = self.note()
        order: dict[str, Any] = {
            "mode": "remote",
            "target_node": note["disks"],
            "destination_x509_ca": note["x509_ca"],
            "x509_key_name": prepared["x509_key_name"],
        }
        return self.begin(self.source, "OP_BACKUP_EXPORT", **{**order, **over})

    def passes(self, seconds: int) -> None:
        self.clock.pump([0.5] * (2 * seconds))

    def error(self, work: Deferred[Any]) -> GanetiError:
        error: GanetiError = self.failureResultOf(work, GanetiError).value
        return error

    def give_up(self, work: Deferred[Any]) -> None:
        work.cancel()
        self.failureResultOf(work, CancelledError)

    def nothing_is_left(self) -> None:
        """No keys, sockets or flows; and no instance but where it is whole."""
        for cluster in (self.source, self.target):
            for host in cluster.hosts.values():
                self.assertEqual(host.disk.names(host.paths.crypto), [])
                self.assertEqual((host.streams.open, host.network.listening), (set(), {}))
                self.assertEqual([flow for flow in host.streams.flows if not flow.over], [])

    def test_an_instance_arrives_whole_and_the_source_stays_until_told(self) -> None:
        prepared = self.prepare()
        arriving = self.take_in(prepared)
        self.assertIs(self.target.state.instance("web1").admin_state, AdminState.OFFLINE)
        sending = self.send(prepared)
        self.passes(5)
        self.assertEqual(self.successResultOf(arriving), ["node7"])
        self.assertEqual(self.successResultOf(sending), (True, [True, True]))
        self.assertIs(self.target.state.instance("web1").admin_state, AdminState.DOWN)
        self.assertEqual(self.target.hosts["node7"].streams.read, [b"piped", b"piped"])
        self.assertEqual(len(self.source.state.instances), 1)
        self.nothing_is_left()

    def test_the_source_removes_it_once_it_has_arrived(self) -> None:
        prepared = self.prepare()
        arriving = self.take_in(prepared)
        sending = self.send(prepared, remove_instance=True)
        self.assertEqual(len(self.source.state.instances), 1)
        self.passes(5)
        self.successResultOf(arriving)
        self.successResultOf(sending)
        self.assertEqual(len(self.source.state.instances), 0)

    def test_a_failure_there_keeps_it_here(self) -> None:
        script = f"{self.target.hosts['node7'].paths.os_search_path[0]}/noop/import"
        failing = Script(code=1, out=b"disk full", takes=0.6)
        self.target.hosts["node7"].processes.programs[script] = failing
        prepared = self.prepare()
        arriving = self.take_in(prepared)
        sending = self.send(prepared, remove_instance=True)
        self.passes(10)
        self.assertIn("disk full", str(self.error(arriving)))
        self.assertIn("closed the connection", str(self.error(sending)))
        counts = [len(each.state.instances) for each in (self.source, self.target)]
        self.assertEqual((counts, self.target.volumes["node7"].held), ([1, 0], {}))
        self.nothing_is_left()

    def test_a_source_that_does_not_come_is_given_up(self) -> None:
        prepared = self.prepare()
        arriving = self.take_in(prepared, source_shutdown_timeout=10)
        self.passes(189)
        self.assertNoResult(arriving)
        self.passes(4)
        self.assertIn("no connection within 190 seconds", str(self.error(arriving)))
        self.assertEqual(len(self.target.state.instances), 0)

    def test_a_canceled_arrival_leaves_nothing_and_fails_the_source(self) -> None:
        prepared = self.prepare()
        arriving = self.take_in(prepared)
        sending = self.send(prepared)
        self.target.memory.progress.canceled = lambda: True
        self.passes(20)
        self.failureResultOf(arriving, JobCanceled)
        self.error(sending)
        self.assertEqual(len(self.target.state.instances), 0)
        self.nothing_is_left()

    def test_another_secret_is_refused_on_either_side(self) -> None:
        prepared = self.prepare()
        self.share(self.target, b"another\n")
        error = self.error(self.take_in(prepared))
        self.assertEqual(error.arguments()[1], Code.INPUT)
        self.assertEqual(len(self.target.state.instances), 0)
        self.share(self.target, b"secret of both\n")
        arriving = self.take_in(prepared)
        self.share(self.source, b"another\n")
        error = self.error(self.send(prepared))
        self.assertIn("was not signed with this cluster's domain secret", str(error))
        self.give_up(arriving)

    def test_a_cluster_without_a_secret_says_how_to_make_one(self) -> None:
        self.source.memory.files.clear()
        error = self.error(self.begin(self.source, "OP_BACKUP_PREPARE", mode="remote"))
        self.assertIn("gnt-cluster renew-crypto", str(error))

    def test_what_is_missing_is_named(self) -> None:
        error = self.error(
            self.take_in({"handshake": None, "x509_ca": None}, source_instance_name=None)
        )
        for name in ("source_handshake", "source_x509_ca", "source_instance_name"):
            self.assertIn(name, str(error))

    def test_the_number_of_disks_must_be_that_of_the_instance(self) -> None:
        prepared = self.prepare()
        arriving = self.take_in(prepared)
        error = self.error(self.send(prepared, target_node=self.note()["disks"][:1]))
        self.assertIn("has 2 disks, but target_node has 1 endpoints", str(error))
        self.give_up(arriving)
