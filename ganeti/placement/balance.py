# SPDX-License-Identifier: BSD-2-Clause
"""The search for moves that lower the score of each node group.

A *descent* takes the best move that it finds until none gains enough. In a small group it tries all
moves. In a large one it tries some, between the nodes whose change lowers the score most: what
makes a move good there is the node that it leaves and the node that it loads, rather than the
instance.

A descent ends where no single move helps. In a small group, that end is *shaken* then: some random
moves and another descent, which is kept if it is better. Last, the way from the first layout to the
final one is planned again, with one move for each instance, in an order in which every move is
possible when its turn comes.

The same input and seed give the same result, unless the time limit ends the search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from ganeti.placement.cluster_model import ClusterModel
from ganeti.placement.layout import GroupUse, Layout, NodeUse
from ganeti.placement.moves import (
    Move,
    Pair,
    describe,
    destinations,
    double_replacements,
    is_possible,
)
from ganeti.placement.score import SPREAD_WEIGHTS, ScoreParts, Spread, deviation
from ganeti.schema.records import Record

SMALL = 20_000
"""The number of possible moves up to which a descent tries all of them."""

SHAKEN = 4_000
"""The number of possible moves up to which the end of a descent is shaken."""

SHAKES, SHAKE_MOVES = 60, (1, 4)
"""How often it is shaken, and the least and the most random moves of one time."""

SAMPLE = 6
"""The number of primary, and of secondary instances of a node that are tried in a large group."""

TARGETS = 5
"""The number of nodes tried for instances that have to leave a node in a large group."""

FRUITLESS_ROUNDS = 8
"""The number of rounds in a row without a sufficient gain after which a large group is done."""

MAX_DOUBLE_TARGETS = 8
"""The number of nodes up to which the replacement of both nodes of an instance is tried."""


class BalanceOptions(Record):
    """The limits of a search.

    ``max_moves`` is the number of instances that may move, in all groups together. A move must
    lower the score by ``min_gain``. Unless ``copy_disks``, no secondary node is replaced.
    ``time_limit`` is in seconds.
    """

    max_moves: int | None = None
    min_gain: float = 0.01
    copy_disks: bool = True
    time_limit: float = 10.0
    seed: int = 0


class GroupPlan(Record):
    """The moves of a node group in their order, and its score before and after them.

    ``timed_out`` says that the search could have found more with more time.
    """

    group: str
    before: ScoreParts
    after: ScoreParts
    moves: tuple[Move, ...]
    timed_out: bool = False


class BalancePlan(Record):
    """The plans of all node groups."""

    groups: tuple[GroupPlan, ...]


class _TimedOut(Exception):
    """The time limit has been reached."""


@dataclass(frozen=True)
class _Attempt:
    """A layout that a search has come to, as the nodes of all instances that have moved."""

    score: float
    places: dict[int, Pair]

    def cost(self, min_gain: float) -> float:
        """Return the score with the moves counted, each of which has to gain ``min_gain``."""
        return self.score + min_gain * len(self.places)


def plan_balance(
    model: ClusterModel, options: BalanceOptions, seconds: Callable[[], float]
) -> BalancePlan:
    """Return the moves that balance each node group; ``seconds`` is a monotonic clock."""
    layout = Layout(model)
    end = seconds() + options.time_limit
    left = options.max_moves
    plans = []
    for position, group in enumerate(layout.groups):
        # Groups that follow get what the ones before have left of the time.
        now = seconds()
        until = now + max(end - now, 0.0) / (len(layout.groups) - position)
        search = _Search(layout, group, options, left, partial(_is_after, seconds, until))
        plan = search.run()
        left = None if left is None else left - len(plan.moves)
        plans.append(plan)
    return BalancePlan(groups=tuple(plans))


class _Search:
    """The search in one group."""

    def __init__(
        self,
        layout: Layout,
        group: GroupUse,
        options: BalanceOptions,
        max_moves: int | None,
        out_of_time: Callable[[], bool],
    ) -> None:
        self._layout = layout
        self._group = group
        self._options = options
        self._max_moves = max_moves
        self._out_of_time = out_of_time
        self._random = Random(options.seed)
        self._members = list(layout.members(group))
        self._movable = frozenset(self._members)
        self._targets = [node.index for node in group.nodes if node.usable]
        self._start = {
            number: (layout.primary[number], layout.secondary[number]) for number in self._members
        }
        self._moved: dict[int, None] = {}
        self._last_moved = 0
        self._possible = len(self._members) * max(4 * len(self._targets), 1)

    def run(self) -> GroupPlan:
        layout, group = self._layout, self._group
        before = layout.parts(group)
        timed_out = False
        try:
            self._search()
        except _TimedOut:
            # The moves that were found until then are used.
            timed_out = True
        final = self._attempt()
        self._restore({})
        moves = self._route(final)
        return GroupPlan(
            group=group.name,
            before=before,
            after=layout.parts(group),
            moves=tuple(moves),
            timed_out=timed_out,
        )

    def _search(self) -> None:
        if not self._members or self._max_moves == 0:
            return
        if self._possible > SMALL:
            self._descend_by_samples()
            return
        self._descend()
        if self._possible <= SHAKEN:
            self._shake()

    # --- the descent in small groups

    def _descend(self) -> None:
        while (best := self._best_move()) is not None:
            self._move(*best)

    def _best_move(self) -> tuple[int, Pair] | None:
        """Return the move that lowers the score most, or None if none does enough."""
        best = None
        # Rounding errors must not count as a gain.
        lowest = self._layout.score(self._group) - max(self._options.min_gain, 1e-7)
        for number in self._candidates():
            self._check_time()
            for pair in self._pairs(number, self._targets):
                score = self._layout.evaluate(number, *pair)
                if score is not None and score < lowest:
                    lowest, best = score, (number, pair)
        return best

    def _candidates(self) -> Sequence[int]:
        """Return the instances that may move: if no more may, those that have moved already."""
        if self._max_moves is not None and len(self._moved) >= self._max_moves:
            return list(self._moved)
        return self._members

    def _pairs(self, number: int, targets: Sequence[int]) -> Iterator[Pair]:
        layout, copy_disks = self._layout, self._options.copy_disks
        yield from destinations(layout, number, targets, copy_disks=copy_disks)
        if copy_disks and len(targets) <= MAX_DOUBLE_TARGETS:
            yield from double_replacements(layout, number, targets)

    def _check_time(self) -> None:
        if self._out_of_time():
            raise _TimedOut

    # --- leaving the end of a descent

    def _shake(self) -> None:
        min_gain = self._options.min_gain
        best = self._attempt()
        try:
            for _ in range(SHAKES):
                self._move_at_random(self._random.randint(*SHAKE_MOVES))
                self._descend()
                found = self._attempt()
                if self._allows(found) and found.cost(min_gain) < best.cost(min_gain) - 1e-7:
                    best = found
                else:
                    self._restore(best.places)
        except _TimedOut:
            # The layout may be in the middle of an attempt.
            self._restore(best.places)
            raise

    def _allows(self, attempt: _Attempt) -> bool:
        return self._max_moves is None or len(attempt.places) <= self._max_moves

    def _move_at_random(self, count: int) -> None:
        for _ in range(count):
            number = self._random.choice(self._candidates())
            pairs = list(self._pairs(number, self._targets))
            self._random.shuffle(pairs)
            for pair in pairs:
                if self._layout.evaluate(number, *pair) is not None:
                    self._move(number, pair)
                    break

    # --- the descent in large groups

    def _descend_by_samples(self) -> None:
        fruitless = 0
        while fruitless < FRUITLESS_ROUNDS:
            fruitless = 0 if self._round(fruitless) else fruitless + 1

    def _round(self, fruitless: int) -> bool:
        """Make the best move found between each of some pairs of nodes; return if there was one.

        After rounds without a move, nodes are paired with less regard to their load.
        """
        found = False
        for source, targets in self._pair_nodes(fruitless):
            self._check_time()
            best: tuple[int, Pair] | None = None
            lowest = self._layout.score(self._group) - max(self._options.min_gain, 1e-7)
            for number in self._sample(source):
                pairs = destinations(
                    self._layout, number, targets, copy_disks=self._options.copy_disks
                )
                for pair in pairs:
                    score = self._layout.evaluate(number, *pair)
                    if score is not None and score < lowest:
                        lowest, best = score, (number, pair)
            if best is not None:
                self._move(*best)
                found = True
        return found

    def _pair_nodes(self, fruitless: int) -> list[tuple[NodeUse, Sequence[int]]]:
        """Return nodes that instances should leave, each with the nodes to try for them."""
        random, nodes = self._random, self._layout.nodes
        slopes = self._slopes()
        spread = max(slopes.values(), default=0.0) - min(slopes.values(), default=0.0)
        noise = spread * fruitless / FRUITLESS_ROUNDS
        ranked = sorted(
            self._targets, key=lambda index: slopes[index] + noise * random.random(), reverse=True
        )
        half = len(ranked) // 2
        pairs = [
            (nodes[high], (low,))
            for high, low in zip(ranked[:half], ranked[: -half - 1 : -1], strict=True)
        ]
        urgent = [
            (node, tuple(_pick(random, ranked[half:], TARGETS)))
            for node in self._group.nodes
            if _must_leave(node)
        ]
        return [*urgent, *pairs]

    def _sample(self, node: NodeUse) -> Iterator[int]:
        """Yield some movable instances of a node."""
        full = self._max_moves is not None and len(self._moved) >= self._max_moves
        allowed = self._moved.keys() if full else self._movable
        for held in (node.primaries, node.secondaries):
            # Sorted, so that the same seed gives the same result.
            yield from _pick(self._random, sorted(held & allowed), SAMPLE)

    def _slopes(self) -> dict[int, float]:
        """Return by node how fast the score grows with its load."""
        group = self._group
        slopes = dict.fromkeys(self._targets, 0.0)
        for each in Spread:
            spread = deviation(group.sums[each], group.squares[each], group.usable)
            if spread < 1e-6:
                continue
            mean = group.sums[each] / group.usable
            sign = -1 if each in (Spread.MEMORY, Spread.DISK) else 1  # those are of what is free
            for index in self._targets:
                value = self._layout.nodes[index].values[each]
                slopes[index] += sign * SPREAD_WEIGHTS[each] * (value - mean) / spread
        return slopes

    # --- attempts

    def _move(self, number: int, pair: Pair) -> None:
        self._layout.move(number, *pair)
        self._moved.pop(number, None)
        if pair != self._start[number]:
            self._moved[number] = None

    def _attempt(self) -> _Attempt:
        layout = self._layout
        places = {
            number: (layout.primary[number], layout.secondary[number]) for number in self._moved
        }
        return _Attempt(layout.score(self._group), places)

    def _restore(self, places: dict[int, Pair]) -> None:
        """Return to a layout in which the instances that have moved are at ``places``."""
        for number in [*self._moved]:
            if number not in places:
                self._move(number, self._start[number])
        for number, pair in places.items():
            self._move(number, pair)

    def _route(self, final: _Attempt) -> list[Move]:
        """Make the moves that lead to ``final`` from the start, in an order that is possible.

        A move that gains nothing at its turn is made nevertheless, as others may depend on it.
        What is not possible in any order, because each waits for another, is left out.
        """
        layout, moves = self._layout, []
        waiting = list(final.places.items())
        while waiting:
            later = []
            for number, pair in waiting:
                score = layout.evaluate(number, *pair)
                if score is None or not is_possible(layout, number, *pair):
                    later.append((number, pair))
                    continue
                moves.append(describe(layout, number, *pair, score))
                self._move(number, pair)
            if len(later) == len(waiting):
                break
            waiting = later
        return moves


def _is_after(seconds: Callable[[], float], until: float) -> bool:
    return seconds() >= until


def _pick(random: Random, values: Iterable[int], count: int) -> list[int]:
    values = list(values)
    return values if len(values) <= count else random.sample(values, count)


def _must_leave(node: NodeUse) -> bool:
    """Return whether a node has a fault that only moves away from it repair."""
    if not node.usable:
        return node.copies > 0
    return node.reserve > node.memory_free or any(count > 1 for count in node.tags.values())
