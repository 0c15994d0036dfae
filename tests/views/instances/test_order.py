# SPDX-License-Identifier: BSD-2-Clause
"""Instances stay sorted from state to state, and a sequence that was given out stays as it is."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as some
from immutables import Map
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.instance import Instance
from ganeti.schema.records import replace
from ganeti.testing.builders import an_instance
from ganeti.views.instances.order import MAX_INSERTED, InstanceOrder


def some_instances(*names: str) -> Map[str, Instance]:
    made = [an_instance(name).instance for name in names]
    return Map({each.uuid: each for each in made})


def changed(instances: Map[str, Instance], name: str, /, **over: object) -> Map[str, Instance]:
    """The instances, of which one is another object."""
    [old] = [each for each in instances.values() if each.name == name]
    return instances.set(old.uuid, replace(old, **over))


class OrderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.order = InstanceOrder()

    def names(self, instances: Map[str, Instance]) -> list[str]:
        return [each.name for each in self.order.sort_instances(instances)]

    def test_numbers_in_names_are_compared_by_value(self) -> None:
        self.assertEqual(
            self.names(some_instances("web10", "web2", "db1")), ["db1", "web2", "web10"]
        )

    def test_the_same_map_has_the_same_sequence(self) -> None:
        instances = some_instances("b", "a")
        first = self.order.sort_instances(instances)
        self.assertIs(self.order.sort_instances(instances), first)

    def test_a_changed_instance_keeps_its_place_and_the_shape(self) -> None:
        instances = some_instances("a", "b", "c")
        first = self.order.sort_instances(instances)
        shape = self.order.shape
        second = self.order.sort_instances(changed(instances, "b", tags=("x",)))
        self.assertEqual([each.tags for each in second], [(), ("x",), ()])
        self.assertEqual([each.tags for each in first], [(), (), ()])
        self.assertIs(self.order.shape, shape)

    def test_new_and_removed_ones_change_the_shape(self) -> None:
        instances = some_instances("a", "c")
        self.names(instances)
        for names in (("a", "b", "c"), ("b", "c"), ()):
            shape = self.order.shape
            self.assertEqual(self.names(some_instances(*names)), list(names))
            self.assertIsNot(self.order.shape, shape)

    def test_a_renamed_one_finds_its_new_place(self) -> None:
        instances = some_instances("a", "b", "c")
        self.names(instances)
        self.assertEqual(self.names(changed(instances, "a", name="z")), ["b", "c", "z"])

    def test_many_new_ones_are_sorted_at_once(self) -> None:
        self.names(some_instances("m"))
        names = [f"web{number}" for number in range(MAX_INSERTED + 5)]
        found = self.names(some_instances("m", *reversed(names)))
        self.assertEqual(found, ["m", *names])

    def test_the_place_of_one_is_known(self) -> None:
        instances = some_instances("b", "a")
        ordered = self.order.sort_instances(instances)
        places = [self.order.index_of(each.uuid) for each in ordered]
        self.assertEqual((places, self.order.index_of("none")), ([0, 1], None))

    @given(some.randoms(use_true_random=False), some.lists(some.integers(0, 4), max_size=12))
    def test_whatever_changes_the_order_is_that_of_the_names(
        self, chance: random.Random, steps: list[int]
    ) -> None:
        order = InstanceOrder()
        instances = some_instances("web1", "web2", "web10")
        for number, step in enumerate(steps):
            known = list(instances.values())
            one = chance.choice(known) if known else None
            if step == 0 or one is None:
                new = an_instance(f"web{chance.randrange(30)}-{number}").instance
                instances = instances.set(new.uuid, new)
            elif step == 1:
                instances = instances.delete(one.uuid)
            elif step == 2:
                instances = instances.set(one.uuid, replace(one, name=f"db{number}"))
            else:
                instances = instances.set(one.uuid, replace(one, tags=(str(number),)))
            found = list(order.sort_instances(instances))
            fresh = list(InstanceOrder().sort_instances(instances))
            self.assertEqual([each.name for each in found], [each.name for each in fresh])
            self.assertEqual(
                {id(each) for each in found}, {id(each) for each in instances.values()}
            )
            self.assertEqual([order.index_of(each.uuid) for each in found], list(range(len(found))))
