# SPDX-License-Identifier: BSD-2-Clause
"""Operations that verify the cluster: configuration, replicas and node groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ganeti.config.invariants import dangling_instances, dangling_nodes, find_problems
from ganeti.config.paced import paced
from ganeti.config.state import ClusterState
from ganeti.errors import Failed
from ganeti.locking.names import LockRequest
from ganeti.model.cluster import CONFIG_VERSION, Cluster
from ganeti.model.disk import Template
from ganeti.model.group import Group
from ganeti.model.instance import AdminState, Instance
from ganeti.model.node import Node
from ganeti.model.parameters.filling import default_backend_of, fill_hypervisor
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.opcodes.cluster import OptionalCheck, VerifyCluster, VerifyConfig, VerifyGroup
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.cluster.failover_findings import failover_findings
from ganeti.operations.cluster.file_findings import file_findings, own_file_findings
from ganeti.operations.cluster.findings import Finding, Report
from ganeti.operations.cluster.group_findings import (
    SERVER_PROGRAMS,
    GroupData,
    check_instances,
    check_nodes,
    check_oob_programs,
    has_servers,
    list_bridges,
    list_oob_programs,
)
from ganeti.operations.cluster.host_findings import host_findings, parameter_sets
from ganeti.operations.cluster.notification_findings import notification_findings
from ganeti.operations.cluster.password_findings import password_findings
from ganeti.operations.cluster.slices import collect, each_of
from ganeti.operations.cluster.snapshot_findings import snapshot_findings, snapshot_queries
from ganeti.operations.cluster.verify_disks import check_disks, disk_queries
from ganeti.operations.instance.context import standing
from ganeti.operations.instance.running_check import list_possible_hosts
from ganeti.operations.operation import (
    AnyOperation,
    HookCall,
    HookFailures,
    NodeAnswers,
    NodeQuery,
    Operation,
    Tools,
)
from ganeti.paths import Paths
from ganeti.rpc.node import (
    CERTIFICATES,
    HYPERVISOR_VERSIONS,
    MISSING_PROGRAMS,
    STORAGE_OBSTACLES,
    STORAGE_SHORTAGES,
    DescribeNode,
    NodeInfo,
    VerifyNode,
)
from ganeti.schema.records import FieldValues
from ganeti.schema.types import Value

SOON, URGENT = 30 * 86400, 7 * 86400
"""Seconds before the expiry of a certificate, for a warning and for an error."""

MAX_CLOCK_SKEW = 150
"""Maximum difference in seconds of a node's clock from the master's."""


_AUTHORITY_MUST_BE_REPLACED = (
    "a former master candidate may know keys of the cluster, or the replacement of its certificate"
    " authority is unfinished; unless a job is already queued for this, run"
    " gnt-cluster renew-crypto --new-cluster-certificate"
)


@dataclass(frozen=True)
class VerifyJobs:
    """The jobs that verify the whole cluster."""

    jobs: tuple[tuple[Opcode, ...], ...]

    @property
    def locks(self) -> LockRequest:
        return {}


def plan_all(op: VerifyCluster, state: ClusterState, facts: NodeAnswers) -> VerifyJobs:
    """Plan a job for the configuration and one for each group."""
    shared: FieldValues = {
        "error_codes": op.error_codes,
        "ignore_errors": op.ignore_errors,
        "verbose": op.verbose,
    }
    groups = sorted(state.groups.values(), key=lambda group: group.name)
    if op.group_name is not None:
        groups = [state.group(op.group_name)]
    jobs: list[tuple[Opcode, ...]] = []
    if op.group_name is None:
        jobs.append((VerifyConfig(**shared),))
    for group in groups:
        verify_group = VerifyGroup(group_name=group.name, skip_checks=op.skip_checks, **shared)
        jobs.append((verify_group,))
    return VerifyJobs(tuple(jobs))


async def run_all(plan: VerifyJobs, tools: Tools) -> dict[str, object]:
    return {"jobs": [list(row) for row in await tools.submit(plan.jobs)]}


@dataclass(frozen=True)
class ConfigVerification:
    """The configuration to verify."""

    op: VerifyConfig
    state: ClusterState
    facts: NodeAnswers

    @property
    def locks(self) -> LockRequest:
        return {}


def config_queries(op: VerifyConfig, state: ClusterState) -> Sequence[NodeQuery]:
    """Return the query to the master for the out-of-band programs, which run there."""
    helpers = list_oob_programs(state)
    if not helpers:
        return ()
    what = {"user-scripts": sorted(helpers)}
    call = VerifyNode(what=what, cluster_name=state.cluster.cluster_name)
    return [NodeQuery([state.master], call)]


def plan_config(op: VerifyConfig, state: ClusterState, facts: NodeAnswers) -> ConfigVerification:
    """Plan the verification of the state."""
    return ConfigVerification(op, state, facts)


def _report(op: VerifyConfig | VerifyGroup, tools: Tools) -> Report:
    return Report(tools.progress, op.error_codes, op.ignore_errors, op.verbose)


async def run_config(plan: ConfigVerification, tools: Tools) -> bool:
    report = _report(plan.op, tools)
    report.write_heading("Verifying the configuration")
    state = plan.state
    report.detail(
        f"{len(state.groups)} node groups, {len(state.nodes)} nodes, {len(state.networks)} "
        f"networks, {len(state.instances)} instances, {len(state.disks)} disks"
    )
    name = plan.state.cluster.cluster_name
    findings = await collect(_config_findings(plan.state), tools)
    findings += own_file_findings(await tools.shared.read(), name)
    findings += check_oob_programs(plan.state, plan.facts)
    if plan.state.authorities is not None and plan.state.authorities.must_be_replaced:
        findings.append(Finding(Code.ECLUSTERCERT, "cluster", name, _AUTHORITY_MUST_BE_REPLACED))
    findings += password_findings(plan.state, await tools.shared.read())
    findings += notification_findings(plan.state, tools.time.date())
    findings += failover_findings(plan.state)
    report.write_heading("Verifying the copies of the state with the master candidates")
    # Copies may be on nodes that have been removed meanwhile.
    findings += [
        Finding(
            Code.ENODERPC, "node", plan.state.nodes[uuid].name, f"its replica is not in sync: {why}"
        )
        for uuid, why in tools.copies.out_of_sync().items()
        if uuid in plan.state.nodes
    ]
    findings += [
        Finding(Code.ECLUSTERCFG, "cluster", name, problem)
        for problem in await tools.copies.problems()
    ]
    return report.write(findings)


def config_findings(state: ClusterState) -> Iterator[Finding]:
    """Yield findings about inconsistencies of the configuration."""
    return (each for each in _config_findings(state) if each is not None)


def _config_findings(state: ClusterState) -> Iterator[Finding | None]:
    told = set()
    dangling: Iterator[tuple[str, str] | None]
    for code, kind, dangling in (
        (Code.ECLUSTERDANGLINGNODES, "node", dangling_nodes(state)),
        (Code.ECLUSTERDANGLINGINST, "instance", dangling_instances(state)),
    ):
        for found in dangling:
            if found is None:
                yield None
                continue
            name, problem = found
            # The general check below finds the same problems.
            told.add(problem)
            yield Finding(code, kind, name, problem)
    for violation in find_problems(state):
        if violation is None:
            yield None
        elif violation not in told:
            yield Finding(Code.ECLUSTERCFG, "cluster", state.cluster.cluster_name, violation)


@dataclass(frozen=True)
class GroupVerification:
    """A node group and the answers of its nodes."""

    op: VerifyGroup
    state: ClusterState
    group: Group
    facts: NodeAnswers

    @property
    def locks(self) -> LockRequest:
        return {}


def _online_nodes(group: Group, state: ClusterState) -> list[Node]:
    return [node for node in state.list_nodes(group) if not node.offline]


def questions(op: VerifyGroup, state: ClusterState) -> Iterator[NodeQuery | None]:
    nodes = _online_nodes(state.group(op.group_name), state)
    cluster = state.cluster
    parameters = []
    for found in parameter_sets(state.group(op.group_name), state):
        if found is None:
            yield None
        else:
            parameters.append(found)
    peers = {node.name: [node.primary_ip, node.secondary_ip] for node in nodes}
    what: FieldValues = {
        "version": None,
        "time": None,
        "hypervisor": list(cluster.enabled_hypervisors),
        HYPERVISOR_VERSIONS: {
            name: dict(cluster.hvparams.get(name, {})) for name in cluster.enabled_hypervisors
        },
        "node-net-test": peers,
        "client-cert": None,
        CERTIFICATES: None,
        STORAGE_OBSTACLES: list(cluster.enabled_disk_templates),
        STORAGE_SHORTAGES: list(cluster.enabled_disk_templates),
        "oslist": None,
        "nodesetup": None,
        "filelist": [*Paths().shared_files, *Paths().store_files],
        "hvparms": parameters,
        "allowed-file-storage-paths": None,
    }
    if _volume_group(cluster):
        what["vglist"] = None
        what["lvlist"] = cluster.volume_group_name
        what["pvlist"] = [cluster.volume_group_name]
    if cluster.file_storage_dir and "file" in cluster.enabled_disk_templates:
        what["file-storage-path"] = cluster.file_storage_dir
    if cluster.shared_file_storage_dir and "sharedfile" in cluster.enabled_disk_templates:
        what["shared-file-storage-path"] = cluster.shared_file_storage_dir
    if Template.DRBD.value in cluster.enabled_disk_templates:
        what |= {"drbd-version": None, "drbd-list": None, "drbd-helper": None}
    bridges: set[str] = set()
    for node in nodes:
        there = (*state.list_primary_instances(node), *state.list_secondary_instances(node))
        bridges |= list_bridges(there, state)
        if has_servers(there, state):
            what[MISSING_PROGRAMS] = list(SERVER_PROGRAMS)
        yield None
    if bridges:
        what["bridges"] = sorted(bridges)
    yield NodeQuery(nodes, DescribeNode(hypervisors=cluster.enabled_hypervisors))
    yield NodeQuery(nodes, VerifyNode(what=what, cluster_name=cluster.cluster_name))
    yield from disk_queries(state.group(op.group_name), state)
    yield from snapshot_queries(state.group(op.group_name), state)


def _volume_group(cluster: Cluster) -> str:
    """Return the volume group that nodes must have, or an empty string."""
    uses = {Template.PLAIN.value, Template.DRBD.value} & {*cluster.enabled_disk_templates}
    return cluster.volume_group_name or "" if uses else ""


def plan_group(op: VerifyGroup, state: ClusterState, facts: NodeAnswers) -> GroupVerification:
    """Plan the verification of the group."""
    return GroupVerification(op, state, state.group(op.group_name), facts)


async def run_group(plan: GroupVerification, tools: Tools) -> bool:
    report = _report(plan.op, tools)
    state, nodes = plan.state, _online_nodes(plan.group, plan.state)
    report.write_heading(f"Verifying the nodes of group {plan.group.name}")
    for node in nodes:
        report.detail(_summary(node, plan))
    now = tools.time.date()
    findings = await collect(each_of(nodes, lambda node: _check_node(node, plan, now)), tools)
    findings += _check_hypervisor_versions(nodes, plan)
    report.write_heading(f"Verifying the instances of group {plan.group.name}")
    members = list(state.list_nodes(plan.group))
    checked = GroupData(plan.group, nodes, state, plan.facts)
    findings += await collect(each_of(members, lambda node: _check_instances_on(node, plan)), tools)
    for check in (
        _check_unexpected_guests(nodes, plan),
        check_disks(plan.group, state, plan.facts),
        snapshot_findings(plan.group, state, plan.facts),
        check_nodes(checked),
        host_findings(checked),
        check_instances(checked),
    ):
        findings += await collect(check, tools)
    findings += file_findings(checked, await tools.shared.read())
    if OptionalCheck.N_PLUS_ONE not in plan.op.skip_checks:
        report.write_heading("Verifying N+1 memory redundancy")
        redundancy = each_of(nodes, lambda node: _check_n_plus_one(node, plan))
        findings += await collect(redundancy, tools)
    offline = [node.name for node in state.list_nodes(plan.group) if node.offline]
    if offline:
        tools.progress.log_message(
            f"  - NOTICE: offline, and not verified: {', '.join(sorted(offline))}"
        )
    return report.write(findings)


def _summary(node: Node, plan: GroupVerification) -> str:
    """Return a one-line summary of a node's answers."""
    answer, facts = plan.facts.known(node, VerifyNode), _node_info(node, plan)
    if answer is None or facts is None:
        return f"node {node.name} did not answer"
    return (
        f"node {node.name}: {len(answer)} checks answered, {facts.memory_free} of "
        f"{facts.memory_total} MiB of memory free, {len(facts.guests)} running guests"
    )


def _check_node(node: Node, plan: GroupVerification, now: float) -> Iterator[Finding]:
    def finding(code: Code, message: str) -> Finding:
        return Finding(code, "node", node.name, message)

    answer = plan.facts.answers.get((node.uuid, VerifyNode))
    if answer is None or isinstance(answer, Failed):
        yield finding(Code.ENODERPC, str(answer or "was not queried"))
        return
    match answer.get("version"):
        case [protocol, release] if protocol != CONFIG_VERSION:
            yield finding(
                Code.ENODEVERSION,
                f"runs release {release}, which has another protocol version: {protocol}",
            )
    match answer.get("time"):
        case [int(seconds), int(_)] if skew := _clock_skew(seconds, plan.facts, now):
            yield finding(Code.ENODETIME, f"its clock differs from the master's by {skew:+.0f} s")
    for hypervisor, problem in (answer.get("hypervisor") or {}).items():
        if problem:
            yield finding(Code.ENODEHV, f"hypervisor {hypervisor}: {problem}")
    for peer, problem in (answer.get("node-net-test") or {}).items():
        yield finding(Code.ENODENET, f"cannot reach {peer}: {problem}")
    if problem := answer.get("file-storage-path"):
        yield finding(Code.ENODEFILESTORAGEPATHUNUSABLE, str(problem))
    if node.vm_capable:
        yield from _check_storage(node, plan, answer)
    match answer.get("client-cert"):
        case [str(_), str(problem)]:
            yield finding(Code.ECLUSTERCLIENTCERT, problem)
    for path, end in (answer.get(CERTIFICATES) or {}).items():
        if (left := end - now) < SOON:
            when = f"expires in {left / 86400:.0f} days" if left > 0 else "has expired"
            message = f"{path} {when}; renew it with gnt-cluster renew-crypto"
            yield Finding(Code.ECLUSTERCERT, "node", node.name, message, warning=left > URGENT)


def _check_hypervisor_versions(nodes: Sequence[Node], plan: GroupVerification) -> Iterator[Finding]:
    """Yield warnings about hypervisor versions that prevent migrations in one direction."""
    found: dict[str, dict[str, list[str]]] = {}
    for node in nodes:
        answer = plan.facts.known(node, VerifyNode) or {}
        for hypervisor, version in (answer.get(HYPERVISOR_VERSIONS) or {}).items():
            if version:
                found.setdefault(hypervisor, {}).setdefault(version, []).append(node.name)
    for hypervisor, versions in found.items():
        if len(versions) > 1:
            who = "; ".join(
                f"{version}: {', '.join(sorted(names))}"
                for version, names in sorted(versions.items())
            )
            message = (
                f"nodes have different versions of {hypervisor} ({who}); a guest can be migrated "
                "to an older version only with --ignore-hvversions, and if it was started with a "
                "machine type that the older version supports: set machine_version, and restart "
                "the guest"
            )
            yield Finding(Code.ENODEHV, "group", plan.group.name, message, warning=True)


def _clock_skew(seconds: float, facts: NodeAnswers, now: float) -> float:
    """Return the certain deviation of a node's clock in seconds; 0 if it is acceptable.

    The node answered between the query and now, an interval that other nodes may have prolonged.
    """
    asked = now if facts.since is None else facts.since
    if seconds < asked - MAX_CLOCK_SKEW:
        return seconds - asked
    return seconds - now if seconds > now + MAX_CLOCK_SKEW else 0.0


def _has_changed(instance: Instance, facts: NodeAnswers) -> bool:
    """Return whether an instance was changed after the nodes were queried."""
    before = instance if facts.state is None else facts.state.instances.get(instance.uuid)
    return before is not instance and before != instance


def _check_storage(
    node: Node, plan: GroupVerification, answer: Mapping[str, Value]
) -> Iterator[Finding]:
    for template, obstacle in (answer.get(STORAGE_OBSTACLES) or {}).items():
        code = Code.ENODEDRBDHELPER if template == Template.DRBD else Code.ENODELVM
        yield Finding(code, "node", node.name, f"cannot use {template} disks: {obstacle}")
    match answer.get(STORAGE_SHORTAGES):
        case list(shortages):
            for shortage in shortages:
                yield Finding(Code.ENODELVM, "node", node.name, shortage)
    wanted = _volume_group(plan.state.cluster)
    match answer.get("vglist"):
        case str(problem):
            message = f"cannot list volume groups: {problem}"
            yield Finding(Code.ENODELVM, "node", node.name, message)
        case dict(found) if wanted not in found:
            message = f"lacks volume group {wanted}; create it, or use gnt-cluster modify --vg-name"
            yield Finding(Code.ENODELVM, "node", node.name, message)


def _check_instance(instance: Instance, node: Node, plan: GroupVerification) -> Iterator[Finding]:
    def finding(code: Code, message: str) -> Finding:
        return Finding(code, "instance", instance.name, message)

    if node.offline:
        yield finding(Code.EINSTANCEBADNODE, f"its primary node {node.name} is offline")
        return
    facts = _node_info(node, plan)
    if facts is None or _has_changed(instance, plan.facts):
        return
    runs = instance.name in facts.guests
    if instance.admin_state is AdminState.UP and not runs:
        yield finding(Code.EINSTANCEDOWN, f"should be running but is not, on its node {node.name}")
    if instance.admin_state is not AdminState.UP and runs:
        wanted = instance.admin_state.value
        yield finding(Code.EINSTANCEDOWN, f"should be {wanted} but is running on node {node.name}")
    if runs and facts.guests[instance.name].user == 0:
        model = fill_hypervisor(plan.state.cluster, instance).get("security_model", "none")
        if model != "none":
            message = (
                f"its QEMU still runs as root on {node.name}: the change to security_model="
                f"{model} takes effect at its next start: gnt-instance reboot {instance.name}"
            )
            yield Finding(Code.EINSTANCEPOLICY, "instance", instance.name, message, warning=True)


def _check_instances_on(node: Node, plan: GroupVerification) -> Iterator[Finding | None]:
    for instance in paced(plan.state.list_primary_instances(node)):
        if instance is None:
            yield None
        else:
            yield from _check_instance(instance, node, plan)


def _check_unexpected_guests(
    nodes: Sequence[Node], plan: GroupVerification
) -> Iterator[Finding | None]:
    before = plan.facts.state or plan.state
    for node in nodes:
        facts = _node_info(node, plan)
        for guest in paced(facts.guests if facts is not None else ()):
            if guest is None:
                yield None
                continue
            instance = plan.state.find_instance(guest)
            # It was removed after the nodes were queried.
            gone = instance is None and before.find_instance(guest) is not None
            if gone or (instance and _has_changed(instance, plan.facts)):
                continue
            if instance is None:
                message = f"runs an unknown guest: {guest}"
                yield Finding(Code.ENODEORPHANINSTANCE, "node", node.name, message)
            elif instance.primary_node != node.uuid:
                message = _format_wrong_node(instance, node, plan)
                yield Finding(Code.EINSTANCEWRONGNODE, "instance", guest, message)


def _format_wrong_node(instance: Instance, node: Node, plan: GroupVerification) -> str:
    primary = plan.state.nodes[instance.primary_node]
    if node not in list_possible_hosts(standing(instance, plan.state), plan.state):
        return (
            f"is running on node {node.name}, which does not have its disks, and its primary node "
            f"is {primary.name}; stop it on {node.name}"
        )
    facts = _node_info(primary, plan)
    if facts is not None and instance.name in facts.guests:
        return (
            f"is running on node {node.name} and on its primary node {primary.name}; find out "
            f"which "
            f"copy has the right data; gnt-instance shutdown {instance.name} stops both"
        )
    return (
        f"is running on node {node.name}, but its primary node is {primary.name}; to make "
        f"{node.name} its primary node: gnt-instance migrate --cleanup {instance.name}"
    )


def _check_n_plus_one(node: Node, plan: GroupVerification) -> Iterator[Finding]:
    facts = _node_info(node, plan)
    if facts is None:
        return
    default = default_backend_of(plan.state.cluster)
    spare = plan.state.get_usage(node).spare_by_peer(default.minmem, default.auto_balance)
    held = plan.state.get_usage(node).held.total(default.maxmem)
    for peer, memory in spare.items():
        if memory > facts.memory_free - held:
            aside = f", of which reserved instances hold {held} MiB" if held else ""
            message = (
                f"has {facts.memory_free} MiB of free memory{aside}, but {memory} MiB are required"
                f" if node {plan.state.nodes[peer].name} fails"
            )
            yield Finding(Code.ENODEN1, "node", node.name, message)


def _node_info(node: Node, plan: GroupVerification) -> NodeInfo | None:
    return plan.facts.known(node, DescribeNode)


def group_hooks(plan: GroupVerification, state: ClusterState) -> HookCall:
    nodes = list(state.list_nodes(plan.group))
    tags = {f"NODE_TAGS_{node.name}": " ".join(node.tags) for node in state.nodes.values()}
    environment = {"CLUSTER_TAGS": " ".join(state.cluster.tags), **tags}
    return HookCall("cluster-verify", "CLUSTER", environment, (), [node.uuid for node in nodes])


def count_hook_failures(
    plan: GroupVerification, result: bool, failures: HookFailures, tools: Tools
) -> bool:
    """Report failed hooks as findings, as hooks can implement site-specific checks."""
    report = _report(plan.op, tools)
    findings = [
        Finding(Code.ENODEHOOKS, "node", node, f"hook {script} failed: {output.strip()}")
        for node, script, output in failures
    ]
    return report.write(findings) and result


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(VerifyCluster, plan_all, run_all),
    Operation(VerifyConfig, plan_config, run_config, config_queries),
    Operation(
        VerifyGroup,
        plan_group,
        run_group,
        questions,
        group_hooks,
        finish_result=count_hook_failures,
    ),
)
