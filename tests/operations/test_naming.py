# SPDX-License-Identifier: BSD-2-Clause
"""New names and addresses are such that nothing breaks that they are written into."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.testing.builders import a_cluster, an_instance
from tests.operations.whole import WholeCluster

DISKLESS = {
    "mode": "create",
    "disk_template": "diskless",
    "disks": [],
    "nics": [],
    "no_install": True,
}
NETWORK = {"network": "192.0.2.0/24"}


class NamingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = WholeCluster(a_cluster(nodes=["node1"], instances=[an_instance("web1")]))

    def refusal(self, op_id: str, **fields: Any) -> str:
        return str(self.failureResultOf(self.whole.do(op_id, **fields), Invalid).value)

    def test_names_of_groups_and_networks_fit_into_lists_and_addresses(self) -> None:
        control = "must be one line of text without control characters"
        shape = "must be printable, without slashes, and without spaces at its ends"
        for name, rule in (("a\nb", control), ("\x1b[2J", control), ("a/b", shape), (" a", shape)):
            self.assertEqual(
                [
                    self.refusal("OP_GROUP_ADD", group_name=name),
                    self.refusal("OP_GROUP_RENAME", group_name="default", new_name=name),
                    self.refusal("OP_NETWORK_ADD", network_name=name, **NETWORK),
                ],
                [f"{path}: {rule}" for path in ("group_name", "new_name", "network_name")],
            )

    def test_addresses_of_nodes_are_addresses(self) -> None:
        for each in ("x", "127.0.0", "node1"):
            self.assertEqual(
                self.refusal("OP_NODE_SET_PARAMS", node_name="node1", secondary_ip=each),
                f"secondary_ip: {each} is not an address such as 192.0.2.1",
            )

    def test_tags_to_begin_with_are_tags(self) -> None:
        network = self.refusal("OP_NETWORK_ADD", network_name="n", tags=["a b"], **NETWORK)
        created = self.refusal("OP_INSTANCE_CREATE", instance_name="i", tags=["a b"], **DISKLESS)
        for told in (network, created):
            self.assertIn("tags[0]: 'a b' cannot be a tag", told)
