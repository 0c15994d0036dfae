# SPDX-License-Identifier: BSD-2-Clause
"""Power is switched by helpers, for named nodes, after confirmation, and off only when offline."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_node.commands import GNT_NODE
from ganeti.cli.gnt_node.power import health, power, show_power
from ganeti.cli.session import ExitTool
from ganeti.luxi.methods import Query, WaitForJobChange
from ganeti.opcodes.node import CommandPower, ModifyNode, PowerCommand
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal, answer, arguments

HELPERS = answer(
    {"name": "text", "ndparams": "other"},
    ["node2", {"oob_program": "/bin/helper"}],
    ["node3", {"oob_program": "/bin/helper"}],
)


class PowerTests(SynchronousTestCase):
    def test_what_interrupts_nodes_is_asked_about(self) -> None:
        terminal = Terminal(answers=["n"])
        self.assertEqual(terminal.run(GNT_NODE, "power", "cycle", "node2"), 1)
        self.assertEqual(terminal.asked(), [])
        terminal = Terminal(answers=["y"], result=[[[0, "node2"], [0, None]]])
        self.assertEqual(terminal.run(GNT_NODE, "power", "cycle", "node2"), 0)
        self.assertEqual(terminal.out, "Node  Said\nnode2 done\n")

    def test_a_status_needs_no_names(self) -> None:
        terminal = Terminal(result=[])
        self.assertEqual(terminal.run(GNT_NODE, "power", "status"), 0)
        job = terminal.job()
        assert isinstance(job, CommandPower)
        self.assertEqual((job.node_names, terminal.out), ((), ""))

    def test_a_dry_run_shows_what_would_be_switched(self) -> None:
        terminal = Terminal(result={"would switch": ["node2"]})
        words = ("power", "-f", "--dry-run", "--ignore-status", "off", "node2")
        self.assertEqual(terminal.run(GNT_NODE, *words), 0, terminal.err)
        self.assertEqual(terminal.out, "would switch:\n  - node2\n")


class SwitchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = Terminal({Query: HELPERS}, result=[])

    def switch(self, what: str, *names: str, **values: Any) -> list[Any]:
        """The opcodes of the job."""
        given = arguments("power", what=what, names=list(names), **{"force": True, **values})
        self.terminal.call(partial(power, arguments=given))
        return [replace(each, reason=()) for each in self.terminal.master.memory.last_job()]

    def refusal(self, what: str, *names: str, **values: Any) -> str:
        told = str(self.assertRaises(ExitTool, self.switch, what, *names, **values))
        self.assertEqual(self.terminal.master.memory.jobs, {})
        return told

    def test_several_nodes_are_marked_offline_and_switched_off_by_one_job(self) -> None:
        *first, switch = self.switch("off", "node2", "node3")
        offline = [ModifyNode(node_name=name, offline=True) for name in ("node2", "node3")]
        self.assertEqual(first, offline)
        wanted = CommandPower(
            node_names=("node2", "node3"),
            command=PowerCommand.POWER_OFF,
            timeout=60,
            power_delay=2.0,
        )
        self.assertEqual(switch, wanted)

    def test_times_can_be_given(self) -> None:
        [switch] = self.switch("on", "node2", timeout=5, power_delay=0.5)
        self.assertEqual((switch.timeout, switch.power_delay), (5, 0.5))

    def test_a_dry_run_does_not_fail_as_no_node_was_marked_offline(self) -> None:
        *_, switch = self.switch("off", "node2", dry_run=True)
        self.assertTrue(switch.ignore_status)
        *_, switch = self.switch("cycle", "node2", dry_run=True)
        self.assertFalse(switch.ignore_status)

    def test_all_nodes_without_a_helper_are_named(self) -> None:
        self.terminal.canned[Query] = answer(
            {"name": "text", "ndparams": "other"},
            ["node1", {"oob_program": "/bin/helper"}],
            ["node2", {"oob_program": ""}],
            ["node3", {}],
        )
        told = self.refusal("off", "node1", "node2", "node3")
        self.assertIn("node node2, node3 has no out-of-band helper", told)
        self.assertTrue(told.endswith("--node-parameters oob_program=PATH node2"))

    def test_the_question_names_what_and_where(self) -> None:
        self.terminal.answers = ["no"]
        self.refusal("off", "node2", "node3", force=False)
        [question] = self.terminal.questions
        self.assertTrue(question.startswith("Power off node2, node3? "))

    def test_switching_on_asks_nothing(self) -> None:
        for what in ("on", "status"):
            self.switch(what, "node2", force=False)
        self.assertEqual(self.terminal.questions, [])

    def test_a_node_without_a_helper_could_not_be_switched(self) -> None:
        self.terminal.result = [[[0, "node2"], [3, None]]]
        for what, code in (("on", 1), ("cycle", 1), ("status", 0)):
            given = arguments("power", what=what, names=["node2"], force=True)
            self.assertEqual(self.terminal.call(partial(power, arguments=given)), code, what)

    def test_only_the_answers_of_the_helpers_are_shown(self) -> None:
        ended = ["success", ["success"] * 2, [[["offline", True]], [[[0, "node2"], [0, None]]]]]
        self.terminal.canned[WaitForJobChange] = lambda _: [ended, []]
        self.switch("off", "node2")
        self.assertEqual(self.terminal.out, "Node  Said\nnode2 done\n")

    def test_the_health_is_that_of_all_nodes_if_none_is_named(self) -> None:
        self.terminal.call(partial(health, arguments=arguments("health", timeout=7)))
        wanted = CommandPower(node_names=(), command=PowerCommand.HEALTH, timeout=7)
        self.assertEqual(replace(self.terminal.job(), reason=()), wanted)


class ShowTests(SynchronousTestCase):
    def shown(self, *rows: tuple[int, Any], switches: bool = False, **values: Any) -> list[str]:
        results = [[[[0, f"node{n}"], list(row)] for n, row in enumerate(rows)]]
        terminal = Terminal()
        given = arguments(no_headers=True, separator=":", **values)
        self.code = terminal.call(
            lambda session: show_power(session, given, results, switches=switches)
        )
        return terminal.out.splitlines()

    def test_each_answer_is_told_in_a_word(self) -> None:
        rows: tuple[tuple[int, Any], ...] = (
            (0, {"powered": True}),
            (0, {"powered": False}),
            (0, []),
            (0, [["fan", "OK"], ["disk", "WARNING"]]),
            (0, None),
            (2, None),
            (3, None),
        )
        words = ("powered", "unpowered", "-", "fan=OK, disk=WARNING", "done")
        wanted = [f"node{n}:{word}" for n, word in enumerate((*words, "(nodata)", "(unavail)"))]
        self.assertEqual(self.shown(*rows), wanted)

    def test_a_helper_that_failed_is_a_failure(self) -> None:
        for switches in (False, True):
            self.shown((0, None), (2, None), switches=switches)
            self.assertEqual(self.code, 1)

    def test_a_missing_helper_is_one_only_where_power_is_switched(self) -> None:
        for switches in (False, True):
            self.shown((3, None), switches=switches)
            self.assertEqual(self.code, int(switches))

    def test_without_results_nothing_is_shown(self) -> None:
        nothing: tuple[Any, ...] = (None, [], [[]])
        for results in nothing:
            terminal = Terminal()
            code = terminal.call(
                partial(show_power, arguments=arguments(), results=results, switches=True)
            )
            self.assertEqual((code, terminal.out), (0, ""))
