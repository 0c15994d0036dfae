# SPDX-License-Identifier: BSD-2-Clause
"""Execution of hooks, the administrator's scripts that run before and after an operation.

Variables, nodes and results follow the hooks interface, version 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, HooksRefused, HooksUnreachable
from ganeti.model.node import Node
from ganeti.operations.operation import HookCall, Tools
from ganeti.rpc.node import HookResult, Phase, RunHooks, hook_folder

VERSION = 2
PATH = "/sbin:/bin:/usr/sbin:/usr/bin"
DATA_DIR = "/var/lib/ganeti"
_FAILED = 1


async def run_pre_hooks(call: HookCall, op_id: str, state: ClusterState, tools: Tools) -> None:
    """Run the pre hooks.

    :raises HooksRefused: a script failed.
    :raises HooksUnreachable: no node answered.
    """
    asking = _run_on_nodes(call, "pre", call.before, op_id, state, tools, {})
    answers = await tools.progress.interruptible(asking)
    trouble = [answer for answer in answers.values() if isinstance(answer, Failed)]
    if answers and len(trouble) == len(answers):
        raise HooksUnreachable(f"no node could run the hooks of {call.directory}: {trouble[0]}")
    if refusals := _find_failures(answers, state):
        raise HooksRefused(refusals)


async def run_post_hooks(
    call: HookCall, before: HookCall, op_id: str, state: ClusterState, tools: Tools
) -> Sequence[tuple[str, str, str]]:
    """Run the post hooks; return failures (node, script, output), which are also logged."""
    answers = await _run_on_nodes(before, "post", call.after, op_id, state, tools, _fresh(call))
    return _report(answers, state, tools)


async def run_on_leaving(
    call: HookCall, node: Node, op_id: str, state: ClusterState, tools: Tools
) -> None:
    """Run the post hooks on a node before it leaves, as it does not answer afterwards."""
    answers = await _run_on_nodes(call, "post", [node.uuid], op_id, state, tools, _fresh(call))
    _report(answers, state, tools)


async def run_config_update(
    call: HookCall | None, op_id: str, state: ClusterState, tools: Tools
) -> None:
    """Run the config-update hooks on the master, after every change of the configuration.

    They get the variables of the pre hooks ``call``, if the opcode has any.
    """
    master = [state.cluster.master_node]
    update = (
        HookCall("config-update", "CLUSTER", {}, (), master)
        if call is None
        else replace(call, directory="config-update")
    )
    answers = await _run_on_nodes(update, "post", master, op_id, state, tools, {})
    _report(answers, state, tools)


def has_config_update(tools: Tools) -> bool:
    """Return whether there may be config-update hooks."""
    return tools.hooks_on_master(hook_folder("config-update", "post"))


def _fresh(call: HookCall) -> Mapping[str, str]:
    """Return the variables of post hooks in addition to those of the pre hooks."""
    return {f"POST_{name}": value for name, value in call.environment.items()}


def _report(
    answers: Mapping[str, list[HookResult] | Failed], state: ClusterState, tools: Tools
) -> Sequence[tuple[str, str, str]]:
    failures = _find_failures(answers, state)
    for node, script, output in failures:
        tools.progress.log_message(f"post hook {script} on {node} failed: {output}")
    return failures


async def _run_on_nodes(
    call: HookCall,
    phase: Phase,
    nodes: Sequence[str],
    op_id: str,
    state: ClusterState,
    tools: Tools,
    more: Mapping[str, str],
) -> Mapping[str, list[HookResult] | Failed]:
    online = [
        state.nodes[uuid]
        for uuid in dict.fromkeys(nodes)
        if uuid in state.nodes and not state.nodes[uuid].offline
    ]
    none: dict[str, list[HookResult]] = {}
    # Most operations have hooks on the master, and few masters have scripts for them.
    if state.master in online and not tools.hooks_on_master(hook_folder(call.directory, phase)):
        online.remove(state.master)
        none[state.master.uuid] = []
    if not online:
        return none
    variables = {
        "HOOKS_VERSION": str(VERSION),
        "HOOKS_PHASE": phase,
        "HOOKS_PATH": call.directory,
        "OP_CODE": op_id,
        "OBJECT_TYPE": call.object_type,
        "DATA_DIR": DATA_DIR,
        "CLUSTER": state.cluster.cluster_name,
        "MASTER": state.master.name,
        **call.environment,
        **more,
    }
    environment = {f"GANETI_{name}": value for name, value in variables.items()}
    asked = RunHooks(
        directory=call.directory, phase=phase, environment={"PATH": PATH, **environment}
    )
    return {**none, **await tools.nodes.ask_all(online, asked)}


def _find_failures(
    answers: Mapping[str, list[HookResult] | Failed], state: ClusterState
) -> list[tuple[str, str, str]]:
    return [
        (state.nodes[uuid].name, result.script, result.output)
        for uuid, results in answers.items()
        if not isinstance(results, Failed)
        for result in results
        if result.status == _FAILED
    ]
