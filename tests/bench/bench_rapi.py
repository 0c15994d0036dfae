# SPDX-License-Identifier: BSD-2-Clause
"""What the remote API costs, beside a bare static TLS resource of Twisted in the same run.

``python -m tests.bench.bench_rapi [REQUESTS]`` prints requests per second of one client, with
connections that stay and with a new one each time, and the memory of the daemon. The master is a
process that answers from canned bytes.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from tests.bench.loads import Client, until

BARE = 5999
PORT = 5998
INSTANCES = 1000


def serve_bare(folder: str) -> None:
    """A few bytes over TLS, by Twisted."""
    from twisted.internet import reactor as installed
    from twisted.internet import ssl as tls
    from twisted.web.resource import Resource
    from twisted.web.server import Site
    from twisted.web.static import Data

    reactor: Any = installed
    root = Resource()
    root.putChild(b"version", Data(b"2\n", "application/json"))
    pem = f"{folder}/var/lib/ganeti/rapi.pem"
    reactor.listenSSL(
        BARE, Site(root), tls.DefaultOpenSSLContextFactory(pem, pem), interface="127.0.0.1"
    )
    reactor.run()


def serve_master(folder: str) -> None:
    """A master with canned answers."""
    from msgspec import Raw, json
    from twisted.internet import reactor as installed

    from ganeti.luxi.connection import LuxiService
    from ganeti.luxi.server import Methods

    reactor: Any = installed
    names = [f"instance{number}.example.com" for number in range(INSTANCES)]
    bulk = Raw(json.encode([{"name": name, "text": "x" * 1000} for name in names]))
    info = {f"key{number}": "value" * 10 for number in range(60)}

    async def objects(*_: object) -> Raw:
        return bulk

    async def instances(*_: object) -> list[list[str]]:
        return [[name] for name in names]

    async def facts() -> dict[str, str]:
        return info

    async def submit(_: object) -> int:
        return 7

    answers: dict[str, Any] = {
        "QueryObjects": objects,
        "QueryInstances": instances,
        "QueryClusterInfo": facts,
        "SubmitJob": submit,
    }
    path = f"{folder}/var/run/ganeti/socket/ganeti-master"
    LuxiService(reactor, [path], Methods(answers)).start()
    reactor.run()


def request(method: str, path: str) -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost:5080\r\nAccept: */*\r\n"
        "Authorization: Basic YWRtaW46c2VjcmV0\r\nUser-Agent: bench\r\n\r\n"
    ).encode()


def measure(port: int, sent: bytes, requests: int, *, stay: bool) -> float:
    client = Client("127.0.0.1", port)
    status = client.ask(sent)
    assert status == 200, (sent, status)
    begun = time.perf_counter()
    for _ in range(requests):
        if not stay:
            client.close()
            client = Client("127.0.0.1", port)
        client.ask(sent)
    spent = time.perf_counter() - begun
    client.close()
    return requests / spent


def prepare(folder: str) -> None:
    from ganeti.pki.authority import Authority

    for place in ("var/lib/ganeti/rapi", "var/run/ganeti/socket"):
        os.makedirs(f"{folder}/{place}")
    authority = Authority.founded("bench", time.time())
    with open(f"{folder}/var/lib/ganeti/rapi.pem", "wb") as file:
        file.write(authority.credentials(["localhost"], time.time()).pem)
    with open(f"{folder}/var/lib/ganeti/rapi/users", "w") as users:
        users.write("admin secret write\n")


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        environment = {**os.environ, "GANETI_ROOTDIR": folder}
        command = [sys.executable, "-m", "ganeti.daemon.rapi", "-f", "-p", str(PORT)]
        processes = [
            spawn.Process(target=serve, args=(folder,)) for serve in (serve_bare, serve_master)
        ]
        for process in processes:
            process.start()
        begun = time.perf_counter()
        daemon = subprocess.Popen(
            [*command, "-b", "127.0.0.1"], env=environment, stderr=subprocess.DEVNULL
        )
        try:
            until(lambda: Client("127.0.0.1", PORT).close())
            print(f"start to listening: {time.perf_counter() - begun:.2f} s")
            until(lambda: Client("127.0.0.1", BARE).close())
            until(lambda: os.stat(f"{folder}/var/run/ganeti/socket/ganeti-master"))
            print(f"memory idle: {_memory(daemon.pid)}")
            compare(requests)
            print(f"memory after load: {_memory(daemon.pid)}")
        finally:
            daemon.terminate()
            daemon.wait()
            for process in processes:
                process.terminate()
                process.join()


def compare(requests: int) -> None:
    for stay in (True, False):
        count = requests if stay else requests // 10
        bare = measure(BARE, request("GET", "/version"), count, stay=stay)
        print(f"{'kept' if stay else 'new'} connections: bare {bare:.0f}/s")
        for method, path in (
            ("GET", "/version"),
            ("GET", "/2/info"),
            ("GET", "/2/instances"),
            ("GET", "/2/instances?bulk=1"),
            ("PUT", "/2/tags?tag=a"),
        ):
            several = count // 10 if "bulk" in path else count
            ours = measure(PORT, request(method, path), several, stay=stay)
            print(f"  {method} {path:22} {ours:6.0f}/s, share {ours / bare:.2f}")


def _memory(pid: int) -> str:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        sizes = dict(line.split(":") for line in file if line.startswith(("Rss", "Pss:")))
    return ", ".join(
        f"{name} {int(size.split()[0]) / 1024:.1f} MiB" for name, size in sizes.items()
    )


if __name__ == "__main__":
    main()
