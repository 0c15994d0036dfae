# SPDX-License-Identifier: BSD-2-Clause
"""The connection of a node to the state store follows the files of the node."""

from __future__ import annotations

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.store.store_connection import StoreClients, VacancyWatch
from ganeti.errors import Failed
from ganeti.journal.etcd.leadership import Term
from ganeti.journal.etcd.store_settings import StateStore, encode_settings
from ganeti.journal.etcd.vacancy import Vacancy
from ganeti.paths import Paths
from ganeti.testing.disk import MemoryDisk, MemoryFiles

SETTINGS = StateStore(endpoints=("https://192.0.2.1:2379",), prefix="/ganeti/1/")


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
