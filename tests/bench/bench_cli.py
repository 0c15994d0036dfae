# SPDX-License-Identifier: BSD-2-Clause
"""How long a call of a tool takes, beside Python alone and Python with msgspec.

Run it as ``python -m tests.bench.bench_cli [rounds]``. The master is a thread that answers at once,
so the figures are what the tools themselves cost. Modules are compiled before; each figure is the
least of all rounds, in which the commands take turns. Time on a processor says more than time on
the clock where others use the machine, too; the ratios are of that.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TREE = Path(__file__).parent.parent.parent
INSTANCES = 200
RUN = "from ganeti.cli.program import main; main(%r)"

CALLS: Mapping[str, Sequence[str]] = {
    "python alone": ("pass",),
    "python with msgspec": ("import msgspec",),
    f"gnt-instance list, {INSTANCES} of them": (RUN % "gnt_instance", "list"),
    "gnt-instance list NAME": (RUN % "gnt_instance", "list", "instance1"),
    "gnt-job list": (RUN % "gnt_job", "list"),
    "gnt-instance startup": (RUN % "gnt_instance", "startup", "instance1"),
    "gnt-instance add": (RUN % "gnt_instance", "add", "-s", "1g", "-o", "noop", "instance1"),
    "gnt-cluster add-tags": (RUN % "gnt_cluster", "add-tags", "a"),
    "gnt-instance --help": (RUN % "gnt_instance", "--help"),
}

DONE = [["success", ["success"], [None]], []]


def answered(request: Mapping[str, Any]) -> Any:
    """What a master would say that has nothing else to do."""
    match request["method"]:
        case "Query":
            names = request["args"][1]
            fields = [{"name": each, "title": each, "kind": "text", "doc": ""} for each in names]
            rows = [[[0, f"{name}{row}"] for name in names] for row in range(INSTANCES)]
            return {"fields": fields, "data": rows}
        case "WaitForJobChange":
            return DONE
    return 7


@contextlib.contextmanager
def master(path: str) -> Iterator[None]:
    """A master that listens at ``path``."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                pending = b""
                while data := connection.recv(1 << 16):
                    *whole, pending = (pending + data).split(b"\x03")
                    for each in whole:
                        answer = {"success": True, "result": answered(json.loads(each))}
                        connection.sendall(json.dumps(answer).encode() + b"\x03")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def call(words: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Milliseconds that a call takes by the clock, and on a processor."""
    began = time.perf_counter()
    program = [sys.executable, "-P", "-c", *words]
    process = subprocess.Popen(program, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    passed = time.perf_counter() - began
    return passed * 1000, (usage.ru_utime + usage.ru_stime) * 1000


def measured(folder: str, rounds: int) -> dict[str, tuple[float, float]]:
    """The least that each call took."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(TREE),
        "PYTHONPYCACHEPREFIX": f"{folder}/compiled",
        "FORCE_LUXI_SOCKET": f"{folder}/master",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    least = dict.fromkeys(CALLS, (float("inf"), float("inf")))
    for turn in range(rounds + 1):
        for name, words in CALLS.items():
            clock, processor = call(words, environment)
            if turn:  # the first round compiles
                best = least[name]
                least[name] = min(best[0], clock), min(best[1], processor)
    return least


def main() -> None:
    """Print each figure in a line."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder, master(f"{folder}/master"):
        figures = measured(folder, rounds)
    bare, loaded = figures["python alone"][1], figures["python with msgspec"][1]
    print(f"{'':36} {'ms':>7} {'cpu ms':>7} {'/python':>9} {'/msgspec':>9}")
    for name, (clock, processor) in figures.items():
        ratios = f"{processor / bare:9.2f} {processor / loaded:9.2f}"
        print(f"{name:36} {clock:7.1f} {processor:7.1f} {ratios}")


if __name__ == "__main__":
    main()
