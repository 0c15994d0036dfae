# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-access`` sends what users mean, prints secrets once, and lists what there is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.passwords import check_of
from ganeti.access.tokens import DEFAULT_LIFETIME, read_token
from ganeti.cli.gnt_access import actions
from ganeti.cli.session import ExitTool
from ganeti.errors import Invalid
from ganeti.luxi.methods import EndSession, QueryAccess
from ganeti.opcodes.access import AddToken, AddUser, GrantRole, ModifyUser
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal, arguments, in_utc


class AccessCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = Terminal({EndSession: lambda _: None})

    def call(self, action: Any, **values: Any) -> None:
        given = arguments(**values)
        self.assertEqual(self.terminal.call(lambda session: action(session, given)), 0)

    def made(self) -> Any:
        return replace(self.terminal.job(), reason=())

    def refused(self, error: type[Exception], action: Any, **values: Any) -> str:
        told = str(self.assertRaises(error, self.call, action, **values))
        self.assertEqual(self.terminal.asked(), [])
        return told


class UserTests(AccessCase):
    def test_a_user_may_have_no_password(self) -> None:
        self.call(actions.add_user, user_name="ann", no_password=True, note="guest")
        wanted = AddUser(user_name="ann", password_hash=None, note="guest")
        self.assertEqual(self.made(), wanted)

    def test_a_password_must_be_usable(self) -> None:
        self.terminal.secrets = ["short", "short"]
        told = self.refused(Invalid, actions.add_user, user_name="ann")
        self.assertIn("8", told)

    def test_an_end_of_input_sets_no_password(self) -> None:
        path = Path(self.mktemp())
        path.write_text("\n")
        told = self.refused(ExitTool, actions.add_user, user_name="ann", password_file=str(path))
        self.assertEqual(told, f"the first line of {path} is empty")

    def test_a_file_for_the_password_must_be_there(self) -> None:
        told = self.refused(ExitTool, actions.add_user, user_name="ann", password_file="/none")
        self.assertEqual(told, "cannot read /none: No such file or directory")

    def test_a_change_has_only_what_was_given(self) -> None:
        self.call(actions.modify_user, user_name="ann", note="")
        self.assertEqual(self.made(), ModifyUser(user_name="ann", note=""))
        self.call(actions.modify_user, user_name="ann", disabled=False)
        self.assertEqual(self.made(), ModifyUser(user_name="ann", disabled=False))
        self.call(actions.modify_user, user_name="ann", no_password=True)
        self.assertEqual(self.made(), ModifyUser(user_name="ann", remove_password=True))

    def test_a_new_password_is_asked_for_if_that_is_wanted(self) -> None:
        self.terminal.secrets = ["correct horse", "correct horse"]
        self.call(actions.modify_user, user_name="ann", password=True)
        self.assertTrue(check_of(self.made().password_hash)("correct horse"))
        self.assertEqual(self.terminal.secrets, [])

    def test_two_equal_passwords_have_different_hashes(self) -> None:
        hashes = set()
        for _ in range(2):
            self.terminal.secrets = ["correct horse", "correct horse"]
            self.call(actions.add_user, user_name="ann")
            hashes.add(self.made().password_hash)
        self.assertEqual(len(hashes), 2)

    def test_a_name_that_the_master_refuses_is_not_sent(self) -> None:
        told = self.refused(Invalid, actions.add_user, user_name="a:b", no_password=True)
        self.assertIn("user_name", told)


class TokenTests(AccessCase):
    def test_a_token_has_the_role_of_its_user_for_ninety_days(self) -> None:
        self.call(actions.add_token, user_name="ann")
        made = self.made()
        self.assertEqual((made.role, made.lifetime), ("admin", DEFAULT_LIFETIME))
        self.assertEqual((made.tags, made.groups, made.owners), ((), (), ()))
        self.assertEqual(self.terminal.err, "The token is shown only now:\n")

    def test_a_token_may_be_limited(self) -> None:
        scope = {"tag": ["a"], "group": ["g1", "g2"], "owner": ["ann"]}
        self.call(actions.add_token, user_name="ann", role="viewer", note="ci", **scope)
        made = self.made()
        assert isinstance(made, AddToken)
        self.assertEqual((made.role, made.note), ("viewer", "ci"))
        wanted = (("a",), ("g1", "g2"), ("ann",))
        self.assertEqual((made.tags, made.groups, made.owners), wanted)

    def test_it_is_printed_once_also_if_the_job_is_not_waited_for(self) -> None:
        for submit in (False, True):
            self.call(actions.add_token, user_name="ann", submit=submit)
            [text] = self.terminal.out.splitlines()
            made = self.made()
            self.assertEqual(read_token(text), (made.token_id, made.digest))

    def test_a_lifetime_must_be_positive(self) -> None:
        told = self.refused(Invalid, actions.add_token, user_name="ann", lifetime=0)
        self.assertIn("lifetime", told)


class GrantTests(AccessCase):
    def test_a_role_is_for_everything_unless_it_is_limited(self) -> None:
        self.terminal.result = "id7"
        self.call(actions.grant, subject="group:ops", role="admin")
        self.assertEqual(self.made(), GrantRole(subject="group:ops", role="admin"))  # type: ignore[arg-type]
        self.assertEqual(self.terminal.out, "id7\n")

    def test_the_id_of_a_job_that_is_not_waited_for_is_unknown(self) -> None:
        self.call(actions.grant, subject="ann", role="viewer", submit=True)
        self.assertEqual((self.terminal.out, self.terminal.err), ("", "JobID: 1\n"))


class SessionTests(AccessCase):
    def test_a_session_is_ended_without_a_job(self) -> None:
        self.call(actions.end_session, session="0123")
        self.assertEqual(self.terminal.asked(), [EndSession(session="0123")])


class ListTests(AccessCase):
    SCOPE: dict[str, Any] = {"tags": ["a", "b"], "groups": [], "owners": []}
    ROWS: dict[str, dict[str, Any]] = {
        "users": {
            "name": "ann",
            "password": True,
            "disabled": False,
            "roles": ["viewer", "operator"],
            "created": 0,
            "comment": "",
        },
        "roles": {"id": "7", "subject": "ann", "role": "viewer", **SCOPE, "created": 0},
        "sessions": {
            "id": "0123",
            "user": "ann",
            "source": "",
            "created": 1_700_000_000,
            "used": 1_700_000_060,
            "expires": 1_700_003_600,
            "token": None,
        },
        "tokens": {
            "id": "4567",
            "user": "ann",
            "role": "admin",
            **SCOPE,
            "created": 1,
            "expires": 1_700_000_000,
            "used": None,
            "comment": "ci",
        },
        "openid": {
            "issuer": "https://id.example",
            "client_id": "ganeti",
            "redirect_uri": "https://cluster/callback",
            "username_claim": "sub",
            "groups_claim": "groups",
            "scopes": ["openid", "email"],
        },
    }

    def rows(self, what: str) -> list[str]:
        in_utc(self)
        self.terminal.canned[QueryAccess] = [self.ROWS[what]]
        given = arguments(separator="|")
        code = self.terminal.call(lambda session: actions.show_list(what, session, given))
        self.assertEqual(code, 0)
        self.assertEqual(self.terminal.asked(), [QueryAccess(what=what)])
        return self.terminal.out.splitlines()

    def test_users_are_shown_with_yes_and_no(self) -> None:
        title, row = self.rows("users")
        self.assertEqual(title, "Name|Password|Disabled|Roles|Created|Comment")
        self.assertEqual(row, "ann|Y|N|viewer,operator|never|-")

    def test_roles_are_shown_with_their_limits(self) -> None:
        title, row = self.rows("roles")
        self.assertEqual(title, "Id|Subject|Role|Tags|Groups|Owners|Created")
        self.assertEqual(row, "7|ann|viewer|a,b|-|-|never")

    def test_sessions_are_shown_with_their_times(self) -> None:
        _, row = self.rows("sessions")
        times = "2023-11-14 22:13:20|2023-11-14 22:14:20|2023-11-14 23:13:20"
        self.assertEqual(row, f"0123|ann|-|{times}")

    def test_a_token_that_was_not_used_yet_is_shown_as_such(self) -> None:
        title, row = self.rows("tokens")
        self.assertEqual(title.split("|")[-3:], ["Expires", "Used", "Comment"])
        self.assertEqual(row.split("|")[-3:], ["2023-11-14 22:13:20", "never", "ci"])

    def test_the_provider_is_shown(self) -> None:
        title, row = self.rows("openid")
        self.assertEqual(title.count("|"), row.count("|"))
        self.assertTrue(row.endswith("|sub|groups|openid,email"))

    def test_titles_can_be_omitted_and_programs_get_everything(self) -> None:
        self.terminal.canned[QueryAccess] = [self.ROWS["sessions"]]
        for values, wanted in (({"no_headers": True}, "0123 ann"), ({"output": "json"}, "token")):
            code = self.terminal.call(
                partial(actions.show_list, "sessions", arguments=arguments(**values))
            )
            self.assertEqual(code, 0)
            self.assertIn(wanted, self.terminal.out)
            self.assertNotIn("Source", self.terminal.out)
