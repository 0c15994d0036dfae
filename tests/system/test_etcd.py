# SPDX-License-Identifier: BSD-2-Clause
"""The store and its client with real members of etcd, over TLS."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Coroutine, Sequence
from typing import Any, ClassVar, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from ganeti.bootstrap.etcd_members import issue_certificates
from ganeti.daemon.store.store_connection import connect_to_store
from ganeti.errors import CommitFailed, NotMaster
from ganeti.journal.etcd import local_copy
from ganeti.journal.etcd.etcd_store import EtcdStore
from ganeti.journal.etcd.gateway import EtcdGateway
from ganeti.journal.etcd.interfaces import (
    PutKey,
    RevisionCompacted,
    StoreFull,
    StoreUnavailable,
)
from ganeti.journal.etcd.leadership import Holder, Leadership
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import BEGINNING, IJournal
from ganeti.system.files import LocalFiles
from tests.contracts.etcd import EtcdContract
from tests.contracts.journal import JournalContract, a_commit
from tests.contracts.test_files import at_once
from tests.system.etcd_members import RealEtcd
from tests.system.running import run

T = TypeVar("T")

WAIT = 12.0
"""Seconds that one step may take on a busy machine."""

_numbers = itertools.count()
_reactor: Any = reactor


class _Turns:
    """The reactor, as contract tests use a clock."""

    def pump(self, turns: Sequence[float]) -> None:
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            _reactor.iterate(0.01)


class _RealCase(SynchronousTestCase):
    """Tests with members of their own, and a prefix for each test."""

    count = 1
    etcds: ClassVar[RealEtcd | None] = None

    def real(self) -> RealEtcd:
        """The members of this class, which run until the end of all tests."""
        if type(self).etcds is None:
            type(self).etcds = made = RealEtcd(self.count, network=next(_numbers))
            atexit.register(made.stop)
        assert self.etcds is not None
        return self.etcds

    def connected(self) -> EtcdGateway:
        etcds = self.real()
        return connect_to_store(_reactor, etcds.endpoints, etcds.authority, etcds.certificate)

    def result(self, working: Deferred[T]) -> T | Failure:
        """What a Deferred has fired with, when it has."""
        found: list[Any] = []
        working.addBoth(found.append)
        until = time.monotonic() + WAIT
        while not found and time.monotonic() < until:
            _reactor.iterate(0.01)
        self.assertNotEqual(found, [], "no result in time")
        outcome: T | Failure = found[0]
        return outcome

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        outcome = self.result(Deferred.fromCoroutine(work))
        if isinstance(outcome, Failure):
            outcome.raiseException()
        assert not isinstance(outcome, Failure)
        return outcome

    def pass_seconds(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            _reactor.iterate(0.05)


class GatewayTests(_RealCase, EtcdContract):
    def setUp(self) -> None:
        self.etcd = self.gateway = self.connected()
        self.prefix = f"/test-{next(_numbers)}/"

    def tearDown(self) -> None:
        self.result(self.gateway.close())

    def test_a_compacted_revision_cannot_be_read(self) -> None:
        first = self.put("a")
        last = self.put("a")
        self.done(self.gateway.compact(last))
        with self.assertRaises(RevisionCompacted):
            self.entries(revision=first)

    def test_space_is_freed_and_the_alarm_cleared(self) -> None:
        first = self.put("a")
        self.put("a")
        self.done(self.gateway.raise_alarm("NOSPACE"))
        with self.assertRaises(StoreFull):
            self.put("a")
        self.done(self.gateway.free_space())
        self.put("a")
        with self.assertRaises(RevisionCompacted):
            self.entries(revision=first)

    def test_an_endpoint_that_is_down_is_passed_over(self) -> None:
        etcds = self.real()
        endpoints = ["https://127.0.0.1:1", *etcds.endpoints]
        gateway = connect_to_store(_reactor, endpoints, etcds.authority, etcds.certificate)
        self.assertTrue(self.done(gateway.txn([], [PutKey(f"{self.prefix}a", b"")])).succeeded)
        health = self.done(gateway.health())
        self.assertIn("connection refused", health.members[0].problem)
        self.assertEqual((health.members[1].problem, health.members[1].leads), ("", True))
        self.result(gateway.close())

    def test_who_has_no_certificate_of_the_store_is_rejected(self) -> None:
        etcds, others = self.real(), tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, others)
        issued = issue_certificates("other", (), time.time())
        with open(f"{others}/client.pem", "wb") as file:
            file.write(issued.client)
        gateway = connect_to_store(
            _reactor, etcds.endpoints, etcds.authority, f"{others}/client.pem"
        )
        with self.assertRaises(StoreUnavailable):
            self.done(gateway.txn([], [PutKey(f"{self.prefix}a", b"")]))
        self.result(gateway.close())
        self.assertEqual(self.names(), [])


class EtcdJournalTests(_RealCase, JournalContract):
    """The contract of journals; an alarm of the space quota is the failure."""

    def setUp(self) -> None:
        self.clock = _Turns()  # type: ignore[assignment]  # what the contract uses of a clock
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="gnt-"))
        self.gateway = self.connected()
        self.journal = self.make()

    def make(self) -> IJournal:
        prefix = f"/journal-{next(_numbers)}/"
        self.leadership = Leadership(self.gateway, prefix, Holder(master="node1"), _reactor)
        self.store = EtcdStore(self.gateway, prefix, self.leadership, _reactor)
        return self.done(self.start())

    async def start(self) -> FileJournal:
        await self.leadership.acquire()
        await self.store.create({"config.data": b"{}"}, BEGINNING)
        log = await self.store.load()
        assert log is not None
        files = LocalFiles(at_once)
        await local_copy.update(files, self.folder, self.store, log)
        journal = await FileJournal.open(files, f"{self.folder}/journal", _reactor)
        journal.replicate_to(self.store)
        return journal

    def tearDown(self) -> None:
        self.heal()
        self.leadership.stop(NotMaster("the test is over"))
        self.done(self.leadership.delete_leader_key())
        self.result(self.gateway.close())
        shutil.rmtree(self.folder)

    def trouble(self, work: Coroutine[Deferred[Any], Any, object]) -> None:
        with self.assertRaises(CommitFailed):
            self.done(work)

    def break_down(self) -> None:
        self.done(self.gateway.raise_alarm("NOSPACE"))

    def heal(self) -> None:
        self.done(self.gateway.clear_alarm("NOSPACE"))


class ThreeMembersTests(_RealCase):
    count = 3

    def test_commits_go_on_while_a_member_is_down_and_none_is_lost(self) -> None:
        etcds, folder = self.real(), os.path.realpath(tempfile.mkdtemp(prefix="gnt-"))
        self.addCleanup(shutil.rmtree, folder)
        gateway = self.connected()
        leadership = Leadership(gateway, "/three/", Holder(master="node1"), _reactor)
        store = EtcdStore(gateway, "/three/", leadership, _reactor)
        self.done(leadership.acquire())
        self.done(store.create({}, BEGINNING))
        journal = self.done(FileJournal.open(LocalFiles(at_once), folder, _reactor))
        journal.replicate_to(store)
        leaders = [each.leads for each in self.done(gateway.health()).members]
        for number, victim in enumerate((leaders.index(True), leaders.index(False)), 1):
            etcds.kill(etcds.members[victim])
            self.assertEqual(self.done(journal.append(a_commit(number))), number)
            etcds.start(etcds.members[victim])
            etcds.wait()
        stored = self.done(EtcdStore(gateway, "/three/", leadership, _reactor).load())
        assert stored is not None
        self.assertEqual(stored.end, journal.acknowledged())
        leadership.stop(NotMaster("the test is over"))
        self.result(gateway.close())


class SnapshotTests(_RealCase):
    """A snapshot of etcd is a backup of the state, as its documentation and ours say."""

    def test_a_restored_snapshot_has_what_was_acknowledged_before_it(self) -> None:
        if shutil.which("etcdctl") is None:
            raise SkipTest("there is no etcdctl: install etcd-client")
        etcds = self.real()
        [member] = etcds.members
        gateway = self.connected()
        self.store_commits(gateway, 3)
        snapshot = f"{etcds.folder}/snapshot"
        self.etcdctl("snapshot", "save", snapshot)
        self.store_commits(gateway, 5)
        self.result(gateway.close())
        etcds.kill(member)
        shutil.rmtree(f"{member.folder}/data")
        self.etcdctl(
            *("snapshot", "restore", snapshot, f"--data-dir={member.folder}/data"),
            *(f"--name={member.name}", f"--initial-cluster={member.name}={member.peer}"),
            f"--initial-advertise-peer-urls={member.peer}",
        )
        etcds.start(member)
        etcds.wait()
        gateway = self.connected()
        leadership = Leadership(gateway, "/backup/", Holder(master="node1"), _reactor)
        stored = self.done(EtcdStore(gateway, "/backup/", leadership, _reactor).load())
        assert stored is not None
        self.assertEqual(stored.end.position, 3)
        self.result(gateway.close())

    def store_commits(self, gateway: EtcdGateway, end: int) -> None:
        """Be the master until the log ends with this commit."""
        folder = os.path.realpath(tempfile.mkdtemp(prefix="gnt-"))
        self.addCleanup(shutil.rmtree, folder)
        leadership = Leadership(gateway, "/backup/", Holder(master="node1"), _reactor)
        self.done(leadership.acquire())
        store = EtcdStore(gateway, "/backup/", leadership, _reactor)
        if self.done(store.load()) is None:
            self.done(store.create({"config.data": b"{}"}, BEGINNING))
        log = self.done(store.load())
        assert log is not None
        files = LocalFiles(at_once)
        self.done(local_copy.update(files, folder, store, log))
        journal = self.done(FileJournal.open(files, f"{folder}/journal", _reactor))
        journal.replicate_to(store)
        while journal.last_commit() < end:
            self.done(journal.append(a_commit(journal.last_commit())))
        leadership.stop(NotMaster("the test is over"))
        self.done(leadership.delete_leader_key())

    def etcdctl(self, *arguments: str) -> None:
        etcds = self.real()
        options = (
            *(f"--endpoints={etcds.endpoints[0]}", f"--cacert={etcds.authority}"),
            *(f"--cert={etcds.certificate}", f"--key={etcds.certificate}"),
        )
        done = run(["etcdctl", *options, *arguments], environment={"ETCDCTL_API": "3"})
        self.assertEqual(done.returncode, 0, done.stderr)
