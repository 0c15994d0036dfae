# SPDX-License-Identifier: BSD-2-Clause
"""A new name of an instance is free, resolves, and no host answers at its address."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused, Unreachable
from ganeti.operations.instance.name_check import check_name, name_queries
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.node import ResolvedName, ResolveName
from ganeti.testing.builders import a_cluster, a_node

STATE = a_cluster(nodes=["node1", "node2"], instances=["web1"], master_node=a_node("node2").uuid)
FREE = ResolvedName(addresses=("192.0.2.50", "192.0.2.51"))
USED = ResolvedName(addresses=("192.0.2.50", "192.0.2.51"), answers=True)
UNKNOWN = ResolvedName(addresses=())


@dataclass(frozen=True)
class Checks:
    """The part of an opcode that says what is checked."""

    name_check: bool = True
    ip_check: bool = True


class NameTests(SynchronousTestCase):
    def check(
        self, name: str, answer: object = FREE, checks: Checks | None = None, own: str | None = None
    ) -> None:
        facts = NodeAnswers({(STATE.master.uuid, ResolveName): answer})
        check_name(checks or Checks(), name, STATE, facts, own=own)

    def assert_refused(
        self, reason: str, code: Code, name: str, answer: object = FREE, own: str | None = None
    ) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            self.check(name, answer, own=own)
        self.assertEqual(raised.exception.code, code)

    def test_the_master_resolves_the_name_and_tries_its_addresses(self) -> None:
        for probe in (True, False):
            [query] = name_queries(Checks(ip_check=probe), "web2", STATE)
            self.assertEqual([node.name for node in query.nodes], ["node2"])
            self.assertEqual(query.call, ResolveName(name="web2", probe=probe))
        self.assertEqual([*name_queries(Checks(name_check=False), "web2", STATE)], [])

    def test_a_name_that_resolves_to_an_unused_address_is_accepted(self) -> None:
        self.check("web2")

    def test_the_name_of_another_instance_is_refused(self) -> None:
        self.assert_refused("web1", Code.EXISTS, "web1")
        self.assert_refused("web1", Code.EXISTS, "web1", own="web2")

    def test_an_instance_may_keep_its_name_if_it_resolves(self) -> None:
        self.check("web1", own="web1")
        self.assert_refused("does not resolve", Code.RESOLVER, "web1", UNKNOWN, own="web1")

    def test_the_name_of_a_node_or_of_the_cluster_is_refused(self) -> None:
        self.assert_refused("is the name of a node", Code.NOT_UNIQUE, "node1")
        reason = "is the name of the cluster"
        self.assert_refused(reason, Code.NOT_UNIQUE, "cluster.example.com")

    def test_a_name_that_does_not_resolve_is_refused(self) -> None:
        reason = "web2 does not resolve; add it to the DNS .* or use --no-name-check"
        self.assert_refused(reason, Code.RESOLVER, "web2", UNKNOWN)

    def test_an_address_at_which_a_host_answers_is_refused(self) -> None:
        reason = r"the address of web2 \(192.0.2.50, 192.0.2.51\); .* or use --no-ip-check"
        self.assert_refused(reason, Code.NOT_UNIQUE, "web2", USED)
        self.check("web2", USED, Checks(ip_check=False))

    def test_without_the_check_of_the_name_no_answer_is_needed(self) -> None:
        check_name(Checks(name_check=False), "web2", STATE, NodeAnswers())

    def test_a_master_that_does_not_answer_cannot_check_it(self) -> None:
        silent = Unreachable("node2", "gone")
        self.assert_refused("node2 is unreachable", Code.INTERNAL, "web2", silent)
