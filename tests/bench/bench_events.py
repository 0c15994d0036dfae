# SPDX-License-Identifier: BSD-2-Clause
"""What the event stream costs, and how long a commit takes to reach a client.

``python -m tests.bench.bench_events [--subscribers N] [--full N] [--rate JOBS] [--seconds S]``
makes a cluster with the quick start, connects subscribers, of which ``--full`` read everything and
the others what concerns one instance, submits jobs, and removes the cluster. It prints the rate
that was reached, the time from a commit to each client that reads everything, the events that are
missing or come twice, and the memory and the processor time of the daemons, beside those of the
same load without subscribers. The last time, the remote API and then the master daemon are killed
meanwhile. The processor time of the clients and of whatever else runs on this host is printed, too:
with less than two processors for the cluster, a rate says little, and a time per job still does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Sequence

import msgspec

from ganeti.bootstrap.blocking_files import local_files
from ganeti.events.stream_position import LAST_EDIT, STREAM_START, StreamPosition
from ganeti.journal.log_reader import history
from ganeti.master.change_events import CommitEntry
from tests.bench.bench_cluster import Cluster, running
from tests.bench.event_readers import LATEST, RESET, Seen, read_all
from tests.bench.job_load import Trouble, Usage, machine_seconds, memory, submit
from tests.bench.loads import Luxi

KILLS = (Trouble("rapi", 1 / 3), Trouble("masterd", 2 / 3))


def expected(cluster: Cluster, since: str) -> list[str]:
    folder = f"{cluster.root}/var/lib/ganeti/journal"
    return [
        str(event.cursor)
        for position, commit in history(local_files(), folder)
        if position > StreamPosition.parse(since).position
        for event in CommitEntry(position, commit, {}, lambda _: None).events(STREAM_START, 10**6)
    ]


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def is_observed(event: str) -> bool:
    """Return whether an event is one that only nodes know, which is in no journal."""
    return event != RESET and StreamPosition.parse(event).number >= LAST_EDIT


def print_stream(seen: Seen, wanted: Sequence[str]) -> None:
    """Print what readers have seen, compared with the events of the journal."""
    gaps = twice = disordered = resets = late = 0
    for ids in seen.ids:
        committed = [each for each in ids if not is_observed(each)]
        counts = Counter(committed)
        # What comes after the last event that has come is not a gap: the client may get it yet.
        end = max((n for n, each in enumerate(wanted, 1) if counts[each]), default=0)
        gaps += sum(1 for each in wanted[:end] if not counts[each])
        late += len(wanted) - end
        twice += sum(count - 1 for each, count in counts.items() if each != RESET)
        resets += counts[RESET]
        disordered += committed[:end] != list(wanted[:end])
    ages = [1000 * percentile(seen.delays, share) for share in (0.5, 0.99)]
    print(
        f"  {len(wanted)} events to {len(seen.ids)} clients that read everything: {gaps} missing,"
        f" {twice} twice, {resets} resets, {disordered} clients with another sequence;"
        f" {late} not there when nothing more has come for {LATEST:g} s"
    )
    print(
        f"  commit to client: p50 {ages[0]:.0f} ms, p99 {ages[1]:.0f} ms;"
        f" {seen.lost} connections lost, {seen.refused} refused, {seen.bytes / 1e6:.0f} MB received"
    )


def measure(
    cluster: Cluster,
    full: int,
    others: int,
    rate: float,
    seconds: float,
    kills: Sequence[Trouble] = (),
) -> None:
    since = Luxi(cluster.socket)("WaitForEvents")["position"]
    here, there = multiprocessing.Pipe()
    idle = {name: memory(pid)[0] for name, pid in cluster.here().items()}
    readers = multiprocessing.get_context("spawn").Process(
        target=read_all, args=(there, cluster.url, cluster.login, full, others)
    )
    if full + others:
        readers.start()
        here.recv()
    connected = {name: memory(pid)[0] for name, pid in cluster.here().items()}
    usage = Usage(cluster)
    machine, own, begun = machine_seconds(), time.process_time(), time.monotonic()
    load = submit(cluster, rate, seconds, kills, usage)
    killed = f", kill -9 of {' and '.join(each.daemon for each in kills)}" if kills else ""
    print(
        f"{full} + {others} subscribers, {load.rate:.0f} of {rate:g} jobs per second{killed}:"
        f" {load.jobs} jobs in {load.seconds:.1f} s, {load.restarts:.1f} of them restarts"
    )
    clients = 0.0
    if full + others:
        wanted = expected(cluster, since)
        here.send(wanted[-1])
        seen = msgspec.msgpack.decode(here.recv_bytes(), type=Seen)
        clients = seen.processor
    spent, span = usage.seconds(), time.monotonic() - begun
    own = time.process_time() - own
    rest = machine_seconds() - machine - sum(spent.values()) - clients - own
    if full + others:
        readers.join()
        print_stream(seen, wanted)
    for name in ("rapi", "masterd"):
        now, most = memory(cluster.here()[name])
        before = f"{idle[name]:.0f} MiB idle, {connected[name]:.0f} with subscribers, "
        print(f"  {name}: {before}{now:.0f} after, at most {most:.0f} since its start")
    each = ", ".join(f"{name} {1000 * used / load.jobs:.2f}" for name, used in spent.items())
    print(f"  processor ms per job: {each}; clients {1000 * clients / load.jobs:.2f}")
    daemons = sum(spent.values())
    print(
        f"  in {span:.1f} s on {os.cpu_count()} processors: the daemons {daemons:.1f} s,"
        f" the clients and this program {clients + own:.1f} s, all others {rest:.1f} s",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--subscribers", type=int, default=1000)
    options.add_argument("--full", type=int, default=10)
    options.add_argument("--rate", type=float, default=500)
    options.add_argument("--seconds", type=float, default=10)
    chosen = options.parse_args()
    with running() as cluster:
        measure(cluster, 0, 0, chosen.rate, chosen.seconds)
        measure(cluster, 1, 0, 20, chosen.seconds)
        others = max(0, chosen.subscribers - chosen.full)
        measure(cluster, chosen.full, others, chosen.rate, chosen.seconds)
        measure(cluster, chosen.full, others, chosen.rate, chosen.seconds, KILLS)


if __name__ == "__main__":
    main()
