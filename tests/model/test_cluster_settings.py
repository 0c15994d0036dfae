# SPDX-License-Identifier: BSD-2-Clause
"""Rules for the settings of a cluster, wherever they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.cluster_settings import missing_settings, setting_problems
from ganeti.model.disk import Template


class SettingTests(SynchronousTestCase):
    def problems(self, settings: Mapping[str, Any], *, ipv6: bool = False) -> list[str]:
        return [problem.path for problem in setting_problems(settings, ipv6=ipv6)]

    def test_settings_that_are_not_given_are_not_checked(self) -> None:
        self.assertEqual(self.problems({}), [])

    def test_each_rule_has_values_that_it_allows_and_refuses(self) -> None:
        for name, good, bad in (
            ("candidate_pool_size", [1, 10], [0, -1]),
            ("default_iallocator", ["", "hail", "my.own"], ["../hail", ".hidden", "a b"]),
            ("file_storage_dir", ["", None, "/srv"], ["srv", "./srv"]),
            ("drbd_usermode_helper", ["", None, "/bin/true"], ["true"]),
            ("mac_prefix", ["aa:00:10", "02:ff:ff"], ["ab:00:10", "aa:00", "aa:00:10:00"]),
            ("master_netdev", ["eth0", "br-lan.7"], ["", "a/b", "x" * 16, "eth 0"]),
            ("master_ip", [None, "192.0.2.1", "2001:db8::1"], ["", "host", "192.0.2.256"]),
            ("volume_group_name", ["", None, "vg0", "a+b_c.d-e"], [".", "..", "-vg", "v/g"]),
        ):
            for value in good:
                self.assertEqual(self.problems({name: value}), [], (name, value))
            for value in bad:
                self.assertEqual(self.problems({name: value}), [name], (name, value))

    def test_the_length_of_a_netmask_depends_on_the_family(self) -> None:
        for length, ipv6, right in (
            *((1, False, True), (32, False, True), (0, False, False), (33, False, False)),
            *((33, True, True), (128, True, True), (129, True, False)),
        ):
            found = self.problems({"master_netmask": length}, ipv6=ipv6)
            self.assertEqual(found, [] if right else ["master_netmask"], (length, ipv6))

    def test_each_expression_that_cannot_be_used_is_named(self) -> None:
        found = self.problems({"reserved_lvs": ("vg0/.*", "(", "ok", "[")})
        self.assertEqual(found, ["reserved_lvs[1]", "reserved_lvs[3]"])

    def test_templates_need_their_folder_or_volume_group(self) -> None:
        templates = (Template.FILE, Template.DRBD, Template.DISKLESS)
        found = list(missing_settings(templates, {"file_storage_dir": "/srv"}))
        self.assertEqual(found, [(Template.DRBD, "volume_group_name")])
        self.assertEqual(
            list(missing_settings(templates, {"volume_group_name": "vg0"})),
            [(Template.FILE, "file_storage_dir")],
        )
