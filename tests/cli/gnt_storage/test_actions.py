# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-storage`` tells where the providers of external storage work."""

from __future__ import annotations

import json
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_storage.actions import diagnose, info
from ganeti.cli.session import ExitTool
from ganeti.luxi.methods import Query
from tests.cli.terminal import Terminal, answer, arguments

FIELDS = dict.fromkeys(("name", "node_status", "nodegroup_status", "parameters"), "other")
PATH = "/usr/share/ganeti/extstorage/rbd"
GOOD = [PATH, True, "", [["pool", "The pool."]]]


class ProviderTests(SynchronousTestCase):
    def setUp(self) -> None:
        works = ["rbd", {"node1": [GOOD]}, {"default": True}, [["pool", "The pool."]]]
        away: list[Any] = ["nfs", {"node1": []}, {"default": False, "rack1": True}, None]
        self.terminal = Terminal({Query: answer(FIELDS, works, away)})

    def call(self, action: Any, **values: Any) -> int:
        given = arguments(**values)
        code: int = self.terminal.call(lambda session: action(session, given))
        return code

    def test_one_that_works_in_some_groups_only_is_a_failure(self) -> None:
        self.assertEqual(self.call(diagnose), 1)
        self.terminal.canned[Query] = answer(FIELDS, ["rbd", {}, {"default": True}, []])
        self.assertEqual(self.call(diagnose), 0)
        self.terminal.canned[Query] = answer(FIELDS)
        self.assertEqual(self.call(diagnose), 0)

    def test_a_place_that_works_has_no_diagnosis(self) -> None:
        self.call(diagnose)
        told = yaml.safe_load(self.terminal.out)
        self.assertEqual(told["rbd"], {"node1": [{"path": PATH, "valid": True}]})
        self.assertEqual(told["nfs"], {"node1": "this node has no such provider"})

    def test_all_are_shown_if_none_is_named(self) -> None:
        self.assertEqual(self.call(info), 0)
        told = yaml.safe_load(self.terminal.out)
        self.assertEqual(told["nfs"]["node groups"], {"default": "invalid", "rack1": "valid"})
        self.assertEqual(told["rbd"]["parameters"], {"pool": "The pool."})

    def test_those_that_exist_are_shown_before_the_others_are_refused(self) -> None:
        with self.assertRaisesRegex(ExitTool, "provider a, b; see gnt-storage diagnose$"):
            self.call(info, names=["a", "rbd", "b"], output="json")
        self.assertEqual([each["name"] for each in json.loads(self.terminal.out)], ["rbd"])
