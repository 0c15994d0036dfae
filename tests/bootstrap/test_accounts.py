# SPDX-License-Identifier: BSD-2-Clause
"""Files of a node get the owners that its daemons need, and keep them when they are replaced."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.accounts import Account, find_account, find_group, give_files
from ganeti.bootstrap.blocking_files import local_files, write
from ganeti.paths import Paths

MASTER = Account(user=70001, group=70002, groups=(70002,))
API = Account(user=70003, group=70004, groups=(70004,))


class AccountTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        for folder in (self.paths.journal, f"{self.paths.data}/etcd", self.paths.sockets):
            os.makedirs(folder)
        os.makedirs(os.path.dirname(self.paths.rapi_users))
        os.makedirs(self.paths.log)
        for path in (
            self.paths.authority_key,
            self.paths.rapi_certificate,
            self.paths.rapi_users,
            f"{self.paths.journal}/segment",
            f"{self.paths.data}/etcd/member.json",
        ):
            write({path: (b"", 0o600)})

    def owner(self, path: str) -> tuple[int, int, int]:
        found = os.lstat(path)
        return found.st_uid, found.st_gid, found.st_mode & 0o7777

    def test_the_remote_api_can_enter_a_folder_that_a_tool_has_made(self) -> None:
        os.chmod(self.paths.data, 0o750)
        self.give()
        self.assertEqual(self.owner(self.paths.data), (MASTER.user, MASTER.group, 0o755))

    def give(self) -> None:
        give_files(self.paths, MASTER, API)

    def test_each_file_is_readable_by_those_that_need_it(self) -> None:
        self.give()
        shared, own = (MASTER.user, API.group), (MASTER.user, MASTER.group)
        self.assertEqual(self.owner(self.paths.authority_key), (*own, 0o600))
        self.assertEqual(self.owner(f"{self.paths.journal}/segment"), (*own, 0o600))
        self.assertEqual(self.owner(self.paths.rapi_certificate), (*shared, 0o640))
        self.assertEqual(self.owner(self.paths.rapi_users), (*shared, 0o640))
        self.assertEqual(self.owner(self.paths.run), (0, API.group, 0o1775))
        self.assertEqual(self.owner(self.paths.log), (0, API.group, 0o1770))
        self.assertEqual(self.owner(f"{self.paths.data}/etcd/member.json"), (0, 0, 0o600))
        self.assertEqual(self.owner(self.paths.uploads), (API.user, API.group, 0o700))

    def test_links_are_not_followed(self) -> None:
        outside = Path(self.mktemp())
        outside.touch()
        os.symlink(outside.absolute(), f"{self.paths.data}/link")
        os.unlink(self.paths.rapi_certificate)
        os.symlink(outside.absolute(), self.paths.rapi_certificate)
        before = self.owner(str(outside))
        self.give()
        self.assertEqual(self.owner(str(outside)), before)

    def test_a_file_that_is_replaced_keeps_its_owners(self) -> None:
        self.give()
        write({self.paths.rapi_certificate: (b"new", 0o640)})
        self.assertEqual(local_files().read(self.paths.rapi_certificate), b"new")
        owner = self.owner(self.paths.rapi_certificate)
        self.assertEqual(owner, (MASTER.user, API.group, 0o640))

    def test_a_cluster_with_a_root_folder_has_no_accounts(self) -> None:
        self.assertIsNone(find_account(self.paths, "ganeti-masterd"))
        self.assertIsNone(find_group(self.paths, "root"))

    def test_the_node_daemon_stays_root(self) -> None:
        self.assertIsNone(find_account(Paths(), "ganeti-noded"))

    if os.geteuid() != 0:
        skip = "only root may give files away"
