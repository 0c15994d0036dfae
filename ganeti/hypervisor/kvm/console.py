# SPDX-License-Identifier: BSD-2-Clause
"""Attaches this terminal to a guest's serial console: ``console.py SOCKET``, Ctrl-] leaves.

Run as a file of its own, by ssh from another node too: it needs nothing but Python.
"""

import contextlib
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator

ESCAPE = b"\x1d"
_CHUNK = 1 << 14


def attach(line: socket.socket, typed: int, shown: int) -> None:
    """Pass bytes both ways until the guest ends, the input does, or the escape is typed."""
    watched: list[int | socket.socket] = [line, typed]
    while line in watched:
        ready, _, _ = select.select(watched, [], [])
        if line in ready:
            data = line.recv(_CHUNK)
            if not data:
                return
            _write(shown, data)
        if typed in ready:
            data = os.read(typed, _CHUNK)
            before, escape, _ = data.partition(ESCAPE)
            line.sendall(before)
            if escape:
                return
            if not data:
                # Whoever pipes something in wants to see the answer.
                watched.remove(typed)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextlib.contextmanager
def raw(terminal: int) -> Iterator[None]:
    """Let every key pass through as it is typed, if this is a terminal."""
    if not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def main(arguments: list[str]) -> int:
    """Attach to the socket that is named; answers the exit code."""
    if len(arguments) != 1:
        print("usage: console.py SOCKET", file=sys.stderr)
        return 2
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.connect(arguments[0])
    except OSError as error:
        print(f"the guest's console cannot be reached at {arguments[0]}: {error}", file=sys.stderr)
        return 1
    print("Connected to the serial console; Ctrl-] leaves it.", file=sys.stderr, flush=True)
    with contextlib.closing(line), raw(sys.stdin.fileno()):
        attach(line, sys.stdin.fileno(), sys.stdout.fileno())
    print("\nLeft the serial console.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
