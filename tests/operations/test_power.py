# SPDX-License-Identifier: BSD-2-Clause
"""Helpers are asked about the power of nodes, and switch it, whatever the nodes themselves do."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, Invalid, Refused
from ganeti.opcodes.node import PowerCommand
from ganeti.operations.node.power import parse_output
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.processes import Ran, Script
from tests.operations.whole import WholeCluster

HELPER = "/usr/local/sbin/ipmi"


class PowerTests(SynchronousTestCase):
    def setUp(self) -> None:
        helped = {"oob_program": HELPER}
        nodes = [
            a_node("node1", ndparams=helped),
            a_node("node2", ndparams=helped, offline=True, powered=False),
            a_node("node3", ndparams=helped),
            a_node("node4"),
        ]
        self.whole = WholeCluster(a_cluster(nodes=nodes))
        self.host = self.whole.hosts["node1"]
        self.put()
        self.says = Script()
        self.host.processes.programs[HELPER] = lambda ran: self.says

    def put(self, mode: int = 0o755) -> None:
        self.host.disk.add_folder("/usr/local/sbin", 0o755)
        self.host.disk.put(HELPER, b"#!/bin/sh\n", mode, 0.0)

    def do(self, command: str, *nodes: str, **fields: Any) -> Any:
        fields = {"command": command, "node_names": list(nodes), **fields}
        rows = self.successResultOf(self.whole.do("OP_OOB_COMMAND", **fields))
        return {name: tuple(said) for (_, name), said in rows}

    def refusal(self, command: str, *nodes: str, **fields: Any) -> list[Any]:
        fields = {"command": command, "node_names": list(nodes), **fields}
        work = self.whole.do("OP_OOB_COMMAND", **fields)
        error = self.failureResultOf(work, Refused, Invalid).value
        assert isinstance(error, Refused | Invalid)
        self.assertEqual(self.host.processes.ran, [])
        return error.arguments()

    def called(self) -> list[tuple[str, ...]]:
        return [ran.argv for ran in self.host.processes.ran]

    def powered(self, node: str) -> bool:
        return self.whole.state.node(node).powered

    def test_every_node_that_has_a_helper_is_asked_about(self) -> None:
        self.says = Script(out=json.dumps({"powered": True}).encode())
        yes = (0, {"powered": True})
        expected = {"node1": yes, "node2": yes, "node3": yes, "node4": (3, None)}
        self.assertEqual(self.do("power-status"), expected)
        calls = [(HELPER, "power-status", name) for name in ("node1", "node2", "node3")]
        self.assertEqual(self.called(), calls)
        self.assertIn("gnt-node modify --node-powered=yes node2", self.whole.said)
        self.assertFalse(self.powered("node2"))

    def test_health_is_told_item_by_item(self) -> None:
        items = [["fan 1", "OK"], ["disk 2", "CRITICAL"]]
        self.says = Script(out=json.dumps(items).encode())
        self.assertEqual(self.do("health", "node3"), {"node3": (0, items)})
        self.assertEqual(self.whole.said, "node node3: disk 2 is CRITICAL")

    def test_what_is_switched_is_recorded(self) -> None:
        self.do("power-on", "node2")
        self.assertTrue(self.powered("node2"))
        self.do("power-off", "node2")
        self.assertFalse(self.powered("node2"))
        self.do("power-cycle", "node2")
        self.assertFalse(self.powered("node2"))

    def test_between_two_that_are_switched_on_there_is_a_pause(self) -> None:
        began = self.whole.clock.seconds()
        self.do("power-on", power_delay=3.0)
        self.assertEqual(self.whole.clock.seconds() - began, 6.0)

    def test_one_that_fails_keeps_no_other(self) -> None:
        def answer(ran: Ran) -> Script:
            failed = ran.argv[2] == "node2"
            return Script(code=1, err=b"no route to its controller\n") if failed else Script()

        self.host.processes.programs[HELPER] = answer
        self.assertEqual(
            self.do("power-on", "node2", "node3"), {"node2": (2, None), "node3": (0, None)}
        )
        self.assertIn(
            "power-on of node2 failed: node1: no route to its controller", self.whole.said
        )
        self.assertFalse(self.powered("node2"))

    def test_only_what_is_offline_is_switched_off(self) -> None:
        told, code = self.refusal("power-off", "node2", "node3")
        self.assertEqual(code, Code.STATE)
        self.assertIn("gnt-node modify --offline=yes node3", told)
        self.do("power-off", "node3", ignore_status=True)
        self.assertFalse(self.powered("node3"))

    def test_the_master_does_not_switch_itself_off(self) -> None:
        for command in ("power-off", "power-cycle"):
            self.assertIn("is the master", self.refusal(command, "node1")[0])
        self.do("power-cycle")
        self.assertEqual([argv[2] for argv in self.called()], ["node2", "node3"])

    def test_a_helper_that_is_not_there_or_that_anybody_can_change_is_not_run(self) -> None:
        for mode, words in ((0o644, "is not an executable file"), (0o775, "chmod go-w")):
            self.put(mode)
            self.assertEqual(self.do("power-on", "node2"), {"node2": (2, None)})
            self.assertIn(words, self.whole.said)
        self.assertEqual(self.called(), [])

    def test_one_that_takes_too_long_is_given_up(self) -> None:
        self.assertIn("timeout", str(self.refusal("power-on", "node2", timeout=0)[0]))
        self.says = Script(hangs=True)
        fields = {"command": "power-on", "node_names": ["node2"], "timeout": 30}
        work = Deferred.fromCoroutine(self.whole.do("OP_OOB_COMMAND", **fields))
        self.assertNoResult(work)
        self.whole.clock.advance(30)
        self.assertEqual(self.successResultOf(work), [[[0, "node2"], [2, None]]])


class FormTests(SynchronousTestCase):
    def test_what_is_not_in_the_form_of_the_protocol_is_refused(self) -> None:
        for command, texts in (
            (PowerCommand.POWER_STATUS, ("", "true", '{"powered": 1}', "{}")),
            (PowerCommand.HEALTH, ("{}", '[["fan"]]', '[["fan", "FINE"]]', '[[1, "OK"]]')),
        ):
            for text in texts:
                with self.assertRaises(Failed):
                    parse_output(command, text)
        self.assertIsNone(parse_output(PowerCommand.POWER_ON, "whatever"))
