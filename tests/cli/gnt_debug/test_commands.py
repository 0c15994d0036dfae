# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-debug`` and the smaller tools make the requests that their users mean."""

from __future__ import annotations

import json
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Tool
from ganeti.cli.gnt_backup.commands import GNT_BACKUP
from ganeti.cli.gnt_debug.commands import GNT_DEBUG
from ganeti.cli.gnt_group.commands import GNT_GROUP
from ganeti.cli.gnt_os.commands import GNT_OS
from ganeti.luxi.methods import CancelJob, Query, WaitForJobChange
from ganeti.opcodes.backup import ExportInstance
from ganeti.opcodes.group import AddGroup, AssignNodes
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.test import Delay, TestAllocator
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal, answer


class RequestTests(SynchronousTestCase):
    def made(self, tool: Tool, *words: str) -> Any:
        terminal = Terminal()
        self.assertEqual(terminal.run(tool, *words), 0, terminal.err)
        return replace(terminal.job(), reason=())

    def test_delays_take_locks_unless_told_otherwise(self) -> None:
        self.assertEqual(
            self.made(GNT_DEBUG, "delay", "-n", "node1", "--no-master", "-r", "2", "1.5"),
            Delay(duration=1.5, on_master=False, on_nodes=("node1",), repeat=2, no_locks=False),
        )
        self.assertTrue(self.made(GNT_DEBUG, "delay", "-l", "0").no_locks)
        self.assertEqual(Terminal().run(GNT_DEBUG, "delay", "long"), 1)

    def test_an_allocator_is_asked_for_a_place(self) -> None:
        made = self.made(
            *(GNT_DEBUG, "iallocator", "-m", "allocate", "--dir", "out", "-I", "hail"),
            *("--disks", "1g,512", "--memory", "2g", "-p", "2", "web9"),
        )
        self.assertIsInstance(made, TestAllocator)
        self.assertEqual((made.name, made.direction, made.memory), ("web9", "out", 2048))
        self.assertEqual(made.disks, ({"size": 1024, "mode": "rw"}, {"size": 512, "mode": "rw"}))

    def test_groups_are_made_and_filled(self) -> None:
        self.assertEqual(
            self.made(GNT_GROUP, "add", "--alloc-policy", "last_resort", "rack2"),
            AddGroup(group_name="rack2", alloc_policy="last_resort"),  # type: ignore[arg-type]
        )
        self.assertEqual(
            self.made(GNT_GROUP, "assign-nodes", "-f", "rack2", "node1", "node2"),
            AssignNodes(group_name="rack2", nodes=("node1", "node2"), force=True),
        )

    def test_instances_go_out_and_come_back(self) -> None:
        self.assertEqual(
            self.made(GNT_BACKUP, "export", "-n", "node2", "--noshutdown", "web1"),
            ExportInstance(instance_name="web1", target_node="node2", shutdown=False),
        )
        made = self.made(GNT_BACKUP, "import", "--src-node", "node2", "-t", "file", "web1")
        self.assertIsInstance(made, CreateInstance)
        self.assertEqual((made.mode, made.src_node, made.disks), ("import", "node2", ()))


class SubmitTests(SynchronousTestCase):
    def test_jobs_come_from_files_as_often_as_wanted(self) -> None:
        path = self.mktemp()
        with open(path, "w") as file:
            json.dump([{"OP_ID": "OP_TEST_DELAY", "duration": 0}], file)
        terminal = Terminal()
        words = ("--job-repeat", "2", "--op-repeat", "3", "--timing-stats", path)
        self.assertEqual(terminal.run(GNT_DEBUG, "submit-job", *words), 0)
        self.assertEqual([len(job) for job in terminal.master.memory.jobs.values()], [3, 3])
        self.assertIn("2 jobs, 6 opcodes", terminal.out)

    def test_a_file_that_is_none_is_told(self) -> None:
        path = self.mktemp()
        with open(path, "w") as file:
            file.write('{"OP_ID": "OP_TEST_DELAY", "colour": 1}')
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_DEBUG, "submit-job", path), 1)
        self.assertIn("duration: is required; colour: unknown parameter", terminal.err)

    def test_the_queue_is_tried_out(self) -> None:
        def end(request: WaitForJobChange) -> Any:
            (opcode,) = terminal.master.memory.jobs[request.job_id]
            assert isinstance(opcode, Delay)
            if opcode.duration < 0:
                return [["error", ["error"], [["OpExecError", ["a negative time"]]]], []]
            return [["canceled" if opcode.duration else "success", ["success"], [None]], []]

        terminal = Terminal({WaitForJobChange: end, CancelJob: [True, "canceled"]})
        self.assertEqual(terminal.run(GNT_DEBUG, "test-jobqueue"), 0)
        self.assertIn("The job queue works", terminal.out)


class LocksTests(SynchronousTestCase):
    def test_owners_and_waiters_are_told(self) -> None:
        fields = {"name": "text", "mode": "other", "owner": "other", "pending": "other"}
        row = ["instance/a", "exclusive", ["job 1"], [["shared", ["job 2", "job 3"]]]]
        terminal = Terminal({Query: answer(fields, row)})
        self.assertEqual(terminal.run(GNT_DEBUG, "locks", "--no-headers"), 0)
        self.assertEqual(terminal.out, "instance/a exclusive job 1 shared:job 2,job 3\n")


class DefinitionTests(SynchronousTestCase):
    def oses(self, *rows: dict[str, Any]) -> Terminal:
        usual = {"valid": True, "hidden": False, "blacklisted": False, "variants": []}

        def made(request: Query) -> Any:
            fields = [
                {"name": name, "title": name, "kind": "other", "doc": ""} for name in request.fields
            ]
            data = [[[0, {**usual, **row}.get(name)] for name in request.fields] for row in rows]
            return {"fields": fields, "data": data}

        return Terminal({Query: made})

    def test_usable_ones_are_listed_with_their_variants(self) -> None:
        terminal = self.oses(
            {"name": "mini"},
            {"name": "debian", "variants": ["12", "13"]},
            {"name": "broken", "valid": False},
            {"name": "old", "hidden": True},
        )
        self.assertEqual(terminal.run(GNT_OS, "list", "--no-headers"), 0)
        self.assertEqual(terminal.out, "mini\ndebian+12\ndebian+13\n")

    def test_where_none_works_it_says_where_to_look(self) -> None:
        terminal = self.oses({"name": "broken", "valid": False})
        self.assertEqual(terminal.run(GNT_OS, "list"), 1)
        self.assertIn("gnt-os diagnose", terminal.err)

    def test_a_diagnosis_tells_for_each_node_what_is_wrong(self) -> None:
        place = ["/srv/os/mini", False, "create is missing", [], [], [20], True]
        terminal = self.oses({"name": "mini", "valid": False, "node_status": {"node1": [place]}})
        self.assertEqual(terminal.run(GNT_OS, "diagnose"), 1)
        told = {"path": "/srv/os/mini", "valid": False, "diagnosis": "create is missing"}
        wanted = {"mini": {"status": "invalid", "nodes": {"node1": [told]}}}
        self.assertEqual(yaml.safe_load(terminal.out), wanted)
