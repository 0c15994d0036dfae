# SPDX-License-Identifier: BSD-2-Clause
"""The answers to requests, before and after the term of the master has begun."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ganeti.luxi.methods import METHODS
from ganeti.luxi.server import Answerer, LuxiMethods
from ganeti.master.current_store import CurrentTerm
from ganeti.master.master import Master


class RequestAnswers:
    """Lets the current master answer; ``methods`` are those of the sockets."""

    def __init__(self, quorum: Callable[[], CurrentTerm]) -> None:
        self.methods = LuxiMethods({})
        self._quorum = quorum
        self._current: list[Mapping[str, Answerer]] = [{}]

    def use(self, master: Master) -> None:
        """Answer by this master, also requests that wait for the term to begin."""
        self._current[0] = master.answers()
        self.methods.replace_handlers(defer_until_ready(self._current, self._quorum()), master.gate)


def defer_until_ready(
    current: Sequence[Mapping[str, Answerer]], quorum: CurrentTerm
) -> dict[str, Answerer]:
    """Return the ``current`` answerers; those that change something wait until the master is ready.

    A waiting request is answered by the answerers that are current then: the master may have been
    rebuilt from a longer journal, and the previous one must not accept jobs.
    """
    [answers] = current

    def waiting(name: str) -> Answerer:
        async def wait(*arguments: object) -> object:
            await quorum.ready()
            # If the majority is lost from now on, the client must not wait forever.
            return await quorum.bounded(current[0][name](*arguments))

        return wait

    return {
        name: waiting(name) if METHODS[name].changes else answer for name, answer in answers.items()
    }
