# SPDX-License-Identifier: BSD-2-Clause
"""The answers to requests, before and after the term of the master has begun."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ganeti.errors import Code, Refused
from ganeti.luxi.methods import METHODS
from ganeti.luxi.server import Answerer, LuxiMethods, RequestGate
from ganeti.master.current_store import CurrentTerm
from ganeti.master.master import Master


class RequestAnswers:
    """Lets the current master answer; ``methods`` are those of the sockets."""

    def __init__(self, quorum: Callable[[], CurrentTerm]) -> None:
        self.methods = LuxiMethods({})
        self._quorum = quorum
        self._current: list[Mapping[str, Answerer]] = [{}]
        self._gate: RequestGate | None = None

    def use(self, master: Master) -> None:
        """Answer by this master, also requests that wait for the term to begin."""
        self._current[0] = master.answers()
        self._gate = master.gate
        self.methods.replace_handlers(defer_until_ready(self._current, self._quorum()), master.gate)

    def refuse_changes(self) -> None:
        """Refuse requests that change something, on connections that are still open."""
        # Also those that wait for the term to begin.
        self._current[0] = without_changes(self._current[0])
        self.methods.replace_handlers(self._current[0], self._gate)


async def _refuse(*_: object) -> object:
    raise Refused(
        "the master daemon is stopping, so nothing was done; try again in a few seconds",
        Code.TEMPORARY,
    )


def without_changes(answers: Mapping[str, Answerer]) -> dict[str, Answerer]:
    """Return the answerers of a master that is stopping: it only answers queries."""
    return {name: _refuse if METHODS[name].changes else answer for name, answer in answers.items()}


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
