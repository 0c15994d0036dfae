# SPDX-License-Identifier: BSD-2-Clause
"""Files that a master may replace, and those it may not."""

from __future__ import annotations

import base64
from hashlib import sha256

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.ssconf import KEYS
from ganeti.errors import Failed, Invalid, Refused
from ganeti.node.files import SSCONF_KEYS, Files
from ganeti.paths import Paths
from ganeti.rpc.node import UpdateSsconfList, UploadFile, WriteSsconf
from ganeti.testing.disk import MemoryDisk, MemoryFiles

DATA = "/var/lib/ganeti"
USERS = f"{DATA}/rapi/users"


def upload(path: str, content: str = "") -> UploadFile:
    encoded = base64.b64encode(content.encode()).decode()
    return UploadFile(path=path, content=encoded, mode=0o100640)


class FilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder("/n1/var/lib/ganeti", 0o750)
        self.memory = MemoryFiles(self.disk)
        self.candidate = True
        self.files = Files(self.memory, Paths("/n1"), lambda: self.candidate)

    def test_a_file_of_the_list_is_replaced_below_the_root_of_the_node(self) -> None:
        self.successResultOf(
            Deferred.fromCoroutine(self.files.upload(upload(USERS, "jack abc write")))
        )
        found = self.memory.stat(f"/n1{USERS}")
        self.assertEqual(self.memory.read(f"/n1{USERS}"), b"jack abc write")
        self.assertEqual(found and found.mode & 0o777, 0o640)

    def test_all_files_that_candidates_share_can_be_replaced(self) -> None:
        plain = Paths()
        for path in (*plain.shared_files, *plain.store_files):
            self.successResultOf(Deferred.fromCoroutine(self.files.upload(upload(path))))

    def test_secrets_do_not_come_to_a_node_that_is_no_candidate(self) -> None:
        self.candidate = False
        for path in (USERS, f"{DATA}/ca.key", f"{DATA}/rapi.pem", f"{DATA}/etcd-ca.key"):
            told = self.failureResultOf(self.files.upload(upload(path)), Refused).value
            self.assertIn("is not a master candidate", str(told))
        self.successResultOf(self.files.upload(upload(f"{DATA}/known_hosts")))

    def test_a_secret_that_is_being_written_when_the_role_ends_does_not_stay(self) -> None:
        class Slow(MemoryFiles):
            async def replace(self, path: str, content: bytes, **named: int) -> None:
                await written
                await super().replace(path, content, **named)

        written: Deferred[None] = Deferred()
        files = Files(Slow(self.disk), Paths("/n1"), lambda: self.candidate)
        uploading = Deferred.fromCoroutine(files.upload(upload(USERS, "jack abc write")))
        self.candidate = False
        written.callback(None)
        self.failureResultOf(uploading, Refused)
        self.assertEqual(self.disk.contents(), {})

    def test_nothing_else_can_be_replaced(self) -> None:
        for path in (
            "/etc/passwd",
            "/etc/ganeti/file-storage-paths",
            USERS + "/../x",
            f"/n1{USERS}",
        ):
            uploading = self.files.upload(upload(path))
            self.failureResultOf(Deferred.fromCoroutine(uploading), Refused)
        self.assertEqual(self.disk.contents(), {})

    def test_what_is_no_base64_is_refused(self) -> None:
        call = UploadFile(path=USERS, content="%%", mode=0o600)
        self.failureResultOf(Deferred.fromCoroutine(self.files.upload(call)), Invalid)

    def write(self, **values: str) -> None:
        writing = self.files.write_ssconf(WriteSsconf(values=values))
        self.successResultOf(Deferred.fromCoroutine(writing))

    def test_ssconf_files_end_with_one_newline_and_can_only_be_read(self) -> None:
        self.write(cluster_name="c1", node_list="n1\nn2\n", cluster_tags="")
        data = "/n1/var/lib/ganeti"
        self.assertEqual(
            self.disk.contents(),
            {
                f"{data}/ssconf_cluster_name": b"c1\n",
                f"{data}/ssconf_cluster_tags": b"",
                f"{data}/ssconf_node_list": b"n1\nn2\n",
            },
        )
        found = self.memory.stat(f"{data}/ssconf_cluster_name")
        self.assertEqual(found and found.mode & 0o777, 0o444)

    def test_a_node_takes_what_a_master_writes(self) -> None:
        self.assertEqual(SSCONF_KEYS, set(KEYS))

    def test_what_has_not_changed_is_not_written_again(self) -> None:
        self.write(cluster_name="c1", node_list="n1")
        writes = self.disk.writes
        self.write(cluster_name="c1", node_list="n1")
        self.assertEqual(self.disk.writes, writes)

    def test_lines_of_a_list_are_changed_in_natural_order(self) -> None:
        self.write(instance_list="web2\nweb3\nweb10")
        self.change(added=("web1", "web9"), removed=("web3",), result=b"web1\nweb2\nweb9\nweb10\n")

    def test_another_list_than_the_master_knows_stays_as_it_is(self) -> None:
        self.write(instance_list="web2\ntampered")
        change = UpdateSsconfList(
            key="instance_list",
            added=("web1",),
            removed=(),
            digest=sha256(b"web1\nweb2\n").hexdigest(),
        )
        changing = self.files.update_ssconf_list(change)
        self.failureResultOf(Deferred.fromCoroutine(changing), Failed)
        [held] = self.disk.contents().values()
        self.assertEqual(held, b"web2\ntampered\n")

    def change(self, *, added: tuple[str, ...], removed: tuple[str, ...], result: bytes) -> None:
        change = UpdateSsconfList(
            key="instance_list",
            added=added,
            removed=removed,
            digest=sha256(result).hexdigest(),
        )
        changing = self.files.update_ssconf_list(change)
        self.successResultOf(Deferred.fromCoroutine(changing))
        self.assertEqual(self.disk.contents()["/n1/var/lib/ganeti/ssconf_instance_list"], result)

    def test_every_unknown_key_is_named_and_nothing_is_written(self) -> None:
        values = {"../x": "", "cluster_name": "c1", "weather": "rain"}
        writing = self.files.write_ssconf(WriteSsconf(values=values))
        error = self.failureResultOf(Deferred.fromCoroutine(writing), Invalid).value
        assert isinstance(error, Invalid)
        self.assertEqual([each.path for each in error.problems], ["values.../x", "values.weather"])
        self.assertEqual(self.disk.contents(), {})
