# SPDX-License-Identifier: BSD-2-Clause
"""Names are in the order that people expect, and shared defaults are computed once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.testing.builders import a_cluster, a_node, an_instance
from ganeti.views.snapshot import in_order, names_of, natural_key
from tests.views.moments import a_moment


class OrderTests(SynchronousTestCase):
    def test_numbers_are_compared_by_value_and_letters_without_case(self) -> None:
        names = ["web10", "Web2", "web1", "db", "web2a", "1", "10", "9"]
        found = in_order(names, lambda name: name)
        self.assertEqual(found, ["1", "9", "10", "db", "web1", "Web2", "web2a", "web10"])

    def test_a_name_comes_before_those_that_go_on(self) -> None:
        found = in_order(["web1.b", "web1", "web1.a"], lambda name: name)
        self.assertEqual(found, ["web1", "web1.a", "web1.b"])

    def test_names_of_objects_are_sorted_alike(self) -> None:
        nodes = [a_node(name) for name in ("node10", "node9")]
        self.assertEqual(names_of(nodes), ["node9", "node10"])

    @given(some.lists(some.text(alphabet="ab0129.-\u0662\u00b2")))
    def test_all_names_can_be_compared(self, names: list[str]) -> None:
        found = in_order(names, lambda name: name)
        self.assertEqual(sorted(found), sorted(names))
        self.assertEqual(found, sorted(found, key=natural_key))


class DefaultTests(SynchronousTestCase):
    def test_the_os_of_an_instance_may_change_its_defaults(self) -> None:
        state: ClusterState = a_cluster(
            instances=[
                an_instance("a", hypervisor="kvm"),
                an_instance("b", hypervisor="kvm", os="debian"),
            ],
            os_hvp={"debian": {"kvm": {"acpi": False}}},
        )
        moment = a_moment(state)
        usual, other = (moment.hypervisor(state.instance(name)) for name in ("a", "b"))
        self.assertEqual((usual["acpi"], other["acpi"]), (True, False))

    def test_those_of_one_hypervisor_and_os_are_computed_once(self) -> None:
        state = a_cluster(instances=["a", "b"])
        moment = a_moment(state)
        first, second = (moment.hypervisor(state.instance(name)) for name in ("a", "b"))
        self.assertIs(first, second)

    def test_cards_and_memory_have_those_of_the_cluster(self) -> None:
        moment = a_moment(a_cluster())
        self.assertEqual(moment.cards["link"], "br0")
        self.assertIn("maxmem", moment.backend)
