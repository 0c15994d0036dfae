# SPDX-License-Identifier: BSD-2-Clause
"""Instances that fit into a policy, and what is said of those that do not."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.model.parameters.policy import Policy, Range, Specs
from ganeti.operations.allocation.policy_check import PolicySize, check_policy, violations


def specs(**over: int) -> Specs:
    fields = {
        "cpu_count": 1,
        "disk_count": 1,
        "disk_size": 100,
        "memory_size": 128,
        "nic_count": 1,
        "spindle_use": 1,
    }
    return Specs(**{**fields, **over})


SMALL = Range(
    min=specs(),
    max=specs(
        cpu_count=2, disk_count=2, disk_size=200, memory_size=512, nic_count=2, spindle_use=3
    ),
)
LARGE = Range(
    min=specs(cpu_count=4, memory_size=4096),
    max=specs(cpu_count=8, disk_count=4, disk_size=9000, memory_size=8192, nic_count=8),
)


def a_size(**over: Any) -> PolicySize:
    fields: dict[str, Any] = {
        "memory": 256,
        "vcpus": 1,
        "disks": [150],
        "nics": 1,
        "spindles": 1,
        "template": Template.PLAIN,
    }
    return PolicySize(**{**fields, **over})


def a_policy(*ranges: Range, templates: tuple[Template, ...] = (Template.PLAIN,)) -> Policy:
    return Policy(minmax=ranges, disk_templates=templates)


class RangeTests(SynchronousTestCase):
    def test_both_ends_of_a_range_belong_to_it(self) -> None:
        for name, low, high in (
            ("memory", 128, 512),
            ("vcpus", 1, 2),
            ("nics", 1, 2),
            ("spindles", 1, 3),
        ):
            for value in (low, high):
                self.assertEqual(violations(a_size(**{name: value}), a_policy(SMALL)), [])
            for value in (low - 1, high + 1):
                [broken] = violations(a_size(**{name: value}), a_policy(SMALL))
                self.assertIn(f"{value} ", broken)
                self.assertTrue(broken.endswith(f"is outside the range {low} to {high}"), broken)

    def test_each_disk_has_a_size_in_the_range(self) -> None:
        self.assertEqual(violations(a_size(disks=[100, 200]), a_policy(SMALL)), [])
        broken = violations(a_size(disks=[99, 100, 201]), a_policy(SMALL))
        expected = [
            "3 disks is outside the range 1 to 2",
            "99 MiB of disk is outside the range 100 to 200",
            "201 MiB of disk is outside the range 100 to 200",
        ]
        self.assertEqual(broken, expected)

    def test_the_number_of_disks_does_not_matter_without_disks(self) -> None:
        policy = a_policy(SMALL, templates=(Template.DISKLESS,))
        self.assertEqual(violations(a_size(disks=[], template=Template.DISKLESS), policy), [])
        plain = violations(a_size(disks=[]), a_policy(SMALL))
        self.assertEqual(plain, ["0 disks is outside the range 1 to 2"])

    def test_one_range_of_several_is_enough_but_must_fit_as_a_whole(self) -> None:
        policy = a_policy(SMALL, LARGE)
        self.assertEqual(violations(a_size(memory=4096, vcpus=4), policy), [])
        mixed = violations(a_size(memory=512, vcpus=4), policy)
        self.assertEqual(mixed, ["4 virtual processors is outside the range 1 to 2"])

    def test_the_violations_of_the_nearest_range_are_told(self) -> None:
        broken = violations(a_size(memory=4000, vcpus=4), a_policy(SMALL, LARGE))
        self.assertEqual(broken, ["4000 MiB of memory is outside the range 4096 to 8192"])


class RefusalTests(SynchronousTestCase):
    def test_an_instance_within_the_policy_is_accepted(self) -> None:
        check_policy(a_size(), a_policy(SMALL), "web1")

    def test_all_violations_are_told_with_what_to_do(self) -> None:
        size = a_size(memory=64, template=Template.DRBD)
        policy = a_policy(SMALL, templates=(Template.PLAIN, Template.FILE))
        with self.assertRaises(Refused) as caught:
            check_policy(size, policy, "web1")
        self.assertEqual(
            str(caught.exception),
            "instance web1 violates the instance policy: "
            "disk template drbd is not allowed; allowed are plain, file; "
            "64 MiB of memory is outside the range 128 to 512; "
            "change its size, or use --ignore-ipolicy",
        )
        self.assertEqual(caught.exception.code, Code.INPUT)
