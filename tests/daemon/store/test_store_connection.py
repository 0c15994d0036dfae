# SPDX-License-Identifier: BSD-2-Clause
"""The connection of a node to the state store follows the files of the node."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.store.store_connection import StoreClients, StorePolicy, VacancyWatch
from ganeti.errors import Failed
from ganeti.journal.etcd.leadership import Term
from ganeti.journal.etcd.store_settings import StateStore, encode_settings
from ganeti.journal.etcd.vacancy import Vacancy
from ganeti.paths import Paths
from ganeti.pki.authority import Authority
from ganeti.testing.disk import MemoryDisk, MemoryFiles

SETTINGS = StateStore(endpoints=("https://192.0.2.1:2379",), prefix="/ganeti/1/")


class End(Protocol):
    """An end of a connection that remembers why it was lost."""

    why: Failure | None = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.why = reason


def accepts(creator: IOpenSSLClientConnectionCreator, certificate: bytes) -> bool:
    """Return whether a client accepts a server with a key and certificate, as OpenSSL decides."""
    server, client = End(), End()
    key = PrivateCertificate.loadPEM(certificate)
    ends = (
        TLSMemoryBIOFactory(key.options(), False, Factory.forProtocol(lambda: server)),
        TLSMemoryBIOFactory(creator, True, Factory.forProtocol(lambda: client)),
    )
    at_server, at_client = (factory.buildProtocol(None) for factory in ends)
    iosim.connect(
        *(at_server, iosim.FakeTransport(at_server, isServer=True)),
        *(at_client, iosim.FakeTransport(at_client, isServer=False)),
    ).flush()
    return client.why is None


class StorePolicyTests(SynchronousTestCase):
    def setUp(self) -> None:
        # OpenSSL looks at the clock of the host.
        self.now = time.time()
        self.old, self.new = (Authority.founded(name, self.now) for name in ("old", "new"))
        self.authority, self.certificate = Path(self.mktemp()), Path(self.mktemp())
        self.authority.write_bytes(self.old.certificate)
        self.certificate.write_bytes(self.old.credentials(["client"], self.now).pem)
        self.policy = StorePolicy(str(self.authority), str(self.certificate))

    def replace_file(self, path: Path, content: bytes) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.rename(path)

    def accepts(self, authority: Authority) -> bool:
        """Return whether a member with a certificate of this authority is accepted."""
        creator = self.policy.creatorForNetloc(b"192.0.2.1", 2379)
        return accepts(creator, authority.credentials(["192.0.2.1"], self.now).pem)

    def test_a_new_authority_counts_for_later_connections(self) -> None:
        self.assertEqual((self.accepts(self.old), self.accepts(self.new)), (True, False))
        self.replace_file(self.authority, self.new.certificate + self.old.certificate)
        self.assertEqual((self.accepts(self.old), self.accepts(self.new)), (True, True))
        self.replace_file(self.authority, self.new.certificate)
        self.assertEqual((self.accepts(self.old), self.accepts(self.new)), (False, True))

    def test_damaged_files_leave_those_before_in_use(self) -> None:
        self.replace_file(self.authority, b"")
        self.assertTrue(self.accepts(self.old))


class VacancyWatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk, self.paths = MemoryDisk(), Paths("/trial")
        self.disk.add_folder(self.paths.data, 0o755)
        self.watch = VacancyWatch(
            Clock(),
            MemoryFiles(self.disk),
            self.paths,
            name="node2",
            has_ended=lambda holder: False,
        )

    def configure(self, settings: StateStore) -> None:
        self.disk.put(self.paths.state_store, encode_settings(settings), 0o600, 0.0)

    def test_a_node_of_a_cluster_with_its_state_in_files_never_takes_the_role(self) -> None:
        self.assertIsNone(self.successResultOf(self.watch.find_vacancy()))
        self.assertFalse(self.watch.active)

    def test_without_automatic_failover_the_role_is_not_taken(self) -> None:
        self.configure(msgspec.structs.replace(SETTINGS, automatic_failover=False))
        self.assertIsNone(self.successResultOf(self.watch.find_vacancy()))
        self.assertFalse(self.watch.active)

    def test_a_missing_certificate_is_named(self) -> None:
        self.configure(SETTINGS)
        error = self.failureResultOf(self.watch.find_vacancy(), Failed).value
        self.assertIn(self.paths.store_certificate, str(error))
        self.assertFalse(self.watch.active)

    def test_the_key_of_a_watch_that_has_not_begun_is_not_deleted(self) -> None:
        self.assertFalse(self.successResultOf(self.watch.delete_leader_key(Vacancy(Term()))))


class Client:
    """A client of etcd that knows its endpoints."""

    def __init__(self) -> None:
        self.endpoints: tuple[str, ...] = ()

    def use_endpoints(self, endpoints: tuple[str, ...]) -> None:
        self.endpoints = endpoints


class StoreClientsTests(SynchronousTestCase):
    def test_all_clients_follow_the_members(self) -> None:
        clients, made = StoreClients(), [Client(), Client()]
        for each in made:
            clients.add(each)  # type: ignore[arg-type]  # what is used of it
        clients.use_endpoints(("https://192.0.2.2:2379",))
        self.assertEqual({each.endpoints for each in made}, {("https://192.0.2.2:2379",)})
