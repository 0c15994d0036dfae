# SPDX-License-Identifier: BSD-2-Clause
"""The methods of the local socket are those that existing clients call."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.luxi.methods import METHODS


class LuxiTests(SynchronousTestCase):
    def test_methods_and_their_arguments_are_the_known_ones(self) -> None:
        path = Path(__file__).parent / "data" / "luxi.json"
        ours = {name: list(kind.__struct_fields__) for name, kind in METHODS.items()}
        self.assertEqual(ours.pop("QueryObjects"), ["what", "fields", "names", "known"])
        pages = ["what", "fields", "known", "tag", "page"]
        self.assertEqual(ours.pop("QueryObjectPages"), pages)
        self.assertEqual(ours.pop("SubmitSharedJob"), ["ops"])
        self.assertEqual(ours.pop("CancelJobs"), ["job_ids", "kill"])
        self.assertEqual(ours.pop("EnrolNode"), ["token", "request"])
        events = ["since", "timeout", "kinds", "names", "tags"]
        self.assertEqual(ours.pop("WaitForEvents"), events)
        self.assertEqual(ours.pop("QueryMetrics"), [])
        self.assertEqual(ours.pop("QueryAccess"), ["what"])
        history = ["name", "user", "since", "until", "limit", "denials"]
        self.assertEqual(ours.pop("QueryHistory"), history)
        self.assertEqual(ours.pop("RecordDenial"), ["who", "how", "what", "why"])
        self.assertEqual(ours.pop("QueryCaller"), [])
        self.assertEqual(ours.pop("QueryOpenId"), [])
        self.assertEqual(ours.pop("OpenSession"), ["session", "digest"])
        self.assertEqual(ours.pop("CloseSession"), [])
        self.assertEqual(ours.pop("EndSession"), ["session"])
        self.assertEqual(ours.pop("QueryPassword"), ["user"])
        self.assertEqual(ours.pop("QueryNotifications"), [])
        self.assertEqual(ours.pop("QueryImages"), ["names", "fields", "use_locking"])
        self.assertEqual(ours.pop("TestNotification"), ["name"])
        self.assertEqual(ours.pop("QueryFailover"), [])
        self.assertEqual(ours.pop("QueryBackupRepositories"), [])
        self.assertEqual(ours.pop("QueryBackups"), ["repository", "instance"])
        self.assertEqual(ours.pop("QueryBackupSchedules"), [])
        self.assertEqual(ours.pop("QueryRepositoryKey"), ["repository"])
        self.assertEqual(ours.pop("PlanJob"), ["ops"])
        self.assertEqual(
            ours.pop("CreateConsoleTicket"), ["instance", "stream", "viewer", "take_over"]
        )
        self.assertEqual(ours.pop("RedeemConsoleTicket"), ["node", "ticket"])
        self.assertEqual(ours.pop("QueryJobRates"), [])
        self.assertEqual(ours.pop("QueryUsage"), ["kind", "name"])
        self.assertEqual(ours.pop("TakeScreenshot"), ["instance"])
        self.assertEqual(ours.pop("WatchConsole"), ["instance", "active", "timeout"])
        self.assertEqual(ours.pop("MoveState"), ["store"])
        self.assertEqual(ours, json.loads(path.read_text()))
