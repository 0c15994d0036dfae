# SPDX-License-Identifier: BSD-2-Clause
"""A cluster is taken over completely, or not at all."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import msgspec

from ganeti.bootstrap.blocking_files import read_ssconf
from ganeti.bootstrap.foreign_folder import is_foreign
from ganeti.bootstrap.take_over.adopt import adopt, invite, is_interrupted, resume
from ganeti.bootstrap.take_over.folder_exchange import GANETI, PREPARED, exchange_for_ours
from ganeti.bootstrap.take_over.ganeti_folder import read_folder
from ganeti.config import access_file
from ganeti.config.formats import loaded
from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState
from ganeti.daemon.connections.node_certificate import verify_own_certificate
from ganeti.jobs.job import JobStatus, decode
from ganeti.pki.authority import SERVER_USAGE, Authority
from ganeti.pki.enrolment import read_token
from ganeti.rpc.master_address import BY_GANETI, ReleaseMasterAddress
from ganeti.schema.records import replace
from ganeti.system.state_files import LocalStateFiles
from tests.bootstrap.take_over.ganeti_host import CLUSTER, GanetiHost


class AdoptTests(GanetiHost):
    def adopt(self, **options: bool) -> ClusterState:
        return adopt(self.paths, self.folder(), **options)

    def stored(self) -> ClusterState:
        """The state that a master daemon starts with."""
        text = self.read(self.paths.config_file)
        state = loaded(text, ids=lambda: "new")
        return access_file.restore(state, self.read(self.paths.access_file))

    def test_the_master_can_start_with_what_is_on_disk(self) -> None:
        state = self.adopt()
        self.assertEqual(self.stored(), state)
        self.assertEqual(list(verify(state)), [])
        verify_own_certificate(self.paths, "node1")
        self.assertFalse(is_foreign(self.paths))
        self.assertEqual(read_ssconf(self.paths, "master_node"), "node1")

    def test_objects_users_and_secrets_are_those_of_before(self) -> None:
        state = self.adopt()
        for kind in ("instances", "disks", "networks", "groups"):
            self.assertEqual(getattr(state, kind), getattr(CLUSTER, kind), kind)
        self.assertEqual(state.cluster.tags, ("production",))
        self.assertIn(b"jo {HA1}0123 write", self.read(self.paths.rapi_users))
        self.assertEqual(self.read(self.paths.domain_secret), b"between clusters\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.paths.domain_secret).st_mode), 0o600)

    def record_address(self, *, by_script: bool) -> tuple[str, ReleaseMasterAddress]:
        """Return what is recorded of an address that moves."""
        moving = replace(
            CLUSTER.cluster,
            master_ip="192.0.2.200",
            master_netdev="br0",
            use_external_mip_script=by_script,
        )
        self.configure(CLUSTER.put(moving))
        self.adopt()
        records = LocalStateFiles(self.paths.master_address_records)
        [(found, content)] = records.read_all().items()
        return found, msgspec.json.decode(content, type=ReleaseMasterAddress)

    def test_the_address_that_ganeti_has_configured_is_known_to_be_the_masters(self) -> None:
        found, where = self.record_address(by_script=False)
        self.assertEqual(found, BY_GANETI)
        self.assertEqual((where.address, where.device), ("192.0.2.200", "br0"))

    def test_the_script_that_ganeti_has_run_is_not_run_again(self) -> None:
        found, where = self.record_address(by_script=True)
        self.assertEqual((found, where.by_script), (BY_GANETI, True))

    def test_an_address_of_a_node_is_not_recorded(self) -> None:
        address = CLUSTER.master.primary_ip
        self.configure(CLUSTER.put(replace(CLUSTER.cluster, master_ip=address)))
        self.adopt()
        self.assertFalse(os.path.exists(self.paths.master_address_records))

    def test_nodes_that_have_not_joined_are_offline(self) -> None:
        roles = {node.name: node.offline for node in self.adopt().nodes.values()}
        self.assertEqual(roles, {"node1": False, "node2": True, "node3": True})

    def test_each_node_that_was_online_gets_a_token(self) -> None:
        folder = self.folder()
        self.adopt()
        joining = invite(self.paths, folder)
        tokens = [read_token(each.token) for each in joining]
        self.assertEqual(
            [(token.node, token.names) for token in tokens], [("node2", ("node2", "192.0.2.2"))]
        )

    def test_jobs_and_the_archive_come_over(self) -> None:
        self.put_job(15, "success")
        self.put_job(16, "queued")
        self.put_job(3, "error", folder="queue/archive/0")
        self.adopt()
        job = decode(self.read(f"{self.paths.queue}/job-16"))
        self.assertEqual(job.status, JobStatus.CANCELED)
        self.assertTrue(os.path.exists(f"{self.paths.queue}/archive/0/job-3"))
        self.assertEqual(self.read(f"{self.paths.queue}/serial"), b"17\n")

    def test_the_certificate_of_the_remote_api_is_kept_or_renewed(self) -> None:
        theirs = Authority.founded("theirs", 0).credentials(["c"], 2e9, usage=SERVER_USAGE).pem
        self.put("rapi.pem", theirs)
        self.adopt()
        self.assertEqual(self.read(self.paths.rapi_certificate), theirs)

    def test_a_new_certificate_can_be_asked_for(self) -> None:
        theirs = Authority.founded("theirs", 0).credentials(["c"], 2e9, usage=SERVER_USAGE).pem
        self.put("rapi.pem", theirs)
        self.adopt(new_rapi_certificate=True)
        own = Authority.loaded(self.read(self.paths.authority), self.read(self.paths.authority_key))
        self.assertTrue(own.has_issued(self.read(self.paths.rapi_certificate)))

    def test_the_files_of_ganeti_are_put_aside_and_exports_stay(self) -> None:
        before = self.read(self.paths.config_file)
        self.adopt()
        aside = f"{self.paths.data}/{GANETI}"
        self.assertEqual(self.read(f"{aside}/config.data"), before)
        self.assertEqual(self.read(f"{aside}/hmac.key"), b"a secret")
        self.assertEqual(self.read(f"{self.paths.exports}/web1/config.ini"), b"an export")
        self.assertFalse(os.path.exists(f"{self.paths.data}/hmac.key"))
        self.assertFalse(os.path.exists(f"{self.paths.data}/{PREPARED}"))

    def test_a_copy_is_taken_over_on_a_bare_host(self) -> None:
        copy = self.mktemp()
        shutil.move(self.paths.data, copy)
        state = adopt(self.paths, read_folder(copy))
        self.assertEqual(self.stored(), state)
        self.assertTrue(os.path.exists(f"{copy}/config.data"))

    def test_what_fails_leaves_the_folder_of_ganeti_as_it_was(self) -> None:
        self.put_job(15, "success")
        folder = self.folder()
        Path(self.paths.log).parent.mkdir(parents=True)
        Path(self.paths.log).write_text("in the way of a folder")
        before = self.contents()
        self.assertRaises(OSError, adopt, self.paths, folder)
        self.assertEqual(self.contents(), before)
        self.assertTrue(is_foreign(self.paths))

    def test_what_fails_on_a_bare_host_leaves_nothing(self) -> None:
        copy = self.mktemp()
        shutil.move(self.paths.data, copy)
        Path(self.paths.log).parent.mkdir(parents=True)
        Path(self.paths.log).write_text("in the way of a folder")
        self.assertRaises(OSError, adopt, self.paths, read_folder(copy))
        self.assertFalse(os.path.exists(self.paths.data))

    def test_what_was_interrupted_is_continued(self) -> None:
        self.adopt()
        exchange = exchange_for_ours(self.paths)
        os.makedirs(f"{self.paths.data}/{PREPARED}")
        self.assertFalse(is_interrupted(self.paths))
        os.rename(self.paths.config_file, f"{self.paths.data}/{PREPARED}/config.data")
        Path(f"{self.paths.data}/{PREPARED}/.moved-out").touch()
        self.assertTrue(is_interrupted(self.paths))
        self.assertEqual(resume(self.paths).state, CLUSTER)
        self.assertFalse(exchange.under_way)
        self.assertFalse(is_foreign(self.paths))
