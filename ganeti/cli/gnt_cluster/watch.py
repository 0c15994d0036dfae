# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster watch``: the event stream in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from ganeti.cli.event_polling import WAIT_SECONDS, ask_with_retries
from ganeti.cli.output import Fields, timestamp
from ganeti.cli.session import FAILURE, INTERRUPTED, ExitTool
from ganeti.luxi.methods import WaitForEvents

if TYPE_CHECKING:
    from ganeti.cli.command import Arguments
    from ganeti.cli.session import Session


def watch(session: Session, arguments: Arguments) -> int:
    """Print events as they happen, until the user interrupts it."""
    as_json = arguments.get("output")
    try:
        for event in _read_events(session, arguments):
            line = msgspec.json.encode(event).decode() if as_json else describe(event)
            session.show(line + "\n")
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _read_events(session: Session, arguments: Arguments) -> Iterator[Mapping[str, object]]:
    """Yield events without end, or only those that exist already with ``--no-wait``.

    :raises ExitTool: if events were lost.
    """
    since = arguments.get("since")
    endless = not arguments.get("no_wait")
    while True:
        request = WaitForEvents(
            since=since,
            timeout=WAIT_SECONDS if endless else 0,
            kinds=tuple(arguments.get("kinds", ())),
            names=tuple(arguments.get("names", ())),
            tags=tuple(arguments.get("tags", ())),
        )
        # The first request fails at once if no master runs.
        answer = ask_with_retries(session, request, patient=endless and since is not None)
        if answer["reset"]:
            raise ExitTool(
                FAILURE,
                f"events after {since} are no longer available; read the state of the cluster"
                f" again, and continue with --since {answer['position']}",
            )
        yield from answer["events"]
        if not endless and not answer["events"]:
            return
        since = answer["position"]


def describe(event: Fields) -> str:
    """Return an event as one line of text."""
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
    # Text from users and programs must not control the terminal.
    return "".join(each if each.isprintable() else "?" for each in " ".join(words))
