# SPDX-License-Identifier: BSD-2-Clause
"""How long a user waits for the first login while others send logins that are wrong.

``python -m tests.bench.bench_logins [--flood N] [--logins N]`` makes a cluster with the quick
start, prints what a login with a slow hash takes in the quiet and during a flood of wrong ones from
another address, and what the refusal of a known and of an unknown name takes, and removes the
cluster.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from ganeti.rapi.users_file import scrypt_line
from tests.bench.bench_busy import Waits
from tests.bench.bench_cluster import Cluster, running


class Logins:
    """Logs in with a connection of its own each time, from an address of this host."""

    def __init__(self, url: str, address: str) -> None:
        place = urlsplit(url)
        self._server = place.hostname or "localhost", place.port or 443
        self._address = address
        self._trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._trusting.check_hostname = False
        self._trusting.verify_mode = ssl.CERT_NONE

    def try_one(self, name: str, password: str) -> tuple[int, float]:
        """Log in; the status, and how long that took."""
        host, port = self._server
        coded = base64.b64encode(f"{name}:{password}".encode()).decode()
        client = http.client.HTTPSConnection(
            host, port, timeout=60, context=self._trusting, source_address=(self._address, 0)
        )
        begun = time.perf_counter()
        try:
            client.request("GET", "/2/info", headers={"Authorization": f"Basic {coded}"})
            status = client.getresponse().status
        finally:
            client.close()
        return status, time.perf_counter() - begun


def add_users(cluster: Cluster, count: int) -> None:
    """Add users with slow hashes, none of whom has logged in yet."""
    path = Path(f"{cluster.root}/var/lib/ganeti/rapi/users")
    lines = [scrypt_line(f"user{n}", f"secret{n}", b"salt" * 4) for n in range(count)]
    with path.open("a") as file:
        file.write("\n".join(["", *lines, ""]))
    time.sleep(2)  # until the daemon looks at the file


def flood(logins: Logins, clients: int, over: threading.Event) -> None:
    """Guess passwords with so many connections at once, until it is over."""

    def guess(number: int) -> None:
        turn = 0
        while not over.is_set():
            with suppress(OSError):
                logins.try_one(f"user{turn % 5}", f"guess{number}.{turn}")
            turn += 1

    for number in range(clients):
        threading.Thread(target=guess, args=(number,)).start()


def show(title: str, seconds: list[float]) -> None:
    waited = Waits.of(seconds)
    print(f"{title:<50} p50 {waited.half:8.1f} ms   max {waited.longest:8.1f} ms", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--flood", type=int, default=100, help="connections that guess")
    options.add_argument("--logins", type=int, default=10)
    chosen = options.parse_args()
    with running() as cluster:
        add_users(cluster, 2 * chosen.logins)
        logins = Logins(cluster.url, "127.0.0.1")
        quiet = [logins.try_one(f"user{n}", f"secret{n}") for n in range(chosen.logins)]
        show("first login in the quiet", [seconds for _, seconds in quiet])
        for name in ("user0", "nobody", "somebody"):
            refused = [logins.try_one(name, f"wrong{n}") for n in range(9)]
            show(f"refusal of {name}", [seconds for _, seconds in refused])
        over = threading.Event()
        flood(Logins(cluster.url, "127.0.0.2"), chosen.flood, over)
        time.sleep(3)
        try:
            later = range(chosen.logins, 2 * chosen.logins)
            busy = [logins.try_one(f"user{n}", f"secret{n}") for n in later]
        finally:
            over.set()
        show(f"first login beside {chosen.flood} guessing", [seconds for _, seconds in busy])
        if any(status != 200 for status, _ in [*quiet, *busy]):
            raise RuntimeError("a right login was refused")


if __name__ == "__main__":
    main()
