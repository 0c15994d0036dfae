# SPDX-License-Identifier: BSD-2-Clause
"""An instance never runs twice: what the answers of nodes prove, and what they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused
from ganeti.model.disk import Template
from ganeti.model.guest import GuestState
from ganeti.model.instance import AdminState
from ganeti.operations.instance.context import InstanceContext, standing
from ganeti.operations.instance.running_check import (
    Presence,
    check_no_guest,
    check_not_elsewhere,
    check_nowhere_else,
    check_stopped,
    determine_presence,
    list_possible_hosts,
    presence_queries,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.instances import ListGuests
from ganeti.rpc.node import DescribeNode
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.facts import some_facts

Answers: TypeAlias = dict[tuple[str, type[Call[object]]], object]

RUNS = {"web1": GuestState(name="web1", memory=128, vcpus=1)}
SILENT = Failed("it does not answer")


def a_state(
    template: Template = Template.SHAREDFILE, admin_state: AdminState = AdminState.UP
) -> ClusterState:
    """Return four nodes, of which node3 is offline and node4 runs no guests, and an instance."""
    nodes = ("node1", "node2") if template is Template.DRBD else ("node1",)
    disks = [a_disk("disk1", template, nodes=nodes)]
    return a_cluster(
        nodes=[
            *("node1", "node2"),
            a_node("node3", offline=True),
            a_node("node4", vm_capable=False),
        ],
        instances=[an_instance("web1", disks=disks, admin_state=admin_state)],
    )


def subject(state: ClusterState) -> InstanceContext:
    return standing(state.instance("web1"), state)


def presence(state: ClusterState, **answers: object) -> Presence:
    """Return where the instance runs by these answers, by name of the node."""
    facts: Answers = {(a_node(name).uuid, ListGuests): answer for name, answer in answers.items()}
    return determine_presence(subject(state), state, NodeAnswers(facts))


class HostTests(SynchronousTestCase):
    def hosts(self, template: Template) -> list[str]:
        state = a_state(template)
        return [node.name for node in list_possible_hosts(subject(state), state)]

    def test_nodes_that_can_open_its_disks_could_run_it_unless_they_are_offline(self) -> None:
        self.assertEqual(self.hosts(Template.SHAREDFILE), ["node1", "node2"])
        self.assertEqual(self.hosts(Template.DRBD), ["node1", "node2"])
        self.assertEqual(self.hosts(Template.FILE), ["node1"])

    def test_all_of_them_are_asked_about_this_guest_unless_they_are_asked_already(self) -> None:
        state = a_state()
        [query] = presence_queries(subject(state), state)
        self.assertEqual([node.name for node in query.nodes], ["node1", "node2"])
        self.assertEqual(query.call, ListGuests(hypervisors=("fake",), only=("web1",)))
        [query] = presence_queries(subject(state), state, besides=[state.node("node1")])
        self.assertEqual([node.name for node in query.nodes], ["node2"])
        both = [state.node("node1"), state.node("node2")]
        self.assertEqual(presence_queries(subject(state), state, besides=both), [])


class PresenceTests(SynchronousTestCase):
    def test_each_answer_says_where_it_runs_or_why_that_is_unknown(self) -> None:
        found = presence(a_state(), node1=RUNS, node2={})
        self.assertEqual((found.here, found.elsewhere, found.unknown), (True, (), ()))
        found = presence(a_state(), node1={}, node2=RUNS)
        self.assertEqual([node.name for node in found.elsewhere], ["node2"])
        found = presence(a_state(), node1={}, node2=SILENT)
        self.assertEqual([why for _, why in found.unknown], ["it does not answer"])

    def test_a_hypervisor_that_could_not_be_asked_proves_nothing(self) -> None:
        state = a_state()
        facts: Answers = {
            (a_node("node1").uuid, DescribeNode): some_facts(runs=["web1"]),
            (a_node("node2").uuid, DescribeNode): some_facts(problems={"fake": "it is broken"}),
        }
        found = determine_presence(subject(state), state, NodeAnswers(facts))
        self.assertTrue(found.here)
        self.assertEqual([why for _, why in found.unknown], ["it is broken"])


class CheckTests(SynchronousTestCase):
    def refused(self, check: Callable[[Presence], None], why: str, found: Presence) -> None:
        with self.assertRaisesRegex(Refused, why):
            check(found)

    def test_one_that_runs_on_another_node_or_on_two_is_never_started(self) -> None:
        elsewhere = presence(a_state(), node1={}, node2=RUNS)
        twice = presence(a_state(), node1=RUNS, node2=RUNS)
        for check in (check_not_elsewhere, check_nowhere_else, check_stopped):
            self.refused(check, "running on node2, which is not its primary", elsewhere)
            self.refused(check, "running on node1 and on node2", twice)

    def test_a_node_that_does_not_answer_may_run_it(self) -> None:
        found = presence(a_state(), node1={}, node2=SILENT)
        self.refused(check_nowhere_else, "unknown whether .* on node2 .*--offline=yes", found)

    def test_one_that_runs_on_its_node_was_proven_to_run_nowhere_else(self) -> None:
        check_nowhere_else(presence(a_state(), node1=RUNS, node2=SILENT))

    def test_one_that_runs_or_is_wanted_up_is_not_stopped(self) -> None:
        down = a_state(admin_state=AdminState.DOWN)
        self.refused(check_stopped, "web1", presence(a_state(), node1={}, node2={}))
        self.refused(check_stopped, "web1", presence(down, node1=RUNS, node2={}))
        self.refused(check_stopped, "unknown", presence(down, node1={}, node2=SILENT))
        check_stopped(presence(down, node1={}, node2={}))

    def test_a_new_instance_does_not_get_the_name_of_a_guest_that_runs(self) -> None:
        node = a_node("node1")
        answers: Answers = {(node.uuid, ListGuests): RUNS}
        with self.assertRaisesRegex(Refused, "node1 runs an unknown guest with the name web1"):
            check_no_guest("web1", [node], NodeAnswers(answers))
        check_no_guest("web2", [node], NodeAnswers(answers))
        check_no_guest("web1", [node], NodeAnswers({(node.uuid, ListGuests): SILENT}))
