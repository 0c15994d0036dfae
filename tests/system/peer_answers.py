# SPDX-License-Identifier: BSD-2-Clause
"""Where our remote API answers differently from another server of it, such as Debian's Ganeti.

``python -m tests.system.peer_answers --ours URL --theirs URL …`` sends the same requests to both,
and prints what no reason of ``peer_reasons`` explains, and reasons that explain nothing. Both
clusters are for nothing else: their instances are removed first. Each has three nodes, and

* the hypervisor *fake*, the bridges br0 and br1, the OS definition *noop* for its guests,
* disks in files, and in shared files that are shared, allowed by its policy,
* three users: with the option write, with read, and without any,
* a resolver that knows the name web3.
"""

from __future__ import annotations

import argparse
import http.client
import ssl
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tests.system import peer_requests, peer_tables
from tests.system.likeness import NOTHING_THERE, Difference, compare, short
from tests.system.peer_reasons import REASONS, Reason
from tests.system.peer_requests import Asked
from tests.system.peer_server import Seen, Server
from tests.system.talking import RemoteApi

HEADERS = ("content-type", "www-authenticate", "allow", "connection", "location", "retry-after")
"""Headers whose values are compared; of others, that they are there."""


def differences(asked: Asked, theirs: Seen, ours: Seen) -> Iterator[Difference]:
    """Where two answers to a request differ; if in their outcome, then in nothing else."""
    request = asked.label
    note = f"{theirs.text} / {ours.text}"
    if theirs.status != ours.status:
        yield Difference(request, "status", _told(theirs), _told(ours), note)
        return
    yield from _headers(request, theirs, ours)
    left, right = theirs.job, ours.job
    if left is None or right is None:
        for what, left_one, right_one in compare(theirs.value, ours.value, asked.apart):
            yield Difference(request, what, left_one, right_one)
        return
    if left["status"] != right["status"]:
        yield Difference(request, "job", theirs.ending, ours.ending, note)
        return
    if theirs.error != ours.error:
        yield Difference(request, "error of the job", theirs.error, ours.error, note)
    if left["status"] == "error":
        left, right = ({**job, "opresult": None} for job in (left, right))
    for what, left_one, right_one in compare(left, right, asked.apart):
        yield Difference(request, f"{what} (job)", left_one, right_one)


def _told(seen: Seen) -> str:
    return f"{seen.status} {seen.ending}".strip() if seen.status else "no answer"


def _headers(request: str, theirs: Seen, ours: Seen) -> Iterator[Difference]:
    for name in sorted({*theirs.headers, *ours.headers}):
        left, right = (seen.headers.get(name, NOTHING_THERE) for seen in (theirs, ours))
        if left != right and (name in HEADERS or NOTHING_THERE in (left, right)):
            yield Difference(request, f"header {name}", left, right)


def gather(theirs: Server, ours: Server) -> Iterator[Difference]:
    """Ask both everything."""
    both = (theirs, ours)
    for server in both:
        server.meet()
        server.empty()
    yield from asked_of(both, (*peer_requests.document(), *peer_tables.FACTS))
    for server in both:
        server.mend(offline=False)
    yield from asked_of(both, (*peer_tables.LATER, *peer_tables.HTTP))
    for server in both:
        server.mend(offline=True)
    for each in peer_requests.refusals():
        yield from asked_of(both, (each,), mend=True)
    for server in both:
        server.mend(offline=False)
    yield from asked_of(both, peer_requests.held())


def asked_of(
    both: tuple[Server, Server], requests: Iterable[Asked], *, mend: bool = False
) -> Iterator[Difference]:
    """Ask both each of these, with ``mend`` from the same state."""
    for asked in requests:
        seen = []
        for server in both:
            try:
                seen.append(server.see(asked))
            except (OSError, http.client.HTTPException, AssertionError) as e:
                seen.append(Seen(0, {}, f"{type(e).__name__}: {e}"))
            if mend and seen[-1].job is not None and seen[-1].job["status"] != "error":
                server.mend(offline=True)
        yield from differences(asked, *seen)


@dataclass(frozen=True)
class Verdict:
    """What there is a reason for, what not, and which reasons nothing needs."""

    explained: Mapping[Reason, list[Difference]]
    unexplained: list[Difference]

    @property
    def unneeded(self) -> list[Reason]:
        return [reason for reason, found in self.explained.items() if not found]


def judge(found: Iterable[Difference], reasons: Iterable[Reason] = REASONS) -> Verdict:
    """Give every difference to the first reason that explains it."""
    explained: dict[Reason, list[Difference]] = {reason: [] for reason in reasons}
    unexplained = []
    for each in found:
        for reason, those in explained.items():
            if reason.explains(each):
                those.append(each)
                break
        else:
            unexplained.append(each)
    return Verdict(explained, unexplained)


def table(found: Iterable[Difference]) -> str:
    """Differences as a table in Markdown."""
    lines = ["| request | what | theirs | ours |", "|---|---|---|---|"]
    for each in found:
        cells = (f"`{short(each.request, 100)}`", each.aspect, each.theirs, each.ours)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def report(verdict: Verdict) -> str:
    """What the reader has to know, or do something about."""
    found = {reason: len(those) for reason, those in verdict.explained.items()}
    parts = [f"{sum(found.values())} differences are explained, by {len(found)} reasons."]
    if verdict.unexplained:
        parts += [f"\n{len(verdict.unexplained)} are not explained:\n", table(verdict.unexplained)]
    if verdict.unneeded:
        parts += ["\nThese reasons explain nothing:\n"]
        parts += [f"* {reason.requests} {reason.what}: {reason.why}" for reason in verdict.unneeded]
    return "\n".join(parts)


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for side in ("ours", "theirs"):
        parser.add_argument(f"--{side}", required=True, metavar="URL", help="where it listens")
        parser.add_argument(f"--{side}-login", required=True, metavar="USER:PASSWORD")
        parser.add_argument(
            f"--{side}-reader",
            required=True,
            metavar="USER:PASSWORD",
            help="a user with the option read",
        )
        parser.add_argument(
            f"--{side}-plain", required=True, metavar="USER:PASSWORD", help="one without options"
        )
    return parser


def server(said: argparse.Namespace, side: str) -> Server:
    given = vars(said)

    def login(name: str) -> tuple[str, str]:
        user, _, password = given[name].partition(":")
        return user, password

    # Both are on this host, and the certificate of the other one is signed by itself.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    writer = login(f"{side}_login")
    logins = {
        "writer": writer,
        "reader": login(f"{side}_reader"),
        "plain": login(f"{side}_plain"),
        "stranger": (writer[0], "wrong"),
        "nobody": None,
    }
    return Server(RemoteApi(given[side], writer, context), logins)


def main() -> int:
    """Compare two servers; 1 if anything is to be explained."""
    said = options().parse_args()
    verdict = judge(gather(server(said, "theirs"), server(said, "ours")))
    print(report(verdict))
    return 1 if verdict.unexplained or verdict.unneeded else 0


if __name__ == "__main__":
    sys.exit(main())
