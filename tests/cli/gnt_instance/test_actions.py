# SPDX-License-Identifier: BSD-2-Clause
"""What ``gnt-instance`` does with an answer: consoles, batches, questions about an OS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_instance.actions import console_command, reached
from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.luxi.methods import Query, WaitForJobChange
from ganeti.opcodes.instance.create import AllocateInstances
from ganeti.opcodes.instance.disks import ReplaceDisks
from ganeti.opcodes.instance.lifecycle import DescribeInstances, OpenConsole, ReinstallInstance
from ganeti.paths import Paths
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, an_instance
from tests.cli.terminal import Terminal, answer
from tests.operations.whole import WholeCluster

SERIAL = {"instance": "web1", "kind": "ssh", "host": "node2", "user": "root"}
WEB1 = {"instance_name": "web1", "disks": [], "nics": []}
SOCAT = ["socat", "STDIO,raw", "UNIX-CONNECT:/run/web1 serial"]


class ConsoleTests(SynchronousTestCase):
    def console(self, found: Any, *words: str, root: str = "") -> Terminal:
        terminal = Terminal(result=found, paths=Paths(root))
        self.code = terminal.run(GNT_INSTANCE, "console", *words, "web1")
        return terminal

    def test_one_on_another_node_is_reached_by_ssh(self) -> None:
        terminal = self.console({**SERIAL, "command": SOCAT}, "--show-cmd")
        inner = "'socat STDIO,raw '\"'\"'UNIX-CONNECT:/run/web1 serial'\"'\"''"
        self.assertEqual(terminal.out, f"ssh -q -t root@node2 {inner}\n")
        self.assertEqual(replace(terminal.job(), reason=()), OpenConsole(instance_name="web1"))

    def test_one_on_this_host_is_reached_without(self) -> None:
        there = {**SERIAL, "command": SOCAT}
        self.assertEqual(console_command(there, "node2", False), SOCAT)
        self.assertEqual(console_command(there, "node1", True), SOCAT)
        nobody = console_command({**there, "user": None, "command": ["xl", "a"]}, "node1", False)
        self.assertEqual(nobody, ["ssh", "-q", "-t", "node2", "xl a"])

    def test_its_command_runs_and_its_exit_code_is_the_tools(self) -> None:
        self.console({**SERIAL, "host": "node1", "command": ["sh", "-c", "exit 3"]})
        self.assertEqual(self.code, 3)

    def test_a_display_is_told_in_a_sentence(self) -> None:
        where = {"instance": "web1", "host": "node2", "port": 5901, "display": 1}
        terminal = self.console({**where, "kind": "vnc"})
        told = "Instance web1 has VNC listening on node2:5901 (display 1)"
        self.assertEqual(terminal.out, f"{told}; connect to vnc://node2:5901/\n")
        self.assertIn("SPICE listening on node2:5901", reached({**where, "kind": "spice"}))

    def test_an_instance_without_one_says_why(self) -> None:
        found = {"instance": "web1", "kind": "msg", "message": "web1 is a note"}
        self.assertEqual(self.console(found).out, "web1 is a note\n")
        self.assertEqual(reached({**found, "message": None}), "instance web1 has no console")


class BatchTests(SynchronousTestCase):
    def created(self, text: str, **terminal: Any) -> Terminal:
        self.path = self.mktemp()
        Path(self.path).write_text(text)
        used = Terminal(**terminal)
        self.code = used.run(GNT_INSTANCE, "batch-create", "-I", "hail", self.path)
        return used

    def test_each_object_is_a_request_to_create_an_instance(self) -> None:
        wanted = [WEB1, {**WEB1, "instance_name": "web2"}]
        result = {"jobs": [], "allocatable": ["web1", "web2"], "failed": []}
        job = self.created(json.dumps(wanted), result=result).job()
        assert isinstance(job, AllocateInstances)
        self.assertEqual(job.iallocator, "hail")
        self.assertEqual([each.instance_name for each in job.instances], ["web1", "web2"])
        self.assertEqual({each.mode for each in job.instances}, {"create"})

    def test_a_file_that_is_something_else_is_refused_by_its_name(self) -> None:
        for text, why in (("[", "invalid JSON"), ('{"a": 1}', "must be a JSON list of objects")):
            terminal = self.created(text)
            self.assertEqual((self.code, terminal.asked()), (1, []))
            self.assertIn(self.path, terminal.err)
            self.assertIn(why, terminal.err)

    def test_the_jobs_are_followed_and_one_that_fails_is_told(self) -> None:
        ends = {
            1: [["success", ["success"], [{"jobs": [[True, 2]], "failed": []}]], []],
            2: [["error", ["error"], [["OpExecError", ["the disk is full"]]]], []],
        }
        canned: Any = {WaitForJobChange: lambda request: ends[request.job_id]}
        terminal = self.created(json.dumps([WEB1]), canned=canned)
        self.assertEqual((self.code, terminal.err), (1, "Failure: job 2: the disk is full\n"))


class SelectedOsTests(SynchronousTestCase):
    def reinstalled(self, *answers: str) -> Terminal:
        fields = dict.fromkeys(("name", "valid", "hidden", "blacklisted", "variants"), "other")
        rows = (
            ["debian", True, False, False, ["bookworm", "trixie"]],
            ["noop", True, False, False, []],
            ["secret", True, True, False, []],
            ["broken", False, False, False, []],
        )
        terminal = Terminal({Query: answer(fields, *rows)}, answers=list(answers))
        self.code = terminal.run(GNT_INSTANCE, "reinstall", "--select-os", "web1")
        return terminal

    def test_those_that_can_be_used_are_shown_and_one_is_chosen(self) -> None:
        terminal = self.reinstalled("1", "y")
        self.assertEqual(terminal.out, "  0: debian+bookworm\n  1: debian+trixie\n  2: noop\n")
        made = replace(terminal.job(), reason=())
        self.assertEqual(made, ReinstallInstance(instance_name="web1", os_type="debian+trixie"))

    def test_a_number_that_is_none_of_them_changes_nothing(self) -> None:
        for said in ("3", "noop", "", "9" * 5000):
            terminal = self.reinstalled(said)
            self.assertEqual((self.code, terminal.master.memory.jobs), (1, {}))
            self.assertIn("is not one of these numbers; nothing was changed", terminal.err)


class DiskTests(SynchronousTestCase):
    def refused(self, *words: str) -> str:
        terminal = Terminal()
        self.assertEqual((terminal.run(GNT_INSTANCE, *words), terminal.asked()), (1, []))
        return terminal.err

    def test_activated_ones_are_told_with_their_devices(self) -> None:
        terminal = Terminal(result=[["node1", "disk/0", "/dev/drbd0"]])
        self.assertEqual(terminal.run(GNT_INSTANCE, "activate-disks", "web1"), 0)
        self.assertEqual(terminal.out, "node1:disk/0:/dev/drbd0\n")

    def test_a_disk_has_a_number(self) -> None:
        self.assertIn("a is not a disk number", self.refused("grow-disk", "web1", "a", "1g"))
        self.assertIn("number of a disk", self.refused("recreate-disks", "--disk", "a", "web1"))
        words = ("replace-disks", "-p", "--disks", "0,b", "web1")
        self.assertIn("--disks 0,b: must be numbers", self.refused(*words))

    def test_one_side_of_a_mirror_is_replaced_at_a_time(self) -> None:
        for words in ((), ("-p", "-s"), ("-a", "-n", "node3")):
            self.assertIn(
                "no replacement mode given", self.refused("replace-disks", *words, "web1")
            )
        for flag, mode in (
            ("-p", "replace_on_primary"),
            ("-s", "replace_on_secondary"),
            ("-a", "replace_auto"),
        ):
            terminal = Terminal()
            self.assertEqual(terminal.run(GNT_INSTANCE, "replace-disks", flag, "web1"), 0)
            job = terminal.job()
            assert isinstance(job, ReplaceDisks)
            self.assertEqual((job.mode, job.disks), (mode, ()))

    def test_a_change_of_a_disk_is_one_thing_and_has_a_place(self) -> None:
        for change, why in (
            ("1:add,detach", "--disk 1: add and detach exclude each other"),
            ("0:add,size=much", "--disk 0: 'much' is not a size"),
        ):
            self.assertIn(why, self.refused("modify", "--disk", change, "web1"))

    def test_a_setting_without_a_value_is_none(self) -> None:
        words = ("add", "-t", "file", "--disk", "0:size=1g,ro", "web1")
        self.assertIn("--disk 0: ro must be KEY=VALUE", self.refused(*words))
        words = ("add", "-t", "file", "--disk", "a:size=1g", "web1")
        self.assertIn("--disk a: must be a number", self.refused(*words))
        words = ("add", "-s", "1g", "--disk", "0:size=1g", "web1")
        self.assertIn("-s gives the size of a single disk", self.refused(*words))


class InfoTests(SynchronousTestCase):
    def test_instances_are_named_or_all(self) -> None:
        for words in ((), ("--all", "web1")):
            terminal = Terminal()
            code = terminal.run(GNT_INSTANCE, "info", *words)
            self.assertEqual((code, terminal.asked()), (1, []))
            self.assertIn("use --all for all of them", terminal.err)

    def test_everything_is_told_for_people_or_programs(self) -> None:
        whole = WholeCluster(a_cluster(instances=[an_instance("web1")]))
        ask = whole.do("OP_INSTANCE_QUERY_DATA", instances=["web1"], static=True)
        terminal = Terminal(result=self.successResultOf(Deferred.fromCoroutine(ask)))
        self.assertEqual(terminal.run(GNT_INSTANCE, "info", "-s", "web1"), 0)
        asked = DescribeInstances(instances=("web1",), static=True)
        self.assertEqual(replace(terminal.job(), reason=()), asked)
        self.assertIn("- Instance name: web1\n", terminal.out)
        terminal.run(GNT_INSTANCE, "info", "-s", "-o", "json", "web1")
        self.assertEqual(json.loads(terminal.out)["web1"]["name"], "web1")
