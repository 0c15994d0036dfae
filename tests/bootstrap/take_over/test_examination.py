# SPDX-License-Identifier: BSD-2-Clause
"""What would come over, and everything that stands in the way, is told before anything changes."""

from __future__ import annotations

import os
import shutil

from ganeti.bootstrap.take_over.examination import examine
from ganeti.bootstrap.take_over.ganeti_folder import FolderPaths, read_folder
from ganeti.config.state import ClusterState
from ganeti.model.disk import Template
from ganeti.pki.authority import SERVER_USAGE, Authority
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from tests.bootstrap.take_over.ganeti_host import CLUSTER, NOW, GanetiHost


def with_cluster(state: ClusterState, **over: object) -> ClusterState:
    return state.put(replace(state.cluster, **over))


class ExaminationTests(GanetiHost):
    def obstacles(self, name: str = "node1") -> str:
        before = self.contents()
        found = self.examination(name)
        self.assertEqual(self.contents(), before)
        return "\n".join(found.obstacles)

    def differences(self) -> str:
        return "\n".join(self.examination().differs)

    def test_a_cluster_that_can_be_taken_over_has_no_obstacles(self) -> None:
        self.put_job(15, "success")
        found = self.examination()
        self.assertEqual(found.obstacles, ())
        told = "\n".join(found.comes)
        for part in (
            "cluster.example.com: the configuration of Ganeti 3.0",
            "3 nodes, 1 node groups, 1 instances, 1 disks, 1 networks, 0 job filters",
            "1 finished jobs, 0 archived ones; last job 17",
            "2 users of the remote API",
            "the domain secret",
        ):
            self.assertIn(part, told)

    def test_it_is_done_on_the_master(self) -> None:
        told = self.obstacles("node2")
        self.assertIn("the master of the cluster is node1, and this host is node2", told)
        self.assertIn("gnt-cluster master-failover", told)

    def test_running_daemons_are_named_with_how_to_stop_them(self) -> None:
        self.host.daemons = {"ganeti-noded": 12, "ganeti-wconfd": 11}
        told = self.obstacles()
        self.assertIn("ganeti-wconfd (process 11), ganeti-noded (process 12)", told)
        self.assertIn("systemctl stop ganeti.target", told)

    def test_what_no_driver_is_for_stands_in_the_way(self) -> None:
        disk = a_disk("r1", Template.RBD, logical_id=("rbd", "r1"))
        instances = [an_instance("x1", hypervisor="xen-pvm"), an_instance("r1", disks=[disk])]
        self.configure(a_cluster(instances=instances, enabled_hypervisors=("xen-pvm",)))
        told = self.obstacles()
        self.assertIn("hypervisor xen-pvm is not supported, and is used by x1", told)
        self.assertIn("rbd disks are not supported, and are used by r1", told)
        self.assertIn("none of the enabled hypervisors is supported (xen-pvm)", told)

    def test_a_cluster_of_ours_is_not_overwritten(self) -> None:
        copy = self.mktemp()
        shutil.copytree(self.paths.data, copy)
        os.makedirs(self.paths.journal)
        found = examine(read_folder(copy), self.paths, "node1", self.host)
        self.assertIn("is part of a cluster of this software already", "\n".join(found.obstacles))

    def test_an_old_copy_does_not_replace_the_folder_of_this_host(self) -> None:
        copy = self.mktemp()
        shutil.copytree(self.paths.data, copy)
        self.configure(CLUSTER, serial_no=99)
        found = examine(read_folder(copy), self.paths, "node1", self.host)
        self.assertIn("has another configuration than", "\n".join(found.obstacles))

    def test_a_node_that_is_drained_is_told(self) -> None:
        self.configure(a_cluster(nodes=["node1", a_node("node2", drained=True)]))
        self.assertIn("gnt-node modify --drained yes node2", self.differences())

    def test_a_drained_queue_is_told(self) -> None:
        self.put("queue/drain", "")
        self.assertIn("gnt-cluster queue undrain", self.differences())

    def test_unfinished_jobs_are_named(self) -> None:
        self.put_job(20, "running")
        self.put_job(21, "queued")
        told = self.differences()
        self.assertIn("job 20 (INSTANCE_STARTUP(web1)) is running; it ends with an error", told)
        self.assertIn("job 21 (INSTANCE_STARTUP(web1)) is queued; it ends as canceled", told)

    def test_settings_without_effect_are_told_with_the_alternative(self) -> None:
        self.configure(with_cluster(CLUSTER, maintain_node_health=True))
        told = self.differences()
        self.assertIn("cluster setting maintain_node_health (True) has no effect: use", told)

    def test_parameters_that_do_not_work_here_are_told(self) -> None:
        kvm = {**CLUSTER.cluster.hvparams["kvm"], "use_chroot": True, "xen_cmd": "xm"}
        hvparams = {**CLUSTER.cluster.hvparams, "kvm": kvm}
        self.configure(with_cluster(CLUSTER, enabled_hypervisors=("kvm",), hvparams=hvparams))
        told = self.differences()
        self.assertIn("parameters of the cluster without an effect in kvm: xen_cmd", told)
        self.assertIn("parameter hv/kvm/use_chroot of the cluster: ", told)

    def test_scripts_that_nothing_calls_are_told(self) -> None:
        self.put("../../../etc/ganeti/kvm-vif-bridge", "#!/bin/sh\n")
        self.assertIn("/etc/ganeti/kvm-vif-bridge is not used: network cards", self.differences())

    def test_a_certificate_that_has_expired_is_replaced(self) -> None:
        issued = Authority.founded("theirs", 0).credentials(["node1"], 0.0, usage=SERVER_USAGE)
        self.put("rapi.pem", issued.pem)
        self.assertIn(
            "no valid certificate of the remote API; a new one is issued", self.differences()
        )
        valid = Authority.founded("theirs", 0).credentials(["node1"], NOW, usage=SERVER_USAGE)
        self.put("rapi.pem", valid.pem)
        self.assertIn("the certificate of the remote API", self.examination().comes)


class RealHostTests(GanetiHost):
    """What is asked of a host on which the cluster is not virtual."""

    def obstacles(self) -> str:
        real = FolderPaths(self.paths.data)
        return "\n".join(examine(self.folder(), real, "node1", self.host).obstacles)

    def test_the_address_of_the_master_is_on_this_host(self) -> None:
        self.host.missing_addresses.add("192.0.2.1")
        self.assertIn("has the address 192.0.2.1 of node1; configure it", self.obstacles())

    def test_the_port_of_the_node_daemon_is_free(self) -> None:
        self.host.used_ports.add(1811)
        self.assertIn("port 1811 of 192.0.2.1, on which ganeti-noded listens", self.obstacles())

    def test_qemu_is_needed_for_its_guests(self) -> None:
        self.host.programs.clear()
        self.configure(with_cluster(CLUSTER, enabled_hypervisors=("kvm",)))
        self.assertIn("QEMU is not installed", self.obstacles())
