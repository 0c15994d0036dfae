# SPDX-License-Identifier: BSD-2-Clause
"""Clients that do nothing but ask, and servers that do nothing but answer."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import msgspec

END = b"\x03"
_TRUSTING = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TRUSTING.check_hostname = False
_TRUSTING.verify_mode = ssl.CERT_NONE
FINAL = frozenset(("success", "error", "canceled"))


class Luxi:
    """A blocking connection to a master."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(120)
        self._socket.connect(path)
        self._method = ""

    def __call__(self, method: str, *arguments: Any) -> Any:
        self.send(method, *arguments)
        return self.receive()

    def fileno(self) -> int:
        """The descriptor, to wait until there is an answer."""
        return self._socket.fileno()

    def send(self, method: str, *arguments: Any) -> None:
        """Send a request; ``receive`` returns its answer."""
        self._method = method
        asked = {"method": method, "args": arguments, "version": 3000000}
        self._socket.sendall(msgspec.json.encode(asked) + END)

    def receive(self) -> Any:
        answer = bytearray()
        while not answer.endswith(END):
            if not (piece := self._socket.recv(1 << 18)):
                raise ConnectionError("the master hung up")
            answer += piece
        said = msgspec.json.decode(answer[:-1])
        if not said["success"]:
            raise RuntimeError(f"{self._method}: {said['result']}")
        return said["result"]

    def run(self, opcode: dict[str, Any]) -> None:
        """Submit a job and wait until it has ended well."""
        job = self("SubmitJob", [opcode])
        seen: Any = None
        serial = 0
        while seen is None or seen[0] not in FINAL:
            answer = self("WaitForJobChange", job, ["status", "opresult"], seen, serial, 60)
            if answer != "nochange":
                seen, log = answer
                serial = max([serial, *(entry[0] for entry in log)])
        if seen[0] != "success":
            raise RuntimeError(f"job {job}: {seen}")

    def run_all(self, opcodes: Sequence[dict[str, Any]]) -> float:
        """Submit jobs at once and wait until all have ended well; the seconds that took."""
        begun = time.time()
        jobs = [number for _, number in self("SubmitManyJobs", [[each] for each in opcodes])]
        while True:
            rows = self("QueryJobs", jobs, ["status", "end_ts", "opresult"])
            if all(row[0] in FINAL for row in rows):
                break
            time.sleep(0.02)
        if bad := [row for row in rows if row[0] != "success"]:
            raise RuntimeError(f"{len(bad)} jobs failed: {bad[0]}")
        return float(max(seconds + parts / 1e6 for _, (seconds, parts), _ in rows) - begun)


class Client:
    """A blocking connection over TLS, for requests one after the other, or for half of one."""

    def __init__(self, host: str, port: int, *, buffer: int | None = None) -> None:
        """``buffer`` is how many bytes the kernel takes before they are read."""
        plain = socket.socket()
        if buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        plain.settimeout(60)
        try:
            plain.connect((host, port))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = _TRUSTING.wrap_socket(plain)
        except OSError:
            plain.close()
            raise

    def ask(self, request: bytes) -> int:
        """Send a request; the status of its answer."""
        self.send(request)
        return self.status()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def status(self) -> int:
        """The status of the next answer, once all of that is here."""
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._received()
        head = data[:end].lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        missing = length + end + 4 - len(data)
        while missing > 0:
            missing -= len(self._received())
        return int(head.split()[1])

    def _received(self) -> bytes:
        if not (data := self._socket.recv(1 << 18)):
            raise ConnectionError("the server hung up")
        return data

    def quiet(self) -> bool:
        """Whether the server has neither hung up nor said anything."""
        self._socket.setblocking(False)
        try:
            self._socket.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            pass
        finally:
            self._socket.settimeout(60)
        return False

    def close(self) -> None:
        self._socket.close()

    def abort(self) -> None:
        """Close it so that the server hears of a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


class _Asking(asyncio.Protocol):
    """Sends the same request again whenever it was answered, until there were enough."""

    transport: asyncio.Transport

    def __init__(
        self, request: bytes, left: list[int], done: asyncio.Future[None], waited: list[float]
    ) -> None:
        self._request = request
        self._left = left
        self._done = done
        self._waited = waited
        self._missing = 0
        self._asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            # The heads of all servers that are measured come in one piece.
            head, _, body = data.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                self._done.set_exception(RuntimeError(head.decode("latin-1")))
                return
            length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
            self._missing = int(length) - len(body)
        else:
            self._missing -= len(data)
        if not self._missing:
            self._waited.append(time.perf_counter() - self._asked)
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server hung up"))

    def _next(self) -> None:
        if self._left[0] > 0:
            self._left[0] -= 1
            self._asked = time.perf_counter()
            self.transport.write(self._request)
        elif not self._done.done():
            self._done.set_result(None)


def requests(
    url: str,
    login: str,
    count: int,
    *,
    clients: int = 1,
    stay: bool = True,
    method: str = "GET",
) -> float:
    """Requests per second; ``login`` is that of HTTP Basic, in base64.

    Without ``stay`` each client makes a new connection for each request.
    """
    begun = time.perf_counter()
    waits(url, login, count, clients=clients, stay=stay, method=method)
    return count / (time.perf_counter() - begun)


def waits(
    url: str,
    login: str,
    count: int,
    *,
    clients: int = 1,
    stay: bool = True,
    method: str = "GET",
) -> list[float]:
    """The seconds that each of ``count`` answers took; see :func:`requests`."""
    place = urlsplit(url)
    path = place.path + (f"?{place.query}" if place.query else "")
    lines = (
        f"{method} {path} HTTP/1.1",
        f"Host: {place.netloc}",
        f"Authorization: Basic {login}",
        "",
        "",
    )
    text = "\r\n".join(lines)
    waited: list[float] = []

    async def client(left: list[int]) -> None:
        loop = asyncio.get_running_loop()
        while left[0] > 0:
            turn = left
            if not stay:
                left[0] -= 1
                turn = [1]
            done: asyncio.Future[None] = loop.create_future()
            transport, _ = await loop.create_connection(
                lambda turn=turn, done=done: _Asking(text.encode(), turn, done, waited),  # type: ignore[misc]
                place.hostname or "localhost",
                place.port or 443,
                ssl=_TRUSTING,
            )
            await done
            transport.abort()

    async def all_clients() -> None:
        left = [count]
        await asyncio.gather(*(client(left) for _ in range(clients)))

    asyncio.run(all_clients())
    return waited


def answer_size(url: str, login: str) -> int:
    """How many bytes the body of an answer has."""
    asked = Request(url, headers={"Authorization": f"Basic {login}"})
    with urlopen(asked, context=_TRUSTING) as answer:
        return len(answer.read())


def calls(path: str, count: int) -> float:
    """Small questions per second, one after the other, on a Unix socket."""
    ask = Luxi(path)
    ask("QueryConfigValues", ["cluster_name"])
    begun = time.perf_counter()
    for _ in range(count):
        ask("QueryConfigValues", ["cluster_name"])
    return count / (time.perf_counter() - begun)


def syncs(folder: str, count: int = 200) -> float:
    """Appended records per second, each with its own fdatasync."""
    path = f"{folder}/syncs"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        begun = time.perf_counter()
        for _ in range(count):
            os.write(descriptor, b"x" * 500)
            os.fdatasync(descriptor)
        return count / (time.perf_counter() - begun)
    finally:
        os.close(descriptor)
        os.unlink(path)


def tls_options(pem: str) -> Any:
    """The TLS settings of the remote API, for a server of which nothing else is its."""
    from twisted.internet import ssl as tls

    with open(pem, "rb") as file:
        own = tls.PrivateCertificate.loadPEM(file.read())
    return tls.CertificateOptions(
        privateKey=own.privateKey.original,
        certificate=own.original,
        raiseMinimumTo=tls.TLSVersion.TLSv1_2,
        enableSessionTickets=True,
        acceptableProtocols=[b"http/1.1"],
    )


def serve_bare(pem: str, port: int, path: str) -> None:
    """Static resources of Twisted over TLS, and an echo of JSON on a Unix socket; never ends.

    ``/version`` is as short as can be, ``/bytes/N`` is of N bytes.
    """
    from twisted.internet import reactor as installed
    from twisted.internet.protocol import Factory, Protocol
    from twisted.web.resource import Resource
    from twisted.web.server import Site
    from twisted.web.static import Data

    class Sizes(Resource):
        def getChild(self, path: bytes, request: Any) -> Resource:
            sized = Static(b"x" * int(path), "application/json")
            self.putChild(path, sized)
            return sized

    class Static(Data):
        """Answers what puts something with the same bytes."""

        render_PUT = Data.render_GET

    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            asked = msgspec.json.decode(data[:-1])
            answer = {"success": True, "result": asked["args"]}
            assert self.transport is not None
            self.transport.write(msgspec.json.encode(answer) + END)

    reactor: Any = installed
    root = Resource()
    root.putChild(b"version", Data(b"2\n", "application/json"))
    root.putChild(b"bytes", Sizes())
    options = tls_options(pem)
    reactor.listenSSL(port, Site(root), options, interface="127.0.0.1")
    reactor.listenUNIX(path, Factory.forProtocol(Echo))
    reactor.run()


def until(ready: Callable[[], object], seconds: float = 30) -> float:
    """Try again and again until it works; the seconds that took."""
    begun = time.perf_counter()
    while True:
        with suppress(OSError, ConnectionError):
            ready()
            return time.perf_counter() - begun
        if time.perf_counter() > begun + seconds:
            raise TimeoutError
        time.sleep(0.005)
