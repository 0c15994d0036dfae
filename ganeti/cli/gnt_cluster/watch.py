# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster watch``: the event stream in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ganeti.cli.session import FAILURE, ExitTool

if TYPE_CHECKING:
    from ganeti.cli.command import Arguments
    from ganeti.cli.session import Session

RETRY_SECONDS = 1.0
"""How long to wait before a master that is away is asked again."""

RETRIES = 120
"""How often a master that is away is asked: a failover takes less."""


def watch(session: Session, arguments: Arguments) -> int:
    """Print events as they happen."""
    import msgspec

    as_json = arguments.get("output")
    for event in _events(session, arguments):
        line = msgspec.json.encode(event).decode() if as_json else describe(event)
        session.show(line + "\n")
    return 0


def _events(session: Session, arguments: Arguments) -> Iterator[Mapping[str, Any]]:
    """Yield events for ever, or those that are there already with ``--no-wait``.

    :raises ExitTool: some events are lost.
    """
    from ganeti.luxi.methods import WaitForEvents

    since = arguments.get("since")
    endless = not arguments.get("no_wait")
    while True:
        request = WaitForEvents(
            since=since,
            timeout=60 if endless else 0,
            kinds=tuple(arguments.get("kinds", ())),
            names=tuple(arguments.get("names", ())),
            tags=tuple(arguments.get("tags", ())),
        )
        answer = _ask(session, request, patient=endless and since is not None)
        if answer["reset"]:
            raise ExitTool(
                FAILURE,
                f"events after {since} are not kept any more; read the state of the cluster, and"
                f" go on with --since {answer['position']}",
            )
        yield from answer["events"]
        if not endless and not answer["events"]:
            return
        since = answer["position"]


def _ask(session: Session, request: Any, *, patient: bool) -> Mapping[str, Any]:
    """Return the answer; while events are read, a master that restarts is waited for."""
    from ganeti.luxi.unreachable import Unanswered

    for left in reversed(range(RETRIES if patient else 1)):
        try:
            answer: Mapping[str, Any] = session.ask(request)
            return answer
        except Unanswered:
            if not left:
                raise
        session.sleep(RETRY_SECONDS)
    raise AssertionError("the last try ends the loop")


def describe(event: Mapping[str, Any]) -> str:
    """Return an event in a line."""
    from ganeti.cli.output import timestamp

    words = [timestamp(event["at"]), event["id"], event["kind"], event["name"] or "-"]
    words.append(event["action"])
    match event:
        case {"kind": "job", "value": {"message": message}}:
            words.append(str(message))
        case {"kind": "job", "value": {"status": status, "summary": summary}}:
            words += [status, ", ".join(summary)]
        case {"job": job, "who": who}:
            words.append(f"by job {job} ({who})")
        case {"who": who, "why": why}:
            words.append(f"by {who}: {why}")
        case {"reason": reason}:
            words.append(reason)
    # What users and programs have written must not move the cursor of a terminal.
    return "".join(each if each.isprintable() else "?" for each in " ".join(words))
