# SPDX-License-Identifier: BSD-2-Clause
"""The remote API follows the files of its node."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.rapi_services.local_files_watch import LocalFilesWatch
from ganeti.errors import NotMaster
from ganeti.paths import Paths


class Reconnecting:
    """A client of the master that counts how often it is told of another one."""

    def __init__(self) -> None:
        self.times = 0
        self.place: object = None

    def reconnect(self, place: object) -> None:
        self.times += 1
        self.place = place


class Reloading:
    """A certificate that counts how often its file is read again."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.times = 0

    def reload(self) -> None:
        self.times += 1


class LocalFilesWatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(self.paths.data)
        self.write("ssconf_master_node", "node1")
        self.write("ssconf_master_candidates", "node1\nnode2")
        self.write("rapi.pem", "the first")
        self.client = Reconnecting()
        self.certificate = Reloading(f"{self.paths.data}/rapi.pem")
        self.ends: list[NotMaster] = []
        self.watch = LocalFilesWatch(
            self.paths, "node2", self.client, self.certificate, self.ends.append
        )

    def write(self, name: str, content: str) -> None:
        # As the node daemon replaces them: never half a file, and always another inode.
        new = Path(self.paths.data, f"{name}.new")
        new.write_text(f"{content}\n")
        new.replace(Path(self.paths.data, name))

    def test_nothing_is_done_while_nothing_changes(self) -> None:
        self.watch.reload_if_changed()
        self.assertEqual((self.client.times, self.certificate.times, self.ends), (0, 0, []))

    def test_another_master_is_connected_to(self) -> None:
        self.write("ssconf_master_node", "node2")
        self.watch.reload_if_changed()
        self.watch.reload_if_changed()
        self.assertEqual((self.client.times, self.client.place), (1, "node2"))

    def test_a_certificate_that_was_replaced_is_read_again(self) -> None:
        self.write("rapi.pem", "the second")
        self.watch.reload_if_changed()
        self.watch.reload_if_changed()
        self.assertEqual(self.certificate.times, 1)

    def test_a_node_that_is_no_candidate_any_more_serves_no_clients(self) -> None:
        self.write("ssconf_master_candidates", "node1")
        self.watch.reload_if_changed()
        [end] = self.ends
        self.assertIn("node2 is no longer a master candidate", str(end))
