# SPDX-License-Identifier: BSD-2-Clause
"""What ``gnt-node`` does with answers: facts in words, tables of storage, and waiting for hosts."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_node import actions
from ganeti.cli.gnt_node.commands import GNT_NODE
from ganeti.cli.session import ExitTool
from ganeti.config.state import ClusterState
from ganeti.luxi.methods import Query
from ganeti.opcodes.instance.moves import FailoverInstance
from ganeti.opcodes.node import (
    ListStorage,
    ListVolumes,
    ModifyNode,
    ModifyStorage,
    RunRestrictedCommand,
)
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_node, an_instance
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import Terminal, arguments, in_utc


def a_pair() -> ClusterState:
    node2 = a_node(
        "node2",
        primary_ip="127.0.0.2",
        offline=True,
        ndparams={"ssh_port": 23},
        tags=("rack1",),
    )
    return a_cluster(nodes=["node1", node2], instances=[an_instance("web1"), an_instance("db1")])


def failed(terminal: Terminal, *words: str) -> str:
    """The message of a command that asks nothing of the master and ends with 1."""
    assert (terminal.run(GNT_NODE, *words), terminal.asked()) == (1, []), terminal.out
    return terminal.err


class InfoTests(SynchronousTestCase):
    def shown(self, *words: str) -> str:
        terminal = Terminal(answers_about(a_pair()))
        self.assertEqual(terminal.run(GNT_NODE, "info", *words), 0, terminal.err)
        return terminal.out

    def test_everything_recorded_is_told_in_words(self) -> None:
        in_utc(self)
        node1, node2 = yaml.safe_load(self.shown())
        self.assertEqual((node1["Node name"], node1["master"]), ("node1", True))
        self.assertEqual(node1["primary for instances"], ["db1", "web1"])
        self.assertEqual((node2["offline"], node2["tags"]), (True, ["rack1"]))
        self.assertIn("  creation time: 2023-11-14 22:13:20\n", self.shown("node1"))

    def test_parameters_say_which_are_defaults(self) -> None:
        [node2] = yaml.safe_load(self.shown("node2"))
        self.assertEqual(node2["node parameters"]["ssh_port"], 23)
        self.assertEqual(node2["node parameters"]["exclusive_storage"], "default (False)")

    def test_programs_get_fields(self) -> None:
        [node] = json.loads(self.shown("-o", "json", "node2"))
        self.assertEqual((node["name"], node["custom_ndparams"]), ("node2", {"ssh_port": 23}))

    def test_an_unknown_one_is_named_after_the_others(self) -> None:
        terminal = Terminal(answers_about(a_pair()))
        self.assertEqual(terminal.run(GNT_NODE, "info", "node2", "node9"), 1)
        self.assertEqual([each["Node name"] for each in yaml.safe_load(terminal.out)], ["node2"])
        self.assertEqual(terminal.err, "Error: unknown node node9; see gnt-node list\n")
        self.assertEqual(terminal.run(GNT_NODE, "info", "*.example.com"), 0)


class ChangeTests(SynchronousTestCase):
    def test_what_was_changed_is_told(self) -> None:
        terminal = Terminal(result=[["offline", True]])
        words = ("modify", "-O", "yes", "--hypervisor-state", "kvm:mem_node=512", "node2")
        self.assertEqual(terminal.run(GNT_NODE, *words), 0, terminal.err)
        self.assertEqual(terminal.out, "Modified node node2\n - offline -> True\n")
        wanted = ModifyNode(node_name="node2", offline=True, hv_state={"kvm": {"mem_node": "512"}})
        self.assertEqual(replace(terminal.job(), reason=()), wanted)

    def test_what_leaves_a_node_is_one_thing(self) -> None:
        message = failed(Terminal(), "evacuate", "-f", "-p", "-s", "node1")
        self.assertIn("-p and -s exclude each other; without them, both kinds", message)

    def test_a_storage_unit_has_one_thing_that_changes(self) -> None:
        words = ("modify-storage", "node1", "lvm-pv", "/dev/sda")
        self.assertIn("--allocatable yes or no", failed(Terminal(), *words))
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_NODE, *words, "--allocatable", "no"), 0)
        job = terminal.job()
        assert isinstance(job, ModifyStorage)
        self.assertEqual((job.name, job.changes), ("/dev/sda", {"allocatable": False}))


class FailoverTests(SynchronousTestCase):
    def test_where_nothing_runs_there_is_nothing_to_do(self) -> None:
        terminal = Terminal(answers_about(a_pair()))
        self.assertEqual(terminal.run(GNT_NODE, "failover", "node2"), 0)
        self.assertEqual(terminal.out, "No primary instances on node2; nothing to do\n")
        self.assertEqual(terminal.master.memory.jobs, {})

    def test_without_a_question_its_options_go_to_each_job(self) -> None:
        terminal = Terminal(answers_about(a_pair()))
        words = ("failover", "-f", "-I", "hail", "--ignore-consistency", "node1")
        self.assertEqual(terminal.run(GNT_NODE, *words), 0, terminal.err)
        jobs = [replace(job[0], reason=()) for job in terminal.master.memory.jobs.values()]
        wanted = FailoverInstance(instance_name="db1", ignore_consistency=True, iallocator="hail")
        self.assertEqual(jobs, [wanted, replace(wanted, instance_name="web1")])


class RestrictedCommandTests(SynchronousTestCase):
    def test_nodes_that_are_online_are_meant(self) -> None:
        terminal = Terminal(answers_about(a_pair()), result=[[True, ""]])
        self.assertEqual(terminal.run(GNT_NODE, "restricted-command", "--sync", "look"), 0)
        wanted = RunRestrictedCommand(nodes=("node1",), command="look", use_locking=True)
        self.assertEqual(replace(terminal.job(), reason=()), wanted)

    def test_a_group_without_any_is_named(self) -> None:
        terminal = Terminal(answers_about(a_pair()))
        self.assertEqual(terminal.run(GNT_NODE, "restricted-command", "-g", "rack9", "look"), 1)
        self.assertEqual(terminal.err, "Error: no node of the group rack9 is online\n")

    def test_a_plan_is_shown_and_a_submitted_job_is_not_waited_for(self) -> None:
        terminal = Terminal(result={"command": "look"})
        words = ("restricted-command", "--dry-run", "look", "node1")
        self.assertEqual(terminal.run(GNT_NODE, *words), 0)
        self.assertEqual(terminal.out, "command: look\n")
        words = ("restricted-command", "--submit", "look", "node1")
        self.assertEqual(terminal.run(GNT_NODE, *words), 0)
        self.assertEqual((terminal.out, terminal.err), ("", "JobID: 2\n"))


class StorageTests(SynchronousTestCase):
    def test_units_of_storage_are_a_table_with_sizes_for_people(self) -> None:
        terminal = Terminal(result=[["node1", "lvm-vg", "xenvg", 2048, 0, 2048, True]])
        words = ("list-storage", "-t", "lvm-vg", "--no-headers", "node1")
        self.assertEqual(terminal.run(GNT_NODE, *words), 0)
        self.assertEqual(terminal.out, "node1 lvm-vg xenvg 2.0G 0M 2.0G Y\n")
        fields = ("node", "type", "name", "size", "used", "free", "allocatable")
        wanted = ListStorage(
            output_fields=fields,
            nodes=("node1",),
            storage_type="lvm-vg",  # type: ignore[arg-type]
        )
        self.assertEqual(replace(terminal.job(), reason=()), wanted)

    def test_columns_are_chosen_and_programs_get_objects(self) -> None:
        terminal = Terminal(result=[["xenvg", "1024"]])
        words = ("volumes", "-o", "vg,size", "-o", "json")
        self.assertEqual(terminal.run(GNT_NODE, *words), 0)
        self.assertEqual(json.loads(terminal.out), [{"vg": "xenvg", "size": 1024.0}])
        job = terminal.job()
        assert isinstance(job, ListVolumes)
        self.assertEqual(job.output_fields, ("vg", "size"))

    def test_a_name_of_digits_stays_a_name(self) -> None:
        terminal = Terminal(result=[["2024", "1024"]])
        words = ("volumes", "-o", "name,size", "--units", "m", "--no-headers")
        self.assertEqual(terminal.run(GNT_NODE, *words), 0)
        self.assertEqual(terminal.out, "2024 1024\n")

    def test_the_minors_of_an_unknown_node_are_no_empty_table(self) -> None:
        terminal = Terminal(answers_about(a_pair()))
        self.assertEqual(terminal.run(GNT_NODE, "list-drbd", "node9"), 1)
        self.assertIn("unknown node node9; see gnt-node list", terminal.err)

    def test_a_node_without_instances_has_no_minors(self) -> None:
        terminal = Terminal(answers_about(a_pair()))
        self.assertEqual(terminal.run(GNT_NODE, "list-drbd", "node2"), 0)
        self.assertEqual(terminal.out, "Node Minor Instance Disk Role PeerNode\n")
        self.assertEqual([type(each) for each in terminal.asked()], [Query])
        self.assertEqual(terminal.run(GNT_NODE, "list-drbd", "node2", "-o", "json"), 0)
        self.assertEqual(terminal.out, "[]\n")


class FieldTests(SynchronousTestCase):
    """Fields of requests that follow from several options."""

    def test_states_are_grouped_by_name(self) -> None:
        given = arguments(
            hv_state=[("kvm", {"mem_node": "512"})],
            disk_state=[("plain/vg0", {"disk_reserved": "1"})],
        )
        wanted = {
            "hv_state": {"kvm": {"mem_node": "512"}},
            "disk_state": {"plain": {"vg0": {"disk_reserved": "1"}}},
        }
        self.assertEqual(actions.states(given), wanted)
        self.assertEqual(actions.states(arguments()), {})

    def test_a_witness_runs_nothing_and_is_never_the_master(self) -> None:
        found = actions.new_node_fields(arguments(witness=True))
        self.assertEqual(found, {"vm_capable": False, "master_capable": False})
        self.assertEqual(actions.new_node_fields(arguments()), {})

    def test_what_is_evacuated_follows_from_the_options(self) -> None:
        for values, mode in (
            ({}, "all"),
            ({"primary_only": True}, "primary-only"),
            ({"secondary_only": True}, "secondary-only"),
            ({"remote_node": "node3"}, "secondary-only"),
            ({"remote_node": "node3", "secondary_only": True}, "secondary-only"),
        ):
            self.assertEqual(actions.evacuation(arguments(**values)), {"mode": mode})

    def test_options_of_an_evacuation_that_contradict_each_other_are_refused(self) -> None:
        for values, why in (
            ({"primary_only": True, "secondary_only": True}, "-p and -s exclude each other"),
            ({"primary_only": True, "remote_node": "n3"}, "cannot be combined with -p"),
        ):
            with self.assertRaisesRegex(ExitTool, why):
                actions.evacuation(arguments(**values))

    def test_a_storage_unit_becomes_allocatable_or_not(self) -> None:
        for value in (True, False):
            found = actions.storage_change_fields(arguments(allocatable=value))
            self.assertEqual(found, {"changes": {"allocatable": value}})

    def test_a_change_of_nothing_is_not_told(self) -> None:
        nothing: tuple[Any, ...] = (None, [])
        for result in nothing:
            terminal = Terminal()
            code = terminal.call(
                partial(actions.show_changes, arguments=arguments(), result=result)
            )
            self.assertEqual((code, terminal.out), (0, ""))


class QuestionTests(SynchronousTestCase):
    def test_a_failover_lists_the_instances_before_the_question(self) -> None:
        terminal = Terminal(answers_about(a_pair()), answers=["no"])
        self.assertEqual(terminal.run(GNT_NODE, "failover", "node1"), 1)
        self.assertEqual(terminal.out, "  db1\n  web1\n")
        [question] = terminal.questions
        self.assertTrue(question.startswith("Fail over these instances from node1?"))
        self.assertEqual(terminal.master.memory.jobs, {})

    def test_without_a_node_that_is_online_no_command_runs(self) -> None:
        terminal = Terminal(answers_about(a_cluster(nodes=[a_node("node1", offline=True)])))
        self.assertEqual(terminal.run(GNT_NODE, "restricted-command", "look"), 1)
        self.assertEqual(terminal.err, "Error: no node is online\n")
