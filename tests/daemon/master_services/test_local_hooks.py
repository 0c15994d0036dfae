# SPDX-License-Identifier: BSD-2-Clause
"""The master finds out by itself whether its host has hooks."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.blocking_files import local_files
from ganeti.daemon.master_services.local_hooks import LocalHooks

NAME = "instance-start-pre.d"


class LocalHookTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        self.hooks = LocalHooks(local_files(), self.folder)

    def test_without_the_directory_there_are_none(self) -> None:
        self.assertFalse(self.hooks(NAME))
        os.makedirs(f"{self.folder}/instance-start-post.d")
        self.assertFalse(self.hooks(NAME))

    def test_with_it_there_may_be_some(self) -> None:
        os.makedirs(f"{self.folder}/{NAME}")
        self.assertTrue(self.hooks(NAME))

    def test_the_node_daemon_is_asked_if_this_user_may_not_look(self) -> None:
        files: Any = _Forbidden()
        self.assertTrue(LocalHooks(files, self.folder)(NAME))


class _Forbidden:
    """Files in a directory that only root may look into."""

    def stat(self, path: str) -> None:
        raise PermissionError(13, "Permission denied", path)
