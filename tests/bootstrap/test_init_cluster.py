# SPDX-License-Identifier: BSD-2-Clause
"""A cluster is founded on a bare host, once."""

from __future__ import annotations

import os
import shutil
import ssl
import stat
import uuid
from pathlib import Path

from ganeti.bootstrap.foreign_folder import is_foreign
from ganeti.config.formats import loaded
from ganeti.config.invariants import verify
from ganeti.daemon.connections.node_certificate import NoCertificate, verify_own_certificate
from ganeti.errors import Failed, Refused
from tests.bootstrap.host import Host


class FoundTests(Host):
    def test_the_first_node_has_a_configuration_that_verifies(self) -> None:
        self.init_cluster()
        state = loaded(self.read(self.paths.config_file), ids=lambda: str(uuid.uuid4()))
        self.assertEqual(list(verify(state)), [])
        self.assertEqual(state.master.name, "node1")
        self.assertEqual(self.read(f"{self.paths.data}/ssconf_master_node"), b"node1\n")
        self.assertEqual(self.read(f"{self.paths.queue}/serial"), b"0\n")

    def test_the_first_node_has_a_certificate_that_convinces(self) -> None:
        self.init_cluster()
        verify_own_certificate(self.paths, "node1")
        context = ssl.create_default_context(cafile=self.paths.authority)
        context.load_cert_chain(self.paths.rapi_certificate)

    def test_secrets_are_their_owners_alone(self) -> None:
        self.init_cluster()
        paths = self.paths
        for path in (
            paths.authority_key,
            paths.node_certificate,
            paths.rapi_certificate,
            paths.domain_secret,
        ):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)

    def test_disks_are_in_folders_that_this_host_allows(self) -> None:
        for name in ("file_storage_dir", "shared_file_storage_dir"):
            with self.assertRaisesRegex(Refused, "file disks are not allowed at /etc"):
                self.init_cluster(**{name: "/etc"})
        self.assertFalse(os.path.exists(self.paths.config_file))
        self.init_cluster(file_storage_dir="/srv/ganeti/file-storage/here")

    def test_the_default_allocator_is_installed(self) -> None:
        with self.assertRaisesRegex(Refused, "allocator mine is not installed on this host"):
            self.init_cluster(default_iallocator="mine")
        self.init_cluster(default_iallocator="hail")

    def test_there_is_one_cluster_on_a_host(self) -> None:
        self.init_cluster()
        with self.assertRaisesRegex(Refused, "this host has a cluster configuration already"):
            self.init_cluster()

    def test_a_member_of_a_cluster_founds_no_other(self) -> None:
        self.init_cluster()
        os.unlink(self.paths.config_file)
        with self.assertRaisesRegex(Refused, "to create a cluster, remove it from its cluster"):
            self.init_cluster()

    def test_what_was_interrupted_can_be_done_again(self) -> None:
        self.init_cluster()
        with open(f"{self.paths.data}/founding", "w"):
            pass
        self.init_cluster()
        self.assertFalse(os.path.exists(f"{self.paths.data}/founding"))

    def test_what_fails_leaves_nothing(self) -> None:
        os.makedirs(self.paths.member_list)  # so that one of the last files cannot be written
        before = [
            f"{self.paths.conf}/hooks/mine",
            *map(os.path.dirname, (self.paths.log, self.paths.run)),
        ]
        for folder in before:
            os.makedirs(folder)
        with self.assertRaisesRegex(Failed, f"{self.paths.member_list}.*repeat the command"):
            self.init_cluster()
        left = {str(path) for path in self.leaves()}
        self.assertEqual(left, {*before, self.paths.member_list})

    def leaves(self) -> list[Path]:
        """Return all files and empty folders of the host."""
        found = Path(self.paths.root).rglob("*")
        return [path for path in found if not path.is_dir() or not any(path.iterdir())]

    def test_the_folder_of_ganeti_is_recognized(self) -> None:
        for path in (self.paths.config_file, self.paths.node_certificate):
            os.makedirs(self.paths.data)
            Path(path).touch()
            self.assertRaisesRegex(Refused, "run by Ganeti's own daemons", self.init_cluster)
            told = self.assertRaises(NoCertificate, verify_own_certificate, self.paths, "node1")
            self.assertIn(f"gnt-cluster adopt --check {self.paths.data}", str(told))
            self.assertNotIn("gnt-cluster destroy", str(told))
            shutil.rmtree(self.paths.data)

    def test_a_cluster_of_ours_is_not_taken_for_ganetis(self) -> None:
        self.assertFalse(is_foreign(self.paths))
        self.init_cluster()
        self.assertFalse(is_foreign(self.paths))
        shutil.rmtree(self.paths.journal)
        self.assertFalse(is_foreign(self.paths))

    def test_users_of_the_remote_api_stay(self) -> None:
        os.makedirs(os.path.dirname(self.paths.rapi_users))
        with open(self.paths.rapi_users, "w") as file:
            file.write("jo secret write\n")
        self.init_cluster()
        self.assertEqual(self.read(self.paths.rapi_users), b"jo secret write\n")
