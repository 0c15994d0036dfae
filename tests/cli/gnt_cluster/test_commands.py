# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster`` founds, shows, changes and ends the cluster."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.membership import start_commands
from ganeti.cli.gnt_group.commands import GNT_GROUP
from ganeti.config.formats import loaded
from ganeti.config.state import ClusterState
from ganeti.luxi.methods import (
    Query,
    QueryClusterInfo,
    QueryConfigValues,
    SetDrainFlag,
    SetWatcherPause,
    WaitForJobChange,
)
from ganeti.opcodes.cluster import DestroyCluster, ModifyCluster, VerifyCluster, VerifyDisks
from ganeti.opcodes.instance.disks import ActivateDisks
from ganeti.paths import Paths
from ganeti.schema.records import replace
from tests.cli.terminal import NOW, Terminal, answer, in_utc

HERE = ("--master-address", "192.0.2.10", "--primary-ip", "192.0.2.1")


def done(*results: Any) -> list[Any]:
    return [["success", ["success"] * len(results), list(results)], []]


class VerifyTests(SynchronousTestCase):
    def verified(self, *ends: Any) -> Terminal:
        """Verify a cluster with a job for the configuration and one for a group."""
        first = done({"jobs": [[True, 2], [True, 3]]})
        by_job = dict(enumerate((first, *ends), start=1))
        return Terminal({WaitForJobChange: lambda request: by_job[request.job_id]})

    def test_all_is_well_when_every_job_says_so(self) -> None:
        terminal = self.verified(done(True), done(True))
        self.assertEqual(terminal.run(GNT_CLUSTER, "verify"), 0)

    def test_one_finding_is_enough_to_fail(self) -> None:
        terminal = self.verified(done(True), done(False))
        self.assertEqual(terminal.run(GNT_CLUSTER, "verify"), 1)

    def test_a_job_that_breaks_does_not_keep_the_others_from_being_shown(self) -> None:
        broken = [["error", ["error"], [["OpExecError", ["no luck"]]]], []]
        terminal = self.verified(broken, done(True))
        self.assertEqual(terminal.run(GNT_CLUSTER, "verify"), 1)
        self.assertEqual(terminal.err, "Failure: job 2: no luck\n")

    def test_options_become_the_request(self) -> None:
        terminal = self.verified(done(True), done(True))
        words = ("--no-nplus1-mem", "-I", "ENODESSH", "-I", "ENODEN1", "-g", "default", "-v")
        terminal.run(GNT_CLUSTER, "verify", *words)
        self.assertEqual(
            replace(terminal.job(), reason=()),
            VerifyCluster(
                skip_checks=("nplusone_mem",),  # type: ignore[arg-type]
                ignore_errors=("ENODESSH", "ENODEN1"),  # type: ignore[arg-type]
                group_name="default",
                verbose=True,
            ),
        )

    def test_disks_that_are_not_active_are_activated(self) -> None:
        by_job = {
            1: done({"jobs": [[True, 9]]}),
            9: done([{"node2": "is off"}, ["web1"], {"db1": [["node1", "xenvg/a"]]}]),
            2: done([]),
        }
        terminal = Terminal({WaitForJobChange: lambda request: by_job[request.job_id]})
        self.assertEqual(terminal.run(GNT_CLUSTER, "verify-disks"), 1)
        jobs = terminal.master.memory.jobs.values()
        self.assertEqual([type(job[0]) for job in jobs], [VerifyDisks, ActivateDisks])
        self.assertIn("node node2 could not be queried: is off", terminal.err)
        self.assertIn("instance db1 has lost disks:\n  node1 xenvg/a", terminal.err)

    def test_disks_that_cannot_be_activated_do_not_hide_what_is_lost_elsewhere(self) -> None:
        by_job = {
            1: done({"jobs": [[True, 8], [True, 9]]}),
            8: done([{}, ["web1"], {}]),
            9: done([{}, [], {"db1": [["node1", "xenvg/a"]]}]),
            2: [["error", ["error"], [["OpExecError", ["no luck"]]]], []],
        }
        terminal = Terminal({WaitForJobChange: lambda request: by_job[request.job_id]})
        self.assertEqual(terminal.run(GNT_CLUSTER, "verify-disks"), 1)
        self.assertIn("for web1 failed: no luck", terminal.err)
        self.assertIn("instance db1 has lost disks", terminal.err)


class SettingsTests(SynchronousTestCase):
    def changed(self, *words: str) -> Any:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_CLUSTER, "modify", *words), 0, terminal.err)
        return replace(terminal.job(), reason=())

    def test_groups_of_values_gather_under_their_names(self) -> None:
        self.assertEqual(
            self.changed(
                *("-H", "kvm:acpi=no", "-H", "fake:x=1", "-D", "plain:stripes=2", "-C", "3"),
                *("--enabled-hypervisors", "kvm,fake", "-B", "vcpus=2", "--uid-pool", "5-9,11"),
                *("--hypervisor-state", "kvm:mem_node=512", "--disk-state", "plain/xenvg:x=1"),
                *("--maintain-node-health", "yes", "--enabled-data-collectors", "lv=1,no_drbd"),
            ),
            ModifyCluster(
                hvparams={"kvm": {"acpi": "no"}, "fake": {"x": "1"}},
                diskparams={"plain": {"stripes": "2"}},  # type: ignore[dict-item]
                candidate_pool_size=3,
                enabled_hypervisors=("kvm", "fake"),  # type: ignore[arg-type]
                beparams={"vcpus": "2"},
                uid_pool=((5, 9), (11, 11)),
                hv_state={"kvm": {"mem_node": "512"}},
                disk_state={"plain": {"xenvg": {"x": "1"}}},
                maintain_node_health=True,
                enabled_data_collectors={"lv": True, "drbd": False},
            ),
        )

    def test_policies_have_sizes(self) -> None:
        changed = self.changed(
            *("--ipolicy-bounds-specs", "min:memory-size=1g,cpu-count=1/max:memory-size=2g"),
            *("--ipolicy-std-specs", "disk-size=1t", "--ipolicy-vcpu-ratio", "4"),
            *("--ipolicy-disk-templates", "plain,file"),
        )
        self.assertEqual(
            changed.ipolicy,
            {
                "minmax": [
                    {"min": {"memory-size": 1024, "cpu-count": 1}, "max": {"memory-size": 2048}}
                ],
                "std": {"disk-size": 1024 * 1024},
                "vcpu-ratio": 4.0,
                "disk-templates": ["plain", "file"],
            },
        )

    def test_every_part_of_a_policy_can_be_reset(self) -> None:
        changed = self.changed(
            *("--ipolicy-bounds-specs", "default", "--ipolicy-disk-templates", "default"),
            *("--ipolicy-std-specs", "memory-size=default", "--ipolicy-vcpu-ratio", "default"),
        )
        reset = dict.fromkeys(("minmax", "disk-templates", "vcpu-ratio"), "default")
        self.assertEqual(changed.ipolicy, {**reset, "std": {"memory-size": "default"}})


class SpecsTests(SynchronousTestCase):
    def test_the_sizes_of_the_policy_are_shown_as_a_command(self) -> None:
        least, most = {"memory-size": 128, "cpu-count": 1}, {"cpu-count": 8}
        policy = {"std": least, "minmax": [{"min": least, "max": most}]}
        terminal = Terminal({QueryClusterInfo: {"name": "cluster1", "ipolicy": policy}})
        self.assertEqual(terminal.run(GNT_CLUSTER, "show-ispecs-cmd"), 0)
        self.assertEqual(
            terminal.out,
            "gnt-cluster init --ipolicy-std-specs=cpu-count=1,memory-size=128"
            " --ipolicy-bounds-specs=min:cpu-count=1,memory-size=128/max:cpu-count=8 cluster1\n",
        )

    def test_those_of_groups_are_their_own_or_all_that_hold(self) -> None:
        def groups(request: Query) -> Any:
            bounds = [{"min": {"cpu-count": 1}, "max": {"cpu-count": 8}}]
            own = {} if request.fields[1] == "custom_ipolicy" else {"minmax": bounds}
            return answer({"name": "text", request.fields[1]: "other"}, ["rack1", own])(request)

        for more, shown in (
            ((), "gnt-group add rack1\n"),
            (
                ("--include-defaults",),
                "gnt-group add --ipolicy-bounds-specs=min:cpu-count=1/max:cpu-count=8 rack1\n",
            ),
        ):
            terminal = Terminal({Query: groups})
            self.assertEqual(terminal.run(GNT_GROUP, "show-ispecs-cmd", *more), 0)
            self.assertEqual(terminal.out, shown)


class AnswerTests(SynchronousTestCase):
    def test_versions_are_told(self) -> None:
        names = ("software", "protocol", "config", "os_api", "export", "vcs")
        facts = {f"{name}_version": name for name in names}
        terminal = Terminal({QueryClusterInfo: facts})
        self.assertEqual(terminal.run(GNT_CLUSTER, "version"), 0)
        self.assertEqual(terminal.out.splitlines()[0], "Software version: software")

    def test_the_queue_is_closed_and_opened(self) -> None:
        terminal = Terminal({SetDrainFlag: True, QueryConfigValues: [True]})
        terminal.run(GNT_CLUSTER, "queue", "drain")
        terminal.run(GNT_CLUSTER, "queue", "undrain")
        self.assertEqual(terminal.asked(), [SetDrainFlag(flag=True), SetDrainFlag(flag=False)])
        terminal.run(GNT_CLUSTER, "queue", "info")
        self.assertEqual(terminal.out, "The drain flag is set\n")

    def test_the_watcher_pauses_for_a_time(self) -> None:
        in_utc(self)
        terminal = Terminal({SetWatcherPause: lambda request: request.until})
        terminal.run(GNT_CLUSTER, "watcher", "pause", "1h")
        self.assertEqual(terminal.asked(), [SetWatcherPause(until=NOW + 3600)])
        self.assertEqual(terminal.out, "The watcher is paused until 2023-11-14 23:13:20.\n")
        terminal.run(GNT_CLUSTER, "watcher", "continue")
        self.assertEqual(terminal.out, "The watcher is not paused.\n")
        self.assertEqual(terminal.run(GNT_CLUSTER, "watcher", "pause"), 1)
        self.assertEqual(terminal.run(GNT_CLUSTER, "watcher", "pause", "soon"), 1)

    def test_tags_are_searched_and_none_is_a_failure(self) -> None:
        terminal = Terminal(result=[["/nodes/node1", "a"], ["/cluster", "ab"]])
        self.assertEqual(terminal.run(GNT_CLUSTER, "search-tags", "a"), 0)
        self.assertEqual(terminal.out, "/cluster ab\n/nodes/node1 a\n")
        self.assertEqual(Terminal(result=[]).run(GNT_CLUSTER, "search-tags", "a"), 1)

    def test_tags_come_from_a_file_too(self) -> None:
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("b\n\n c \n")
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_CLUSTER, "add-tags", "a", "--from", path), 0)
        self.assertEqual(getattr(terminal.job(), "tags"), ("a", "b", "c"))  # noqa: B009
        self.assertEqual(terminal.run(GNT_CLUSTER, "add-tags"), 1)
        self.assertEqual(terminal.run(GNT_CLUSTER, "add-tags", "--from", path + "x"), 1)


class LifeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = Terminal(paths=Paths(os.path.abspath(self.mktemp())))

    def state(self) -> ClusterState:
        with open(self.terminal.paths.config_file, "rb") as file:
            return loaded(file.read(), ids=lambda: "")

    def test_a_cluster_is_founded_with_the_settings_given(self) -> None:
        words: tuple[str, ...] = ("--enabled-hypervisors", "fake")
        words += ("--enabled-disk-templates", "diskless,file")
        more = (
            "-B",
            "memory=64m",
            "-C",
            "3",
            "--vg-name",
            "vg0",
            "--no-ssh-init",
            "-s",
            "10.0.0.1",
        )
        code = self.terminal.run(GNT_CLUSTER, "init", *HERE, *words, *more, "cluster1")
        self.assertEqual(code, 0, self.terminal.err)
        state = self.state()
        self.assertEqual(state.cluster.cluster_name, "cluster1")
        self.assertEqual(state.cluster.master_ip, "192.0.2.10")
        self.assertEqual(state.cluster.enabled_hypervisors, ("fake",))
        self.assertEqual(state.cluster.enabled_disk_templates, ("diskless", "file"))
        self.assertEqual(state.cluster.beparams["default"]["maxmem"], 64)
        self.assertEqual(state.cluster.volume_group_name, "vg0")
        self.assertEqual(state.master.name, "node1")
        self.assertEqual(
            (state.master.primary_ip, state.master.secondary_ip), ("192.0.2.1", "10.0.0.1")
        )
        self.assertIn("GANETI_HOSTNAME=node1 ganeti-masterd", self.terminal.out)

    def test_the_older_options_of_the_policy_make_a_whole_one(self) -> None:
        words = ("--specs-mem-size", "min=64m,max=2g,std=1g", "--specs-cpu-count", "max=4")
        code = self.terminal.run(GNT_CLUSTER, "init", *HERE, *words, "cluster1")
        self.assertEqual(code, 0, self.terminal.err)
        policy = self.state().cluster.ipolicy
        [bounds] = policy["minmax"]
        self.assertEqual((bounds["min"]["memory-size"], bounds["min"]["cpu-count"]), (64, 1))
        self.assertEqual((bounds["max"]["memory-size"], bounds["max"]["cpu-count"]), (2048, 4))
        self.assertEqual((policy["std"]["memory-size"], policy["std"]["cpu-count"]), (1024, 1))

    def test_the_older_options_do_not_go_with_the_newer(self) -> None:
        words = ("--specs-cpu-count", "max=4", "--ipolicy-std-specs", "cpu-count=2")
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "init", *HERE, *words, "cluster1"), 1)
        self.assertIn("cannot be combined with --ipolicy-bounds-specs", self.terminal.err)

    def test_a_name_that_does_not_resolve_can_be_given_an_address(self) -> None:
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "init", "cluster.invalid"), 1)
        self.assertIn("give its address with --master-address", self.terminal.err)

    def test_all_names_that_do_not_resolve_are_told_at_once(self) -> None:
        words = ("--default-iallocator", "mine", "cluster.invalid")
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "init", *words), 1)
        for told in ("nothing was changed", "cluster.invalid does not", "allocator mine is not"):
            self.assertIn(told, self.terminal.err)
        self.assertFalse(os.path.exists(self.terminal.paths.data))

    def test_a_hypervisor_that_there_is_not_is_refused(self) -> None:
        words = ("init", *HERE, "--enabled-hypervisors", "vax", "cluster1")
        self.assertEqual(self.terminal.run(GNT_CLUSTER, *words), 1)
        self.assertIn("must be some of fake, kvm", self.terminal.err)

    def test_systemd_starts_the_daemons_where_it_runs(self) -> None:
        self.assertEqual(start_commands("", "node1", systemd=True), ("systemctl restart ganeti",))
        others = start_commands("", "node1", systemd=False)
        self.assertEqual(others, ("ganeti-noded", "ganeti-masterd", "ganeti-rapi"))

    def test_the_master_is_known_without_a_daemon(self) -> None:
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "getmaster"), 5)
        self.terminal.run(GNT_CLUSTER, "init", *HERE, "cluster1")
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "getmaster"), 0)
        self.assertEqual(self.terminal.out, "node1\n")

    def test_the_end_needs_a_second_word(self) -> None:
        self.terminal.run(GNT_CLUSTER, "init", *HERE, "cluster1")
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "destroy"), 1)
        self.assertIn("--yes-do-it", self.terminal.err)
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "destroy", "--yes-do-it"), 0)
        self.assertIsInstance(self.terminal.job(), DestroyCluster)
        self.assertFalse(os.path.exists(self.terminal.paths.config_file))

    def test_a_folder_that_is_closed_is_told_in_a_line(self) -> None:
        os.mkdir(self.terminal.paths.root)
        with open(f"{self.terminal.paths.root}/var", "w"):
            pass
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "init", *HERE, "cluster1"), 1)
        self.assertRegex(self.terminal.err, "^Failure: .*var.*\n$")

    def test_there_is_a_history(self) -> None:
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "history"), 1)
        self.assertIn("does not exist", self.terminal.err)
