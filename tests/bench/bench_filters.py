# SPDX-License-Identifier: BSD-2-Clause
"""How long one client waits for the facts of the cluster while others ask with costly filters.

``python -m tests.bench.bench_filters [--instances N] [--clients N] [--requests N]`` makes a cluster
with the quick start, prints what one client waits for ``/2/info`` in the quiet and then while other
clients ask all the time about instances with each kind of filter, and removes the cluster. What
counts is how many times longer than in the quiet of the same run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tests.bench.bench_busy import Waits, show
from tests.bench.bench_cluster import Cluster, fill, running
from tests.bench.loads import Client, waits

PATH = "/2/info"

FILTERS: dict[str, Any] = {
    # A search that backtracks tries more ways than anybody can wait for.
    "an expression with repeats in repeats": ["=~", "name", "(.|.|.|.)*!"],
    "50 expressions": ["|", *(["=~", "name", f"(.*a.*e.*){{5}}{n}$"] for n in range(50))],
    "500 comparisons": ["|", *([">", "be/memory", 9000 + n] for n in range(500))],
}


def keep_asking(
    url: str, login: str, clients: int, body: bytes, answered: Synchronized[int]
) -> None:
    """Ask the same with each of so many connections, one request after the other; never ends."""
    place = urlsplit(url)
    head = (
        f"PUT /2/query/instance HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Authorization: Basic {login}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )

    def ask() -> None:
        client = Client(place.hostname or "localhost", place.port or 443)
        while True:
            status = client.ask(head.encode() + body)
            if status not in (200, 400, 503):  # filters that take too long may be refused
                raise RuntimeError(f"a filter was answered with {status}")
            with answered.get_lock():
                answered.value += 1

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()


@contextmanager
def asked(cluster: Cluster, clients: int, qfilter: Any) -> Iterator[Synchronized[int]]:
    """Have other clients ask with a filter until the block ends."""
    body = msgspec.json.encode({"fields": ["name", "status"], "qfilter": qfilter})
    spawn = multiprocessing.get_context("spawn")
    answered: Synchronized[int] = spawn.Value("i", 0)
    arguments = cluster.url, cluster.login, clients, body, answered
    process = spawn.Process(target=keep_asking, args=arguments)
    process.start()
    try:
        while not answered.value and process.is_alive():
            time.sleep(0.1)
        yield answered
        if not process.is_alive():
            raise RuntimeError("the other clients have ended")
    finally:
        process.terminate()
        process.join()


def compare(cluster: Cluster, clients: int, count: int) -> None:
    """Print what a client waits in the quiet and beside each kind of filter."""
    quiet = {PATH: Waits.of(waits(cluster.url + PATH, cluster.login, count))}
    show("in the quiet", quiet, quiet)
    for name, qfilter in FILTERS.items():
        with asked(cluster, clients, qfilter) as answered:
            before, begun = answered.value, time.perf_counter()
            found = waits(cluster.url + PATH, cluster.login, count)
            rate = (answered.value - before) / (time.perf_counter() - begun)
        show(f"{clients} clients: {name}, {rate:.1f}/s", {PATH: Waits.of(found)}, quiet)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instances", type=int, default=1000)
    options.add_argument("--clients", type=int, default=20)
    options.add_argument("--requests", type=int, default=200)
    chosen = options.parse_args()
    with running() as cluster:
        fill(cluster, chosen.instances)
        compare(cluster, chosen.clients, chosen.requests)


if __name__ == "__main__":
    main()
