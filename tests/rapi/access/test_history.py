# SPDX-License-Identifier: BSD-2-Clause
"""What was done and what was denied is told, with who, from where and by what."""

from __future__ import annotations

from typing import Any

from ganeti.cli.gnt_cluster.audit import describe
from ganeti.luxi.methods import QueryHistory
from ganeti.master.access.audit_trail import MAX_AT_ONCE, REST
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from tests.master.access.case import a_token
from tests.rapi.access.case import PASSWORD, SecuredCase, bearer
from tests.rapi.asking import AUTO, basic

TOKEN = "0123456789abcdef"


class HistoryTests(SecuredCase):
    def history(self, **filters: Any) -> list[dict[str, Any]]:
        self.cluster.finish_jobs()
        self.cluster.pass_time(REST + 1)
        found: list[dict[str, Any]] = self.answer(None, QueryHistory(**filters))
        return found

    def test_a_change_is_told_with_who_made_it_and_by_which_token(self) -> None:
        self.put(a_token(TOKEN, "root"))
        job = self.ask("PUT", "/2/instances/web1/shutdown", token=TOKEN).value
        submitted, changed = reversed(self.history(name="web1", user="root"))
        for entry in (submitted, changed):
            self.assertEqual((entry["user"], entry["job"]), ("root", job))
            self.assertIn(f"by token {TOKEN}", entry["how"])
        self.assertEqual(submitted["what"], "INSTANCE_SHUTDOWN(web1)")
        self.assertEqual(changed["changes"][0]["action"], "changed")

    def test_changes_by_local_tools_and_by_the_users_file_are_told_apart(self) -> None:
        self.submit(None, ShutdownInstance(instance_name="web1"))
        self.ask("PUT", "/2/instances/db1/shutdown", headers=AUTO)
        self.assertEqual({e["user"] for e in self.history(name="web1")} - {"test"}, {"local"})
        self.assertEqual({e["user"] for e in self.history(name="db1")} - {"test"}, {"auto"})

    def test_every_denial_is_told(self) -> None:
        self.ask("PUT", "/2/instances/web1/shutdown", user="ann")  # by the head of the request
        self.ask("PUT", "/2/instances/web1/migrate", {"target_node": "node2"}, user="oli")
        self.ask("GET", "/2/nodes", headers=basic("root", "a guess"))
        self.ask("GET", "/2/nodes", headers=bearer(TOKEN))
        denied = {(e["user"], e["what"].partition(": ")[0]) for e in self.history() if e["denied"]}
        self.assertEqual(
            denied,
            {
                ("ann", "PUT /2/instances/web1/shutdown"),
                ("oli", "INSTANCE_MIGRATE(web1)"),
                ("root", "GET /2/nodes"),
                (f"token {TOKEN}", "GET /2/nodes"),
            },
        )

    def test_no_secret_is_in_it(self) -> None:
        self.ask("GET", "/2/nodes", headers=basic("root", "a secret guess"))
        self.ask("GET", "/2/nodes?token=hidden-thing", headers=bearer(TOKEN, "h" * 43))
        told = str(self.history())
        for secret in ("a secret guess", "h" * 43, "hidden-thing", PASSWORD):
            self.assertNotIn(secret, told)

    def test_what_was_canceled_is_told_though_it_is_no_job(self) -> None:
        job = self.submit(None, ShutdownInstance(instance_name="web1"))
        self.ask("DELETE", f"/2/jobs/{job}", user="oli")
        [entry] = self.history(user="oli")
        self.assertEqual(entry["what"], f"CancelJob {job}")

    def test_signing_in_and_out_is_told(self) -> None:
        self.ask("POST", "/2/access/session", user="ann")
        self.assertEqual([e["what"] for e in self.history(user="ann")], ["signed in"])

    def test_a_flood_of_denials_is_counted_and_does_not_fill_the_journal(self) -> None:
        before = self.master.journal.last_commit()
        for number in range(1000):
            self.master.audit.record_denial(f"user{number % 200}", "", "GET /", "no")
        found = self.history(limit=1000)
        denied = [e for e in found if e["denied"]]
        self.assertEqual(len(denied), MAX_AT_ONCE + 1)
        self.assertEqual(sum(e["count"] for e in denied[1:]), 5 * MAX_AT_ONCE)
        self.assertLess(self.master.journal.last_commit() - before, 3)

    def test_denials_are_for_administrators_and_nothing_is_for_limited_roles(self) -> None:
        self.ask("GET", "/2/nodes", headers=basic("root", "a guess"))
        self.ask("PUT", "/2/instances/web1/shutdown", user="oli")
        self.history()
        shown = self.ask("GET", "/2/history", user="vic").value
        self.assertEqual({e["denied"] for e in shown}, {False})
        shown = self.ask("GET", "/2/history?user=root", user="root").value
        self.assertEqual({e["denied"] for e in shown}, {True})
        self.assertEqual(self.ask("GET", "/2/history", user="ann").status, 403)

    def test_the_answer_is_bounded_and_the_newest_comes_first(self) -> None:
        for _ in range(5):
            self.submit(None, ShutdownInstance(instance_name="web1"))
        found = self.history(limit=3)
        self.assertEqual(len(found), 3)
        self.assertEqual(found, sorted(found, key=lambda e: -e["at"]))
        self.assertEqual(self.ask("GET", "/2/history?limit=1001", user="root").status, 400)
        self.assertEqual(self.ask("GET", "/2/history?until=1", user="root").value, [])

    def test_hostile_names_do_not_move_the_cursor(self) -> None:
        self.ask("GET", "/2/nodes", headers=basic("\u202eroot\x1b[2J", "x"))
        [entry] = [e for e in self.history() if e["denied"]]
        line = describe(entry)
        self.assertTrue(line.isprintable() and "\\u202e" in entry["user"])
