# SPDX-License-Identifier: BSD-2-Clause
"""What a node keeps for a guest outside of its disks is in its backups, and comes back."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from ganeti.config.changes.objects import update
from ganeti.errors import Failed
from ganeti.model.backups import StateFile, pack_state, unpack_state
from ganeti.schema.records import replace
from tests.operations.backup.test_back_up import RepositoryCase


class GuestStateTests(RepositoryCase):
    def setUp(self) -> None:
        super().setUp()
        web1 = self.whole.state.instance("web1")
        self.uuid = web1.uuid
        uefi = update(web1, hypervisor="kvm", hvparams={"kvm_firmware": "uefi", "kernel_path": ""})
        self.await_result(self.whole.tools.config.change(uefi))
        self.kept = self.whole.kvm["node1"].variables
        self.kept[self.uuid] = b"boot entries"

    def restore(self, name: str, **more: Any) -> None:
        fields = {"instance_name": "web1", "repository_name": "vault", "backup_id": name}
        self.do("OP_BACKUP_RESTORE", **fields, **more)

    def create(self, name: str, **more: Any) -> None:
        fields = {
            "instance_name": "web2",
            "mode": "import",
            "src_backup": f"vault/{name}",
            "disks": [],
            "nics": [],
            "pnode": "node3",
            "start": False,
            "name_check": False,
            "ip_check": False,
            **more,
        }
        self.do("OP_INSTANCE_CREATE", **fields)

    def test_uefi_variables_come_back_with_all_disks(self) -> None:
        name = self.back_up()
        self.kept[self.uuid] = b"others"
        self.restore(name, disks=[1])
        self.assertEqual(self.kept, {self.uuid: b"others"})
        self.restore(name)
        self.assertEqual(self.kept, {self.uuid: b"boot entries"})

    def test_a_new_instance_gets_them(self) -> None:
        self.create(self.back_up())
        made = self.whole.state.instance("web2").uuid
        self.assertEqual(self.whole.kvm["node3"].variables, {made: b"boot entries"})

    def test_those_of_another_firmware_are_not_used(self) -> None:
        secure = {"kvm_firmware": "uefi-secure", "machine_version": "q35"}
        self.create(self.back_up(), hvparams=secure)
        self.assertEqual(self.whole.kvm["node3"].variables, {})
        self.assertIn("has the UEFI variables of the firmware uefi only", self.whole.said)

    def test_a_backup_without_them_says_so_when_it_is_made_and_restored(self) -> None:
        self.kept.clear()
        name = self.back_up()
        self.assertIn("node1 has no UEFI variables of web1, and the backup", self.whole.said)
        self.kept[self.uuid] = b"present"
        self.restore(name)
        self.assertIn(f"backup {name} has no UEFI variables; instance web1", self.whole.said)
        self.assertEqual(self.kept, {self.uuid: b"present"})

    def test_a_damaged_file_does_not_keep_the_disks_from_being_restored(self) -> None:
        name = self.back_up()
        [[found]] = self.stored.backups.values()
        [file] = found.state_files
        self.stored.backups = {
            key: [replace(found, state_files=(replace(file, content="AAAA"),))]
            for key in self.stored.backups
        }
        self.restore(name)
        self.assertIn("cannot restore the UEFI variables of instance web1", self.whole.said)

    def test_a_node_that_cannot_read_them_does_not_fail_the_backup(self) -> None:
        self.whole.network.lose_answer("node1", 1, call="firmware_variables_read")
        work = Deferred.fromCoroutine(
            self.whole.do("OP_BACKUP_CREATE", instance_name="web1", repository_name="vault")
        )
        self.whole.clock.pump([1.0] * 100)
        self.successResultOf(work)
        self.assertIn("the backup has no UEFI variables of web1: ", self.whole.said)

    def test_a_state_file_is_bounded_and_complete(self) -> None:
        self.assertEqual(unpack_state(pack_state("f", b"x" * 5000)), b"x" * 5000)
        for content in ("!", "AAAA", pack_state("f", b"x" * 5000).content[:8]):
            with self.assertRaisesRegex(Failed, "the file f in the backup is damaged"):
                unpack_state(StateFile(name="f", content=content))
