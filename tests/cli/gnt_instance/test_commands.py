# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-instance`` makes the requests that its users mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.luxi.methods import Query, QueryTags
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.instance.disks import GrowDisk, RecreateDisks, ReplaceDisks
from ganeti.opcodes.instance.lifecycle import RebootInstance, RemoveInstance, ShutdownInstance
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal, answer

NODES = answer(
    {"name": "text", "pinst_list": "other", "sinst_list": "other", "tags": "other"},
    ["node1.example.com", ["web1"], ["db1"], ["rack1"]],
    ["node2.example.com", ["db1"], [], []],
)
NODES_PRIMARY = answer(
    {"name": "text", "tags": "other", "pinst_list": "other"},
    ["node1.example.com", ["rack1"], ["web1"]],
    ["node2.example.com", [], ["db1"]],
)
INSTANCES = answer({"name": "text", "tags": "other"}, ["db1", []], ["web1", ["www"]])


class RequestTests(SynchronousTestCase):
    def made(self, *words: str, **terminal: Any) -> Opcode:
        """The request, without what says who asked."""
        used = Terminal(**terminal)
        self.assertEqual(used.run(GNT_INSTANCE, *words), 0, used.err)
        return replace(used.job(), reason=())

    def test_a_batch_fails_if_one_of_it_has_no_place(self) -> None:
        file = self.mktemp()
        Path(file).write_text('[{"instance_name": "a", "disks": [], "nics": []}]')
        for failed, code in ((), 0), (("b", "c"), 1):
            result = {"jobs": [], "allocatable": ["a"], "failed": failed}
            terminal = Terminal(result=result)
            self.assertEqual(terminal.run(GNT_INSTANCE, "batch-create", file), code)
            self.assertEqual("no place was found for b, c" in terminal.err, bool(failed))

    def test_an_instance_is_made_from_options(self) -> None:
        self.assertEqual(
            self.made(
                *("add", "-t", "file", "-o", "noop", "-B", "memory=512m,vcpus=2"),
                *("--disk", "1:size=512,name=data", "--disk", "0:size=1.5g"),
                *("--net", "0:ip=pool,network=lan", "-n", "node1:node2"),
                *("-H", "fake:x=y", "--no-name-check", "--no-ip-check", "--no-start"),
                *("-O", "a=b", "--tags", "www,test", "web1.example.com"),
            ),
            CreateInstance(
                instance_name="web1.example.com",
                mode="create",  # type: ignore[arg-type]
                disk_template="file",  # type: ignore[arg-type]
                disks=({"size": 1536}, {"size": 512, "name": "data"}),
                nics=({"ip": "pool", "network": "lan"},),
                os_type="noop",
                osparams={"a": "b"},
                beparams={"memory": "512m", "vcpus": "2"},
                hypervisor="fake",  # type: ignore[arg-type]
                hvparams={"x": "y"},
                pnode="node1",
                snode="node2",
                name_check=False,
                ip_check=False,
                start=False,
                tags=("www", "test"),
            ),
        )

    def test_the_shortest_way_to_an_instance(self) -> None:
        made = self.made("add", "-s", "2g", "--no-install", "web1")
        assert isinstance(made, CreateInstance)
        self.assertEqual((made.disks, made.nics, made.no_install), (({"size": 2048},), ({},), True))

    def test_disks_and_cards_that_make_no_sense_are_refused(self) -> None:
        for words, message in (
            (["-t", "diskless", "-s", "1g"], "a diskless instance has no disks"),
            (["-t", "file"], "say which disks"),
            (["--disk", "1:size=1g"], "--disk 0 is missing"),
            (["--disk", "0:size=1g", "--disk", "0:size=1g"], "--disk 0 is given twice"),
            (["--disk", "0:size=much"], "--disk 0: 'much' is no size"),
            (["-s", "1g", "--no-nics", "--net", "0:ip=pool"], "do not go together"),
        ):
            terminal = Terminal()
            self.assertEqual(terminal.run(GNT_INSTANCE, "add", *words, "web1"), 1)
            self.assertIn(message, terminal.err)

    def test_every_problem_is_told_under_its_flag(self) -> None:
        terminal = Terminal()
        words = ("shutdown", "--timeout", "-1", "")
        self.assertEqual(terminal.run(GNT_INSTANCE, *words), 1)
        self.assertIn("--timeout: must be", terminal.err)
        self.assertIn("instance_name: must be", terminal.err)

    def test_requests_without_logic_are_their_declarations(self) -> None:
        self.assertEqual(
            self.made("shutdown", "--timeout", "5", "--no-remember", "--ignore-offline", "web1"),
            ShutdownInstance(
                instance_name="web1", timeout=5, no_remember=True, ignore_offline_nodes=True
            ),
        )
        self.assertEqual(
            self.made("reboot", "web1"),
            RebootInstance(instance_name="web1", reboot_type="hard"),  # type: ignore[arg-type]
        )

    def test_changes_of_disks_and_cards(self) -> None:
        self.assertEqual(
            self.made(
                *("modify", "--disk", "add:size=1g", "--disk", "1:mode=ro", "--disk", "0:remove"),
                *("--net", "-1:add,ip=none", "--net", "remove", "--online", "-m", "1g", "web1"),
            ),
            ModifyInstance(
                instance_name="web1",
                disks=(
                    ("add", -1, {"size": 1024}),
                    ("modify", 1, {"mode": "ro"}),
                    ("remove", 0, {}),
                ),
                nics=(("add", -1, {"ip": "none"}), ("remove", -1, {})),
                offline=False,
                runtime_mem=1024,
            ),
        )

    def test_what_was_changed_is_told(self) -> None:
        terminal = Terminal(result=[["be/vcpus", 2]])
        self.assertEqual(terminal.run(GNT_INSTANCE, "modify", "-B", "vcpus=2", "web1"), 0)
        told = terminal.out.splitlines()[:2]
        self.assertEqual(told, ["Modified instance web1", " - be/vcpus -> 2"])

    def test_disks_grow_and_are_made_anew(self) -> None:
        self.assertEqual(
            self.made("grow-disk", "web1", "0", "1g", "--absolute"),
            GrowDisk(instance_name="web1", disk=0, amount=1024, absolute=True),
        )
        self.assertEqual(
            self.made("recreate-disks", "--disk", "1:size=1g", "-n", "node1:node2", "web1"),
            RecreateDisks(
                instance_name="web1", disks=([1, {"size": 1024}],), nodes=("node1", "node2")
            ),
        )
        self.assertEqual(
            self.made("replace-disks", "-n", "node3", "--disks", "0,1", "web1"),
            ReplaceDisks(
                instance_name="web1",
                mode="replace_new_secondary",  # type: ignore[arg-type]
                remote_node="node3",
                disks=(0, 1),
            ),
        )

    def test_tags_are_added(self) -> None:
        self.assertEqual(
            self.made("add-tags", "web1", "a", "b"),
            AddTags(kind=TagKind.INSTANCE, name="web1", tags=("a", "b")),
        )


class ConfirmationTests(SynchronousTestCase):
    def test_removal_is_asked_about(self) -> None:
        terminal = Terminal(answers=["yes"])
        self.assertEqual(terminal.run(GNT_INSTANCE, "remove", "web1"), 0)
        self.assertIsInstance(terminal.job(), RemoveInstance)

    def test_no_is_no(self) -> None:
        terminal = Terminal(answers=["what?", "n"])
        self.assertEqual(terminal.run(GNT_INSTANCE, "remove", "web1"), 1)
        self.assertEqual(terminal.err, "Error: not confirmed, nothing was done\n")
        self.assertEqual(terminal.asked(), [])

    def test_the_end_of_input_is_no(self) -> None:
        self.assertEqual(Terminal(answers=[]).run(GNT_INSTANCE, "remove", "web1"), 1)

    def test_where_nobody_can_be_asked_the_option_is_named(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_INSTANCE, "remove", "web1"), 13)
        self.assertIn("use -f/--force", terminal.err)
        self.assertEqual(terminal.run(GNT_INSTANCE, "remove", "-f", "web1"), 0)

    def test_an_installation_is_not_overwritten_without_asking(self) -> None:
        terminal = Terminal(answers=["n"])
        self.assertEqual(terminal.run(GNT_INSTANCE, "reinstall", "web1"), 1)
        self.assertEqual(terminal.run(GNT_INSTANCE, "reinstall", "-f", "web1"), 0)


class SelectionTests(SynchronousTestCase):
    def stopped(self, *words: str, rows: Any = NODES) -> list[str]:
        terminal = Terminal({Query: rows})
        words = ("shutdown", "--force-multiple", *words)
        self.assertEqual(terminal.run(GNT_INSTANCE, *words), 0, terminal.err)
        stopped = [job[0] for job in terminal.master.memory.jobs.values()]
        return [each.instance_name for each in stopped if isinstance(each, ShutdownInstance)]

    def test_all_means_all(self) -> None:
        self.assertEqual(self.stopped("--all", rows=INSTANCES), ["db1", "web1"])

    def test_tags_choose_instances(self) -> None:
        self.assertEqual(self.stopped("--tags", "www", rows=INSTANCES), ["web1"])

    def test_nodes_choose_what_runs_on_them(self) -> None:
        self.assertEqual(self.stopped("--primary", "node2", rows=NODES_PRIMARY), ["db1"])
        self.assertEqual(self.stopped("--pri-node-tags", "rack1", rows=NODES_PRIMARY), ["web1"])

    def test_an_unknown_node_is_told(self) -> None:
        terminal = Terminal({Query: NODES_PRIMARY})
        self.assertEqual(terminal.run(GNT_INSTANCE, "shutdown", "--primary", "node9"), 1)
        self.assertIn("there is no node node9", terminal.err)

    def test_several_are_shown_and_asked_about(self) -> None:
        terminal = Terminal({Query: INSTANCES}, answers=["n"])
        self.assertEqual(terminal.run(GNT_INSTANCE, "shutdown", "--all"), 1)
        self.assertEqual(terminal.out, "  db1\n  web1\n")

    def test_names_and_all_exclude_each_other(self) -> None:
        for words in (["--all", "web1"], []):
            self.assertEqual(Terminal().run(GNT_INSTANCE, "shutdown", *words), 1)


class QuestionTests(SynchronousTestCase):
    def test_the_usual_columns_are_asked_for(self) -> None:
        terminal = Terminal({Query: answer({"name": "text", "oper_ram": "unit"}, ["web1", 512])})
        self.assertEqual(terminal.run(GNT_INSTANCE, "list"), 0)
        fields = ("name", "hypervisor", "os", "pnode", "status", "oper_ram")
        self.assertEqual(terminal.asked(), [Query(what="instance", fields=fields)])
        self.assertEqual(terminal.out, "Name Oper_ram\nweb1     512M\n")

    def test_columns_are_added_or_replaced(self) -> None:
        terminal = Terminal({Query: answer({"name": "text"})})
        terminal.run(GNT_INSTANCE, "list", "-o", "+tags", "web*")
        terminal.run(GNT_INSTANCE, "list", "-o", "name", "web1", "db1")
        terminal.run(GNT_INSTANCE, "list", "-o", "name", "-F", "admin_up")
        first, second, third = [each for each in terminal.asked() if isinstance(each, Query)]
        self.assertEqual(first.fields[-2:], ("oper_ram", "tags"))
        self.assertEqual(first.qfilter, ["|", ["=~", "name", r"^web.*(\..*)?$"]])
        self.assertEqual(
            second,
            Query(
                what="instance",
                fields=("name",),
                qfilter=["|", ["==", "name", "web1"], ["==", "name", "db1"]],
            ),
        )
        self.assertEqual(third.qfilter, ["?", "admin_up"])

    def test_json_is_for_programs(self) -> None:
        terminal = Terminal({Query: answer({"name": "text"}, ["web1"])})
        terminal.run(GNT_INSTANCE, "list", "--output", "json", "-o", "name")
        self.assertEqual(terminal.out, '[\n  {\n    "name": "web1"\n  }\n]\n')

    def test_an_unknown_column_is_told_and_has_an_exit_code(self) -> None:
        terminal = Terminal({Query: answer({"name": "text", "colour": "unknown"}, ["web1", None])})
        self.assertEqual(terminal.run(GNT_INSTANCE, "list", "-o", "name,colour"), 14)
        self.assertIn("there is no field colour", terminal.err)

    def test_a_variable_holds_options_to_begin_with(self) -> None:
        terminal = Terminal(
            {Query: answer({"name": "text"}, ["web1"])},
            environment={"GNT_INSTANCE_LIST": "--no-headers -o name"},
        )
        terminal.run(GNT_INSTANCE, "list")
        self.assertEqual(terminal.out, "web1\n")

    def test_tags_are_listed(self) -> None:
        terminal = Terminal({QueryTags: ["b", "a"]})
        terminal.run(GNT_INSTANCE, "list-tags", "web1")
        self.assertEqual(terminal.out, "a\nb\n")
        terminal.run(GNT_INSTANCE, "list-tags", "-o", "json", "web1")
        self.assertEqual(terminal.out, '[\n  "a",\n  "b"\n]\n')
