# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-access`` asks for what its users mean, and takes no secrets from the command line."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.passwords import check_of
from ganeti.access.tokens import read_token
from ganeti.cli.gnt_access.commands import GNT_ACCESS
from ganeti.luxi.methods import QueryAccess
from ganeti.opcodes.access import AddToken, AddUser, GrantRole, ModifyUser, RemoveUser
from tests.cli.terminal import Terminal, in_utc

USER = {
    "name": "ann",
    "password": True,
    "disabled": False,
    "created": 1_700_000_000,
    "comment": "",
    "roles": ["viewer"],
}


class UserTests(SynchronousTestCase):
    def hash_of(self, terminal: Terminal, *words: str) -> str:
        self.assertEqual(terminal.run(GNT_ACCESS, *words), 0, terminal.err)
        job = terminal.job()
        assert isinstance(job, AddUser | ModifyUser) and job.password_hash
        return job.password_hash

    def test_a_password_is_typed_twice_and_only_its_hash_is_sent(self) -> None:
        terminal = Terminal(secrets=["correct horse", "correct horse"])
        stored = self.hash_of(terminal, "user", "add", "ann")
        self.assertTrue(check_of(stored)("correct horse"))

    def test_a_password_that_was_mistyped_is_not_sent(self) -> None:
        terminal = Terminal(secrets=["correct horse", "correct house"])
        self.assertEqual(terminal.run(GNT_ACCESS, "user", "add", "ann"), 1)
        self.assertIn("the passwords differ", terminal.err)
        self.assertEqual(terminal.master.memory.jobs, {})

    def test_a_password_comes_from_a_file_or_from_standard_input(self) -> None:
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("correct horse\nsecond line\n")
        for source, terminal in ((path, Terminal()), ("-", Terminal(stdin="correct horse\n"))):
            stored = self.hash_of(terminal, "user", "modify", f"--password-file={source}", "ann")
            self.assertTrue(check_of(stored)("correct horse"))

    def test_there_is_no_option_for_the_password_itself(self) -> None:
        for words in (("--password=secret", "ann"), ("ann", "secret")):
            self.assertNotEqual(Terminal().run(GNT_ACCESS, "user", "add", *words), 0)

    def test_without_a_terminal_it_says_where_a_password_can_come_from(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_ACCESS, "user", "add", "ann"), 13)
        self.assertIn("use --password-file", terminal.err)

    def test_a_user_is_disabled_and_removed(self) -> None:
        terminal = Terminal(answers=["yes"])
        terminal.run(GNT_ACCESS, "user", "modify", "--disable", "ann")
        job: Any = terminal.job()
        self.assertTrue(job.disabled)
        terminal.run(GNT_ACCESS, "user", "remove", "ann")
        self.assertIsInstance(terminal.job(), RemoveUser)

    def test_names_that_are_none_are_not_sent(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_ACCESS, "user", "add", "--no-password", "a:b"), 1)
        self.assertIn("user_name", terminal.err)


class RoleTests(SynchronousTestCase):
    def test_a_role_is_granted_for_some_instances(self) -> None:
        terminal = Terminal(result="id1")
        words = ("role", "grant", "--tag=a", "--tag=b", "--owner=ann", "ann", "operator")
        self.assertEqual(terminal.run(GNT_ACCESS, *words), 0, terminal.err)
        job = terminal.job()
        assert isinstance(job, GrantRole)
        self.assertEqual((job.subject, job.role, job.tags), ("ann", "operator", ("a", "b")))
        self.assertEqual(terminal.out, "id1\n")

    def test_roles_that_there_are_not_are_named(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_ACCESS, "role", "grant", "ann", "root"), 1)
        self.assertIn("root must be one of viewer, operator, admin", terminal.err)


class TokenTests(SynchronousTestCase):
    def test_a_token_is_printed_and_only_its_digest_is_sent(self) -> None:
        terminal = Terminal()
        words = ("token", "add", "--role=viewer", "--lifetime=30d", "ann")
        self.assertEqual(terminal.run(GNT_ACCESS, *words), 0, terminal.err)
        job = terminal.job()
        assert isinstance(job, AddToken)
        self.assertEqual(read_token(terminal.out.strip()), (job.token_id, job.digest))
        self.assertEqual((job.role, job.lifetime), ("viewer", 30 * 86400))


class OpenIdTests(SynchronousTestCase):
    def test_the_secret_comes_from_a_file(self) -> None:
        terminal = Terminal(stdin="s3cret\n")
        words = (
            "--client-id=ganeti",
            "--redirect-uri=https://cluster:5080/2/access/openid/callback",
        )
        code = terminal.run(
            *(GNT_ACCESS, "openid", "set", *words, "--client-secret-file=-", "https://id.example")
        )
        self.assertEqual(code, 0, terminal.err)
        job: Any = terminal.job()
        self.assertEqual((job.issuer, job.client_secret), ("https://id.example", "s3cret"))


class ListTests(SynchronousTestCase):
    def test_users_are_listed(self) -> None:
        in_utc(self)
        terminal = Terminal({QueryAccess: [USER]})
        self.assertEqual(terminal.run(GNT_ACCESS, "user", "list", "--separator=|"), 0)
        self.assertEqual(terminal.out.splitlines()[1], "ann|Y|N|viewer|2023-11-14 22:13:20|-")
        terminal.run(GNT_ACCESS, "user", "list", "-o", "json")
        self.assertIn('"name": "ann"', terminal.out)

    def test_half_a_command_is_answered_with_whole_ones(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_ACCESS, "token"), 1)
        self.assertIn("token add", terminal.out)
