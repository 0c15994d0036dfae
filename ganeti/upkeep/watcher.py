# SPDX-License-Identifier: BSD-2-Clause
"""A run of the watcher: daemons, old jobs, instances that are down, disks after a reboot."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from logging import Logger
from typing import Any, Protocol, TypeVar

import msgspec

from ganeti.bootstrap.blocking_files import at_once, local_files, read_ssconf
from ganeti.bootstrap.daemons import MASTERD, NODED, RAPI, runs, start
from ganeti.errors import Failed, GanetiError
from ganeti.luxi.methods import (
    AutoArchiveJobs,
    Query,
    QueryConfigValues,
    QueryGroups,
    QueryInstances,
    QueryJobs,
    QueryNodes,
    Request,
    SubmitManyJobs,
)
from ganeti.opcodes.cluster import RenewCrypto
from ganeti.opcodes.group import VerifyGroupDisks
from ganeti.opcodes.instance.disks import ActivateDisks
from ganeti.opcodes.instance.lifecycle import StartInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.paths import Paths
from ganeti.schema.documents import UNREADABLE
from ganeti.upkeep.repairs import InstanceReport, RepairState, repairs

R = TypeVar("R")

SUCCESS, FAILURE, NOT_MASTER = 0, 1, 11

SOURCE = "gnt:watcher"
"""The source of the watcher's jobs in reason trails."""

PAUSE_FILE_AGE = 3600.0
"""Seconds for which the file of an ended pause is kept."""

HOOK_TIMEOUT = 60.0
VERIFY_TIMEOUT = 240.0
JOBS_TIMEOUT = 3600.0

_HOOK = re.compile(r"[a-zA-Z0-9_-]+")
_FINAL = frozenset({"success", "error", "canceled"})


class IWatcherClient(Protocol):
    """A client of the master."""

    def ask(self, request: Request[R]) -> R: ...


@dataclass(frozen=True)
class WatcherDependencies:
    """The dependencies and options of a run.

    ``job_age`` is the time in seconds that jobs are kept after their end; -1 archives all ended
    jobs. With ``wait``, a run waits for the end of its jobs and reports it.
    """

    paths: Paths
    name: str
    connect: Callable[[], IWatcherClient]
    log: Logger
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    start: Callable[[Paths, str], None] = start
    job_age: int = 6 * 3600
    ignore_pause: bool = False
    verify_disks: bool = True
    wait: bool = False


def watch(around: WatcherDependencies) -> int:
    """Repair this node and, on the master, the whole cluster.

    Return the exit code; 11 means that no master daemon is running here.
    """
    paths, log = around.paths, around.log
    # Without a certificate, this host is in no cluster.
    if not os.path.exists(paths.node_certificate):
        return SUCCESS
    if not around.ignore_pause and is_paused(paths, around.now()):
        log.debug("the watcher is paused")
        return SUCCESS
    is_master = _read_known(paths, "master_node") == around.name
    is_candidate = around.name in _read_known(paths, "master_candidates").splitlines()
    # A new candidate gets the certificate of the remote API in the background.
    has_api = is_master or (is_candidate and os.path.exists(paths.rapi_certificate))
    for daemon, belongs in ((NODED, True), (MASTERD, is_master), (RAPI, has_api)):
        if belongs:
            _ensure_running(around, daemon)
    _run_hooks(paths, log)
    if not is_master or not runs(paths, MASTERD):
        return NOT_MASTER
    try:
        master = around.connect()
        archived, left = master.ask(AutoArchiveJobs(age=around.job_age))
        log.debug("archived %d jobs, %d remain", archived, left)
        replacement = _complete_replacement(around, master)
        good = _repair_groups(around, master)
        if around.wait:
            good = _wait_for_jobs(around, master, replacement) and good
        if not good:
            return FAILURE
    except GanetiError as e:
        log.error("%s", e)
        return FAILURE
    return SUCCESS


def is_paused(paths: Paths, now: float) -> bool:
    """Return whether the watcher is paused; remove the file of a pause that ended long ago."""
    path = f"{paths.data}/watcher.pause"
    try:
        with open(path, encoding="ascii") as file:
            until = float(file.read())
    except FileNotFoundError:
        return False
    except ValueError:
        # A file that cannot be understood does not pause the watcher, and is removed.
        until = 0.0
    if until + PAUSE_FILE_AGE < now:
        os.unlink(path)
    return now < until


def _ensure_running(around: WatcherDependencies, daemon: str) -> None:
    if not runs(around.paths, daemon):
        around.log.warning("%s is not running; starting it", daemon)
        try:
            around.start(around.paths, daemon)
        except Failed as e:
            around.log.error("%s", e)


def _read_known(paths: Paths, key: str) -> str:
    try:
        return read_ssconf(paths, key)
    except FileNotFoundError:
        return ""


def _run_hooks(paths: Paths, log: Logger) -> None:
    """Run the administrator's watcher hooks, one after the other."""
    folder = f"{paths.hooks}/watcher"
    if not os.path.isdir(folder):
        return
    environment = {"PATH": "/sbin:/bin:/usr/sbin:/usr/bin", "LC_ALL": "C"}
    for name in sorted(filter(_HOOK.fullmatch, os.listdir(folder))):
        path = f"{folder}/{name}"
        if not os.access(path, os.X_OK) or not os.path.isfile(path):
            continue
        try:
            done = subprocess.run(
                [path],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=HOOK_TIMEOUT,
            )
        except (OSError, subprocess.TimeoutExpired) as e:
            log.error("hook %s: %s", path, e)
        else:
            if done.returncode != 0:
                text = (done.stdout + done.stderr).decode(errors="replace").strip()
                log.error("hook %s exited with code %d: %s", path, done.returncode, text)


# --- keys


def _complete_replacement(around: WatcherDependencies, master: IWatcherClient) -> dict[int, str]:
    """Submit the job that completes an interrupted replacement of authority and secrets."""
    [due] = master.ask(QueryConfigValues(fields=("authority_replacement_due",)))
    if not due:
        return {}
    wanted = RenewCrypto(
        shared_secrets=True, reason=_make_reason_trail(around, "the authority must be replaced")
    )
    unfinished = ["|", *(["=", "status", status] for status in ("queued", "waiting", "running"))]
    jobs = master.ask(Query(what="job", fields=("summary",), qfilter=unfinished))["data"]
    # The job of an earlier run may not have ended.
    if any(wanted.summary in summary for [[_, summary]] in jobs):
        return {}
    text = "the replacement of the cluster's authority is unfinished; completing it"
    return _submit_jobs(around, master, [(text, wanted)])


# --- node groups


def _repair_groups(around: WatcherDependencies, master: IWatcherClient) -> bool:
    """Repair each group; return whether all repairs succeeded, as far as that is known."""
    groups = master.ask(QueryGroups(names=(), fields=("uuid", "name")))
    nodes = master.ask(QueryNodes(names=(), fields=("name", "group.uuid", "bootid", "offline")))
    all_answer = all(boot or offline for _, _, boot, offline in nodes)
    fields = ("name", "status", "pnode", "snodes", "pnode.group.uuid", "disk_template")
    instances = master.ask(QueryInstances(names=(), fields=fields))
    merged, jobs = [], dict[int, str]()
    for uuid, name in sorted(groups):
        boots = {node: boot for node, group, boot, _ in nodes if group == uuid}
        seen = [
            InstanceReport(instance, status, (pnode, *(snodes or ())), template == "drbd")
            for instance, status, pnode, snodes, group, template in instances
            if group == uuid
        ]
        jobs |= _repair_group(around, master, uuid, str(name), seen, boots, counts=all_answer)
        lines = [f"{each.name} {each.status}" for each in seen]
        _write_lines(f"{around.paths.data}/watcher.{uuid}.instance-status", lines)
        merged += lines
    _write_lines(f"{around.paths.run}/instance-status", sorted(merged))
    return not around.wait or _wait_for_jobs(around, master, jobs)


def _repair_group(
    around: WatcherDependencies,
    master: IWatcherClient,
    uuid: str,
    group: str,
    seen: Sequence[InstanceReport],
    boots: dict[str, str | None],
    *,
    counts: bool,
) -> dict[int, str]:
    """Submit the jobs that a group needs; return the purpose of each by job id."""
    path = f"{around.paths.data}/watcher.{uuid}.data"
    todo = repairs(_read_state(path, around.log), seen, boots, around.now(), counts=counts)
    for name in todo.given_up:
        around.log.warning("instance %s does not stay up; not starting it again", name)
    # First, so that attempts are counted even if they crash the master.
    _replace_file(path, msgspec.json.encode(todo.notes))
    trail = _make_reason_trail(around, "instance is down")
    wanted: list[tuple[str, Opcode]] = [
        (f"instance {name} is down; starting it", StartInstance(instance_name=name, reason=trail))
        for name in todo.start
    ]
    activate = set(todo.activate)
    if around.verify_disks and any(each.mirrored for each in seen):
        # The start of an instance activates its disks.
        activate |= _find_inactive_disks(around, master, group) - {*todo.start}
    for name in sorted(activate):
        trail = _make_reason_trail(around, "disks are not active")
        activation = ActivateDisks(instance_name=name, ignore_size=False, reason=trail)
        wanted.append((f"disks of instance {name} are not active; activating them", activation))
    return _submit_jobs(around, master, wanted)


def _make_reason_trail(around: WatcherDependencies, why: str) -> tuple[tuple[str, str, int], ...]:
    """Return the reason trail of a job; job filters can match the watcher's jobs by it."""
    return ((SOURCE, why, int(around.now() * 1e9)),)


def _submit_jobs(
    around: WatcherDependencies, master: IWatcherClient, wanted: Sequence[tuple[str, Opcode]]
) -> dict[int, str]:
    """Submit a job for each opcode, without waiting; return their purposes by job id."""
    if not wanted:
        return {}
    jobs: dict[int, str] = {}
    answers = master.ask(SubmitManyJobs(jobs=tuple((opcode,) for _, opcode in wanted)))
    for (text, _), (good, answer) in zip(wanted, answers, strict=True):
        if good:
            around.log.warning("%s by job %s", text, answer)
            jobs[int(answer)] = text
        else:
            around.log.error("%s was refused: %s", text, answer)
    return jobs


def _wait_for_jobs(
    around: WatcherDependencies, master: IWatcherClient, jobs: Mapping[int, str]
) -> bool:
    """Wait for the end of jobs and log failures; return whether all succeeded."""
    left, good = dict(jobs), True
    until = around.now() + JOBS_TIMEOUT
    while left and around.now() < until:
        numbers = tuple(left)
        rows = master.ask(QueryJobs(ids=numbers, fields=("status", "opresult")))
        for number, row in zip(numbers, rows, strict=True):
            if row is not None and row[0] not in _FINAL:
                continue
            text = left.pop(number)
            # An archived job has ended, and its status is no longer known.
            if row is not None and row[0] != "success":
                around.log.error("%s: job %d ended with status %s: %s", text, number, *row)
                good = False
        if left:
            around.sleep(1.0)
    for number, text in left.items():
        around.log.error("%s: job %d has not ended yet", text, number)
    return good and not left


def _find_inactive_disks(
    around: WatcherDependencies, master: IWatcherClient, group: str
) -> set[str]:
    """Return the instances of a group with inactive mirrored disks."""
    job: Any
    trail = _make_reason_trail(around, "verification of mirrored disks")
    looking = VerifyGroupDisks(group_name=group, reason=trail)
    [[good, job]] = master.ask(SubmitManyJobs(jobs=((looking,),)))
    until = around.now() + VERIFY_TIMEOUT
    while good and around.now() < until:
        [row] = master.ask(QueryJobs(ids=(job,), fields=("status", "opresult")))
        if row is None or row[0] in _FINAL:
            match row:
                case ["success", [[_, list(names), _]]]:
                    return set(names)
            break
        around.sleep(1.0)
    around.log.error("the disks of group %s could not be verified: job %s", group, job)
    return set()


# --- files


def _read_state(path: str, log: Logger) -> RepairState:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=RepairState)
    except FileNotFoundError:
        return RepairState()
    except UNREADABLE as e:
        log.error("%s is damaged (%s); starting with an empty state", path, e)
        return RepairState()


def _write_lines(path: str, lines: Iterable[str]) -> None:
    _replace_file(path, "".join(f"{line}\n" for line in lines).encode())


def _replace_file(path: str, content: bytes) -> None:
    at_once(local_files().replace(path, content, mode=0o644))
