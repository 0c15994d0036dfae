# SPDX-License-Identifier: BSD-2-Clause
"""The cluster gets another name, and the address that this name resolves to."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Invalid, Refused
from ganeti.opcodes.cluster import RenameCluster
from ganeti.operations.cluster.rename import OPERATION
from ganeti.operations.perform import collect_inputs
from ganeti.testing.builders import a_cluster, a_nic, a_node, an_instance, uuid_of
from ganeti.testing.names import address_of
from tests.operations.whole import WholeCluster

NEW = "new.example.com"


class RenameTests(SynchronousTestCase):
    def whole(self, **over: Any) -> WholeCluster:
        return WholeCluster(a_cluster(nodes=["node1", "node2"], **over))

    def refusal(self, whole: WholeCluster, name: str = NEW) -> list[Any]:
        error = self.failureResultOf(whole.do("OP_CLUSTER_RENAME", name=name), Refused, Invalid)
        arguments: list[Any] = error.value.arguments()
        return arguments

    def test_name_and_address_change_together(self) -> None:
        whole = self.whole()
        self.assertEqual(self.successResultOf(whole.do("OP_CLUSTER_RENAME", name=NEW)), NEW)
        cluster = whole.state.cluster
        self.assertEqual((cluster.cluster_name, cluster.master_ip), (NEW, address_of(NEW)))
        self.assertIn("gnt-cluster renew-crypto --new-rapi-certificate", whole.said)
        told, code = self.refusal(whole)
        self.assertEqual(
            (told, code),
            (
                f"the cluster already has the name {NEW} and the address {address_of(NEW)}",
                Code.INPUT,
            ),
        )

    def test_a_name_that_leads_nowhere_or_to_another_is_refused(self) -> None:
        whole = self.whole()
        whole.hosts["node1"].names.unknown.add(NEW)
        self.assertEqual(self.refusal(whole)[1], Code.RESOLVER)
        self.assertIn("as in a host name", self.refusal(whole, "a b")[0])
        six = self.whole(master_ip="2001:db8::1")
        self.assertEqual(self.refusal(six)[1], Code.RESOLVER)
        card = an_instance("web1", nics=(a_nic(ip=address_of(NEW)),))
        told, code = self.refusal(self.whole(instances=[card]))
        self.assertEqual(code, Code.NOT_UNIQUE)
        self.assertIn("the address of instance web1", told)
        nodes = [a_node("node1"), a_node("node2", secondary_ip=address_of(NEW))]
        self.assertIn("node node2", self.refusal(WholeCluster(a_cluster(nodes=nodes)))[0])

    def test_hooks_know_both_names_and_a_dry_run_shows_the_new_one(self) -> None:
        whole = self.whole()
        op, state = RenameCluster(name=NEW), whole.state
        facts = self.successResultOf(collect_inputs(OPERATION, op, state, whole.tools, ""))
        plan = OPERATION.plan(op, state, facts)
        call = OPERATION.hooks(plan, state)
        assert call is not None
        names = {"OP_TARGET": "cluster.example.com", "NEW_NAME": NEW}
        self.assertEqual(call.environment, names)
        nodes = [uuid_of("node", name) for name in ("node1", "node2")]
        self.assertEqual((call.before, sorted(call.after)), (nodes[:1], sorted(nodes)))
        self.assertEqual(OPERATION.preview(plan), {"name": NEW, "address": address_of(NEW)})
