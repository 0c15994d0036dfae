# SPDX-License-Identifier: BSD-2-Clause
"""Backup of the state in etcd to a file, and its restoration, for tools on master candidates.

A backup has the keys of this cluster as they were at one moment, so that it depends neither on the
members of etcd nor on other users of it. A restoration holds the leader key, as a master would, so
that no master starts before it is complete.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from threading import Event, Thread
from typing import Protocol, TypeAlias

import msgspec

from ganeti import __version__
from ganeti.bootstrap.blocking_files import local_files, read_ssconf, write
from ganeti.bootstrap.daemons import ETCD, MASTERD, runs
from ganeti.bootstrap.leave_cluster import stop_daemon
from ganeti.bootstrap.own_members import create_own_store, write_own_store
from ganeti.bootstrap.store_client import StoreClient, created_at, delete, put
from ganeti.errors import Code, Failed, Refused
from ganeti.journal.etcd.member_files import settings_file
from ganeti.journal.etcd.store_settings import (
    StateStore,
    encode_settings,
    read_last_settings,
    read_settings,
)
from ganeti.paths import Paths
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record, replace

MAGIC = b"ganeti-state-backup 1 "

LEASE_SECONDS = 60
"""Seconds after which the leader key of an interrupted restoration is gone."""

HOLD_INTERVAL = 0.5
"""Seconds between two writes of the leader key; candidates delete one that is three seconds old."""

BATCH_SIZE = 768 << 10
"""Bytes of values in one transaction; etcd refuses requests of more than 1.5 MiB."""

BATCH_KEYS = 100
"""Keys in one transaction; etcd refuses more than 128 operations."""

TERM_STEP = 1000
"""How much newer the term after a restoration is than those of the backup and of etcd.

Nodes refuse masters of older terms than they have seen, and there may have been later ones.
"""

START_TIMEOUT, STOP_TIMEOUT = 60.0, 30.0
"""Seconds to wait for the first member of a new state store, and for the end of an old one."""

_TRANSIENT = frozenset({"leader", "ended"})
"""Keys that belong to a running master."""


class IStoreClient(Protocol):
    """A client of etcd, such as ``StoreClient``."""

    def read(self, start: str, end: str = "") -> dict[str, bytes]: ...
    def create_lease(self, seconds: int) -> str: ...
    def end_lease(self, lease: str) -> None: ...
    def change(
        self, conditions: Sequence[object], changes: Sequence[object]
    ) -> tuple[bool, int]: ...


Connect: TypeAlias = Callable[[Paths, Sequence[str]], IStoreClient]
"""Returns a client of the etcd at some endpoints, with the certificates of a node."""


class StoreBackup(Record):
    """The content of a backup: the keys, without their prefix, and where they come from."""

    cluster: str
    release: str
    taken_at: float
    keys: dict[str, bytes]


class _Term(msgspec.Struct):
    """The part of the key ``term`` that a restoration changes; see ``leadership.Term``."""

    term: int = 0
    master: str = ""
    stopped: bool = False
    in_charge: bool = True


def back_up(paths: Paths, file: str, now: float, *, connect: Connect = StoreClient) -> StoreBackup:
    """Write the state to a new file, which only root can read; return what was written.

    :raises Refused: the state is in files, or the file exists.
    :raises Failed: etcd does not answer, or has no state of this cluster.
    """
    settings = read_settings(local_files(), paths.state_store)
    if settings is None:
        raise Refused(
            f"the state of this cluster is in files: copy {paths.data} of the master, whose daemon"
            " should be stopped meanwhile"
        )
    if os.path.exists(file):
        raise Refused(f"{file} exists; name a new file", Code.EXISTS)
    prefix = settings.prefix
    found = connect(paths, settings.endpoints).read(prefix, _end_of(prefix))
    keys = {key.removeprefix(prefix): value for key, value in found.items()}
    if "head" not in keys:
        raise Failed(f"etcd has no state below {prefix}", Code.ENVIRONMENT)
    backup = StoreBackup(
        cluster=prefix,
        release=__version__,
        taken_at=now,
        keys={key: value for key, value in keys.items() if key not in _TRANSIENT},
    )
    content = zlib.compress(msgspec.msgpack.encode(backup))
    digest = sha256(content).hexdigest().encode("ascii")
    write({os.path.abspath(file): (MAGIC + digest + b"\n" + content, 0o600)})
    return backup


def read_backup(file: str) -> StoreBackup:
    """Return the content of a backup.

    :raises Failed: the file is damaged, or no backup.
    """
    try:
        with open(file, "rb") as opened:
            head, _, content = opened.read().partition(b"\n")
    except OSError as e:
        raise Failed(f"{file} cannot be read: {e.strerror}", Code.ENVIRONMENT) from None
    if not head.startswith(MAGIC):
        raise Failed(f"{file} is not a backup of the state of a cluster")
    if head[len(MAGIC) :].decode("latin-1") != sha256(content).hexdigest():
        raise Failed(f"{file} is damaged; use another backup")
    try:
        return msgspec.msgpack.decode(zlib.decompress(content), type=StoreBackup)
    except (*UNREADABLE, zlib.error) as e:
        raise Failed(f"{file} was written by another release: {e}") from None


def check_restore(paths: Paths, name: str, backup: StoreBackup) -> StateStore:
    """Return the settings of the store that a backup can be restored to on the node ``name``.

    :raises Refused: this is not the place for that; the message says what is.
    """
    settings = read_last_settings(local_files(), paths.state_store)
    if settings is None:
        raise Refused(
            f"there is no {paths.state_store}; run this on a node that was a master candidate"
        )
    if backup.cluster != settings.prefix:
        raise Refused(
            f"the backup belongs to another cluster: its keys are below {backup.cluster}, and"
            f" those of this one below {settings.prefix}"
        )
    if runs(paths, MASTERD):
        raise Refused(f"{MASTERD} runs on this node; stop it first", Code.STATE)
    candidates = read_ssconf(paths, "master_candidates").splitlines()
    if name not in candidates:
        raise Refused(f"{name} is not a master candidate; run this on {', '.join(candidates)}")
    return settings


def restore(
    paths: Paths,
    name: str,
    backup: StoreBackup,
    settings: StateStore,
    *,
    new_store: bool,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    connect: Connect = StoreClient,
) -> None:
    """Replace the state in etcd by that of a backup; this node can become the master then.

    With ``new_store``, the members of etcd that the cluster ran are given up, and this node founds
    new ones.

    :raises Refused: there is a master.
    :raises Failed: etcd does not answer; the restoration can be repeated.
    """
    if new_store:
        settings = _found_members(paths, name, settings, say)
    client = connect(paths, settings.endpoints)
    if new_store:
        _wait_for(client, settings.prefix, sleep)
    count = _write_keys(client, name, backup, settings.prefix)
    kept = replace(settings, kind="etcd", founded=True, moving=False)
    write({paths.state_store: (encode_settings(kept), paths.store_files[paths.state_store])})
    say(f"{count} keys were restored")


def _found_members(
    paths: Paths, name: str, settings: StateStore, say: Callable[[str], None]
) -> StateStore:
    if not settings.own_members:
        raise Refused(
            "--new-members is for clusters that run the members of etcd themselves; make an etcd"
            f" that answers at {', '.join(settings.endpoints)}"
        )
    known = dict(line.split(" ", 1) for line in read_ssconf(paths, "node_primary_ips").splitlines())
    own = create_own_store(
        paths,
        read_ssconf(paths, "cluster_name"),
        name,
        known[name],
        automatic_failover=settings.automatic_failover,
    )
    # Before its data is removed.
    _stop_member(paths)
    write_own_store(paths, own, settings.prefix.strip("/").rpartition("/")[2])
    say("a new member of etcd is being started on this node by its node daemon")
    found = read_settings(local_files(), paths.state_store)
    assert found is not None
    return found


def _stop_member(paths: Paths) -> None:
    """End the member that runs on this node, and do not let it be started again."""
    # The node daemon starts the member again as long as its settings exist.
    with suppress(FileNotFoundError):
        os.unlink(settings_file(paths.store_member))
    stop_daemon(f"{paths.run}/{ETCD}.pid", ETCD, STOP_TIMEOUT)


def _wait_for(client: IStoreClient, prefix: str, sleep: Callable[[float], None]) -> None:
    """Wait until a new member answers.

    :raises Failed: it does not.
    """
    until = time.monotonic() + START_TIMEOUT
    while True:
        try:
            client.read(prefix)
        except Failed as e:
            if time.monotonic() >= until:
                raise Failed(
                    f"the new member of etcd does not answer: {e}. Check that the node daemon runs"
                    " on this node, and repeat the command",
                    Code.ENVIRONMENT,
                ) from None
            sleep(0.5)
        else:
            return


def _write_keys(client: IStoreClient, name: str, backup: StoreBackup, prefix: str) -> int:
    """Replace all keys below ``prefix`` by those of a backup; return their number."""
    leader, term = f"{prefix}leader", f"{prefix}term"
    lease = client.create_lease(LEASE_SECONDS)
    hold = put(leader, msgspec.json.encode({"master": name}), lease)
    done, revision = client.change([created_at(leader, 0)], [hold])
    if not done:
        raise Refused(
            "a master holds the leader key in etcd; stop the master daemon on that node, or wait"
            " some seconds if its host is down, and repeat the command",
            Code.STATE,
        )

    held = created_at(leader, revision)

    def change(*changes: object) -> None:
        done, _ = client.change([held], changes)
        if not done:
            raise Failed(
                "a master candidate took the role during the restoration, which is incomplete;"
                " stop its master daemon, and repeat the command"
            )

    with _written_again(lambda: client.change([held], [hold])):
        # The leader key is held by this process, and the term must never go back.
        change(
            delete(prefix, leader),
            delete(f"{leader}\0", term),
            delete(f"{term}\0", _end_of(prefix)),
        )
        # The head decides what the log is: without it, an incomplete restoration is no state.
        parts = {key: value for key, value in backup.keys.items() if key not in ("head", "term")}
        for batch in _batches(parts):
            change(*(put(f"{prefix}{key}", value) for key, value in batch.items()))
        # A backup may be restored again after later terms; a new store has none.
        found = (backup.keys.get("term", b"{}"), *client.read(term).values())
        known = max(msgspec.json.decode(each, type=_Term).term for each in found)
        # Stopped: the other candidates leave the role to this node for a while.
        newer = _Term(known + TERM_STEP, name, stopped=True)
        change(put(f"{prefix}head", backup.keys["head"]), put(term, msgspec.json.encode(newer)))
    # With the lease, the leader key is deleted, so that a master can start.
    client.end_lease(lease)
    return len(backup.keys)


@contextmanager
def _written_again(write: Callable[[], object]) -> Iterator[None]:
    """Write the leader key again and again, as candidates delete one that is not written."""
    over = Event()

    def repeat() -> None:
        while not over.wait(HOLD_INTERVAL):
            # What fails is repeated; if the key is gone, the next change finds out.
            with suppress(Failed):
                write()

    thread = Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _batches(keys: dict[str, bytes]) -> Iterator[dict[str, bytes]]:
    """Yield the keys in groups that fit in a transaction."""
    batch: dict[str, bytes] = {}
    size = 0
    for key, value in keys.items():
        if batch and (size + len(value) > BATCH_SIZE or len(batch) >= BATCH_KEYS):
            yield batch
            batch, size = {}, 0
        batch[key] = value
        size += len(value)
    if batch:
        yield batch


def _end_of(prefix: str) -> str:
    """Return the end of the range of all keys that begin with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
