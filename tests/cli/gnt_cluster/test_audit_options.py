# SPDX-License-Identifier: BSD-2-Clause
"""Only the master knows users: their options decide where a history comes from."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.audit_options import AUDIT, is_wanted
from ganeti.cli.options import BadOption, parse
from tests.cli.terminal import arguments


class AuditOptionTests(SynchronousTestCase):
    def test_each_of_them_needs_the_master(self) -> None:
        for words in (
            ("--user", ""),
            ("--name", "web1"),
            ("--since", "0"),
            ("--until", "1.5"),
            ("--denied",),
        ):
            values, _ = parse(AUDIT, words)
            self.assertTrue(is_wanted(arguments("history", **values)), words)

    def test_the_other_options_do_not(self) -> None:
        self.assertFalse(is_wanted(arguments("history", last=5, all=True, check=True)))

    def test_times_are_seconds(self) -> None:
        self.assertEqual(parse(AUDIT, ["--since", "1700000000.25"])[0], {"since": 1700000000.25})
        self.assertRaises(BadOption, parse, AUDIT, ["--since", "yesterday"])
