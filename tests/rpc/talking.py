# SPDX-License-Identifier: BSD-2-Clause
"""Requests and answers of calls as bytes, for tests without a client."""

from __future__ import annotations


def request(call: str, body: bytes, headers: str = "") -> bytes:
    """Return a call as it is sent; ``headers`` are whole lines."""
    head = f"POST /{call} HTTP/1.1\r\nHost: node1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


def answers(data: bytes) -> list[tuple[int, bytes]]:
    """Return the status and the body of each answer in what was sent."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        start, *lines = head.decode("ascii").lower().split("\r\n")
        headers = dict(line.split(": ") for line in lines)
        length = int(headers["content-length"])
        assert len(data) >= length, f"{len(data)} bytes of {length}"
        found.append((int(start.split()[1]), data[:length]))
        data = data[length:]
    return found
