# SPDX-License-Identifier: BSD-2-Clause
"""Changes of repositories and schedules of backups."""

from __future__ import annotations

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.model.backups import BackupRepository, BackupSchedule, BackupScheduleProgress


def find_repository(state: ClusterState, name: str) -> BackupRepository:
    """Return the repository with this name.

    :raises Refused: it does not exist.
    """
    found = state.backup_repositories.get(name)
    if found is None:
        raise Refused(
            f"repository {name} does not exist; see gnt-backup repository list", Code.UNKNOWN
        )
    return found


def find_schedule(state: ClusterState, name: str) -> BackupSchedule:
    """Return the schedule with this name.

    :raises Refused: it does not exist.
    """
    found = state.backup_schedules.get(name)
    if found is None:
        raise Refused(
            f"backup schedule {name} does not exist; see gnt-backup schedule list", Code.UNKNOWN
        )
    return found


def add_repository(repository: BackupRepository) -> Change:
    """Add a repository, whose name and folder must be new."""

    def change(state: ClusterState) -> ClusterState:
        if repository.name in state.backup_repositories:
            raise Refused(
                f"repository {repository.name} already exists; choose another name", Code.EXISTS
            )
        for each in state.backup_repositories.values():
            # Only one node may use it, as the claims of chunks are in the memory of its daemon.
            if each.identity == repository.identity or (
                (each.node, each.path, each.s3) == (repository.node, repository.path, repository.s3)
            ):
                raise Refused(
                    f"{repository.path} is repository {each.name} of this cluster already; remove"
                    f" that first: gnt-backup repository remove {each.name}",
                    Code.EXISTS,
                )
        return state.put(repository)

    return change


def remove_repository(name: str) -> Change:
    """Remove a repository that no schedule uses."""

    def change(state: ClusterState) -> ClusterState:
        found = find_repository(state, name)
        users = sorted(
            each.name for each in state.backup_schedules.values() if each.repository == name
        )
        if users:
            raise Refused(
                f"repository {name} is used by the schedules {', '.join(users)}; remove them first:"
                f" gnt-backup schedule remove {users[0]}"
            )
        return state.remove(found)

    return change


def add_schedule(schedule: BackupSchedule, due: int) -> Change:
    """Add a schedule; it is due the next time after ``due``, in seconds since the epoch."""

    def change(state: ClusterState) -> ClusterState:
        find_repository(state, schedule.repository)
        if schedule.name in state.backup_schedules:
            raise Refused(
                f"backup schedule {schedule.name} already exists; choose another name", Code.EXISTS
            )
        return state.put(schedule).put(BackupScheduleProgress(uuid=schedule.name, due=due))

    return change


def remove_schedule(name: str) -> Change:
    """Remove a schedule and its progress."""

    def change(state: ClusterState) -> ClusterState:
        state = state.remove(find_schedule(state, name))
        progress = state.backup_schedule_progress.get(name)
        return state if progress is None else state.remove(progress)

    return change


def record_submission(
    name: str, due: int, jobs: tuple[int, ...], *, verifies: bool = False
) -> Change:
    """Record that the jobs of a schedule were submitted that were due then.

    ``verifies`` is whether one of them verifies backups.
    """

    def change(state: ClusterState) -> ClusterState:
        if name not in state.backup_schedules:
            return state
        known = state.backup_schedule_progress.get(name)
        verified = due if verifies else known.verified if known is not None else 0
        progress = BackupScheduleProgress(uuid=name, due=due, jobs=jobs, verified=verified)
        return state.put(progress)

    return change
