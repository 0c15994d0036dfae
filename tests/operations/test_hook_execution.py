# SPDX-License-Identifier: BSD-2-Clause
"""Hooks before and after an operation: their nodes and variables, and what their failures do."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, HooksRefused, HooksUnreachable, JobCanceled, Unreachable
from ganeti.operations.hook_execution import (
    run_config_update,
    run_on_leaving,
    run_post_hooks,
    run_pre_hooks,
)
from ganeti.operations.operation import HookCall
from ganeti.rpc.node import HookResult, RunHooks
from ganeti.testing.builders import a_cluster, a_node, uuid_of
from ganeti.testing.tools import MemoryTools

NODES = tuple(uuid_of("node", f"node{number}") for number in (1, 2, 3))
OP_ID = "OP_NODE_SET_PARAMS"
SKIPPED, FAILED, DONE = (
    HookResult(script=f"script{status}", status=status, output=f"output {status}")
    for status in (0, 1, 2)
)


def a_call(**environment: str) -> HookCall:
    return HookCall("node-modify", "NODE", environment, NODES, NODES)


class HookTests(SynchronousTestCase):
    """A cluster of node1, the master, node2, and node3, which is offline."""

    def setUp(self) -> None:
        nodes = [a_node("node1"), a_node("node2"), a_node("node3", offline=True)]
        self.memory = MemoryTools(a_cluster(nodes=nodes), {RunHooks: [SKIPPED, DONE]})

    def answer(self, **answers: object) -> None:
        self.memory.nodes.answers[RunHooks] = lambda node, call: answers.get(node, [DONE])

    def pre(self, call: HookCall | None = None) -> None:
        state = self.memory.state()
        self.successResultOf(run_pre_hooks(call or a_call(), OP_ID, state, self.memory.tools))

    def refusal(self) -> Exception:
        state = self.memory.state()
        running = run_pre_hooks(a_call(), OP_ID, state, self.memory.tools)
        error: Exception = self.failureResultOf(running).value
        return error

    def post(self, after: HookCall, before: HookCall) -> object:
        state = self.memory.state()
        return self.successResultOf(run_post_hooks(after, before, OP_ID, state, self.memory.tools))

    def asked(self) -> list[str]:
        return sorted(node for node, _ in self.memory.nodes.asked)

    def sent(self) -> RunHooks:
        """Return the call that each node has got."""
        calls = [call for _, call in self.memory.nodes.asked]
        self.assertTrue(all(call == calls[0] for call in calls))
        assert isinstance(calls[0], RunHooks)
        return calls[0]


class PreHookTests(HookTests):
    def test_scripts_get_the_variables_of_the_interface_and_a_fixed_path(self) -> None:
        self.pre(a_call(NODE_NAME="node2"))
        self.assertEqual(
            self.sent(),
            RunHooks(
                directory="node-modify",
                phase="pre",
                environment={
                    "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
                    "GANETI_HOOKS_VERSION": "2",
                    "GANETI_HOOKS_PHASE": "pre",
                    "GANETI_HOOKS_PATH": "node-modify",
                    "GANETI_OP_CODE": OP_ID,
                    "GANETI_OBJECT_TYPE": "NODE",
                    "GANETI_DATA_DIR": "/var/lib/ganeti",
                    "GANETI_CLUSTER": "cluster.example.com",
                    "GANETI_MASTER": "node1",
                    "GANETI_NODE_NAME": "node2",
                },
            ),
        )

    def test_each_online_node_of_the_cluster_runs_them_once(self) -> None:
        nodes = [*NODES, NODES[0], uuid_of("node", "gone")]
        self.pre(HookCall("node-modify", "NODE", {}, nodes, ()))
        self.assertEqual(self.asked(), ["node1", "node2"])

    def test_without_a_node_nothing_is_run(self) -> None:
        for nodes in ((), NODES[2:]):
            self.pre(HookCall("node-modify", "NODE", {}, nodes, ()))
        self.assertEqual(self.asked(), [])

    def test_one_script_that_fails_anywhere_is_a_refusal(self) -> None:
        self.answer(node1=[SKIPPED, DONE], node2=[DONE, FAILED])
        error = self.refusal()
        assert isinstance(error, HooksRefused)
        self.assertEqual(error.scripts, (("node2", "script1", "output 1"),))
        self.assertEqual(str(error), "hook script1 on node2: output 1")

    def test_one_node_that_answers_is_enough(self) -> None:
        self.answer(node1=Unreachable("node1", "timed out"))
        self.pre()
        self.answer(node1=Unreachable("node1", "timed out"), node2=[FAILED])
        self.assertIsInstance(self.refusal(), HooksRefused)

    def test_if_no_node_answers_nothing_is_done(self) -> None:
        self.answer(node1=Failed("no memory"), node2=Failed("no memory"))
        error = self.refusal()
        self.assertIsInstance(error, HooksUnreachable)
        words = "no node could run the hooks of node-modify: no memory"
        self.assertEqual(str(error), words)

    def test_the_master_is_not_asked_if_its_host_has_no_hooks(self) -> None:
        empty = {"node-modify-pre.d"}
        self.memory.tools = replace(
            self.memory.tools, hooks_on_master=lambda folder: folder not in empty
        )
        self.pre()
        self.assertEqual(self.asked(), ["node2"])
        self.answer(node2=[FAILED])
        self.assertIsInstance(self.refusal(), HooksRefused)

    def test_a_master_without_hooks_counts_as_one_that_has_answered(self) -> None:
        self.memory.tools = replace(self.memory.tools, hooks_on_master=lambda folder: False)
        self.answer(node2=Unreachable("node2", "timed out"))
        self.pre()

    def test_a_canceled_job_does_not_wait_for_them(self) -> None:
        self.memory.progress.cancel()
        self.assertIsInstance(self.refusal(), JobCanceled)
        self.assertEqual(self.asked(), [])


class PostHookTests(HookTests):
    def test_they_get_old_and_new_variables_and_run_on_the_new_nodes(self) -> None:
        after = HookCall("node-modify", "NODE", {"NODE_NAME": "new"}, (), NODES[1:2])
        self.assertEqual(self.post(after, a_call(NODE_NAME="old")), [])
        environment = self.sent().environment
        found = [environment[f"GANETI_{name}NODE_NAME"] for name in ("", "POST_")]
        self.assertEqual((found, self.asked()), (["old", "new"], ["node2"]))
        self.assertEqual((self.sent().phase, environment["GANETI_HOOKS_PHASE"]), ("post", "post"))

    def test_failures_are_told_and_returned_and_end_nothing(self) -> None:
        self.answer(node1=[FAILED, DONE], node2=Failed("no memory"))
        self.assertEqual(self.post(a_call(), a_call()), [("node1", "script1", "output 1")])
        words = "post hook script1 on node1 failed: output 1"
        self.assertIn(words, self.memory.progress.said)

    def test_a_canceled_job_runs_them_all_the_same(self) -> None:
        self.memory.progress.cancel()
        self.assertEqual(self.post(a_call(), a_call()), [])
        self.assertEqual(self.asked(), ["node1", "node2"])

    def test_a_node_that_leaves_runs_them_alone(self) -> None:
        state, node = self.memory.state(), self.memory.state().node("node2")
        call = a_call(NODE_NAME="node2")
        self.answer(node2=[FAILED])
        self.successResultOf(run_on_leaving(call, node, OP_ID, state, self.memory.tools))
        self.assertEqual((self.asked(), self.sent().phase), (["node2"], "post"))
        self.assertEqual(self.sent().environment["GANETI_POST_NODE_NAME"], "node2")
        self.assertEqual(len(self.memory.progress.said), 1)


class ConfigUpdateTests(HookTests):
    def update(self, call: HookCall | None) -> RunHooks:
        state = self.memory.state()
        self.successResultOf(run_config_update(call, OP_ID, state, self.memory.tools))
        self.assertEqual(self.asked(), ["node1"])
        return self.sent()

    def test_the_master_alone_is_told_with_the_variables_of_the_opcode(self) -> None:
        sent = self.update(a_call(NODE_NAME="node2"))
        self.assertEqual((sent.directory, sent.phase), ("config-update", "post"))
        expected = {"HOOKS_PATH": "config-update", "OBJECT_TYPE": "NODE", "NODE_NAME": "node2"}
        found = {name: sent.environment[f"GANETI_{name}"] for name in expected}
        self.assertEqual(found, expected)
        self.assertNotIn("GANETI_POST_NODE_NAME", sent.environment)

    def test_an_opcode_without_hooks_changes_the_cluster(self) -> None:
        sent = self.update(None)
        self.assertEqual(sent.environment["GANETI_OBJECT_TYPE"], "CLUSTER")
        self.assertEqual(sent.environment["GANETI_OP_CODE"], OP_ID)

    def test_a_failure_is_only_told(self) -> None:
        self.answer(node1=[FAILED])
        self.update(None)
        self.assertEqual(len(self.memory.progress.said), 1)
