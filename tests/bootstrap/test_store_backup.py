# SPDX-License-Identifier: BSD-2-Clause
"""Files with a backup of the state in etcd, and where they may be restored."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.blocking_files import local_files, write_ssconf
from ganeti.bootstrap.own_members import create_own_store, write_own_store
from ganeti.bootstrap.store_access import StoreAccess, write_store_access
from ganeti.bootstrap.store_backup import (
    BATCH_KEYS,
    BATCH_SIZE,
    MAGIC,
    StoreBackup,
    _batches,
    back_up,
    check_restore,
    read_backup,
    restore,
)
from ganeti.errors import Failed, Refused
from ganeti.journal.etcd.store_settings import read_settings
from ganeti.paths import Paths
from ganeti.system.pidfile import PidFile

PREFIX = "/ganeti/uuid/"
LEADER = f"{PREFIX}leader"
BACKUP = StoreBackup(cluster="/ganeti/uuid/", release="1", taken_at=1.0, keys={"head": b"{}"})


class MemoryStore:
    """Keys in memory; transactions as the JSON gateway of etcd has them."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.revision = 0
        self.created: dict[str, int] = {}
        self.away = 0
        self.taken_after = -1
        self.leases = 0

    def connect(self, paths: Paths, endpoints: Sequence[str]) -> MemoryStore:
        self.endpoints = list(endpoints)
        return self

    def read(self, start: str, end: str = "") -> dict[str, bytes]:
        if self.away:
            self.away -= 1
            raise Failed("etcd does not answer")
        return {
            key: value for key, value in self.keys.items() if start <= key < (end or f"{start}\0")
        }

    def create_lease(self, seconds: int) -> str:
        self.leases += 1
        return "7"

    def end_lease(self, lease: str) -> None:
        self.leases -= 1
        self.keys = {key: value for key, value in self.keys.items() if key != LEADER}

    def change(self, conditions: Any, changes: Any) -> tuple[bool, int]:
        self.revision += 1
        if self.revision == self.taken_after:
            self.created[LEADER] = 99
        for each in conditions:
            created = self.created.get(self.text(each["key"]), 0)
            if created != int(each["create_revision"]):
                return False, self.revision
        for each in changes:
            if put := each.get("request_put"):
                key = self.text(put["key"])
                self.created.setdefault(key, self.revision)
                self.keys[key] = b64decode(put["value"])
            else:
                bounds = each["request_delete_range"]
                start, end = self.text(bounds["key"]), self.text(bounds["range_end"])
                for key in [key for key in self.keys if start <= key < end]:
                    del self.keys[key]
        return True, self.revision

    def text(self, encoded: str) -> str:
        return b64decode(encoded).decode()


class RestoreTests(SynchronousTestCase):
    """The state of a cluster in an etcd in memory."""

    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        for folder in (self.paths.data, self.paths.run):
            os.makedirs(folder)
        values = {
            "cluster_name": "c",
            "master_candidates": "node1",
            "node_primary_ips": "node1 ::1",
        }
        write_ssconf(self.paths, values)
        own = create_own_store(self.paths, "c", "node1", "192.0.2.1")
        write_own_store(self.paths, own, "uuid")
        self.file = os.path.abspath(self.mktemp())
        self.store = MemoryStore()
        self.store.keys = {
            LEADER: b"{}",
            f"{PREFIX}head": b"the head",
            f"{PREFIX}log/1/0": b"frames",
            f"{PREFIX}term": b'{"term": 3, "master": "node2"}',
            "/other": b"of another program",
        }
        self.backup = back_up(self.paths, self.file, 5.0, connect=self.store.connect)
        self.store.created.clear()
        del self.store.keys[LEADER]

    def restore(self, *, new_store: bool = False) -> list[str]:
        said: list[str] = []
        settings = check_restore(self.paths, "node1", self.backup)
        restore(
            self.paths,
            "node1",
            read_backup(self.file),
            settings,
            new_store=new_store,
            say=said.append,
            sleep=lambda _: None,
            connect=self.store.connect,
        )
        return said

    def test_a_backup_has_the_keys_of_the_cluster_but_that_of_its_master(self) -> None:
        self.assertEqual(set(self.backup.keys), {"head", "log/1/0", "term"})
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)
        self.assertEqual(read_backup(self.file), self.backup)

    def test_an_etcd_without_the_state_is_no_source_of_a_backup(self) -> None:
        self.store.keys.clear()
        with self.assertRaisesRegex(Failed, "etcd has no state below /ganeti/uuid/"):
            back_up(self.paths, self.mktemp(), 1.0, connect=self.store.connect)

    def test_the_keys_are_replaced_and_the_term_is_newer_than_any(self) -> None:
        self.store.keys[f"{PREFIX}log/2/0"] = b"later"
        self.assertEqual(self.restore(), ["3 keys were restored"])
        term = json.loads(self.store.keys.pop(f"{PREFIX}term"))
        self.assertEqual((term["term"], term["master"], term["stopped"]), (1003, "node1", True))
        kept = {f"{PREFIX}head": b"the head", f"{PREFIX}log/1/0": b"frames"}
        self.assertEqual(self.store.keys, {**kept, "/other": b"of another program"})
        self.assertEqual(self.store.leases, 0)
        settings = read_settings(local_files(), self.paths.state_store)
        assert settings is not None
        self.assertTrue(settings.founded)

    def test_the_term_does_not_go_back_when_a_backup_is_restored_again(self) -> None:
        self.store.keys[f"{PREFIX}term"] = b'{"term": 5004, "master": "node1"}'
        self.restore()
        self.assertEqual(json.loads(self.store.keys[f"{PREFIX}term"])["term"], 6004)

    def test_it_is_refused_while_there_is_a_master(self) -> None:
        self.store.created[LEADER] = 5
        with self.assertRaisesRegex(Refused, "a master holds the leader key"):
            self.restore()
        self.assertIn(f"{PREFIX}head", self.store.keys)

    def test_a_master_that_starts_meanwhile_ends_it_before_the_state_is_complete(self) -> None:
        self.store.taken_after = 3
        with self.assertRaisesRegex(Failed, "a master candidate took the role"):
            self.restore()
        self.assertNotIn(f"{PREFIX}head", self.store.keys)

    def test_new_members_are_waited_for(self) -> None:
        before = Path(self.paths.store_authority).read_bytes()
        write_ssconf(self.paths, {"node_primary_ips": "node1 192.0.2.7"})
        self.store.away = 3
        self.assertIn("a new member of etcd is being started", self.restore(new_store=True)[0])
        self.assertEqual(self.store.endpoints, ["https://192.0.2.7:2379"])
        self.assertNotEqual(Path(self.paths.store_authority).read_bytes(), before)
        settings = read_settings(local_files(), self.paths.state_store)
        assert settings is not None
        self.assertEqual((settings.prefix, settings.own_members), (PREFIX, True))

    def test_members_that_others_run_are_not_founded_again(self) -> None:
        access = StoreAccess(("https://192.0.2.1:2379",), b"", b"")
        os.unlink(self.paths.state_store)
        write_store_access(self.paths, access, "uuid")
        with self.assertRaisesRegex(Refused, "make an etcd that answers"):
            self.restore(new_store=True)


class StoreBackupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        for folder in (self.paths.data, self.paths.run):
            os.makedirs(folder)
        write_ssconf(self.paths, {"master_candidates": "node1\nnode2"})

    def use_etcd(self) -> None:
        access = StoreAccess(("https://192.0.2.1:2379",), b"", b"")
        write_store_access(self.paths, access, "uuid")

    def check(self, name: str = "node1", backup: StoreBackup = BACKUP) -> str:
        error: Refused = self.assertRaises(Refused, check_restore, self.paths, name, backup)
        return str(error)

    def test_state_in_files_has_no_such_backup(self) -> None:
        self.assertRaises(Refused, back_up, self.paths, self.mktemp(), 1.0)
        self.assertIn("run this on a node that was a master candidate", self.check())

    def test_a_file_that_exists_is_not_overwritten(self) -> None:
        self.use_etcd()
        there = self.mktemp()
        Path(there).write_bytes(b"precious")
        error = self.assertRaises(Refused, back_up, self.paths, there, 1.0)
        self.assertIn("exists", str(error))

    def test_what_is_no_backup_or_a_damaged_one_is_refused(self) -> None:
        file = self.mktemp()
        for content, why in ((b"x", "is not a backup"), (MAGIC + b"00\nx", "is damaged")):
            Path(file).write_bytes(content)
            self.assertIn(why, str(self.assertRaises(Failed, read_backup, file)))
        self.assertIn("cannot be read", str(self.assertRaises(Failed, read_backup, f"{file}.x")))

    def test_a_backup_is_restored_on_a_candidate_of_its_cluster_without_a_master(self) -> None:
        self.use_etcd()
        settings = check_restore(self.paths, "node2", BACKUP)
        self.assertEqual(settings.prefix, "/ganeti/uuid/")
        self.assertIn("run this on node1, node2", self.check("node3"))
        other = StoreBackup(cluster="/ganeti/x/", release="1", taken_at=1.0, keys={})
        self.assertIn("belongs to another cluster", self.check(backup=other))
        daemon = PidFile(f"{self.paths.run}/ganeti-masterd.pid", "ganeti-masterd")
        daemon.acquire()
        self.addCleanup(daemon.release)
        self.assertIn("runs on this node; stop it first", self.check())

    def test_transactions_stay_below_the_limits_of_etcd(self) -> None:
        keys = {f"large{n}": bytes(BATCH_SIZE // 3 + 1) for n in range(5)}
        keys |= {f"small{n}": b"" for n in range(3 * BATCH_KEYS)}
        found = list(_batches(keys))
        self.assertEqual({k: v for batch in found for k, v in batch.items()}, keys)
        for batch in found:
            self.assertLessEqual(sum(map(len, batch.values())), BATCH_SIZE)
            self.assertLessEqual(len(batch), BATCH_KEYS)
