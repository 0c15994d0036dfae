# SPDX-License-Identifier: BSD-2-Clause
"""What the remote API costs, beside a bare resource of ``twisted.web`` in the same run.

``python -m tests.bench.bench_rapi [REQUESTS]`` asks with 1 and 16 clients, with connections that
stay and with a new one for each request. The bare resource has the same TLS settings, and answers
as many bytes. Printed are requests per second of both, the share, and the processor time of each
server per request, which depends less on what else the host does. The master is a process that
answers from canned bytes.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from tests.bench.loads import Client, answer_size, requests, serve_bare, until

BARE = 5999
PORT = 5998
INSTANCES = 1000
LOGIN = "YWRtaW46c2VjcmV0"


def serve_master(folder: str) -> None:
    """A master with canned answers."""
    from msgspec import Raw, json
    from twisted.internet import reactor as installed

    from ganeti.luxi.connection import LuxiService
    from ganeti.luxi.server import LuxiMethods
    from ganeti.testing.gates import OpenGate

    reactor: Any = installed
    names = [f"instance{number}.example.com" for number in range(INSTANCES)]
    rows = [{"name": name, "text": "x" * 1000} for name in names]
    bulk, one = Raw(json.encode(rows)), Raw(json.encode(rows[:1]))
    info = {f"key{number}": "value" * 10 for number in range(60)}

    async def objects(_: object, __: object, names: list[str] | None = None) -> Raw:
        return one if names else bulk

    async def instances(*_: object) -> list[list[str]]:
        return [[name] for name in names]

    async def facts() -> dict[str, str]:
        return info

    async def nobody(_: object) -> dict[str, Any]:
        return {"known": False, "hash": None}

    async def submit(_: object) -> int:
        return 7

    async def pages(*_: object) -> dict[str, Any]:
        return {"tag": "1", "size": len(bulk), "pages": 1, "objects": bulk}

    answers: dict[str, Any] = {
        "QueryObjectPages": pages,
        "QueryObjects": objects,
        "QueryInstances": instances,
        "QueryClusterInfo": facts,
        "SubmitJob": submit,
        "QueryPassword": nobody,
    }
    path = f"{folder}/var/run/ganeti/socket/ganeti-master"
    LuxiService(reactor, [path], LuxiMethods(answers, OpenGate())).startService()
    reactor.run()


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
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        environment = {**os.environ, "GANETI_ROOTDIR": folder}
        command = [sys.executable, "-m", "ganeti.daemon.rapi", "-f", "-p", str(PORT)]
        pem = f"{folder}/var/lib/ganeti/rapi.pem"
        bare = spawn.Process(target=serve_bare, args=(pem, BARE, f"{folder}/echo"))
        master = spawn.Process(target=serve_master, args=(folder,))
        for process in (bare, master):
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
            compare(count, bare.pid or 0, daemon.pid)
            print(f"memory after load: {_memory(daemon.pid)}")
        finally:
            daemon.terminate()
            daemon.wait()
            for process in (bare, master):
                process.terminate()
                process.join()


REQUESTS = (
    ("GET", "/version", 1),
    ("GET", "/2/info", 1),
    ("GET", "/2/instances/web1", 1),
    ("GET", "/2/instances", 2),
    ("GET", "/2/instances?bulk=1", 10),
    ("PUT", "/2/tags?tag=a", 1),
)
"""Method, path, and how many times fewer of them are asked."""


def compare(count: int, bare: int, daemon: int) -> None:
    print(
        f"{'':32} {'':>12} {'bare/s':>8} {'ours/s':>8} {'share':>6} {'bare us':>8} {'ours us':>8}"
    )
    for stay in (True, False):
        for method, path, fewer in REQUESTS:
            url = f"https://127.0.0.1:{PORT}{path}"
            size = 2 if method == "PUT" else answer_size(url, LOGIN)
            still = f"https://127.0.0.1:{BARE}/bytes/{size}"
            for clients in (1, 16):
                several = count // fewer if stay else count // 10
                limit, its = measure(still, bare, several, method, clients, stay)
                ours, spent = measure(url, daemon, several, method, clients, stay)
                kept = "kept" if stay else "new"
                print(
                    f"{method} {path:28} {kept:>4} x {clients:<5} {limit:8.0f} {ours:8.0f}"
                    f" {ours / limit:6.2f} {its:8.0f} {spent:8.0f}",
                    flush=True,
                )


def measure(
    url: str, pid: int, count: int, method: str, clients: int, stay: bool
) -> tuple[float, float]:
    """Requests per second, and microseconds of the server's processor per request."""
    requests(url, LOGIN, max(clients, count // 10), clients=clients, stay=stay, method=method)
    before = _processor(pid)
    figure = requests(url, LOGIN, count, clients=clients, stay=stay, method=method)
    return figure, (_processor(pid) - before) / count * 1e6


def _processor(pid: int) -> float:
    """The seconds that a process has used a processor."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> str:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        sizes = dict(line.split(":") for line in file if line.startswith(("Rss", "Pss:")))
    return ", ".join(
        f"{name} {int(size.split()[0]) / 1024:.1f} MiB" for name, size in sizes.items()
    )


if __name__ == "__main__":
    main()
