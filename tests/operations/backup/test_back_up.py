# SPDX-License-Identifier: BSD-2-Clause
"""Backups to repositories, restores, removal and retention, on whole nodes in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, GanetiError, Invalid, Refused
from ganeti.model.backups import BackupSummary, S3Settings
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.node.backup_service import BACKUP_TIMEOUT
from ganeti.operations.backup.back_up import make_backup_id
from ganeti.testing.builders import a_cluster, a_disk, an_instance
from ganeti.testing.memory_repositories import MemoryRepositories
from tests.operations.whole import WholeCluster

PATH = "/srv/ganeti/backup/vault"

STORE: dict[str, Any] = {
    "path": "s3://vault/web",
    "endpoint": "https://s3.example.com/",
    "access_key": "AKIA",
    "secret_key": "s3cr3t",
}


class RepositoryCase(SynchronousTestCase):
    def setUp(self) -> None:
        disks = [a_disk(f"web1/{n}", Template.PLAIN, size=64) for n in range(2)]
        built = an_instance("web1", disks=disks, admin_state=AdminState.DOWN)
        settings = {"enabled_disk_templates": ("plain", "file", "diskless")}
        state = a_cluster(nodes=("node1", "node2", "node3"), instances=[built], **settings)
        self.whole = WholeCluster(state)
        self.await_result(self.whole.make_disks("web1"))
        self.do("OP_BACKUP_REPOSITORY_ADD", repository_name="vault", node_name="node2", path=PATH)

    def tearDown(self) -> None:
        # What nobody asks about any more is given up, and is no garbage that still waits.
        self.whole.clock.pump([1.0] * (int(BACKUP_TIMEOUT) + 5))

    def await_result(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.await_result(self.whole.do(op_id, **fields))

    def refusal(self, op_id: str, kind: type[GanetiError] = GanetiError, **fields: Any) -> Any:
        work = self.whole.do(op_id, **fields)
        return self.failureResultOf(Deferred.fromCoroutine(work), kind).value

    @property
    def stored(self) -> MemoryRepositories:
        return self.whole.hosts["node2"].repositories

    def back_up(self, **more: Any) -> str:
        made: str = self.do(
            "OP_BACKUP_CREATE", instance_name="web1", repository_name="vault", **more
        )
        # Each is of another second, and its ID says so.
        self.whole.clock.advance(1)
        return made

    def summaries(self) -> list[BackupSummary]:
        [found] = self.stored.backups.values()
        return [each.summary for each in found]

    def nothing_under_way(self) -> None:
        self.whole.clock.pump([0, 1])  # attempts to connect in memory are not canceled
        for host in self.whole.hosts.values():
            self.assertEqual((host.streams.open, host.network.listening), (set(), {}))
            self.assertEqual((host.repositories.begun, host.clock.getDelayedCalls()), ({}, []))


class AddRepositoryTests(RepositoryCase):
    def add(self, **more: Any) -> Any:
        fields = {"repository_name": "other", "node_name": "node3", "path": PATH, **more}
        return self.whole.do("OP_BACKUP_REPOSITORY_ADD", **fields)

    def refused(self, **more: Any) -> str:
        return str(self.failureResultOf(Deferred.fromCoroutine(self.add(**more))).value)

    def test_a_new_one_is_created_on_its_node(self) -> None:
        found = self.whole.state.backup_repositories["vault"]
        self.assertEqual((found.path, found.key), (PATH, ""))
        self.assertEqual(list(self.stored.found), [f"/node2{PATH}"])

    def test_names_and_directories_are_used_once(self) -> None:
        self.assertIn("already exists", self.refused(repository_name="vault"))
        self.assertIn("is a repository already", self.refused(node_name="node2"))
        said = self.refused(node_name="node2", existing=True)
        self.assertIn("is repository vault of this cluster already", said)

    def test_only_directories_that_the_node_allows_are_used(self) -> None:
        said = self.refused(path="/etc/backup")
        self.assertIn("repositories of backups are not allowed at /etc/backup", said)

    def test_an_encrypted_one_gets_a_key_and_says_to_keep_it(self) -> None:
        self.await_result(self.add(encrypt=True))
        key = self.whole.state.backup_repositories["other"].key
        self.assertRegex(key, "^[0-9a-f]{64}$")
        self.assertIn("show-key other", self.whole.said)
        self.assertNotIn(key, self.whole.said)
        self.assertNotIn(key, repr(self.whole.state.backup_repositories["other"]))

    def test_an_existing_one_is_added_again_with_its_backups(self) -> None:
        self.back_up()
        self.do("OP_BACKUP_REPOSITORY_REMOVE", repository_name="vault")
        self.do(
            "OP_BACKUP_REPOSITORY_ADD",
            repository_name="vault",
            node_name="node2",
            path=PATH,
            existing=True,
        )
        self.assertEqual(len(self.summaries()), 1)

    def test_the_key_belongs_to_an_existing_one_only(self) -> None:
        self.assertIn("key: is for an existing", self.refused(key="ab" * 32))
        self.assertIn("encrypt: is not for", self.refused(existing=True, encrypt=True))
        self.assertIn("is no repository", self.refused(existing=True))

    def test_one_in_a_store_has_its_settings_and_no_directory(self) -> None:
        self.await_result(self.add(**STORE))
        found = self.whole.state.backup_repositories["other"]
        expected = S3Settings(
            endpoint="https://s3.example.com",
            region="us-east-1",
            access_key="AKIA",
            secret_key="s3cr3t",
        )
        self.assertEqual((found.path, found.s3), (STORE["path"], expected))
        self.assertEqual(found.make_access().s3, expected)
        self.assertNotIn("s3cr3t", repr(found) + self.whole.said)
        self.do("OP_BACKUP_CREATE", instance_name="web1", repository_name="other")

    def test_a_store_is_refused_with_what_is_missing_or_wrong(self) -> None:
        for more, said in (
            ({"endpoint": None}, "endpoint: is required for a repository at s3://"),
            ({"secret_key": None}, "secret_key: is required"),
            ({"path": PATH}, "access_key: is for repositories at s3://BUCKET/PREFIX"),
            ({"path": "s3://A/b"}, "s3://A/b is not s3://BUCKET/PREFIX"),
            ({"endpoint": "http://s3.example.com"}, "endpoint: must begin with https://"),
            ({"endpoint": "s3.example.com"}, "endpoint: must be a URL with a host"),
            ({"endpoint": "https://me@s3.example.com"}, "endpoint: must be a URL with a host"),
            ({"endpoint": "https://s3.example.com:x"}, "endpoint: is not a URL"),
        ):
            self.assertIn(said, self.refused(**{**STORE, **more}))
        self.await_result(self.add(**{**STORE, "endpoint": "http://localhost:9000"}))

    def test_its_node_is_not_removed(self) -> None:
        error = self.refusal("OP_NODE_REMOVE", Refused, node_name="node2")
        self.assertIn("has the backup repositories vault", str(error))

    def test_one_that_a_schedule_uses_is_not_removed(self) -> None:
        self.do("OP_BACKUP_SCHEDULE_ADD", schedule_name="s", repository_name="vault")
        error = self.refusal("OP_BACKUP_REPOSITORY_REMOVE", Refused, repository_name="vault")
        self.assertIn("used by the schedules s", str(error))


class CreateBackupTests(RepositoryCase):
    def test_a_backup_has_every_disk_and_the_description(self) -> None:
        name = self.back_up()
        [[found]] = self.stored.backups.values()
        self.assertEqual((found.summary.id, found.summary.instance), (name, "web1"))
        self.assertEqual([disk.name for disk in found.summary.disks], ["disk/0", "disk/1"])
        self.assertIn("[instance]", found.description)
        self.assertIn("is complete in repository vault", self.whole.said)
        self.nothing_under_way()

    def test_an_id_is_the_time_and_random(self) -> None:
        self.assertEqual(make_backup_id(0, "abcdef" * 9), "19700101T000000Z-abcdef")

    def test_a_backup_in_the_repository_of_its_own_node_needs_no_network(self) -> None:
        self.do("OP_BACKUP_REPOSITORY_ADD", repository_name="v1", node_name="node1", path=PATH)
        self.do("OP_BACKUP_CREATE", instance_name="web1", repository_name="v1")
        self.assertEqual(len(self.whole.hosts["node1"].repositories.read), 0)
        self.nothing_under_way()

    def test_a_running_guest_of_another_hypervisor_is_read_from_snapshots(self) -> None:
        self.await_result(self.whole.start("web1"))
        self.back_up()
        sent = self.whole.hosts["node1"].disk_reader.sent
        self.assertEqual(len([path for path in sent if "snapshot-" in path]), 2, sent)
        self.assertTrue(self.summaries()[0].running)
        self.assertEqual(self.whole.where("web1"), ["node1"])

    def test_a_full_repository_fails_the_job_and_leaves_no_backup(self) -> None:
        self.stored.full = True
        error = self.refusal(
            "OP_BACKUP_CREATE", Failed, instance_name="web1", repository_name="vault"
        )
        self.assertIn("no space left on device", str(error))
        self.assertEqual(self.summaries(), [])
        self.nothing_under_way()

    def test_a_repository_of_an_offline_node_is_refused(self) -> None:
        self.do("OP_NODE_SET_PARAMS", node_name="node2", offline=True)
        error = self.refusal(
            "OP_BACKUP_CREATE", Refused, instance_name="web1", repository_name="vault"
        )
        self.assertIn("node2 is offline, so repository vault cannot be used", str(error))

    def test_an_unknown_repository_is_refused(self) -> None:
        error = self.refusal(
            "OP_BACKUP_CREATE", Refused, instance_name="web1", repository_name="nope"
        )
        self.assertEqual(error.code, Code.UNKNOWN)


class RestoreTests(RepositoryCase):
    def test_disks_are_restored_and_the_instance_is_as_before(self) -> None:
        name = self.back_up()
        self.do("OP_BACKUP_RESTORE", instance_name="web1", repository_name="vault", backup_id=name)
        self.assertEqual(self.stored.read, [(name, 0), (name, 1)])
        self.assertIs(self.whole.state.instance("web1").admin_state, AdminState.DOWN)
        self.nothing_under_way()

    def test_one_disk_can_be_chosen(self) -> None:
        name = self.back_up()
        fields = {"instance_name": "web1", "repository_name": "vault", "backup_id": name}
        self.do("OP_BACKUP_RESTORE", disks=[1], **fields)
        self.assertEqual(self.stored.read, [(name, 1)])
        error = self.refusal("OP_BACKUP_RESTORE", Refused, disks=[2], **fields)
        self.assertIn("has no disk 2", str(error))

    def test_a_disk_that_is_too_small_is_refused_with_what_to_do(self) -> None:
        self.stored.size = 65 << 20
        fields = {"instance_name": "web1", "repository_name": "vault"}
        error = self.refusal("OP_BACKUP_RESTORE", Refused, backup_id=self.back_up(), **fields)
        self.assertIn("gnt-instance grow-disk web1 0 1M", str(error))

    def test_a_running_instance_is_not_overwritten(self) -> None:
        name = self.back_up()
        self.await_result(self.whole.start("web1"))
        fields = {"instance_name": "web1", "repository_name": "vault"}
        error = self.refusal("OP_BACKUP_RESTORE", Refused, backup_id=name, **fields)
        self.assertIn("shut it down first", str(error))

    def test_an_instance_with_half_of_its_data_cannot_be_started(self) -> None:
        name = self.back_up()
        self.whole.network.lose_answer("node2", 1, call="export_start")
        fields = {"instance_name": "web1", "repository_name": "vault"}
        self.refusal("OP_BACKUP_RESTORE", Failed, backup_id=name, **fields)
        self.assertIs(self.whole.state.instance("web1").admin_state, AdminState.OFFLINE)
        self.assertIn("gnt-instance modify --online web1", self.whole.said)

    def create(self, source: str, **more: Any) -> Any:
        fields = {
            "instance_name": "web2",
            "mode": "import",
            "src_backup": source,
            "disks": [],
            "nics": [],
            "pnode": "node3",
            "start": False,
            "name_check": False,
            "ip_check": False,
            **more,
        }
        return self.whole.do("OP_INSTANCE_CREATE", **fields)

    def test_an_instance_is_created_from_a_backup(self) -> None:
        name = self.back_up()
        self.await_result(self.create(f"vault/{name}"))
        made = self.whole.state.instance("web2")
        self.assertEqual([disk.size for disk in self.whole.state.get_disks(made)], [64, 64])
        self.assertEqual(self.stored.read, [(name, 0), (name, 1)])
        self.assertIs(made.admin_state, AdminState.DOWN)

    def test_what_is_no_backup_is_refused(self) -> None:
        for source, said in (
            ("vault", "must be REPOSITORY/ID"),
            ("nope/20260131T235959Z-0a1b2c", "repository nope does not exist"),
            ("vault/20260131T235959Z-0a1b2c", "has no backup"),
        ):
            failure = self.failureResultOf(Deferred.fromCoroutine(self.create(source)))
            self.assertIn(said, str(failure.value))
        name = self.back_up()
        mixed = self.create(f"vault/{name}", src_node="node1")
        failure = self.failureResultOf(Deferred.fromCoroutine(mixed), Invalid)
        self.assertIn("src_node: is for exports", str(failure.value))
        plain = self.create(f"vault/{name}", mode="create", disks=[{"size": 1}])
        failure = self.failureResultOf(Deferred.fromCoroutine(plain), Invalid)
        self.assertIn("src_backup: is not valid for mode create", str(failure.value))


class UpkeepTests(RepositoryCase):
    def test_all_backups_are_verified_unless_some_are_named(self) -> None:
        names = [self.back_up(), self.back_up()]
        self.assertEqual(self.do("OP_BACKUP_VERIFY", repository_name="vault"), 2)
        found = self.do("OP_BACKUP_VERIFY", repository_name="vault", backups=names[:1])
        self.assertEqual(found, 1)

    def test_damage_fails_the_job_and_is_named(self) -> None:
        self.back_up()
        self.stored.damaged = ["chunk 12 is damaged; needed by backup 7"]
        error = self.refusal("OP_BACKUP_VERIFY", Failed, repository_name="vault")
        self.assertIn("chunk 12 is damaged; needed by backup 7", str(error))
        self.assertIn("--full", str(error))

    def test_backups_are_verified_by_restoring_them(self) -> None:
        names = [self.back_up(), self.back_up(schedule="nightly"), self.back_up()]
        verify = {"repository_name": "vault", "restore": True}
        self.assertEqual(self.do("OP_BACKUP_VERIFY", newest=True, **verify), 1)
        self.assertEqual([each.id for each in self.summaries() if each.check], names[2:])
        self.assertEqual(self.do("OP_BACKUP_VERIFY", schedule="nightly", **verify), 1)
        self.assertEqual([each.id for each in self.summaries() if each.check], names[1:])
        self.assertEqual(self.do("OP_BACKUP_VERIFY", **verify), 3)

    def test_a_backup_that_cannot_be_restored_fails_the_job_and_says_so_later(self) -> None:
        name = self.back_up()
        self.stored.damaged = ["bytes 0 to 1 of disk 0 cannot be restored"]
        error = self.refusal("OP_BACKUP_VERIFY", Failed, repository_name="vault", restore=True)
        expected = f"1 of 1 backups in repository vault cannot be restored: backup {name} of web1: "
        self.assertIn(expected, str(error))
        [found] = self.summaries()
        assert found.check is not None
        self.assertEqual(found.check.problem, self.stored.damaged[0])

    def test_backups_that_are_named_are_not_chosen_otherwise(self) -> None:
        name = self.back_up()
        for more in ({"newest": True}, {"schedule": "nightly"}):
            fields = {"repository_name": "vault", "backups": [name], **more}
            error = self.refusal("OP_BACKUP_VERIFY", Invalid, **fields)
            self.assertIn("is for all backups", str(error))

    def test_backups_are_removed_by_name(self) -> None:
        first, second = self.back_up(), self.back_up()
        self.do("OP_BACKUP_DELETE", repository_name="vault", backups=[first])
        self.assertEqual([each.id for each in self.summaries()], [second])
        error = self.refusal("OP_BACKUP_DELETE", repository_name="vault", backups=[first])
        self.assertIn(f"has no backup {first}", str(error))

    def test_pruning_keeps_what_a_rule_keeps(self) -> None:
        names = [self.back_up() for _ in range(3)]
        removed = self.do("OP_BACKUP_PRUNE", repository_name="vault", keep_last=2)
        self.assertEqual(removed, names[:1])

    def test_pruning_without_a_rule_is_refused(self) -> None:
        self.back_up()
        error = self.refusal("OP_BACKUP_PRUNE", Invalid, repository_name="vault")
        self.assertIn("give at least one --keep-", str(error))

    def test_pruning_for_a_schedule_spares_other_backups(self) -> None:
        kept = self.back_up()
        self.back_up(schedule="nightly")
        newest = self.back_up(schedule="nightly")
        self.do("OP_BACKUP_PRUNE", repository_name="vault", keep_last=1, schedule="nightly")
        self.assertEqual([each.id for each in self.summaries()], [kept, newest])

    def test_pruning_for_an_instance_spares_others(self) -> None:
        self.back_up()
        self.back_up()
        fields = {"repository_name": "vault", "keep_last": 1}
        self.assertEqual(self.do("OP_BACKUP_PRUNE", instances=["web9"], **fields), [])
        self.assertEqual(len(self.do("OP_BACKUP_PRUNE", instances=["web1"], **fields)), 1)


class ScheduleTests(RepositoryCase):
    def add(self, **more: Any) -> None:
        fields = {"schedule_name": "nightly", "repository_name": "vault", **more}
        self.do("OP_BACKUP_SCHEDULE_ADD", **fields)

    def test_a_schedule_is_due_at_its_next_time(self) -> None:
        self.whole.clock.advance(90000)
        self.add(at=60, instances=["web1"])
        state = self.whole.state
        self.assertEqual(state.backup_schedule_progress["nightly"].due, 90000)
        web1 = state.instance("web1").uuid
        self.assertEqual(state.backup_schedules["nightly"].instances, (web1,))

    def test_what_makes_no_sense_is_refused(self) -> None:
        for fields, said in (
            ({"interval": 5}, "interval: must divide 24"),
            ({"repository_name": "nope"}, "repository nope does not exist"),
            ({"instances": ["web9"]}, "web9"),
        ):
            given: dict[str, Any] = {"schedule_name": "s", "repository_name": "vault", **fields}
            error = self.refusal("OP_BACKUP_SCHEDULE_ADD", **given)
            self.assertIn(said, str(error))

    def test_a_schedule_is_removed_with_its_progress(self) -> None:
        self.add()
        self.do("OP_BACKUP_SCHEDULE_REMOVE", schedule_name="nightly")
        state = self.whole.state
        self.assertEqual(len(state.backup_schedules) + len(state.backup_schedule_progress), 0)
        error = self.refusal("OP_BACKUP_SCHEDULE_REMOVE", schedule_name="nightly")
        self.assertIn("does not exist", str(error))
