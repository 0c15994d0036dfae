# SPDX-License-Identifier: BSD-2-Clause
"""A master whose term has begun distributes its files and holds its address until it stops."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.master_services.cluster_keys import LocalClusterKeys
from ganeti.daemon.master_services.local_ancillary_files import LocalAncillaryFiles
from ganeti.daemon.master_services.master_host import MasterHost
from ganeti.daemon.master_services.term_services import TermServices
from ganeti.daemon.process.services import Daemon
from ganeti.daemon.store.store_connection import StoreClients
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.processes import MemoryProcesses


class TermTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1, nodes=2)
        first = self.cluster.hosts[0]
        self.paths = first.paths
        files: Any = MemoryFiles(first.disk)
        processes: Any = MemoryProcesses(self.cluster.clock, {})
        host = MasterHost(
            reactor=self.cluster.clock,
            name=first.name,
            paths=first.paths,
            files=files,
            processes=processes,
            stores=StoreClients(),
            lost=lambda _: None,
        )
        self.daemon = Daemon(self.cluster.clock)
        self.daemon.startService()
        self.services = TermServices(
            self.daemon,
            host,
            LocalAncillaryFiles(files, first.paths),
            LocalClusterKeys(processes, files, first.paths),
        )

    def start(self) -> None:
        self.services.start(self.cluster.master)
        self.addCleanup(self.stop)

    def stop(self) -> None:
        stopped = self.daemon.stopService()
        self.cluster.pass_time(60)  # for calls in flight
        self.successResultOf(stopped)

    def settle(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.services.settle_uploads())

    def test_before_the_term_there_is_nothing_to_wait_for(self) -> None:
        self.successResultOf(self.settle())
        self.assertEqual(list(self.daemon), [])

    def test_the_address_is_held_last_so_that_it_is_given_up_first(self) -> None:
        self.start()
        self.assertEqual(
            [part.name for part in self.daemon],
            [
                "reports of nodes",
                "distribution of ssconf",
                "distribution of secrets",
                "connections for the members of etcd",
                "members of the state store",
                "names of the remote API's certificate",
                "backup schedules",
                "address of the cluster",
                "renewal of the cluster's address",
            ],
        )

    def test_every_node_gets_the_values_of_the_cluster(self) -> None:
        path = f"{self.paths.data}/ssconf_cluster_name"
        name = self.cluster.master.config.state().cluster.cluster_name
        self.start()
        self.cluster.pass_time(30)
        for host in self.cluster.hosts:
            self.assertEqual(host.disk.contents()[path].decode().strip(), name)

    def test_an_upload_that_has_begun_is_waited_for(self) -> None:
        path = self.paths.rapi_certificate
        first, second = self.cluster.hosts
        self.cluster.pass_time(31)  # the first uploads of the simulated daemon have ended
        first.disk.put(path, b"a certificate", 0o440, 0.0)
        self.start()
        self.cluster.pass_time(0.0001)
        settled = self.settle()
        self.assertNoResult(settled)
        self.cluster.pass_time(10)
        self.successResultOf(settled)
        self.assertEqual(second.disk.contents()[path], b"a certificate")
