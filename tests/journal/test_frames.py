# SPDX-License-Identifier: BSD-2-Clause
"""Frames: whatever is cut off or damaged is noticed, and what is whole comes back."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.journal.frames import (
    Frame,
    commit_of,
    digest_of,
    encode,
    header,
    read_header,
    scan,
)
from ganeti.journal.interfaces import BEGINNING, Commit, JournalDamaged, LogPosition
from tests.contracts.journal import a_commit

LINE = header(BEGINNING)


def written(*groups: list[Commit]) -> tuple[bytes, list[int]]:
    """The bytes of groups of commits that were each one write, and where each frame stops."""
    data, stops, digest = bytearray(LINE), [], BEGINNING.digest
    for group in groups:
        began = len(data)
        for commit in group:
            frame = encode(commit, digest, len(data) - began)
            digest = digest_of(frame)
            data += frame
            stops.append(len(data))
    return bytes(data), stops


def found(data: bytes) -> list[Frame]:
    after, start = read_header(data, source="segment")
    return list(scan(data, after, source="segment", start=start))


commits = st.builds(a_commit, st.integers(0, 99), size=st.integers(0, 1500))
groups = st.lists(st.lists(commits, min_size=1, max_size=4), min_size=1, max_size=4)


class ScanTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=60)
    @given(groups, st.data())
    def test_what_is_whole_before_a_cut_comes_back(
        self, groups: list[list[Commit]], chance: st.DataObject
    ) -> None:
        data, stops = written(*groups)
        cut = chance.draw(st.integers(len(LINE), len(data)))
        frames = found(data[:cut])
        self.assertEqual([each.stop for each in frames], [stop for stop in stops if stop <= cut])
        expected = [commit for group in groups for commit in group][: len(frames)]
        self.assertEqual([commit_of(data, each) for each in frames], expected)

    @settings(deadline=None, max_examples=120)
    @given(groups, st.data())
    def test_a_flipped_bit_is_found(
        self, groups: list[list[Commit]], chance: st.DataObject
    ) -> None:
        data, stops = written(*groups)
        bit = chance.draw(st.integers(0, len(data) * 8 - 1))
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        last = [len(LINE), *stops][-2]
        if bit // 8 < last:
            with self.assertRaises(JournalDamaged):
                found(bytes(damaged))
        else:  # in the last frame it looks like a torn write
            self.assertEqual([each.stop for each in found(bytes(damaged))], stops[:-1])

    @settings(deadline=None, max_examples=60)
    @given(groups, st.data())
    def test_sectors_missing_from_the_last_write_are_not_damage(
        self, groups: list[list[Commit]], chance: st.DataObject
    ) -> None:
        data, stops = written(*groups)
        began = [len(LINE), *stops][-1 - len(groups[-1])]
        sector = chance.draw(st.integers(began // 512, len(data) // 512)) * 512
        first, last = max(began, sector), min(sector + 512, len(data))
        torn = data[:first] + bytes(last - first) + data[last:]
        self.assertEqual(
            [each.stop for each in found(torn)], [stop for stop in stops if stop <= first]
        )

    def test_damage_names_the_file_the_place_and_what_to_do(self) -> None:
        data, stops = written([a_commit(1)], [a_commit(2)], [a_commit(3)])
        damaged = data[: stops[0] + 60] + b"?" + data[stops[0] + 61 :]
        with self.assertRaisesRegex(
            JournalDamaged, rf"segment .*byte {stops[0]} \(commit 2\).*truncate"
        ):
            found(damaged)

    def test_a_commit_of_a_later_release_is_not_damage(self) -> None:
        data, _ = written([a_commit(1)])
        [frame] = found(data)
        # As if read from a frame that verifies.
        later = data.replace(b'"who"', b'"when":1,"who"')
        moved = replace(frame, stop=len(later))
        with self.assertRaisesRegex(JournalDamaged, r"commit 1 .*`when`.*a later release has"):
            commit_of(later, moved)

    def test_a_frame_of_another_history_is_damage(self) -> None:
        data, _ = written([a_commit(1)])
        with self.assertRaisesRegex(JournalDamaged, "does not follow"):
            list(scan(data, LogPosition(0, b"x" * 32), source="segment", start=len(LINE)))


class HeaderTests(SynchronousTestCase):
    def test_a_first_line_says_what_its_segment_follows(self) -> None:
        mark = LogPosition(41, bytes(range(32)))
        line = header(mark)
        self.assertEqual(read_header(line + b"frames", source="segment"), (mark, len(line)))

    def test_a_segment_of_a_later_format_is_not_touched(self) -> None:
        with self.assertRaisesRegex(JournalDamaged, "later release"):
            read_header(b"ganeti journal 2 something\n", source="segment")
