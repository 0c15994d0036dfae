# SPDX-License-Identifier: BSD-2-Clause
"""Operations on the backups in a repository: verification, removal, and retention."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ganeti.config.changes.backup_settings import find_repository
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.backups import BackupRepository, BackupSummary
from ganeti.model.node import Node
from ganeti.model.work_progress import WorkProgress
from ganeti.opcodes.backup_repositories import PruneBackups, RemoveBackups, VerifyBackups
from ganeti.operations.backup.back_up import repository_node
from ganeti.operations.backup.retention import RetentionRules, select_kept
from ganeti.operations.operation import AnyOperation, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.backup_calls import CheckRestored, ListBackups, RemoveBackupData, VerifyBackupData

PARTS = 16
"""The chunks of a verification are read in so many parts, between which it can be canceled."""

REPORT_INTERVAL = 10.0
"""Seconds between two progress messages."""

MAX_LISTED = 20
"""Maximum number of damaged chunks in the message of a failure; the job's log has all."""

_MIB = 1 << 20

UpkeepOpcode: TypeAlias = VerifyBackups | RemoveBackups | PruneBackups


@dataclass(frozen=True)
class BackupSelection:
    """Backups in a repository."""

    repository: BackupRepository
    node: Node
    backups: tuple[BackupSummary, ...]
    restore: bool = False

    @property
    def locks(self) -> LockRequest:
        return request(shared=[node_lock(self.node.uuid)])

    @property
    def ids(self) -> tuple[str, ...]:
        """The IDs of the backups."""
        return tuple(each.id for each in self.backups)


def questions(op: UpkeepOpcode, state: ClusterState) -> Sequence[NodeQuery]:
    repository = find_repository(state, op.repository_name)
    node = repository_node(repository, state)
    return [NodeQuery([node], ListBackups(repository=repository.make_access()))]


def plan_verify(op: VerifyBackups, state: ClusterState, facts: NodeAnswers) -> BackupSelection:
    """Plan to verify backups that are named, or all of a kind."""
    if op.backups and (op.newest or op.schedule is not None):
        what = "newest" if op.newest else "schedule"
        raise Invalid([Problem(what, "is for all backups; leave it out, or the IDs of backups")])
    found = plan_named(op, state, facts)
    chosen = [each for each in found.backups if op.schedule in (None, each.schedule)]
    if op.newest:
        # Those that cannot be read are of no known instance, and each is one to report.
        last = {each.uuid or each.id: each for each in chosen}
        chosen = sorted(last.values(), key=lambda each: each.id)
    return BackupSelection(found.repository, found.node, tuple(chosen), op.restore)


def plan_named(
    op: VerifyBackups | RemoveBackups, state: ClusterState, facts: NodeAnswers
) -> BackupSelection:
    """Plan for the backups that are named, or for all if none is."""
    found = _find_all(op, state, facts)
    known = {each.id: each for each in found.backups}
    if missing := [name for name in op.backups if name not in known]:
        raise Refused(
            f"repository {op.repository_name} has no backup {', '.join(missing)}; see gnt-backup"
            f" list-backups {op.repository_name}",
            Code.UNKNOWN,
        )
    named = tuple(known[name] for name in op.backups) or found.backups
    return BackupSelection(found.repository, found.node, named)


def plan_prune(op: PruneBackups, state: ClusterState, facts: NodeAnswers) -> BackupSelection:
    """Plan to remove the backups that no rule keeps."""
    rules = RetentionRules(op.keep_last, op.keep_daily, op.keep_weekly, op.keep_monthly)
    if rules.keep_nothing:
        raise Invalid(
            [Problem("keep_last", "no rule would keep a backup; give at least one --keep-…")]
        )
    found = _find_all(op, state, facts)
    names = {_full_name(name, state) for name in op.instances}
    by_instance: dict[str, list[BackupSummary]] = defaultdict(list)
    for each in found.backups:
        chosen = not names or each.instance in names or each.uuid in names
        # What is damaged is no reason to remove another one, and left to a person.
        if chosen and not each.problem and op.schedule in (None, each.schedule):
            by_instance[each.uuid].append(each)
    removed = [
        each
        for backups in by_instance.values()
        for kept in [select_kept(backups, rules)]
        for each in backups
        if each.id not in kept
    ]
    return BackupSelection(
        found.repository, found.node, tuple(sorted(removed, key=lambda each: each.id))
    )


def _full_name(name: str, state: ClusterState) -> str:
    """Return the name of an instance, which may not exist any more."""
    instance = state.search_instance(name)
    return name if instance is None else instance.name


def _find_all(op: UpkeepOpcode, state: ClusterState, facts: NodeAnswers) -> BackupSelection:
    repository = find_repository(state, op.repository_name)
    node = repository_node(repository, state)
    return BackupSelection(repository, node, tuple(facts.answer_of(node, ListBackups)))


async def verify(plan: BackupSelection, tools: Tools) -> int:
    """Verify backups; return how many there are.

    :raises Failed: some are damaged; with their areas.
    """
    if plan.restore:
        return await _verify_by_restoring(plan, tools)
    damaged: list[str] = []
    began = said = tools.time.seconds()
    for part in range(PARTS if plan.backups else 0):
        call = VerifyBackupData(
            repository=plan.repository.make_access(), backups=plan.ids, part=part, parts=PARTS
        )
        found = await tools.progress.interruptible(tools.nodes.ask(plan.node, call))
        for line in found:
            tools.progress.log_message(line)
        damaged += found
        now, done = tools.time.seconds(), (part + 1) / PARTS
        if now - said >= REPORT_INTERVAL:
            said, left = now, (now - began) * (1 - done) / done
            what = f"verifying {len(plan.backups)} backups"
            tools.progress.log_message(str(WorkProgress(what, 100 * done, left)))
    if damaged:
        more = f"; and {len(damaged) - MAX_LISTED} more" if len(damaged) > MAX_LISTED else ""
        listed = "; ".join(damaged[:MAX_LISTED])
        raise Failed(
            f"repository {plan.repository.name} is damaged: {listed}{more}. Check its file system,"
            " and back up the instances with --full: chunks that they still have are stored again,"
            " which also repairs older backups",
            Code.ENVIRONMENT,
        )
    return len(plan.backups)


async def _verify_by_restoring(plan: BackupSelection, tools: Tools) -> int:
    access, problems = plan.repository.make_access(), []
    for done, each in enumerate(plan.backups):
        what = f"backup {each.id} of {each.instance or 'an unknown instance'}"
        tools.progress.log_message(f"restoring {what}, {done + 1} of {len(plan.backups)}")
        call = CheckRestored(repository=access, backup=each.id, at=int(tools.time.date()))
        if problem := await tools.progress.interruptible(tools.nodes.ask(plan.node, call)):
            tools.progress.log_message(f"{what}: {problem}")
            problems.append(f"{what}: {problem}")
    if problems:
        raise Failed(
            f"{len(problems)} of {len(plan.backups)} backups in repository {plan.repository.name}"
            f" cannot be restored: {'; '.join(problems[:MAX_LISTED])}. Find all damage by"
            f" gnt-backup verify {plan.repository.name}, and back up the instances with --full",
            Code.ENVIRONMENT,
        )
    return len(plan.backups)


async def remove(plan: BackupSelection, tools: Tools) -> list[str]:
    """Remove backups and the chunks that no other one needs; return their IDs."""
    call = RemoveBackupData(repository=plan.repository.make_access(), backups=plan.ids)
    removed = await tools.nodes.ask(plan.node, call)
    for each in plan.backups:
        tools.progress.log_message(f"backup {each.id} of {each.instance} is removed")
    tools.progress.log_message(
        f"{removed.chunks} chunks with {removed.bytes / _MIB:.1f} MiB are removed"
    )
    return list(plan.ids)


def preview(plan: BackupSelection) -> list[str]:
    return list(plan.ids)


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(VerifyBackups, plan_verify, verify, questions, preview=preview),
    Operation(RemoveBackups, plan_named, remove, questions, preview=preview),
    Operation(PruneBackups, plan_prune, remove, questions, preview=preview),
)
