# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-group`` shows groups, and makes the requests that its users mean."""

from __future__ import annotations

import json

import yaml
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_group.commands import GNT_GROUP
from ganeti.luxi.methods import WaitForJobChange
from ganeti.opcodes.group import ModifyGroup
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_group, a_node
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import Terminal, in_utc

BOUNDS = {"min": {"cpu-count": 1}, "max": {"cpu-count": 8}}


def terminal() -> Terminal:
    """One at a cluster of two groups, of which one has a policy and a parameter of its own."""
    rack1 = a_group("rack1", ndparams={"ssh_port": 23}, ipolicy={"minmax": [BOUNDS]})
    node2 = a_node("node2", group="rack1")
    state = a_cluster(groups=["default", rack1], nodes=["node1", node2])
    return Terminal(answers_about(state))


class GroupTests(SynchronousTestCase):
    def test_the_list_shows_parameters_by_name(self) -> None:
        used = terminal()
        words = ("list", "--no-headers", "--separator", " ", "-o", "name,node_cnt,custom_ndparams")
        self.assertEqual(used.run(GNT_GROUP, *words), 0, used.err)
        self.assertEqual(used.out.splitlines(), ["default 1 {}", 'rack1 1 {"ssh_port":23}'])
        used.run(GNT_GROUP, "list", "--no-headers", "-o", "ndparams", "rack1")
        self.assertIn("exclusive_storage=False,", used.out)
        self.assertIn(",ssh_port=23", used.out)

    def test_everything_about_a_group_is_told(self) -> None:
        in_utc(self)
        used = terminal()
        self.assertEqual(used.run(GNT_GROUP, "info", "rack1"), 0, used.err)
        [told] = yaml.safe_load(used.out)
        self.assertEqual((told["name"], told["node_list"]), ("rack1", ["node2"]))
        self.assertIn("  ctime: 2023-11-14 22:13:20\n", used.out)
        used.run(GNT_GROUP, "info", "-o", "json")
        names = [each["name"] for each in json.loads(used.out)]
        self.assertEqual(names, ["default", "rack1"])

    def test_an_unknown_one_is_named(self) -> None:
        for command in ("info", "show-ispecs-cmd"):
            used = terminal()
            self.assertEqual(used.run(GNT_GROUP, command, "rack9"), 1)
            told = "Error: unknown node group rack9; see gnt-group list\n"
            self.assertEqual(used.err, told)

    def test_the_sizes_of_its_own_policy_are_shown_as_a_command(self) -> None:
        used = terminal()
        self.assertEqual(used.run(GNT_GROUP, "show-ispecs-cmd"), 0, used.err)
        option = "--ipolicy-bounds-specs=min:cpu-count=1/max:cpu-count=8"
        self.assertEqual(used.out, f"gnt-group add default\ngnt-group add {option} rack1\n")

    def test_a_policy_is_reset_by_a_word(self) -> None:
        used = Terminal()
        words = ("modify", "--ipolicy-bounds-specs", "default", "rack1")
        self.assertEqual(used.run(GNT_GROUP, *words), 0, used.err)
        wanted = ModifyGroup(group_name="rack1", ipolicy={"minmax": "default"})
        self.assertEqual(replace(used.job(), reason=()), wanted)

    def test_a_size_is_a_number(self) -> None:
        for given, why in (
            ("min:cpu-count=few", "cpu-count=few: "),
            ("min:memory-size=much", "memory-size=much: "),
            ("min:cpu-count", "cpu-count needs a value, as in cpu-count=1"),
        ):
            used = Terminal()
            words = ("add", "--ipolicy-bounds-specs", given, "rack2")
            self.assertEqual((used.run(GNT_GROUP, *words), used.asked()), (1, []), given)
            self.assertIn(why, used.err)

    def test_an_evacuation_is_as_good_as_its_worst_job(self) -> None:
        ends = {
            1: [
                ["success", ["success"], [{"jobs": [[True, 2], [False, "the queue is full"]]}]],
                [],
            ],
            2: [["success", ["success"], [None]], []],
        }
        used = Terminal({WaitForJobChange: lambda request: ends[request.job_id]})
        self.assertEqual(used.run(GNT_GROUP, "evacuate", "rack1"), 1)
        self.assertEqual(used.err, "Failure: a job was rejected: the queue is full\n")
