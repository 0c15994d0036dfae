# SPDX-License-Identifier: BSD-2-Clause
"""How fast a disk reaches another node, beside a bare TLS copy by threads in the same run.

``python -m tests.bench.bench_transfer [MIB]`` prints MiB per second, both ends in one process: a
bare loop that sends from memory and throws away, the same from file to file, and a flow of ours
from file to file, until it is durable.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred

from ganeti.pki.authority import self_signed
from ganeti.system.interfaces import Awaited, Called, FileEnd, Party
from ganeti.system.streams import LocalStreams

reactor: Any = installed
HERE, NAME, CHUNK = "127.0.0.1", "ganeti.example.com", 1 << 20


def bare(party: Party, mib: int, source: str | None, sink: str | None) -> float:
    """MiB per second of the simplest loop there is."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(party.certificate, party.key)
    client.load_verify_locations(cadata=party.trusted)
    listener = socket.create_server((HERE, 0))

    def receive() -> None:
        with server.wrap_socket(listener.accept()[0], server_side=True) as connection:
            buffer = bytearray(CHUNK)
            with open(sink or os.devnull, "wb", buffering=0) as file:
                while amount := connection.recv_into(buffer):
                    file.write(memoryview(buffer)[:amount])
                os.fsync(file.fileno()) if sink else None

    receiving = threading.Thread(target=receive)
    began = time.perf_counter()
    receiving.start()
    with client.wrap_socket(
        socket.create_connection(listener.getsockname()), server_hostname=NAME
    ) as connection:
        if source is None:
            chunk = bytes(CHUNK)
            for _ in range(mib):
                connection.sendall(chunk)
        else:
            with open(source, "rb", buffering=0) as file:
                while data := file.read(CHUNK):
                    connection.sendall(data)
    receiving.join()
    listener.close()
    return mib / (time.perf_counter() - began)


async def ours(party: Party, mib: int, source: str, sink: str) -> float:
    """MiB per second of a flow."""
    streams = LocalStreams(reactor)
    began = time.perf_counter()
    listening = streams.listen(HERE)
    port = listening.port
    receiving = streams.begin(Awaited(listening, party, b"M=bench", 10), FileEnd(sink, create=True))
    sending = streams.begin(FileEnd(source), Called(HERE, port, party, b"M=bench", 10, 1))
    await receiving.ended()
    receiving.finish(well=True)
    await sending.ended()
    return mib / (time.perf_counter() - began)


async def main(mib: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = self_signed(NAME, time.time(), timedelta(hours=1))
        for name, content in (("key", made.key), ("cert", made.certificate)):
            _write(f"{folder}/{name}", [content])
        party = Party(f"{folder}/key", f"{folder}/cert", made.certificate.decode(), NAME)
        block = random.Random(1).randbytes(CHUNK)
        _write(f"{folder}/disk", [block] * mib)
        runs: list[tuple[str, Callable[[], float]]] = [
            ("bare, memory to nowhere", lambda: bare(party, mib, None, None)),
            (
                "bare, file to file",
                lambda: bare(party, mib, f"{folder}/disk", f"{folder}/copy"),
            ),
        ]
        best: dict[str, float] = {}
        for _ in range(3):
            for name, run in runs:
                best[name] = max(best.get(name, 0), run())
            os.unlink(f"{folder}/copy")
            rate = await ours(party, mib, f"{folder}/disk", f"{folder}/copy")
            os.unlink(f"{folder}/copy")
            best["ours, file to file"] = max(best.get("ours, file to file", 0), rate)
        for name, rate in best.items():
            share = best["ours, file to file"] / rate
            print(f"{name:28} {rate:8.0f} MiB/s   ours is {share:4.0%} of it")


def _write(path: str, blocks: list[bytes]) -> None:
    with open(path, "wb") as file:
        file.writelines(blocks)


if __name__ == "__main__":
    work = Deferred.fromCoroutine(main(int(sys.argv[1]) if len(sys.argv) > 1 else 256))
    work.addErrback(lambda failure: failure.printTraceback())
    work.addBoth(lambda _: reactor.callLater(0, reactor.stop))
    reactor.run()
