# SPDX-License-Identifier: BSD-2-Clause
"""A planted bug: a piece of code, what it becomes, and which seeds are to find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A bug of one place in the code.

    ``before`` is in ``file``, below the root of the tree, exactly once, and becomes ``after``; a
    line feed at the beginning of either does not count, so that they can be whole lines.
    ``reason`` says what is wrong then. It is to be found within ``seeds`` seeds of one of the
    ``modes``, which are tried in their order.
    """

    name: str
    file: str
    before: str
    after: str
    reason: str
    modes: tuple[str, ...]
    seeds: int = 100

    def planted_in(self, code: str) -> str:
        """Return the code with the bug.

        :raises ValueError: the code has another form by now, so the mutant must be adapted.
        """
        before, after = (text.removeprefix("\n") for text in (self.before, self.after))
        if (count := code.count(before)) != 1:
            raise ValueError(f"{self.name}: {self.file} has its code {count} times, and not once")
        return code.replace(before, after)
