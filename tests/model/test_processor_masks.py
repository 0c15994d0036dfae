# SPDX-License-Identifier: BSD-2-Clause
"""Masks of the processors of a guest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.model.processor_masks import has_mask_for_each, require_mask_for_each


class ProcessorMasksTests(SynchronousTestCase):
    def test_one_mask_is_for_all_processors(self) -> None:
        self.assertFalse(has_mask_for_each("0-3,8"))
        require_mask_for_each("0-3,8", 4, "web1")

    def test_there_is_one_mask_for_each_or_none(self) -> None:
        require_mask_for_each("0:all:2-3", 3, "web1")
        for vcpus in (2, 4):
            with self.assertRaisesRegex(Refused, f"3 masks, but instance web1 has {vcpus}"):
                require_mask_for_each("0:all:2-3", vcpus, "web1")
