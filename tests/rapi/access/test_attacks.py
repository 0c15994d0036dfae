# SPDX-License-Identifier: BSD-2-Clause
"""What somebody might try, and what comes of it."""

from __future__ import annotations

import json
from typing import Any

from twisted.web.http_headers import Headers

from ganeti.access.passwords import hashed
from ganeti.config.changes.access import revoke_token, update_user
from ganeti.model.users import Role, Scope
from ganeti.opcodes.instance.lifecycle import StartInstance
from ganeti.rapi.admission import client_address
from ganeti.schema.records import replace
from ganeti.testing.builders import uuid_of
from tests.master.access.case import SECRET, a_grant, a_token, a_user
from tests.rapi.access.case import HASH, PASSWORD, SecuredCase, bearer
from tests.rapi.asking import AUTO, basic

TOKEN = "0123456789abcdef"
OTHERS = ("db1", "team-b", uuid_of("instance", "db1"))


class TokenTests(SecuredCase):
    def setUp(self) -> None:
        super().setUp()
        self.put(a_token(TOKEN, "root"))

    def status(self, **how: Any) -> int:
        return self.ask("GET", "/2/instances", **how).status

    def test_a_token_opens_the_door_that_it_is_for(self) -> None:
        self.assertEqual(self.status(token=TOKEN), 200)

    def test_expired_revoked_and_truncated_tokens_open_nothing(self) -> None:
        self.put(a_token("e" * 16, "root", expires=1))
        self.assertEqual(self.status(token="e" * 16), 401)
        for header in (
            bearer(TOKEN, SECRET[:-1]),
            bearer(TOKEN, SECRET + "A"),
            bearer(TOKEN, "t" * 43),
            bearer(TOKEN[:-1]),
            "Authorization: Bearer \r\n",
            "Authorization: Bearer\r\n",
            f"Authorization: Bearer {SECRET}\r\n",
        ):
            self.assertEqual(self.status(headers=header), 401, header)
        self.change(revoke_token(TOKEN))
        self.assertEqual(self.status(token=TOKEN), 401)

    def test_a_token_is_not_taken_from_the_address(self) -> None:
        text = f"gnt_{TOKEN}_{SECRET}"
        for name in ("access_token", "token", "authorization"):
            answer = self.ask("GET", f"/2/instances?{name}={text}")
            self.assertIn(answer.status, (400, 401))
        self.assertEqual(self.ask("GET", f"/2/query/instance?fields=name&token={text}").status, 401)

    def test_a_token_is_no_password_and_a_password_no_token(self) -> None:
        self.assertEqual(self.status(headers=basic("root", f"gnt_{TOKEN}_{SECRET}")), 401)
        self.assertEqual(self.status(headers=f"Authorization: Bearer {PASSWORD}\r\n"), 401)

    def test_guesses_of_a_token_do_not_lock_out_others(self) -> None:
        for number in range(150):
            self.status(headers=bearer(f"{number:016x}", "t" * 43))
        self.assertEqual(self.status(headers=bearer("9" * 16)), 429)
        self.assertEqual(self.ask("GET", "/2/instances", user="ann").status, 429)
        self.cluster.pass_time(5)
        self.assertEqual(self.status(token=TOKEN), 200)

    def test_two_logins_in_one_request_are_refused(self) -> None:
        self.assertEqual(self.status(user="ann", token=TOKEN), 400)


class LoginTests(SecuredCase):
    def status(self, header: str) -> int:
        return self.ask("GET", "/2/nodes", headers=header).status

    def test_a_header_that_names_a_user_is_ignored(self) -> None:
        for name in ("X-Remote-User", "X-Forwarded-User", "Remote-User", "X-Ganeti-User", "From"):
            self.assertEqual(self.status(f"{name}: root\r\n"), 401, name)

    def test_without_a_login_nothing_of_the_cluster_is_told(self) -> None:
        for path in ("/2/instances", "/2/info", "/2/jobs", "/2/tags", "/metrics", "/2/access/self"):
            self.assertEqual(self.ask("GET", path).status, 401, path)

    def test_the_users_file_is_as_good_as_before(self) -> None:
        self.assertEqual(self.status(AUTO), 200)
        self.assertEqual(self.ask("PUT", "/2/tags?tag=x", headers=AUTO).status, 200)
        refused = self.ask("PUT", "/2/tags?tag=x", headers=basic("jack", "abc123"))
        self.assertEqual(refused.status, 403)
        self.assertIn("option write in the users file", refused.message)

    def test_the_users_file_goes_before_a_user_of_the_same_name(self) -> None:
        self.put(a_user("jack", password=HASH), a_grant("jack", Role.ADMIN))
        self.assertEqual(self.status(basic("jack", PASSWORD)), 401)

    def test_hostile_names_are_not_found_and_not_believed(self) -> None:
        for name in ("<script>", "\u202etoor", "a" * 5000, "root\x00", "ROOT", "'; --", ""):
            self.assertEqual(self.status(basic(name, PASSWORD)), 401, repr(name))

    def test_a_new_password_works_at_once_and_the_old_one_no_more(self) -> None:
        self.assertEqual(self.status(basic("vic", PASSWORD)), 200)
        self.assertEqual(self.status(basic("vic", "another one")), 401)
        self.change(update_user("vic", password=hashed("another one", b"2" * 16)))
        self.assertEqual(self.status(basic("vic", PASSWORD)), 401)
        self.cluster.pass_time(10)
        self.assertEqual(self.status(basic("vic", "another one")), 200)
        self.change(update_user("vic", password=hashed(PASSWORD, b"3" * 16)))
        self.cluster.pass_time(10)
        self.assertEqual(self.status(basic("vic", PASSWORD)), 200)


class HeadTests(SecuredCase):
    """A request is refused before its body is read."""

    def begin(self, head: str, user: str = "ann") -> tuple[Any, Any]:
        channel, transport = self.connect()
        login = basic(user, PASSWORD) if user else ""
        text = f"{head} HTTP/1.1\r\nHost: x\r\n{login}Content-Length: 1000000\r\n"
        channel.dataReceived(f"{text}Content-Type: application/json\r\n\r\n".encode())
        self.cluster.pass_time(0.1)
        return channel, transport

    def test_who_lacks_the_role_sends_no_body(self) -> None:
        for user, status in (("ann", b"403"), ("", b"401"), ("nobody", b"401")):
            _, transport = self.begin("PUT /2/instances/web1/shutdown", user)
            self.assertIn(b"HTTP/1.1 " + status, transport.value(), user)

    def test_who_has_it_is_waited_for(self) -> None:
        channel, transport = self.begin("PUT /2/instances/web1/shutdown", "oli")
        self.assertEqual(transport.value(), b"")
        self.assertEqual(transport.producerState, "producing")
        channel.dataReceived(b" " * 1000)
        self.assertEqual(transport.value(), b"")

    def test_nobody_is_told_to_go_on_that_would_be_refused(self) -> None:
        channel, transport = self.connect()
        head = f"PUT /2/instances/web1/shutdown HTTP/1.1\r\nHost: x\r\n{basic('ann', PASSWORD)}"
        channel.dataReceived(f"{head}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n".encode())
        self.cluster.pass_time(0.1)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 403"))


class ScopeTests(SecuredCase):
    """A viewer of team A tries to see team B."""

    def setUp(self) -> None:
        super().setUp()
        self.job_b = self.submit(None, StartInstance(instance_name="db1"))
        self.job_a = self.submit(None, StartInstance(instance_name="web1"))
        self.cluster.finish_jobs()

    def test_no_answer_has_a_name_of_the_others(self) -> None:
        query = {
            "fields": ["name", "tags"],
            "qfilter": ["|", ["=[]", "tags", "team-b"], ["!=", "name", "x"]],
        }
        every = {"fields": ["name"], "qfilter": ["|", ["=~", "name", "^d"], ["!=", "name", "x"]]}
        for method, path, body in (
            ("GET", "/2/instances", None),
            ("GET", "/2/instances?bulk=1", None),
            ("GET", "/2/nodes?bulk=1", None),
            ("GET", "/2/groups?bulk=1", None),
            ("GET", "/2/networks?bulk=1", None),
            ("GET", "/2/jobs?bulk=1", None),
            ("GET", f"/2/jobs/{self.job_a}", None),
            ("GET", "/2/info", None),
            ("GET", "/2/tags", None),
            ("GET", "/2/query/node?fields=name,pinst_list,pinst_cnt", None),
            ("GET", "/2/query/job?fields=id,ops,oplog,opresult", None),
            ("PUT", "/2/query/instance", query),
            ("PUT", "/2/query/instance", every),
            ("GET", "/2/access/users", None),
            ("GET", "/2/access/roles", None),
            ("GET", "/2/access/tokens", None),
        ):
            answer = self.ask(method, path, body, user="ann")
            self.assertEqual(answer.status, 200, f"{path} {answer.body!r}")
            for secret in OTHERS:
                self.assertNotIn(secret, answer.body.decode(), path)

    def test_what_is_theirs_is_not_there(self) -> None:
        for path in (
            "/2/instances/{}",
            "/2/instances/{}/info",
            "/2/instances/{}/tags",
            "/2/instances/{}/console",
        ):
            theirs, none = (
                self.ask("GET", path.format(name), user="ann") for name in ("db1", "xx1")
            )
            self.assertEqual((theirs.status, none.status), (404, 404), path)
            self.assertEqual(theirs.message.replace("db1", "xx1"), none.message)

    def test_their_jobs_are_not_there_however_one_asks(self) -> None:
        watch = {"fields": ["ops"], "previous_job_info": None}
        for method, path, body, user in (
            ("GET", "/2/jobs/{}", None, "ann"),
            ("GET", "/2/jobs/{}/wait", watch, "ann"),
            ("DELETE", "/2/jobs/{}", None, "oli"),
        ):
            theirs, none = (
                self.ask(method, path.format(number), body, user=user)
                for number in (self.job_b, 999)
            )
            self.assertEqual((theirs.status, none.status), (404, 404), path)
            self.assertEqual(theirs.message.replace(str(self.job_b), "999"), none.message)

    def test_operators_do_not_reach_them_by_parameters(self) -> None:
        uuid = uuid_of("instance", "db1")
        for path, body in (
            ("/2/instances/web1/shutdown", {"instance_uuid": uuid}),
            ("/2/instances/db1/shutdown", {}),
            (f"/2/instances/{uuid}/shutdown", {}),
            ("/2/instances/web1/migrate", {"target_node": "node2"}),
            ("/2/instances/web1/modify", {"hvparams": {"kernel_path": "/etc/shadow"}}),
            ("/2/instances/web1/shutdown", {"depends": [[self.job_b, ["success"]]]}),
            ("/2/instances/web1/tags?tag=owner:oli", None),
            ("/2/instances/web1/tags?tag=team-b", None),
        ):
            answer = self.ask("PUT", path, body, user="oli")
            self.assertIn(answer.status, (400, 403, 404), path)
        self.assertEqual(self.ask("PUT", "/2/instances/web1/shutdown", {}, user="oli").status, 200)

    def test_a_scope_does_not_follow_a_tag_that_an_operator_sets(self) -> None:
        self.put(a_token(TOKEN, "root", Role.OPERATOR, scope=Scope(tags=("mine",))))
        refused = self.ask("PUT", "/2/instances/web1/tags?tag=mine", user="oli")
        self.assertEqual(refused.status, 403)

    def test_metrics_are_not_for_limited_roles(self) -> None:
        self.assertEqual(self.ask("GET", "/metrics", user="ann").status, 403)
        self.assertEqual(self.ask("GET", "/metrics", user="vic").status, 200)


class StreamTests(SecuredCase):
    def stream(self, headers: str, query: str = "") -> Any:
        channel, transport = self.connect()
        request = f"GET /2/events{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
        channel.dataReceived(request.encode())
        self.cluster.pass_time(1)
        return transport

    def touch(self, name: str) -> None:
        self.put(replace(self.master.config.state().instance(name), admin_state="offline"))
        self.cluster.pass_time(1)

    def test_a_limited_reader_reads_its_own_events_only(self) -> None:
        own = self.stream(basic("ann", PASSWORD))
        whole = self.stream(basic("vic", PASSWORD))
        self.touch("db1")
        self.touch("web1")
        self.assertIn(b'"name":"web1"', own.value())
        for secret in OTHERS:
            self.assertNotIn(secret.encode(), own.value())
        self.assertIn(b'"name":"db1"', whole.value())

    def test_nor_does_it_read_what_was_before(self) -> None:
        since = self.master.events.newest_position
        self.touch("db1")
        self.touch("web1")
        own = self.stream(
            basic("ann", PASSWORD), f"?since={since}&name=db1&name=web1&kind=instance"
        )
        self.assertIn(b'"name":"web1"', own.value())
        self.assertNotIn(b"db1", own.value())

    def test_a_revoked_token_reads_nothing_more_in_the_middle_of_a_stream(self) -> None:
        for role, tags in ((Role.ADMIN, ()), (Role.VIEWER, ("team-a",))):
            self.put(a_token(TOKEN, "root", role, scope=Scope(tags=tags)))
            reader = self.stream(bearer(TOKEN))
            self.touch("web1")
            self.assertFalse(reader.disconnecting)
            self.change(revoke_token(TOKEN))
            self.touch("web2")
            self.assertTrue(reader.disconnecting, role)
            self.assertNotIn(b'"name":"web2"', reader.value())
            self.put(
                *(
                    replace(i, admin_state="up")
                    for i in self.master.config.state().instances.values()
                )
            )

    def test_a_role_that_becomes_limited_ends_the_stream(self) -> None:
        reader = self.stream(basic("vic", PASSWORD))
        grant = a_grant("vic", Role.VIEWER)
        self.put(replace(grant, scope=Scope(tags=("team-a",))))
        self.touch("db1")
        self.assertTrue(reader.disconnecting)
        self.assertNotIn(b'"name":"db1"', reader.value())


class ProxyTests(SecuredCase):
    proxies = frozenset({"192.0.2.9"})

    def test_what_clients_say_of_their_address_counts_from_proxies_only(self) -> None:
        headers = Headers({b"X-Forwarded-For": [b"203.0.113.66, 198.51.100.5"]})
        self.assertEqual(client_address("192.0.2.1", headers, self.proxies), "192.0.2.1")
        self.assertEqual(client_address("192.0.2.9", headers, self.proxies), "198.51.100.5")
        self.assertEqual(client_address("192.0.2.9", Headers(), self.proxies), "192.0.2.9")


class AccountTests(SecuredCase):
    def test_a_user_is_added_by_an_administrator_and_its_password_is_in_no_job(self) -> None:
        body = {"user_name": "new", "password": "a long one"}
        job = self.ask("POST", "/2/access/users", body, user="root").value
        self.cluster.finish_jobs()
        self.ask("POST", "/2/access/roles", {"subject": "new", "role": "viewer"}, user="root")
        self.cluster.finish_jobs()
        self.assertEqual(
            self.ask("GET", "/2/nodes", headers=basic("new", "a long one")).status, 200
        )
        told = self.ask("GET", f"/2/jobs/{job}", user="root").body.decode()
        self.assertNotIn("a long one", told)
        self.assertNotIn("{scrypt}", told)

    def test_passwords_must_be_worth_the_name(self) -> None:
        refused = self.ask(
            "POST", "/2/access/users", {"user_name": "x", "password": "1"}, user="root"
        )
        self.assertEqual(refused.status, 400)
        self.assertIn("8 to 1024 characters", refused.message)

    def test_a_new_token_is_told_once_and_works_until_it_is_revoked(self) -> None:
        made = self.ask("POST", "/2/access/tokens", {"role": "viewer"}, user="ann").value
        self.cluster.finish_jobs()
        header = f"Authorization: Bearer {made['token']}\r\n"
        self.assertEqual(self.ask("GET", "/2/access/self", headers=header).value["user"], "ann")
        [listed] = self.ask("GET", "/2/access/tokens", user="ann").value
        self.assertEqual(listed["id"], made["id"])
        self.assertNotIn(made["token"].split("_", 2)[2], json.dumps(listed))
        self.ask("DELETE", f"/2/access/tokens/{made['id']}", user="ann")
        self.cluster.finish_jobs()
        self.assertEqual(self.ask("GET", "/2/access/self", headers=header).status, 401)

    def test_tokens_of_others_are_not_made_or_revoked(self) -> None:
        self.put(a_token(TOKEN, "bea"))
        body = {"user_name": "bea"}
        self.assertEqual(self.ask("POST", "/2/access/tokens", body, user="ann").status, 403)
        theirs, none = (
            self.ask("DELETE", f"/2/access/tokens/{each}", user="ann") for each in (TOKEN, "f" * 16)
        )
        self.assertEqual((theirs.status, none.status), (404, 404))
        self.assertEqual(theirs.message.replace(TOKEN, "f" * 16), none.message)
