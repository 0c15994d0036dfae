# SPDX-License-Identifier: BSD-2-Clause
"""Exports to nodes of the cluster, and instances made of them, on whole nodes in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, GanetiError
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.operations.backup.description import read
from ganeti.testing.builders import a_cluster, a_disk, an_instance
from ganeti.testing.processes import Script
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")


class BackupTests(SynchronousTestCase):
    template = Template.PLAIN

    def whole(self, **over: Any) -> WholeCluster:
        """Three nodes, and an instance with two disks on the first."""
        disks = [a_disk(f"web1/{n}", self.template, size=64 * (n + 1)) for n in range(2)]
        built = an_instance("web1", disks=disks, **over)
        settings = {"enabled_disk_templates": ("plain", "file", "diskless")}
        cluster = WholeCluster(a_cluster(nodes=NODES, instances=[built], **settings))
        self.successResultOf(Deferred.fromCoroutine(cluster.make_disks("web1")))
        if built.instance.admin_state is AdminState.UP:
            self.successResultOf(Deferred.fromCoroutine(cluster.start("web1")))
        return cluster

    def do(self, whole: WholeCluster, op_id: str, **fields: Any) -> Any:
        work = whole.do(op_id, **{"instance_name": "web1", **fields})
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refusal(self, whole: WholeCluster, op_id: str, **fields: Any) -> GanetiError:
        work = whole.do(op_id, **{"instance_name": "web1", **fields})
        error: GanetiError = self.failureResultOf(Deferred.fromCoroutine(work), GanetiError).value
        return error

    def exports(self, whole: WholeCluster) -> dict[str, list[str]]:
        """The names of exports, finished or not, by node."""
        return {
            name: names
            for name, host in whole.hosts.items()
            if (names := host.disk.names(host.paths.exports))
        }

    def nothing_under_way(self, whole: WholeCluster) -> None:
        for host in whole.hosts.values():
            self.assertEqual((host.streams.open, host.network.listening), (set(), {}))
            self.assertEqual([flow for flow in host.streams.flows if not flow.over], [])


class ExportTests(BackupTests):
    def test_what_would_not_start_again_is_not_stopped(self) -> None:
        whole = self.whole()
        whole.guests["node1"].objections = {"kernel_path": "there is no /vmlinuz on this node"}
        error = self.refusal(whole, "OP_BACKUP_EXPORT", target_node="node2")
        self.assertIn("cannot run: node1: kernel_path: there is no /vmlinuz", str(error))
        self.assertEqual((whole.where("web1"), self.exports(whole)), (["node1"], {}))

    def test_an_export_has_a_dump_of_every_disk_and_a_description(self) -> None:
        whole = self.whole()
        result = self.do(whole, "OP_BACKUP_EXPORT", target_node="node2")
        self.assertEqual(result, (True, [True, True]))
        self.assertEqual(self.exports(whole), {"node2": ["web1"]})
        host = whole.hosts["node2"]
        folder = f"{host.paths.exports}/web1"
        export = read(host.disk.contents()[f"{folder}/config.ini"].decode())
        for disk in export.disks:
            self.assertEqual(host.disk.contents()[f"{folder}/{disk.dump}"], b"piped")
        self.assertEqual([disk.size for disk in export.disks], [64, 128])
        self.nothing_under_way(whole)

    def test_an_instance_that_ran_runs_again(self) -> None:
        whole = self.whole()
        self.do(whole, "OP_BACKUP_EXPORT", target_node="node1")
        self.assertEqual(whole.where("web1"), ["node1"])
        self.assertIn("starting instance web1 again", whole.said)
        self.assertEqual(self.exports(whole), {"node1": ["web1"]})

    def test_with_snapshots_it_need_not_be_stopped_and_none_is_left(self) -> None:
        whole = self.whole()
        before = set(whole.volumes["node1"].held)
        self.do(whole, "OP_BACKUP_EXPORT", target_node="node2", shutdown=False)
        self.assertNotIn("stopping", whole.said)
        self.assertEqual(set(whole.volumes["node1"].held), before)

    def test_a_stopped_instance_stays_down(self) -> None:
        whole = self.whole(admin_state=AdminState.DOWN)
        self.do(whole, "OP_BACKUP_EXPORT", target_node="node2")
        self.assertEqual(whole.where("web1"), [])

    def test_an_older_export_is_replaced_wherever_it_is(self) -> None:
        whole = self.whole()
        for node in ("node2", "node3", "node3"):
            self.do(whole, "OP_BACKUP_EXPORT", target_node=node)
            self.assertEqual(self.exports(whole), {node: ["web1"]})

    def test_the_instance_goes_if_that_is_wanted(self) -> None:
        whole = self.whole()
        self.do(whole, "OP_BACKUP_EXPORT", target_node="node2", remove_instance=True)
        self.assertEqual((len(whole.state.instances), whole.where("web1")), (0, []))
        self.assertEqual(whole.volumes["node1"].held, {})
        self.assertEqual(self.exports(whole), {"node2": ["web1"]})

    def test_a_failure_leaves_the_instance_running_and_no_export(self) -> None:
        whole = self.whole()
        export = f"{whole.hosts['node1'].paths.os_search_path[0]}/noop/export"
        whole.hosts["node1"].processes.programs[export] = Script(code=1, out=b"bad sector")
        error = self.refusal(whole, "OP_BACKUP_EXPORT", target_node="node2", remove_instance=True)
        self.assertIn("bad sector", str(error))
        self.assertEqual((self.exports(whole), whole.where("web1")), ({}, ["node1"]))
        self.nothing_under_way(whole)

    def test_a_node_daemon_that_is_killed_leaves_nothing_behind(self) -> None:
        whole = self.whole()
        whole.hosts["node2"].streams.takes = whole.hosts["node1"].streams.takes = 30

        def restart() -> None:
            whole.hosts["node2"].restart()
            whole.network.add_node("node2", whole.hosts["node2"].answers)

        whole.clock.callLater(10, restart)
        error = self.refusal(whole, "OP_BACKUP_EXPORT", target_node="node2")
        self.assertIn("its node daemon was restarted", str(error))
        self.assertEqual((self.exports(whole), whole.where("web1")), ({}, ["node1"]))
        self.nothing_under_way(whole)

    def test_an_instance_without_disks_is_refused(self) -> None:
        whole = WholeCluster(a_cluster(nodes=NODES, instances=["web1"]))
        error = self.refusal(whole, "OP_BACKUP_EXPORT", target_node="node2")
        self.assertIn("has no disks", str(error))

    def test_what_makes_no_sense_is_told_at_once(self) -> None:
        whole = self.whole()
        error = self.refusal(
            whole, "OP_BACKUP_EXPORT", target_node="node2", mode="remote", compress="gzip"
        )
        for what in ("compress", "target_node", "x509_key_name", "destination_x509_ca"):
            self.assertIn(what, str(error))

    def test_exports_are_removed_by_the_name_of_the_instance(self) -> None:
        whole = self.whole()
        self.do(whole, "OP_BACKUP_EXPORT", target_node="node2", remove_instance=True)
        self.do(whole, "OP_BACKUP_REMOVE")
        self.assertEqual(self.exports(whole), {})
        error = self.refusal(whole, "OP_BACKUP_REMOVE")
        self.assertEqual(error.arguments()[1], Code.UNKNOWN)

    def test_preparing_for_a_node_of_the_cluster_needs_nothing(self) -> None:
        self.assertIsNone(self.do(self.whole(), "OP_BACKUP_PREPARE", mode="local"))


class FileExportTests(BackupTests):
    template = Template.FILE

    def test_without_snapshots_a_running_instance_must_be_stopped(self) -> None:
        whole = self.whole()
        error = self.refusal(whole, "OP_BACKUP_EXPORT", target_node="node2", shutdown=False)
        self.assertIn("omit --noshutdown", str(error))
        self.assertEqual(self.exports(whole), {})
        self.do(whole, "OP_BACKUP_EXPORT", target_node="node2")
        self.assertEqual(whole.where("web1"), ["node1"])


class ImportTests(BackupTests):
    def exported(self, **over: Any) -> WholeCluster:
        whole = self.whole(beparams={"vcpus": 3}, tags=("web",), **over)
        self.do(whole, "OP_BACKUP_EXPORT", target_node="node2", remove_instance=True)
        return whole

    def create(self, whole: WholeCluster, **fields: Any) -> Any:
        return self.do(whole, "OP_INSTANCE_CREATE", **{**self.order, **fields})

    order: dict[str, Any] = {
        "mode": "import",
        "disks": [],
        "nics": [],
        "pnode": "node3",
        "ip_check": False,
        "name_check": False,
    }

    def test_an_instance_comes_back_as_it_was(self) -> None:
        whole = self.exported()
        before = whole.hosts["node3"].streams.read
        self.assertEqual(self.create(whole), ["node3"])
        instance = whole.state.instance("web1")
        self.assertEqual((instance.os, instance.tags), ("noop", ("web",)))
        self.assertEqual(instance.beparams["vcpus"], 3)
        self.assertEqual([disk.size for disk in whole.state.get_disks(instance)], [64, 128])
        self.assertEqual(before, [b"piped", b"piped"])
        self.assertEqual(whole.where("web1"), ["node3"])
        self.nothing_under_way(whole)

    def test_on_the_node_that_has_the_export_nothing_is_sent(self) -> None:
        whole = self.exported()
        self.create(whole, pnode="node2", src_node="node2", src_path="web1")
        self.assertEqual(whole.hosts["node2"].streams.read, [b"piped", b"piped"])
        self.assertEqual(whole.hosts["node2"].network.next_port, 20002)

    def test_what_the_request_says_holds_and_defaults_can_be_left_to_the_cluster(self) -> None:
        whole = self.exported()
        self.create(
            whole,
            beparams={"vcpus": 2},
            disk_template="file",
            identify_defaults=True,
            start=False,
        )
        instance = whole.state.instance("web1")
        self.assertEqual((instance.beparams, instance.hvparams), ({"vcpus": 2}, {}))
        self.assertIs(instance.admin_state, AdminState.DOWN)
        [first, _] = whole.state.get_disks(instance)
        self.assertIs(first.dev_type, Template.FILE)

    def test_another_name_gets_other_addresses_and_is_told_to_the_guest(self) -> None:
        whole = self.exported()
        self.create(whole, instance_name="web2", src_path="web1", start=False)
        ran = [each.argv[0].rpartition("/")[2] for each in whole.hosts["node3"].processes.ran]
        self.assertEqual(ran, ["verify", "import", "import", "rename"])

    def test_a_failed_import_leaves_nothing(self) -> None:
        whole = self.exported()
        script = f"{whole.hosts['node3'].paths.os_search_path[0]}/noop/import"
        whole.hosts["node3"].processes.programs[script] = Script(code=1, out=b"not my format")
        error = self.refusal(whole, "OP_INSTANCE_CREATE", **self.order)
        self.assertIsInstance(error, Failed)
        self.assertIn("not my format", str(error))
        self.assertEqual((len(whole.state.instances), whole.volumes["node3"].held), (0, {}))
        self.assertEqual(self.exports(whole), {"node2": ["web1"]})
        self.nothing_under_way(whole)

    def test_without_an_export_it_is_refused(self) -> None:
        whole = self.exported()
        self.assertEqual(
            self.refusal(whole, "OP_INSTANCE_CREATE", **self.order, src_path="web9").arguments()[1],
            Code.UNKNOWN,
        )
        on_node = self.refusal(whole, "OP_INSTANCE_CREATE", **self.order, src_node="node1")
        self.assertIn("no export found", str(on_node))
