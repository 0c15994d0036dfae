# SPDX-License-Identifier: BSD-2-Clause
"""Callers are answered what they may know and no more, whatever way they ask."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.tokens import digest_of
from ganeti.config.changes.access import remove_user, revoke_token, update_user
from ganeti.errors import AccessDenied, Invalid, JobLost, Refused, Unauthenticated
from ganeti.luxi import framing
from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import (
    CancelJob,
    CloseSession,
    ConfirmNodesDown,
    CreateConsoleTicket,
    DeleteFilter,
    EndSession,
    EnrolNode,
    MoveState,
    OpenSession,
    PlanJob,
    Query,
    QueryAccess,
    QueryCaller,
    QueryClusterInfo,
    QueryExports,
    QueryFields,
    QueryGroups,
    QueryHistory,
    QueryInstances,
    QueryJobRates,
    QueryJobs,
    QueryMetrics,
    QueryNodes,
    QueryNotifications,
    QueryObjectPages,
    QueryObjects,
    QueryPassword,
    QueryTags,
    QueryUsage,
    ReplaceFilter,
    Request,
    SetDrainFlag,
    SubmitJob,
    SubmitSharedJob,
    TakeScreenshot,
    WaitForEvents,
    WaitForJobChange,
    WatchConsole,
)
from ganeti.master.access.gate import MAX_VIEWS, told
from ganeti.master.access.sessions import IDLE, LIFETIME
from ganeti.model.instance import AdminState
from ganeti.model.users import Role, Scope
from ganeti.opcodes.access import AddToken, RevokeToken
from ganeti.opcodes.instance.lifecycle import (
    DescribeInstances,
    ReinstallInstance,
    RemoveInstance,
    RenameInstance,
    ShutdownInstance,
    StartInstance,
)
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.opcodes.node import ModifyNode
from ganeti.opcodes.tags import AddTags, GetTags, RemoveTags, TagKind
from ganeti.schema.records import replace
from ganeti.testing.builders import an_instance, uuid_of
from tests.master.access.case import (
    SECRET,
    AccessCase,
    a_grant,
    a_token,
    a_user,
    by_password,
    by_token,
)

ANN, OLI, VIC, ROOT = map(by_password, ("ann", "oli", "vic", "root"))
ENDS = ("success", "error", "canceled")


class IdentityTests(AccessCase):
    def caller(self, caller: Caller) -> Any:
        return self.answer(caller, QueryCaller())

    def test_a_user_has_the_roles_that_were_granted(self) -> None:
        told = self.caller(ANN)
        self.assertEqual((told["user"], told["role"], told["limited"]), ("ann", "viewer", True))
        self.assertEqual(self.caller(by_password("nix"))["role"], None)

    def test_a_user_without_a_role_is_told_so_and_sees_nothing(self) -> None:
        refused = self.refusal(by_password("nix"), QueryInstances(names=(), fields=("name",)))
        self.assertIsInstance(refused, AccessDenied)
        self.assertIn("gnt-access role grant", str(refused))

    def test_a_password_that_has_changed_is_not_the_password_any_more(self) -> None:
        self.change(update_user("ann", password="{scrypt}new"))
        self.assertIsInstance(self.refusal(ANN, QueryCaller()), Unauthenticated)

    def test_disabled_users_are_refused_by_whatever_they_show(self) -> None:
        self.put(a_token("t1", "ann"))
        self.change(update_user("ann", disabled=True))
        for caller in (ANN, by_token("t1")):
            self.assertIsInstance(self.refusal(caller, QueryCaller()), Unauthenticated)

    def test_a_token_that_is_no_more_valid_is_refused_with_one_text(self) -> None:
        self.put(a_token("old", "root", expires=1), a_token("t1", "root"))
        said = {
            str(self.refusal(caller, QueryCaller()))
            for caller in (by_token("old"), by_token("none"), by_token("t1", SECRET[:-1]))
        }
        self.assertEqual(len(said), 1)
        self.assertEqual(self.caller(by_token("t1"))["token"], "t1")

    def test_a_token_narrows_what_its_user_may_do(self) -> None:
        self.put(a_token("t1", "root", Role.VIEWER, scope=Scope(tags=("team-b",))))
        told = self.caller(by_token("t1"))
        self.assertEqual((told["role"], told["limited"]), ("viewer", True))
        rows = self.answer(by_token("t1"), QueryInstances(names=(), fields=("name",)))
        self.assertEqual(rows, [["db1"]])

    def test_a_token_gives_no_more_than_its_user_has(self) -> None:
        self.put(a_token("t1", "ann", Role.ADMIN))
        self.assertEqual(self.caller(by_token("t1"))["role"], "viewer")

    def test_nobody_needs_to_log_in_only_while_there_are_no_users(self) -> None:
        anonymous = Caller(role=Role.VIEWER)
        refused = self.refusal(anonymous, QueryTags(kind="cluster"))
        self.assertIsInstance(refused, Unauthenticated)
        for name in list(self.master.config.state().users):
            self.change(remove_user(name))
        self.assertEqual(self.answer(anonymous, QueryTags(kind="cluster")), [])

    def test_users_of_the_users_file_have_the_role_that_the_file_gives(self) -> None:
        auto = Caller(user="auto", role=Role.ADMIN)
        self.assertEqual(len(self.answer(auto, QueryInstances(names=(), fields=("name",)))), 3)
        reader = Caller(user="jack", role=Role.VIEWER)
        self.assertIsInstance(
            self.refusal(reader, StartInstance(instance_name="web1")), AccessDenied
        )


class MethodTests(AccessCase):
    def test_what_is_in_no_table_is_for_local_programs_only(self) -> None:
        for request in (
            ConfirmNodesDown(names=()),
            MoveState(store="file"),
            SetDrainFlag(flag=True),
            EnrolNode(token="", request=""),
            QueryPassword(user="ann"),
            QueryExports(nodes=()),
        ):
            self.assertIsInstance(self.refusal(ROOT, request), AccessDenied, request)

    def test_job_filters_are_for_administrators(self) -> None:
        for caller in (VIC, OLI):
            self.assertIsInstance(self.refusal(caller, DeleteFilter(uuid="x")), AccessDenied)

    def test_numbers_about_the_cluster_are_not_for_limited_roles(self) -> None:
        self.assertIsInstance(self.refusal(ANN, QueryMetrics()), AccessDenied)
        self.assertTrue(self.answer(VIC, QueryMetrics()))

    def test_users_are_listed_for_administrators_and_each_for_itself(self) -> None:
        names = [each["name"] for each in self.answer(ROOT, QueryAccess(what="users"))]
        self.assertEqual(names, ["ann", "bea", "nix", "oli", "root", "vic"])
        own = self.answer(ANN, QueryAccess(what="users"))
        self.assertEqual([each["name"] for each in own], ["ann"])
        self.assertNotIn("scrypt", str(own))


class ScopeTests(AccessCase):
    """A viewer of team A never sees what is of team B."""

    def setUp(self) -> None:
        super().setUp()
        self.job_b = self.submit(None, StartInstance(instance_name="db1"))
        self.job_a = self.submit(None, StartInstance(instance_name="web1"))
        self.cluster.finish_jobs()

    def test_lists_and_objects_have_only_what_is_in_scope(self) -> None:
        requests: list[Request[Any]] = [
            QueryInstances(names=(), fields=("name",)),
            QueryObjects(what="instance", fields=("name", "tags")),
            Query(what="instance", fields=("name",)),
            Query(what="instance", fields=("name",), qfilter=["=~", "name", "."]),
            Query(what="instance", fields=("name",), qfilter=["!", ["=", "name", "web1"]]),
            QueryNodes(names=(), fields=("name", "pinst_list", "pinst_cnt", "tags")),
            QueryGroups(names=(), fields=("name", "pinst_list", "pinst_cnt", "tags")),
            QueryObjects(what="node", fields=("name", "pinst_list", "sinst_list")),
            QueryJobs(ids=None, fields=("id", "ops", "summary", "oplog")),
            Query(what="job", fields=("id", "ops", "summary")),
            QueryObjects(what="job", fields=("id", "ops")),
            QueryClusterInfo(),
            SubmitSharedJob(ops=(DescribeInstances(instances=("web1",)),)),
        ]
        for request in requests:
            told = str(self.answer(ANN, request))
            for secret in ("db1", "team-b", uuid_of("instance", "db1")):
                self.assertNotIn(secret, told, request)
        self.assertEqual(self.answer(ANN, requests[0]), [["web1"], ["web2"]])
        self.assertEqual(self.answer(ANN, QueryNodes(names=(), fields=("pinst_cnt",)))[0], [2])

    def test_what_is_out_of_scope_is_refused_as_what_is_not_there(self) -> None:
        for make in (
            lambda name: QueryInstances(names=(name,), fields=("name",)),
            lambda name: QueryObjects(what="instance", fields=("name",), names=(name,)),
            lambda name: QueryTags(kind="instance", name=name),
        ):
            said = [str(self.refusal(ANN, make(name))) for name in ("db1", "xx1")]
            self.assertEqual(said[0].replace("db1", "xx1"), said[1])
        uuid = uuid_of("instance", "db1")
        self.assertIsInstance(self.refusal(ANN, QueryTags(kind="instance", name=uuid)), Refused)

    def test_jobs_of_others_are_not_there(self) -> None:
        fields = ("id", "status")
        rows = self.answer(ANN, QueryJobs(ids=(self.job_a, self.job_b, 99), fields=fields))
        self.assertEqual([row[1] is None for row in rows], [False, True, True])
        waiting = [
            str(self.refusal(ANN, WaitForJobChange(job_id=number, fields=("ops",), timeout=0)))
            for number in (self.job_b, 99)
        ]
        self.assertEqual(waiting[0].replace(str(self.job_b), "99"), waiting[1])
        answer = self.answer(ANN, WaitForJobChange(job_id=self.job_a, fields=("status",)))
        self.assertEqual(answer[0], ["success"])

    def test_an_older_job_about_another_instance_of_the_same_name_is_not_there(self) -> None:
        web1 = self.master.config.state().instance("web1")
        self.put(replace(web1, ctime=self.cluster.clock.seconds() + 1000))
        rows = self.answer(ANN, QueryJobs(ids=(self.job_a,), fields=("id", "status")))
        self.assertEqual(rows, [[self.job_a, None]])

    def test_kinds_about_the_whole_cluster_are_refused(self) -> None:
        for kind in ("export", "filter", "lock"):
            self.assertIsInstance(
                self.refusal(ANN, Query(what=kind, fields=("node",))), AccessDenied
            )

    def test_a_group_limits_to_instances_whose_primary_node_is_in_it(self) -> None:
        state = self.master.config.state()
        group = state.nodes[state.cluster.master_node].group
        self.put(a_token("t1", "root", Role.VIEWER, scope=Scope(groups=(group,))))
        self.put(a_token("t2", "root", Role.VIEWER, scope=Scope(groups=("other",))))
        ask = QueryInstances(names=(), fields=("name",))
        self.assertEqual([len(self.answer(by_token(t), ask)) for t in ("t1", "t2")], [3, 0])

    def test_an_owner_limits_to_instances_with_its_tag(self) -> None:
        owned = replace(self.master.config.state().instance("db1"), tags=("owner:ann",))
        self.put(owned, a_token("t1", "root", Role.VIEWER, scope=Scope(owners=("ann",))))
        rows = self.answer(by_token("t1"), QueryInstances(names=(), fields=("name",)))
        self.assertEqual(rows, [["db1"]])


class EventScopeTests(AccessCase):
    def events(self, caller: Caller, since: str) -> list[dict[str, Any]]:
        asked = WaitForEvents(since=since, timeout=0)
        found: list[dict[str, Any]] = self.answer(caller, asked)["events"]
        return found

    def start(self, name: str) -> None:
        self.submit(None, StartInstance(instance_name=name))
        self.cluster.finish_jobs()

    def test_events_are_about_what_is_in_scope(self) -> None:
        since = self.answer(ANN, WaitForEvents())["position"]
        for name in ("db1", "web1"):
            self.start(name)
        seen = self.events(ANN, since)
        self.assertIn("web1", str(seen))
        for secret in ("db1", "team-b", uuid_of("instance", "db1")):
            self.assertNotIn(secret, str(seen))
        self.assertIn("db1", str(self.events(VIC, since)))

    def test_an_instance_that_leaves_the_scope_is_gone(self) -> None:
        since = self.answer(ANN, WaitForEvents())["position"]
        self.answer(ANN, QueryInstances(names=(), fields=("name",)))
        self.put(replace(self.master.config.state().instance("web1"), tags=("team-b",)))
        [event] = self.events(ANN, since)
        self.assertEqual((event["action"], event["name"]), ("removed", "web1"))
        self.assertNotIn("team-b", str(event))

    def test_an_event_is_judged_by_the_state_after_its_commit(self) -> None:
        since = self.answer(None, WaitForEvents())["position"]
        request = WaitForEvents(since=since, timeout=80)
        message = framing.request("WaitForEvents", request, ANN)[:-1]
        waiting = Deferred.fromCoroutine(self.methods.answer_message(message))
        self.cluster.pass_time(1)
        self.put(replace(self.master.config.state().instance("web1"), tags=("team-b",)))
        self.cluster.pass_time(1)
        self.assertNotIn(b"team-b", self.successResultOf(waiting))

    def test_who_waits_when_the_token_is_revoked_waits_no_longer(self) -> None:
        self.put(a_token("t1", "vic"))
        since = self.answer(None, WaitForEvents())["position"]
        request = WaitForEvents(since=since, kinds=("network",), timeout=80)
        message = framing.request("WaitForEvents", request, by_token("t1"))[:-1]
        waiting = Deferred.fromCoroutine(self.methods.answer_message(message))
        self.cluster.pass_time(1)
        self.assertNoResult(waiting)
        self.change(revoke_token("t1"))
        self.assertIn(b"Unauthenticated", self.successResultOf(waiting))


class OperatorTests(AccessCase):
    def test_operators_act_on_what_is_in_their_scope(self) -> None:
        job = self.submit(OLI, ShutdownInstance(instance_name="web1"))
        self.cluster.finish_jobs()
        state = self.master.config.state()
        self.assertEqual(state.instance("web1").admin_state, AdminState.DOWN)
        [[ops]] = self.answer(None, QueryJobs(ids=(job,), fields=("ops",)))
        self.assertEqual(ops[0]["instance_uuid"], uuid_of("instance", "web1"))
        self.assertIn(["gnt:access:oli", "from 192.0.2.7"], [e[:2] for e in ops[0]["reason"]])

    def test_viewers_and_others_do_not(self) -> None:
        for caller, kind in (
            (ANN, AccessDenied),
            (VIC, AccessDenied),
            (by_password("bea"), Refused),
        ):
            refused = self.refusal(caller, ShutdownInstance(instance_name="web1"))
            self.assertIsInstance(refused, kind)

    def test_the_uuid_of_another_instance_does_not_go_before_the_name(self) -> None:
        for op in (
            ShutdownInstance(instance_name="web1", instance_uuid=uuid_of("instance", "db1")),
            ShutdownInstance(instance_name=uuid_of("instance", "db1")),
            DescribeInstances(instances=("web1", "db1")),
            DescribeInstances(),
        ):
            refused = self.refusal(OLI, op)
            self.assertIsInstance(refused, Refused | AccessDenied)

    def test_a_short_name_means_what_the_caller_sees(self) -> None:
        # web1.x of team A, to which team B adds an instance whose whole name is the short one.
        node = self.master.config.state().cluster.master_node
        self.put(an_instance("api.x", tags=("team-a",), primary_node=node, nics=()).instance)
        self.put(an_instance("api", tags=("team-b",), primary_node=node, nics=()).instance)
        job = self.submit(OLI, ShutdownInstance(instance_name="api"))
        [[ops]] = self.answer(None, QueryJobs(ids=(job,), fields=("ops",)))
        self.assertEqual(ops[0]["instance_uuid"], uuid_of("instance", "api.x"))
        self.assertEqual(ops[0]["instance_name"], "api.x")

    def test_parameters_that_reach_beyond_the_instance_are_refused(self) -> None:
        for op in (
            MigrateInstance(instance_name="web1", target_node="node2"),
            StartInstance(instance_name="web1", hvparams={"kernel_path": "/etc/shadow"}),
            ModifyInstance(instance_name="web1", nics=(("add", {}),)),
            ModifyInstance(instance_name="web1", hvparams={"cdrom_image_path": "/dev/sda"}),
            ReinstallInstance(instance_name="web1", osparams={"a": "b"}),
            RenameInstance(instance_name="web1", new_name="db2"),
            RemoveInstance(instance_name="web1"),
            ModifyNode(node_name="node1", offline=True),
        ):
            self.assertIsInstance(self.refusal(OLI, op), AccessDenied, op)
        self.submit(OLI, ModifyInstance(instance_name="web1", beparams={"vcpus": 2}))

    def test_tags_that_decide_who_may_do_something_are_out_of_reach(self) -> None:
        def tags(kind: Any, *tags: str) -> Any:
            return kind(kind=TagKind.INSTANCE, name="web1", tags=tags)

        for op in (
            tags(AddTags, "team-b"),
            tags(RemoveTags, "team-a"),
            tags(AddTags, "fine", "owner:bea"),
            AddTags(kind=TagKind.NODE, name="node1", tags=("x",)),
            AddTags(kind=TagKind.CLUSTER, tags=("x",)),
            GetTags(kind=TagKind.CLUSTER),
        ):
            self.assertIsInstance(self.refusal(OLI, op), AccessDenied, op)
        self.submit(OLI, tags(AddTags, "fine"))

    def test_jobs_do_not_wait_for_jobs_that_the_caller_does_not_see(self) -> None:
        job = self.submit(None, StartInstance(instance_name="db1"))
        for number in (job, 99, "\u00b2"):
            op = StartInstance(instance_name="web1", depends=((number, ("success",)),))
            refused = self.refusal(OLI, op)
            self.assertIsInstance(refused, Invalid)
            self.assertIn(f"there is no job {number} before this one", str(refused))

    def test_jobs_of_others_are_not_canceled(self) -> None:
        job = self.submit(None, StartInstance(instance_name="db1"))
        said = [self.refusal(OLI, CancelJob(job_id=number)) for number in (job, 99)]
        self.assertEqual([type(each) for each in said], [JobLost, JobLost])
        own = self.submit(OLI, StartInstance(instance_name="web1"))
        self.assertIsInstance(self.refusal(ANN, CancelJob(job_id=own)), AccessDenied)
        self.answer(OLI, CancelJob(job_id=own))

    def test_nobody_makes_up_on_whose_behalf_a_job_is(self) -> None:
        forged = (("gnt:access:root", "from 127.0.0.1", 1), ("gnt:user", "why", 2))
        job = self.submit(OLI, StartInstance(instance_name="web1", reason=forged))
        [[ops]] = self.answer(None, QueryJobs(ids=(job,), fields=("ops",)))
        sources = [entry[0] for entry in ops[0]["reason"]]
        self.assertEqual(sources[:2], ["gnt:user", "gnt:access:oli"])


class OwnTokenTests(AccessCase):
    def token(self, user: str) -> AddToken:
        return AddToken(token_id="0" * 16, digest="0" * 64, user_name=user, lifetime=60)

    def test_everybody_who_logs_in_makes_and_revokes_tokens_of_its_own(self) -> None:
        self.submit(ANN, self.token("ann"))
        self.cluster.finish_jobs()
        self.assertIn("0" * 16, self.master.config.state().api_tokens)
        other = self.refusal(OLI, RevokeToken(token_id="0" * 16))
        self.assertEqual(str(other), f"user oli has no token {'0' * 16}")
        self.submit(ANN, RevokeToken(token_id="0" * 16))
        self.cluster.finish_jobs()
        self.assertEqual(len(self.master.config.state().api_tokens), 0)

    def test_tokens_are_not_made_for_others_or_by_tokens(self) -> None:
        self.put(a_token("t1", "ann"))
        for caller, user in ((ANN, "oli"), (by_token("t1"), "ann")):
            self.assertIsInstance(self.refusal(caller, self.token(user)), AccessDenied)

    def test_a_token_of_another_user_is_refused_like_one_that_there_is_not(self) -> None:
        self.put(a_token("t1", "ann"))
        said = [str(self.refusal(OLI, RevokeToken(token_id=each))) for each in ("t1", "t2")]
        self.assertEqual(said, [f"user oli has no token {each}" for each in ("t1", "t2")])

    def test_users_of_the_users_file_have_no_tokens(self) -> None:
        jack = Caller(user="jack", role=Role.VIEWER, digest="line")
        self.assertIsInstance(self.refusal(jack, self.token("jack")), AccessDenied)


class LimitedTests(AccessCase):
    """What a limited role is answered, beside lists and events."""

    def test_fields_are_told_to_every_role(self) -> None:
        asked = QueryFields(what="instance", fields=("name",))
        self.assertEqual(self.answer(ANN, asked), self.answer(VIC, asked))

    def test_pages_have_only_what_is_in_scope(self) -> None:
        asked = QueryObjectPages(what="instance", fields=("name",))
        found = self.answer(ANN, asked)["objects"]
        self.assertEqual([each["name"] for each in found], ["web1", "web2"])

    def test_rates_are_those_of_the_jobs_that_are_seen(self) -> None:
        for name in ("web1", "db1", "db1"):
            self.submit(None, StartInstance(instance_name=name))
        self.cluster.finish_jobs()
        counted = [
            sum(sum(self.answer(caller, QueryJobRates())["series"][end]) for end in ENDS)
            for caller in (ANN, VIC)
        ]
        self.assertEqual(counted, [1, 3])

    def test_the_load_of_an_instance_is_told_to_those_who_see_it(self) -> None:
        self.assertIn("series", self.answer(ANN, QueryUsage(kind="instance", name="web1")))
        hidden = self.refusal(ANN, QueryUsage(kind="instance", name="db1"))
        self.assertIn("db1 does not exist", str(hidden))
        node = self.refusal(ANN, QueryUsage(kind="node", name="node1"))
        self.assertEqual(str(node), "a role that is limited does not show the load of nodes")

    def test_denials_are_told_to_administrators_only(self) -> None:
        self.refusal(OLI, QueryMetrics())
        self.cluster.pass_time(60)
        denied = [
            [entry for entry in self.answer(caller, QueryHistory()) if entry["denied"]]
            for caller in (ROOT, VIC)
        ]
        self.assertEqual([len(each) for each in denied], [1, 0])
        self.assertIsInstance(self.refusal(ANN, QueryHistory()), AccessDenied)

    def test_a_role_that_is_too_low_is_told_what_is_needed(self) -> None:
        said = "QueryNotifications needs the role admin; user vic has the role viewer"
        self.assertEqual(str(self.refusal(VIC, QueryNotifications())), said)
        limited = str(self.refusal(OLI, DeleteFilter(uuid="x")))
        self.assertIn("user oli has the role operator, limited to some instances", limited)

    def test_what_a_job_would_do_is_told_to_those_who_could_submit_it(self) -> None:
        ops = (ShutdownInstance(instance_name="web1"),)
        self.assertEqual(len(self.answer(OLI, PlanJob(ops=ops))), 1)
        self.assertIsInstance(self.refusal(ANN, PlanJob(ops=ops)), AccessDenied)

    def test_more_callers_with_other_rights_than_there_are_views_are_all_answered(self) -> None:
        names = [f"user{number}" for number in range(MAX_VIEWS + 1)]
        self.put(*map(a_user, names), *(a_grant(n, Role.VIEWER, "team-b", n) for n in names))
        asked = QueryInstances(names=(), fields=("name",))
        for name in (*names, names[0]):
            self.assertEqual(self.answer(by_password(name), asked), [["db1"]])


class CancelTests(AccessCase):
    def test_operators_of_everything_cancel_every_job(self) -> None:
        job = self.submit(None, StartInstance(instance_name="db1"))
        self.answer(ROOT, CancelJob(job_id=job))

    def test_viewers_of_everything_cancel_none(self) -> None:
        job = self.submit(None, StartInstance(instance_name="db1"))
        for number in (job, 99):
            said = str(self.refusal(VIC, CancelJob(job_id=number)))
            self.assertIn(f"canceling job {number} needs the role operator", said)


class SessionTests(AccessCase):
    """A session stands for what was shown to sign in."""

    def sign_in(self, caller: Caller, session: str = "s1") -> Caller:
        digest = digest_of(session)
        seconds = self.answer(caller, OpenSession(session=session, digest=digest))
        self.assertEqual(seconds, LIFETIME)
        return Caller(session=session, digest=digest, source="192.0.2.7")

    def test_a_session_has_the_rights_of_its_user_until_it_is_closed(self) -> None:
        session = self.sign_in(ANN)
        self.assertEqual(self.answer(session, QueryCaller())["user"], "ann")
        self.answer(session, CloseSession())
        self.assertIsInstance(self.refusal(session, QueryCaller()), Unauthenticated)

    def test_a_session_begins_by_a_password_or_a_token_only(self) -> None:
        session = self.sign_in(ANN)
        for caller in (session, Caller(role=Role.ADMIN)):
            refused = self.refusal(caller, OpenSession(session="s2", digest="d"))
            self.assertIsInstance(refused, AccessDenied | Unauthenticated)

    def test_a_page_that_only_waits_does_not_keep_a_session_open(self) -> None:
        idle, used = self.sign_in(ANN), self.sign_in(OLI, "s2")
        self.cluster.pass_time(IDLE - 10)
        self.answer(idle, QueryCaller())
        self.answer(used, QueryInstances(names=(), fields=("name",)))
        self.cluster.pass_time(20)
        self.assertIsInstance(self.refusal(idle, QueryCaller()), Unauthenticated)
        self.assertEqual(self.answer(used, QueryCaller())["user"], "oli")

    def test_sessions_are_ended_by_their_users_and_by_administrators(self) -> None:
        self.sign_in(ANN)
        said = [str(self.refusal(OLI, EndSession(session=each))) for each in ("s1", "s9")]
        self.assertEqual(said[0].replace("s1", "s9"), said[1])
        self.answer(ANN, EndSession(session="s1"))
        again = self.sign_in(ANN)
        self.answer(ROOT, EndSession(session="s1"))
        self.assertIsInstance(self.refusal(again, QueryCaller()), Unauthenticated)


class ConsoleTests(AccessCase):
    def test_consoles_are_for_those_who_operate_the_instance(self) -> None:
        for make in (
            lambda name: CreateConsoleTicket(instance=name, stream="serial", viewer="x"),
            lambda name: TakeScreenshot(instance=name),
        ):
            self.assertIn("need the role operator", str(self.refusal(ANN, make("web1"))))
            self.assertIn("db1 does not exist", str(self.refusal(OLI, make("db1"))))
            # It is permitted, and the instance does not run.
            self.assertNotIsInstance(self.refusal(OLI, make("web1")), AccessDenied)

    def test_a_request_for_a_console_is_in_the_audit_trail(self) -> None:
        for take_over in (False, True):
            asked = CreateConsoleTicket(instance="web1", stream="serial", viewer="x")
            self.refusal(OLI, replace(asked, take_over=take_over))
        self.cluster.pass_time(60)
        said = {entry["what"] for entry in self.answer(ROOT, QueryHistory(user="oli"))}
        what = "the serial console of instance web1"
        self.assertEqual(said, {f"asked for {what}", f"asked to take over {what}"})

    def test_an_open_console_is_watched_for_its_caller(self) -> None:
        watch = WatchConsole(instance=uuid_of("instance", "web1"), active=False, timeout=5)
        self.assertIsNone(self.answer(OLI, watch))
        self.assertIsInstance(self.refusal(ANN, watch), AccessDenied)

    def test_an_open_console_ends_when_its_instance_leaves_the_scope(self) -> None:
        watch = WatchConsole(instance=uuid_of("instance", "web1"), active=False, timeout=60)
        message = framing.request("WatchConsole", watch, OLI)[:-1]
        waiting = Deferred.fromCoroutine(self.methods.answer_message(message))
        self.cluster.pass_time(1)
        self.assertNoResult(waiting)
        self.put(replace(self.master.config.state().instance("web1"), tags=("team-b",)))
        self.cluster.pass_time(1)
        self.assertIn(b"need the role operator", self.successResultOf(waiting))


class ToldTests(SynchronousTestCase):
    def test_a_request_is_told_in_a_line(self) -> None:
        ops = (ShutdownInstance(instance_name="web1"), ShutdownInstance(instance_name="db1"))
        requests: dict[Request[Any], str] = {
            SubmitJob(ops=ops): "INSTANCE_SHUTDOWN(web1), INSTANCE_SHUTDOWN(db1)",
            CancelJob(job_id=7): "CancelJob 7",
            DeleteFilter(uuid="u"): "DeleteFilter u",
            ReplaceFilter(uuid=None, priority=0, predicates=1, action=2): "ReplaceFilter",
            QueryMetrics(): "QueryMetrics",
        }
        for request, text in requests.items():
            self.assertEqual(told(request), text)
