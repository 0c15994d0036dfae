# SPDX-License-Identifier: BSD-2-Clause
"""Progress is a sentence in the log of a job, which tools find there."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.work_progress import WorkProgress, parse_progress


class WorkProgressTests(SynchronousTestCase):
    def test_what_is_written_is_found(self) -> None:
        for progress, text in (
            (WorkProgress("syncing disk/0", 41.25, 58), "syncing disk/0: 41.2% done, 58 s left"),
            (WorkProgress("sending web1", 100.0), "sending web1: 100.0% done"),
        ):
            self.assertEqual(str(progress), text)
            found = parse_progress(text)
            assert found is not None
            self.assertEqual((found.what, found.left), (progress.what, progress.left))
            self.assertEqual(found.percent, round(progress.percent, 1))

    def test_figures_that_make_no_sense_are_bounded(self) -> None:
        self.assertEqual(str(WorkProgress("copy", 104.0, -3.0)), "copy: 100.0% done, 0 s left")
        self.assertEqual(str(WorkProgress("copy", -1.0)), "copy: 0.0% done")

    def test_other_messages_are_no_progress(self) -> None:
        for text in ("starting instance web1", "half: 50% done", "a: 5.0% done or so", "5.0% done"):
            self.assertIsNone(parse_progress(text))
