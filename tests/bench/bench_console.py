# SPDX-License-Identifier: BSD-2-Clause
"""What the web console costs a browser: bytes, time until lists can be used, age of events.

``python -m tests.bench.bench_console [--instances N] [--rate JOBS] [--seconds S]`` makes a cluster
with the quick start, measures in a headless Chromium, and removes the cluster. For the lists, a
master that answers from memory takes the place of the cluster's own, with so many instances that
run; the remote API is the real one. It needs the libraries of the browser tests
(``ui/fetch-libraries --dev``) and a Chromium.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ganeti.access.passwords import hashed
from ganeti.config.state import ClusterState
from ganeti.config.writer import ChangeCause
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.luxi.connection import LuxiService
from ganeti.luxi.server import LuxiMethods
from ganeti.model.instance import AdminState
from ganeti.model.users import Role
from ganeti.operations.guest_conversion import make_guest
from ganeti.testing.builders import an_instance
from ganeti.testing.cluster import SimulatedCluster
from tests.bench.bench_cluster import TREE, Cluster, running
from tests.bench.job_load import submit
from tests.bench.loads import Luxi, until
from tests.master.access.case import a_grant, a_user

SLOW_RATE = 20
"""Jobs per second of a cluster that has little to do."""

USER, PASSWORD = "bench", "correct horse"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def a_master(instances: int) -> SimulatedCluster:
    """A cluster in memory whose instances all run, and where one user may do everything."""
    cluster = SimulatedCluster(1)
    state = cluster.master.config.state()
    nodes = sorted(state.nodes)
    records: list[Any] = [
        a_user(USER, password=hashed(PASSWORD, b"0" * 16)),
        a_grant(USER, Role.ADMIN),
    ]
    for number in range(instances):
        node = nodes[number % len(nodes)]
        machine = an_instance(f"web{number}", primary_node=node, admin_state=AdminState.UP, nics=())
        records.append(machine.instance)

    def put(old: ClusterState) -> ClusterState:
        return reduce(ClusterState.put, records, old)

    cluster.wait(cluster.master.config.change(put, because=ChangeCause("bench", "bench")))
    state = cluster.master.config.state()
    hypervisors = {host.name: host.guests for host in cluster.hosts}
    for instance in state.instances.values():
        guests: IHypervisor = hypervisors[state.nodes[instance.primary_node].name]
        cluster.wait(guests.start(make_guest(state, instance), ()))
    return cluster


def serve_from_memory(path: str, instances: int) -> None:
    """A process that answers in the place of a master daemon."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    cluster = a_master(instances)
    master, last = cluster.master, time.monotonic()

    def turn() -> None:
        nonlocal last
        now = time.monotonic()
        cluster.clock.advance(now - last)
        last = now
        reactor.callLater(0.001, turn)

    LuxiService(reactor, [path], LuxiMethods(master.answers(), master.gate)).startService()
    reactor.callLater(0, turn)
    reactor.run()


@contextmanager
def master_in_memory(cluster: Cluster, instances: int) -> Iterator[None]:
    """Have a master in memory answer the remote API until the block ends."""
    cluster.end_daemon("masterd")
    server = multiprocessing.get_context("spawn").Process(
        target=serve_from_memory, args=(cluster.socket, instances)
    )
    server.start()
    try:
        until(lambda: Luxi(cluster.socket)("QueryClusterInfo"), 300)
        yield
    finally:
        server.terminate()
        server.join()


def key_digest(pem: bytes) -> str:
    """The SHA-256 digest of a certificate's public key in base64, by which Chromium trusts it."""
    key = x509.load_pem_x509_certificate(pem).public_key()
    form = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(form).digest()).decode("ascii")


def browse(
    cluster: Cluster,
    login: str,
    *arguments: str,
    meanwhile: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """What ``ui/tests/bench/console.js`` has measured; ``meanwhile`` is done when it is ready."""
    user, _, password = login.partition(":")
    process = subprocess.Popen(
        ["node", "tests/bench/console.js", *arguments],
        cwd=TREE / "ui",
        env={
            **os.environ,
            "CONSOLE_URL": f"{cluster.url}/ui/",
            "RAPI_USER": user,
            "RAPI_PASSWORD": password,
            "CERTIFICATE": key_digest(Path(cluster.pem).read_bytes()),
            "CHROMIUM": next(filter(None, map(shutil.which, BROWSERS)), ""),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    if meanwhile is not None:
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("the browser does not follow the events")
        meanwhile()
    said, _ = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError("the browser has not measured anything")
    found: dict[str, Any] = json.loads(said)
    return found


def measure_weight(cluster: Cluster, login: str) -> None:
    """Print what the page itself costs, when it is opened first, and again."""
    for name, each in browse(cluster, login, "weight").items():
        print(
            f"page, {name}: {each['bytes'] / 1024:.0f} KiB in {each['requests']} requests,"
            f" {each['milliseconds']:.0f} ms until the form"
        )


def measure_events(cluster: Cluster, login: str, rate: float, seconds: float) -> None:
    """Print how old the events of jobs are when a page has them."""
    done: list[float] = []

    def load() -> None:
        done.append(submit(cluster, rate, seconds).rate)

    found = browse(cluster, login, "events", str(seconds + 5), meanwhile=load)
    print(
        f"events at {done[0]:.0f} jobs per second: commit to browser p50 {found['p50']:.0f} ms,"
        f" p99 {found['p99']:.0f} ms; {found['events']} events"
    )


def measure_lists(cluster: Cluster, instances: int) -> None:
    """Print how long a browser takes with many instances."""
    with master_in_memory(cluster, instances):
        found = browse(cluster, f"{USER}:{PASSWORD}", "lists", str(instances))
    print(
        f"{instances} instances: list to be used {found['rows']:.0f} ms, filter"
        f" {found['filter']:.0f} ms, sort {found['sort']:.0f} ms;"
        f" overview {found['overview']:.0f} ms"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instances", type=int, default=20000)
    options.add_argument("--rate", type=float, default=500)
    options.add_argument("--seconds", type=float, default=10)
    chosen = options.parse_args()
    with running() as cluster:
        login = base64.b64decode(cluster.login).decode()
        measure_weight(cluster, login)
        measure_events(cluster, login, SLOW_RATE, chosen.seconds)
        measure_events(cluster, login, chosen.rate, chosen.seconds)
        measure_lists(cluster, chosen.instances)


if __name__ == "__main__":
    main()
