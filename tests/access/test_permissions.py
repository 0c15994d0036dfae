# SPDX-License-Identifier: BSD-2-Clause
"""Roles are needed by tables, and what is not in a table is for administrators."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.permissions import (
    INSTANCE_TAGS,
    METHODS,
    ON_INSTANCE,
    OPCODES,
    OWN_TOKENS,
    UNLIMITED_METHODS,
    role_for,
)
from ganeti.luxi.methods import METHODS as ALL_METHODS
from ganeti.model.users import Role
from ganeti.opcodes.registry import OPCODES as ALL_OPCODES


class OpcodeTests(SynchronousTestCase):
    def test_operators_work_with_instances(self) -> None:
        for name in ("OP_INSTANCE_CREATE", "OP_INSTANCE_STARTUP", "OP_BACKUP_EXPORT"):
            self.assertIs(role_for(name), Role.OPERATOR)

    def test_viewers_only_look(self) -> None:
        looking = {name for name in ALL_OPCODES if role_for(name) is Role.VIEWER}
        self.assertEqual(
            looking,
            {
                "OP_CLUSTER_CAPACITY",
                "OP_CLUSTER_REHEARSE_FAILURE",
                "OP_CLUSTER_SURVIVE",
                "OP_INSTANCE_QUERY_DATA",
                "OP_NODE_QUERY_STORAGE",
                "OP_TAGS_GET",
            },
        )

    def test_everything_else_is_for_administrators(self) -> None:
        for name in ("OP_NODE_ADD", "OP_CLUSTER_SET_PARAMS", "OP_TEST_DELAY", "OP_UNKNOWN"):
            self.assertIs(role_for(name), Role.ADMIN)

    def test_tags_of_instances_are_for_operators_and_those_of_others_are_not(self) -> None:
        for name in INSTANCE_TAGS:
            self.assertIs(role_for(name, on_instance=True), Role.OPERATOR)
            self.assertIs(role_for(name), Role.ADMIN)
        self.assertIs(role_for("OP_NODE_ADD", on_instance=True), Role.ADMIN)

    def test_what_a_limited_role_may_do_takes_no_place_of_others(self) -> None:
        for name, declared in ON_INSTANCE.items():
            taken = {
                field
                for field in declared.fields - {"disks_only"}
                if any(word in field for word in ("node", "group", "iallocator", "disk", "network"))
            }
            self.assertEqual(taken, set(), name)

    def test_a_limited_role_may_have_snapshots_with_memory_and_do_without_it(self) -> None:
        create, revert = (f"OP_INSTANCE_SNAPSHOT_{what}" for what in ("CREATE", "REVERT"))
        self.assertIn("memory", ON_INSTANCE[create].fields)
        self.assertIn("disks_only", ON_INSTANCE[revert].fields)

    def test_tokens_of_ones_own_are_opcodes_of_administrators_otherwise(self) -> None:
        for name in OWN_TOKENS:
            self.assertIs(role_for(name), Role.ADMIN)
            self.assertIn(name, ALL_OPCODES)


class MethodTests(SynchronousTestCase):
    def test_only_existing_methods_are_listed(self) -> None:
        self.assertEqual(METHODS.keys() - ALL_METHODS.keys(), set())
        self.assertEqual(UNLIMITED_METHODS - METHODS.keys(), set())

    def test_what_changes_the_cluster_itself_is_for_no_client(self) -> None:
        for name in (
            "SetDrainFlag",
            "SetWatcherPause",
            "ArchiveJob",
            "AutoArchiveJobs",
            "MoveState",
        ):
            self.assertIn(name, ALL_METHODS)
            self.assertNotIn(name, METHODS)

    def test_rules_of_jobs_are_for_administrators_of_everything(self) -> None:
        for name in ("ReplaceFilter", "DeleteFilter", "TestNotification", "QueryNotifications"):
            self.assertIs(METHODS[name], Role.ADMIN)
            self.assertIn(name, UNLIMITED_METHODS)

    def test_a_job_is_submitted_by_whoever_may_what_is_in_it(self) -> None:
        for name in ("SubmitJob", "SubmitSharedJob", "PlanJob"):
            self.assertIs(METHODS[name], Role.VIEWER)
        self.assertIs(METHODS["CancelJob"], Role.OPERATOR)

    def test_no_opcode_is_for_less_than_a_viewer(self) -> None:
        self.assertEqual(set(OPCODES.values()), {Role.VIEWER, Role.OPERATOR})
        self.assertEqual(OPCODES.keys() - ALL_OPCODES.keys(), set())
