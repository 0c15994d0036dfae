# SPDX-License-Identifier: BSD-2-Clause
"""Findings of a verification are written for people or for programs, and only errors fail it."""

from __future__ import annotations

from collections.abc import Collection

from twisted.trial.unittest import SynchronousTestCase

from ganeti.opcodes.cluster import FindingCode
from ganeti.operations.cluster.findings import Finding, Report
from ganeti.testing.tools import MemoryProgress

ERROR = Finding(FindingCode.ENODERPC, "node", "node1", "does not answer")
WARNING = Finding(FindingCode.ENODETIME, "node", "node2", "clock is late", warning=True)
CLUSTER = Finding(FindingCode.ECLUSTERCFG, "cluster", "", "has no master")


class ReportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.progress = MemoryProgress()

    def report(
        self, *, codes: bool = False, ignored: Collection[FindingCode] = (), verbose: bool = False
    ) -> Report:
        return Report(self.progress, codes, ignored, verbose)

    def test_only_errors_fail_the_verification(self) -> None:
        report = self.report()
        self.assertTrue(report.write([]))
        self.assertTrue(report.write([WARNING]))
        self.assertFalse(report.write([ERROR, WARNING]))

    def test_an_ignored_code_is_a_warning(self) -> None:
        report = self.report(ignored=[FindingCode.ENODERPC])
        self.assertTrue(report.write([ERROR]))
        self.assertFalse(report.write([ERROR, CLUSTER]))
        self.assertEqual(self.progress.said[0], "  - WARNING: node node1: does not answer")

    def test_people_read_the_object_and_the_message(self) -> None:
        self.report().write([ERROR, CLUSTER])
        expected = ["  - ERROR: node node1: does not answer", "  - ERROR: cluster: has no master"]
        self.assertEqual(self.progress.said, expected)

    def test_programs_read_fields_with_colons_between(self) -> None:
        self.report(codes=True).write([WARNING, CLUSTER])
        expected = [
            "  - WARNING:ENODETIME:node:node2:clock is late",
            "  - ERROR:ECLUSTERCFG:cluster::has no master",
        ]
        self.assertEqual(self.progress.said, expected)

    def test_details_are_written_if_the_report_is_verbose(self) -> None:
        for verbose, expected in ((False, ["* nodes"]), (True, ["* nodes", "  - all answer"])):
            self.progress.said.clear()
            report = self.report(verbose=verbose)
            report.write_heading("nodes")
            report.detail("all answer")
            self.assertEqual(self.progress.said, expected)
