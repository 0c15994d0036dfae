# SPDX-License-Identifier: BSD-2-Clause
"""What a call on the master's socket costs, beside a bare JSON echo in the same run.

``python -m tests.bench.bench_luxi [CALLS]`` prints calls per second; servers have a process each.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

CALL = b'{"method": "QueryConfigValues", "args": [["cluster_name"]]}\x03'


def serve_echo(path: str) -> None:
    """Reads JSON and writes it back, and knows nothing else."""
    from twisted.internet import reactor as installed
    from twisted.internet.protocol import Factory, Protocol

    reactor: Any = installed

    class Echo(Protocol):
        def connectionMade(self) -> None:
            self.rest = b""

        def dataReceived(self, data: bytes) -> None:
            *whole, self.rest = (self.rest + data).split(b"\x03")
            for message in whole:
                assert self.transport is not None
                self.transport.write(json.dumps(json.loads(message)).encode() + b"\x03")

    reactor.listenUNIX(path, Factory.forProtocol(Echo))
    reactor.run()


def serve_luxi(path: str) -> None:
    """Answers one method at once."""
    from twisted.internet import reactor as installed

    from ganeti.luxi.connection import LuxiService
    from ganeti.luxi.server import LuxiMethods

    reactor: Any = installed

    async def values(fields: tuple[str, ...]) -> list[str]:
        return list(fields)

    LuxiService(reactor, [path], LuxiMethods({"QueryConfigValues": values})).startService()
    reactor.run()


def measure(serve: Callable[[str], None], calls: int, at_once: int) -> float:
    """Calls per second, ``at_once`` of them in one write."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(path,))
        server.start()
        try:
            while not os.path.exists(path):
                time.sleep(0.05)
            time.sleep(0.1)
            return _calls(path, calls, at_once)
        finally:
            server.terminate()
            server.join()


def _calls(path: str, calls: int, at_once: int) -> float:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        begun = time.perf_counter()
        for _ in range(calls // at_once):
            client.sendall(CALL * at_once)
            missing = at_once
            while missing:
                missing -= client.recv(1 << 18).count(b"\x03")
        return calls / (time.perf_counter() - begun)


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    for at_once in (1, 50):
        echo, luxi = (measure(serve, calls, at_once) for serve in (serve_echo, serve_luxi))
        print(
            f"{at_once:3} at once: echo {echo:8.0f}/s, master's socket {luxi:8.0f}/s,"
            f" share {luxi / echo:.2f}"
        )


if __name__ == "__main__":
    main()
