# SPDX-License-Identifier: BSD-2-Clause
"""Attaches the terminal to the serial console of a guest: ``console.py SOCKET``; Ctrl-] detaches.

It is run as a script, also by SSH from another node, so it needs only the standard library.
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
    """Copy bytes in both directions until the guest, the input, or the escape character ends it."""
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
            # What was typed before the escape character in the same read is for the guest.
            line.sendall(before)
            if escape:
                return
            if not data:
                # Piped input has ended; keep showing the output.
                watched.remove(typed)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextlib.contextmanager
def raw(terminal: int) -> Iterator[None]:
    """Put the terminal into raw mode, if it is one."""
    if not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        # Wait for output that is on its way, which was written for raw mode (termios(3)).
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def main(arguments: list[str]) -> int:
    """Attach to the socket that is given; return the exit code."""
    if len(arguments) != 1:
        print("usage: console.py SOCKET", file=sys.stderr)
        return 2
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.connect(arguments[0])
    except OSError as error:
        print(f"cannot connect to the guest's console at {arguments[0]}: {error}", file=sys.stderr)
        return 1
    # To standard error: the standard output has only what the guest prints.
    print("Connected to the serial console; press Ctrl-] to detach.", file=sys.stderr, flush=True)
    with contextlib.closing(line), raw(sys.stdin.fileno()):
        attach(line, sys.stdin.fileno(), sys.stdout.fileno())
    print("\nDetached from the serial console.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
