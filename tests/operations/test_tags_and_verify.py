# SPDX-License-Identifier: BSD-2-Clause
"""Tags, and verifying the cluster."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid, Unreachable
from ganeti.model.guest import GuestState
from ganeti.model.users import UserAccount
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.opcodes.cluster import VerifyCluster, VerifyConfig, VerifyGroup
from ganeti.opcodes.tags import AddTags, SearchTags, TagKind
from ganeti.operations import tags
from ganeti.operations.cluster import verify
from ganeti.operations.cluster.password_findings import password_findings
from ganeti.operations.operation import AncillaryFile, NodeAnswers, ResultWithCommit
from ganeti.rpc.node import DescribeNode, VerifyNode
from ganeti.testing.builders import a_cluster, an_instance, uuid_of
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

NODE1 = uuid_of("node", "node1")


def runs(*names: str) -> NodeAnswers:
    return NodeAnswers({(NODE1, VerifyNode): {}, (NODE1, DescribeNode): some_facts(runs=names)})


class TagTests(SynchronousTestCase):
    def test_tags_come_true_together_with_the_end_of_the_job(self) -> None:
        memory = MemoryTools(a_cluster(instances=["web1"]))
        op = AddTags(kind=TagKind.INSTANCE, name="web1", tags=("prod",))
        plan = tags.plan_add(op, memory.state(), NodeAnswers())
        ending = self.successResultOf(tags.run_change(plan, memory.tools))
        self.assertIsInstance(ending, ResultWithCommit)
        self.assertEqual(ending.change(memory.state()).instance("web1").tags, ("prod",))

    def test_search_tells_where_each_tag_is(self) -> None:
        state = a_cluster(instances=[an_instance("web1", tags=("prod",))], tags=("prod-east",))
        plan = tags.plan_search(SearchTags(pattern="^prod"), state, NodeAnswers())
        self.assertEqual(plan.answer, [["/cluster", "prod-east"], ["/instances/web1", "prod"]])

    def test_nonsense_for_a_pattern_is_refused(self) -> None:
        with self.assertRaisesRegex(Invalid, "not a regular expression"):
            tags.plan_search(SearchTags(pattern="("), a_cluster(), NodeAnswers())


class VerifyTests(SynchronousTestCase):
    def test_the_whole_is_a_job_for_the_configuration_and_one_per_group(self) -> None:
        memory = MemoryTools(a_cluster(groups=["default", "east"]))
        plan = verify.plan_all(VerifyCluster(), memory.state(), NodeAnswers())
        result = self.successResultOf(verify.run_all(plan, memory.tools))
        self.assertEqual(result, {"jobs": [[True, 1], [True, 2], [True, 3]]})

    def test_passwords_that_others_can_find_out_are_warned_of(self) -> None:
        text = b"# comment\njack abc\nfay {HA1}00\nsue {scrypt}x\nmo {cleartext}{x\n"
        files = [AncillaryFile("/var/lib/ganeti/rapi/users", text, 0o640)]
        ann = UserAccount(uuid="sue", created=1)
        found = list(password_findings(a_cluster().put(ann), files))
        self.assertEqual([each.name for each in found], ["jack", "fay", "sue", "mo"])
        self.assertTrue(all(each.warning for each in found))
        self.assertNotIn("abc", str(found))

    def test_a_copy_that_is_behind_is_an_error(self) -> None:
        memory = MemoryTools(a_cluster(nodes=["node1", "node2"]))
        memory.behind = {uuid_of("node", "node2"): "it does not answer"}
        plan = verify.plan_config(VerifyConfig(error_codes=True), memory.state(), NodeAnswers())
        self.assertFalse(self.successResultOf(verify.run_config(plan, memory.tools)))
        self.assertIn("ENODERPC:node:node2", memory.progress.said[-1])

    def test_a_problem_of_the_state_store_is_an_error(self) -> None:
        memory = MemoryTools(a_cluster())
        memory.store_problems = ("a member of the state store is down",)
        plan = verify.plan_config(VerifyConfig(), memory.state(), NodeAnswers())
        self.assertFalse(self.successResultOf(verify.run_config(plan, memory.tools)))
        self.assertIn("a member of the state store is down", memory.progress.said[-1])

    def group(
        self, facts: NodeAnswers, nodes: Sequence[str] = ("node1",), **over: object
    ) -> tuple[bool, list[str]]:
        memory = MemoryTools(a_cluster(nodes=nodes, instances=["web1"]))
        op = VerifyGroup(group_name="default", **over)  # type: ignore[arg-type]
        plan = verify.plan_group(op, memory.state(), facts)
        good = self.successResultOf(verify.run_group(plan, memory.tools))
        return good, [each for each in memory.progress.said if "ERROR" in each]

    def test_more_is_told_only_if_that_is_wanted(self) -> None:
        for verbose in (False, True):
            memory = MemoryTools(a_cluster(instances=["web1"]))
            config = VerifyConfig(verbose=verbose)
            plan = verify.plan_config(config, memory.state(), NodeAnswers())
            self.successResultOf(verify.run_config(plan, memory.tools))
            group = VerifyGroup(group_name="default", verbose=verbose)
            members = verify.plan_group(group, memory.state(), runs("web1"))
            self.successResultOf(verify.run_group(members, memory.tools))
            told = "\n".join(memory.progress.said)
            self.assertEqual("1 node groups, 1 nodes, 0 networks, 1 instances" in told, verbose)
            self.assertEqual("node node1: 0 checks answered" in told, verbose)

    def test_what_runs_as_wanted_is_good(self) -> None:
        self.assertEqual(self.group(runs("web1")), (True, []))

    def test_a_guest_that_was_started_as_root_is_warned_of_until_its_next_start(self) -> None:
        hvparams = {"kvm": {"security_model": "pool"}}
        web1 = an_instance("web1", hypervisor="kvm")
        for user, warnings in ((0, 1), (5, 0)):
            memory = MemoryTools(a_cluster(instances=[web1], hvparams=hvparams))
            guests = {"web1": GuestState(name="web1", memory=128, vcpus=1, user=user)}
            facts = NodeAnswers(
                {(NODE1, VerifyNode): {}, (NODE1, DescribeNode): some_facts(guests=guests)}
            )
            plan = verify.plan_group(VerifyGroup(group_name="default"), memory.state(), facts)
            self.assertTrue(self.successResultOf(verify.run_group(plan, memory.tools)))
            found = [each for each in memory.progress.said if "runs as root on node1" in each]
            self.assertEqual(len(found), warnings)
            self.assertTrue(all("gnt-instance reboot web1" in each for each in found))

    def test_an_instance_that_is_down_and_a_stranger_are_found(self) -> None:
        good, errors = self.group(runs("ghost"))
        self.assertFalse(good)
        self.assertEqual(len(errors), 2)
        self.assertIn("instance web1: should be running but is not", errors[0])
        self.assertIn("an unknown guest: ghost", errors[1])

    def test_an_instance_on_a_wrong_node_or_on_two_is_found_with_the_way_out(self) -> None:
        for here, message in (
            (
                (),
                "its primary node is node1; to make node2 its primary node: gnt-instance migrate",
            ),
            (("web1",), "on its primary node node1; find out which copy has the right data"),
        ):
            node2 = some_facts(runs=("web1",))
            answers = dict(runs(*here).answers)
            answers[uuid_of("node", "node2"), DescribeNode] = node2
            _, errors = self.group(NodeAnswers(answers), nodes=("node1", "node2"))
            [error] = [each for each in errors if "web1: is running on node node2" in each]
            self.assertIn(message, error)

    def test_storage_that_cannot_work_is_an_error(self) -> None:
        for answer, told in (
            ({"storage-obstacles": {"drbd": "load it"}}, "cannot use drbd disks: load it"),
            ({"vglist": {"other": 100}}, "lacks volume group vg0"),
            ({"vglist": "no lvm2"}, "cannot list volume groups: no lvm2"),
            ({"vglist": {"vg0": 100}}, ""),
            ({"vglist": {"vg0": 100}, "storage-shortages": ["pool is full"]}, "pool is full"),
        ):
            facts = runs("web1")
            facts = NodeAnswers({**facts.answers, (NODE1, VerifyNode): answer})
            good, errors = self.group(facts)
            self.assertEqual((good, len(errors)), (not told, bool(told)))
            self.assertTrue(all(told in each for each in errors), errors)

    def test_nodes_with_different_versions_of_qemu_are_a_warning(self) -> None:
        for other, warned in (("7.2.22", 0), ("10.0.2", 1), ("", 0)):
            answers = dict(runs("web1").answers)
            answers[NODE1, VerifyNode] = {"hypervisor-versions": {"kvm": "7.2.22", "fake": ""}}
            node2 = uuid_of("node", "node2")
            answers[node2, VerifyNode] = {"hypervisor-versions": {"kvm": other}}
            answers[node2, DescribeNode] = some_facts()
            memory = MemoryTools(a_cluster(nodes=("node1", "node2"), instances=["web1"]))
            op = VerifyGroup(group_name="default")
            plan = verify.plan_group(op, memory.state(), NodeAnswers(answers))
            self.assertTrue(self.successResultOf(verify.run_group(plan, memory.tools)))
            told = [said for said in memory.progress.said if "WARNING" in said]
            self.assertEqual(len(told), warned)
            self.assertTrue(all("(10.0.2: node2; 7.2.22: node1)" in each for each in told))

    def test_a_certificate_that_ends_soon_is_a_warning_and_then_an_error(self) -> None:
        for days, level, when in (
            (40, "", ""),
            (20, "WARNING", "expires in 20 days"),
            (3, "ERROR", "expires in 3 days"),
            (-1, "ERROR", "has expired"),
        ):
            memory = MemoryTools(a_cluster(nodes=["node1"]))
            answer = {"certificates": {"/server.pem": memory.tools.time.seconds() + days * 86400}}
            facts = NodeAnswers({(NODE1, VerifyNode): answer, (NODE1, DescribeNode): some_facts()})
            op = VerifyGroup(group_name="default", error_codes=True)
            plan = verify.plan_group(op, memory.state(), facts)
            good = self.successResultOf(verify.run_group(plan, memory.tools))
            self.assertEqual(good, level != "ERROR")
            told = [said for said in memory.progress.said if "ECLUSTERCERT" in said]
            self.assertEqual(len(told), bool(level))
            self.assertTrue(all(level in said and when in said for said in told), told)

    def test_a_silent_node_is_an_error_unless_ignored(self) -> None:
        trouble = Unreachable("node1", "no route")
        facts = NodeAnswers({(NODE1, VerifyNode): trouble, (NODE1, DescribeNode): trouble})
        self.assertFalse(self.group(facts)[0])
        self.assertTrue(self.group(facts, ignore_errors=(Code.ENODERPC,))[0])
