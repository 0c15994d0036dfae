# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-group`` shows groups with their times, and their specs as commands."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_group.actions import info, show_specs
from ganeti.cli.session import ExitTool
from ganeti.testing.builders import SINCE, a_cluster, a_group
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import Terminal, arguments, in_utc

BOUNDS = {"min": {"cpu-count": 1}, "max": {"cpu-count": 8, "memory-size": 512}}


class GroupTests(SynchronousTestCase):
    def setUp(self) -> None:
        in_utc(self)
        rack1 = a_group("rack1", ipolicy={"minmax": [BOUNDS, BOUNDS]})
        self.terminal = Terminal(answers_about(a_cluster(groups=["default", rack1])))

    def call(self, action: Any, **values: Any) -> int:
        given = arguments(**values)
        code: int = self.terminal.call(lambda session: action(session, given))
        return code

    def test_people_get_times_and_programs_get_numbers(self) -> None:
        self.assertEqual(self.call(info, names=["rack1"]), 0)
        self.assertIn("mtime: 2023-11-14 22:13:20\n", self.terminal.out)
        self.call(info, names=["rack1"], output="json")
        [group] = json.loads(self.terminal.out)
        self.assertEqual((group["name"], group["mtime"]), ("rack1", SINCE))

    def test_all_are_shown_if_none_is_named(self) -> None:
        self.call(info, output="json")
        names = [each["name"] for each in json.loads(self.terminal.out)]
        self.assertEqual(names, ["default", "rack1"])

    def test_those_that_exist_are_shown_before_the_others_are_refused(self) -> None:
        for action in (info, show_specs):
            with self.assertRaisesRegex(ExitTool, "^unknown node group rack8, rack9; see gnt-"):
                self.call(action, names=["rack1", "rack8", "rack9"])
            self.assertIn("rack1", self.terminal.out)

    def test_alternatives_of_a_policy_are_one_option(self) -> None:
        self.assertEqual(self.call(show_specs, names=["rack1"]), 0)
        bounds = "min:cpu-count=1/max:cpu-count=8,memory-size=512"
        wanted = f"gnt-group add --ipolicy-bounds-specs={bounds}//{bounds} rack1\n"
        self.assertEqual(self.terminal.out, wanted)

    def test_defaults_are_shown_if_they_are_wanted(self) -> None:
        self.call(show_specs, names=["default"])
        self.assertEqual(self.terminal.out, "gnt-group add default\n")
        self.call(show_specs, names=["default"], include_defaults=True)
        self.assertIn(" --ipolicy-bounds-specs=min:cpu-count=", self.terminal.out)
        # A group has no standard instance of its own.
        self.assertNotIn("--ipolicy-std-specs", self.terminal.out)
