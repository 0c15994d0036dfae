# SPDX-License-Identifier: BSD-2-Clause
"""Operations that add and remove repositories of backups."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ganeti.config.changes.backup_settings import add_repository, find_repository, remove_repository
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.backups import S3_SCHEME, BackupRepository, S3Settings, split_bucket
from ganeti.model.node import Node
from ganeti.opcodes.backup_repositories import AddBackupRepository, RemoveBackupRepository
from ganeti.operations.instance.context import check_online
from ganeti.operations.operation import (
    AnyOperation,
    NodeAnswers,
    NodeQuery,
    Operation,
    ResultWithCommit,
    Tools,
)
from ganeti.rpc.backup_calls import CreateRepository, DescribeRepository, IdentifyRepository
from ganeti.schema.records import replace

DEFAULT_REGION = "us-east-1"
"""The region that stores of others than Amazon accept, unless they are set up for another one."""

_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


@dataclass(frozen=True)
class RepositoryAddition:
    """A repository to add on a node; one that is not ``existing`` is created."""

    repository: BackupRepository
    node: Node
    existing: bool
    encrypt: bool

    @property
    def locks(self) -> LockRequest:
        return request(shared=[node_lock(self.node.uuid)])


@dataclass(frozen=True)
class RepositoryRemoval:
    """A repository to remove."""

    name: str

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: AddBackupRepository, state: ClusterState) -> Sequence[NodeQuery]:
    node = state.node(op.node_name)
    call = IdentifyRepository(path=op.path, s3=_read_settings(op))
    return [] if node.offline else [NodeQuery([node], call)]


def _read_settings(op: AddBackupRepository) -> S3Settings | None:
    """Return how a store is reached; None for a directory.

    :raises Invalid: parameters are missing, or are for the other kind.
    """
    given = {name: getattr(op, name) for name in ("endpoint", "access_key", "secret_key", "region")}
    if not op.path.startswith(S3_SCHEME):
        if problems := [
            Problem(name, "is for repositories at s3://BUCKET/PREFIX, and this is a directory")
            for name, value in given.items()
            if value is not None
        ]:
            raise Invalid(problems)
        return None
    split_bucket(op.path)
    if problems := [
        Problem(name, f"is required for a repository at {S3_SCHEME}")
        for name in ("endpoint", "access_key", "secret_key")
        if not given[name]
    ]:
        raise Invalid(problems)
    endpoint = (op.endpoint or "").rstrip("/")
    if problem := _find_endpoint_problem(endpoint):
        raise Invalid([Problem("endpoint", problem)])
    return S3Settings(
        endpoint=endpoint,
        region=op.region or DEFAULT_REGION,
        access_key=op.access_key or "",
        secret_key=op.secret_key or "",
    )


def _find_endpoint_problem(endpoint: str) -> str:
    """Return what is wrong with the URL of a store, or an empty text."""
    try:
        url = urlsplit(endpoint)
        host, _ = url.hostname or "", url.port
    except ValueError as e:
        return f"is not a URL: {e}"
    if (
        url.scheme not in ("http", "https")
        or not host
        or url.path
        or url.query
        or "@" in url.netloc
    ):
        return "must be a URL with a host and perhaps a port, such as https://s3.example.com:9000"
    if url.scheme == "http" and host not in _LOOPBACK:
        return (
            "must begin with https://, as without TLS others could read and change what is sent;"
            " http:// is for a gateway on the node itself (localhost)"
        )
    return ""


def plan_add(
    op: AddBackupRepository, state: ClusterState, facts: NodeAnswers
) -> RepositoryAddition:
    """Plan to add a repository in a folder that is not used by another one."""
    node = state.node(op.node_name)
    settings = _read_settings(op)
    check_online(node, "it cannot have a new repository")
    found = facts.answer_of(node, IdentifyRepository)
    problems = []
    if op.existing and op.encrypt:
        problems.append(Problem("encrypt", "is not for an existing repository; give its key"))
    if op.key and not op.existing:
        problems.append(Problem("key", "is for an existing repository; use encrypt for a new one"))
    if problems:
        raise Invalid(problems)
    if op.existing and not found:
        raise Refused(f"{op.path} on node {node.name} is no repository; add it as a new one")
    if found and not op.existing:
        raise Refused(
            f"{op.path} on node {node.name} is a repository already; to add it with its backups,"
            " use --existing",
            Code.EXISTS,
        )
    repository = BackupRepository(
        uuid=op.repository_name,
        identity=found or facts.identity,
        node=node.uuid,
        path=op.path,
        created=int(facts.since or 0),
        key=op.key,
        s3=settings,
    )
    add_repository(repository)(state)
    return RepositoryAddition(repository, node, op.existing, op.encrypt)


async def run_add(plan: RepositoryAddition, tools: Tools) -> ResultWithCommit:
    repository = plan.repository
    if plan.encrypt:
        # Sixty random bytes, of which the digest has 32.
        secret = "".join(tools.ids.secret() for _ in range(3))
        repository = replace(repository, key=hashlib.sha256(secret.encode()).hexdigest())
    if plan.existing:
        # Refuses a wrong key.
        await tools.nodes.ask(plan.node, DescribeRepository(repository=repository.make_access()))
    else:
        await tools.nodes.ask(plan.node, CreateRepository(repository=repository.make_access()))
    if plan.encrypt:
        tools.progress.log_message(
            "keep a copy of the key outside of the cluster, as its backups cannot be read without:"
            f" gnt-backup repository show-key {repository.name}"
        )
    return ResultWithCommit(None, add_repository(repository))


def plan_remove(
    op: RemoveBackupRepository, state: ClusterState, facts: NodeAnswers
) -> RepositoryRemoval:
    """Plan to remove a repository that no schedule uses."""
    remove_repository(op.repository_name)(state)
    return RepositoryRemoval(find_repository(state, op.repository_name).name)


async def run_remove(plan: RepositoryRemoval, tools: Tools) -> ResultWithCommit:
    return ResultWithCommit(None, remove_repository(plan.name))


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(AddBackupRepository, plan_add, run_add, questions),
    Operation(RemoveBackupRepository, plan_remove, run_remove),
)
