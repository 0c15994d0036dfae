# SPDX-License-Identifier: BSD-2-Clause
"""What a master costs as its cluster grows: each figure at several sizes, with the ratio to the
smallest one.

``python -m tests.bench.bench_scale [--instances 100,1000,5000,20000] [--nodes 3,40,200]
[--only NAME,…]`` makes a cluster of each size on disk, runs a real master daemon on it whose nodes
answer from memory (``scale_master``), and prints figures beside their limits. Processor time is
that of the master without the answers of its nodes, and without what it uses when idle; that of
jobs includes the checkpoint that follows them. The machine's bare limits come last.
"""

from __future__ import annotations

import argparse
import base64
import multiprocessing
import os
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.client import HTTPSConnection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.loads import END, FINAL, Client, Luxi, requests, serve_bare, syncs, until, waits

SPAWN = multiprocessing.get_context("spawn")
RAPI_PORT, BARE_PORT = 5997, 5999
LOGIN = base64.b64encode(b"admin:secret").decode()
CHECKPOINT = 11.0
"""Seconds within which a master has written a checkpoint after a change."""
TREE = str(Path(__file__).parents[2])

LIMITS = {
    "creation, named node: processor ms": 5,
    "creation, node chosen: processor ms": 5,
    "tag job: processor ms": 0,
    "list of names: ms": 20,
    "list of 5 configured fields: ms": 60,
    "list of 5 live fields: ms": 100,
    "GET of one instance under load: p99 ms": 20,
    "bulk list, unchanged: ms": 5,
    "bulk list after one change: ms": 150,
    "start to first answer: s": 2.5,
    "start to all facts: s": 10,
    "resident memory: MiB": 400,
    "cluster verify: processor s": 5,
    "longest turn during verify: processor ms": 20,
    "longest answer during verify: ms": 20,
    "submit no-op jobs: s": 3,
    "list no-op jobs: s": 1,
    "cancel no-op jobs: s": 5,
}
"""What is expected at the largest size; 0 means no absolute limit."""


class Figures:
    """Prints figures of one size, with the ratio to those of the smallest size."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}

    def __call__(self, name: str, figure: float) -> None:
        first = self._first.setdefault(name, figure)
        ratio = f"{figure / first:8.2f}" if first else " " * 8
        limit = LIMITS.get(name)
        print(f"{name:<44} {figure:10.2f} {ratio}" + (f"   limit {limit}" if limit else ""))
        sys.stdout.flush()


class Cluster:
    """A running master of some size, and what a client can learn about it."""

    def __init__(self, folder: str, nodes: int, instances: int) -> None:
        self.folder, self.nodes, self.instances = folder, nodes, instances
        self.socket = f"{folder}/var/run/ganeti/socket/ganeti-master"
        self.calls = SPAWN.Value("d", 0.0)
        self.longest_turn = SPAWN.Value("d", 0.0)
        self._nodes_seconds = SPAWN.Value("d", 0.0)
        self._process: SpawnProcess | None = None

    def start(self) -> tuple[float, float]:
        """Start the master; the seconds to its first answer, and until all guests are known."""
        from tests.bench.scale_master import serve

        begun = time.perf_counter()
        arguments = self.folder, self.calls, self._nodes_seconds, self.longest_turn
        self._process = SPAWN.Process(target=serve, args=arguments)
        self._process.start()
        until(lambda: Luxi(self.socket)("QueryConfigValues", ["cluster_name"]), 120)
        first = time.perf_counter() - begun
        until(self._ask_for_guests, 120)
        return first, time.perf_counter() - begun

    def _ask_for_guests(self) -> None:
        states = Luxi(self.socket)("QueryInstances", [], ["oper_state"], False)
        if any(state is None for (state,) in states):
            raise ConnectionError("not all nodes have answered")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.join()

    @property
    def pid(self) -> int:
        assert self._process is not None and self._process.pid is not None
        return self._process.pid

    def seconds(self) -> float:
        """The processor time of all threads of the master, without the answers of its nodes."""
        total = 0
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
        return total / 1e9 - float(self._nodes_seconds.value)

    def resident(self) -> float:
        """The resident memory of the master in MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        [line] = [line for line in lines if line.startswith("VmRSS:")]
        return int(line.split()[1]) / 1024

    @property
    def idle(self) -> float:
        """The share of a processor that the master uses when there is nothing to do."""
        before, begun = self.seconds(), time.perf_counter()
        time.sleep(3)
        return (self.seconds() - before) / (time.perf_counter() - begun)


def creation(name: str, node: str | None) -> dict[str, Any]:
    return {
        "OP_ID": "OP_INSTANCE_CREATE",
        "instance_name": name,
        "mode": "create",
        "disk_template": "diskless",
        "disks": [],
        "nics": [{}],
        "beparams": {"memory": 16, "vcpus": 1},
        "os_type": "noop",
        "start": False,
        "name_check": False,
        "ip_check": False,
        **({} if node is None else {"pnode": node}),
    }


def a_delay(seconds: float) -> dict[str, Any]:
    return {"OP_ID": "OP_TEST_DELAY", "duration": seconds, "on_master": True, "on_nodes": []}


def measure_start(cluster: Cluster, report: Figures) -> None:
    first, known = cluster.start()
    report("start to first answer: s", first)
    report("start to all facts: s", known)
    report("resident memory: MiB", cluster.resident())


def measure_jobs(cluster: Cluster, report: Figures) -> None:
    """Creations and tags, each with the checkpoint that follows it."""
    for kind, node in (("named node", "node1"), ("node chosen", None)):
        jobs = [creation(f"new{n}.{kind.replace(' ', '-')}", node) for n in range(120)]
        calls = _cost(cluster, report, f"creation, {kind}", jobs)
        report(f"creation, {kind}: calls of nodes", calls)
    tag = {"OP_ID": "OP_TAGS_SET", "kind": "cluster", "name": None}
    _cost(cluster, report, "tag job", [{**tag, "tags": [f"tag{n}"]} for n in range(120)])


def _cost(cluster: Cluster, report: Figures, name: str, jobs: Sequence[dict[str, Any]]) -> float:
    master = Luxi(cluster.socket)
    warm, measured = jobs[:20], jobs[20:]
    master.run_all(warm)
    time.sleep(CHECKPOINT)
    idle, calls = cluster.idle, cluster.calls.value
    before, begun = cluster.seconds(), time.perf_counter()
    # One after the other, so that what a commit and its sync cost is not shared either.
    for job in measured:
        master.run(job)
    calls = cluster.calls.value - calls
    jobs_only = cluster.seconds() - before
    time.sleep(CHECKPOINT)
    used = cluster.seconds() - before - idle * (time.perf_counter() - begun)
    report(f"{name}: processor ms", 1000 * used / len(measured))
    report(f"{name}, without checkpoint: processor ms", 1000 * jobs_only / len(measured))
    return float(calls) / len(measured)


FIELDS = {
    "list of names": ["name"],
    "list of 5 configured fields": ["name", "pnode", "os", "admin_state", "be/maxmem"],
    "list of 5 live fields": ["name", "pnode", "status", "oper_ram", "oper_vcpus"],
}


def measure_lists(cluster: Cluster, report: Figures) -> None:
    """Answers over LUXI, from the question to the last byte; after one change each."""
    master = Luxi(cluster.socket)
    for name, fields in FIELDS.items():
        spent, used = [], []
        for turn in range(7):
            _change_one(master, turn)
            before = cluster.seconds()
            spent.append(_raw(cluster.socket, "Query", "instance", fields, None))
            used.append(cluster.seconds() - before)
        report(f"{name}: ms", 1000 * statistics.median(spent))
        report(f"{name}: processor ms", 1000 * statistics.median(used))


def _change_one(master: Luxi, turn: int) -> None:
    from tests.bench.scale_master import name_of

    tag = {"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": name_of(0), "tags": [f"turn{turn}"]}
    master.run(tag)
    master.run({**tag, "OP_ID": "OP_TAGS_DEL"})


def _raw(path: str, method: str, *arguments: Any) -> float:
    """Send a request to the master; the seconds until all of the answer is there."""
    asked = msgspec.json.encode({"method": method, "args": arguments, "version": 3000000}) + END
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        begun = time.perf_counter()
        connection.sendall(asked)
        last = b""
        while not last.endswith(END):
            last = connection.recv(1 << 20)
        return time.perf_counter() - begun


@contextmanager
def remote_api(cluster: Cluster) -> Iterator[str]:
    """The address of a remote API of the cluster, until the block ends."""
    environment = {**os.environ, "GANETI_ROOTDIR": cluster.folder, "PYTHONPATH": TREE}
    command = [sys.executable, "-m", "ganeti.daemon.rapi", "-f", "-p", str(RAPI_PORT)]
    daemon = subprocess.Popen(
        [*command, "-b", "127.0.0.1"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: Client("127.0.0.1", RAPI_PORT).close())
        yield f"https://127.0.0.1:{RAPI_PORT}"
    finally:
        daemon.terminate()
        daemon.wait()


class BulkList:
    """A client that asks for all instances, with the tag of the list that it has."""

    def __init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._connection = HTTPSConnection("127.0.0.1", RAPI_PORT, context=context)
        self._tag = ""

    def __call__(
        self, times: int, *, conditional: bool = True, encoding: str = "identity"
    ) -> list[float]:
        """Return the seconds that each answer took."""
        spent = []
        for _ in range(times):
            headers = {"Authorization": f"Basic {LOGIN}", "Accept-Encoding": encoding}
            if conditional and self._tag:
                headers["If-None-Match"] = self._tag
            begun = time.perf_counter()
            self._connection.request("GET", "/2/instances?bulk=1", headers=headers)
            answer = self._connection.getresponse()
            answer.read()
            spent.append(time.perf_counter() - begun)
            self._tag = answer.headers["ETag"]
        return spent


def measure_remote_api(cluster: Cluster, report: Figures) -> None:
    from tests.bench.scale_master import name_of

    with remote_api(cluster) as url:
        master, ask = Luxi(cluster.socket), BulkList()
        ask(1)
        unchanged, whole, changed = ask(9), ask(5, conditional=False), []
        report("bulk list, unchanged: ms", 1000 * statistics.median(unchanged))
        report("bulk list, unchanged and sent: ms", 1000 * statistics.median(whole))
        for turn in range(7):
            _change_one(master, turn)
            changed += ask(1)
        report("bulk list after one change: ms", 1000 * statistics.median(changed))
        report("bulk list, compressed: ms", 1000 * ask(1, conditional=False, encoding="gzip")[0])
        one = f"{url}/2/instances/{name_of(1)}"
        quiet = sorted(waits(one, LOGIN, 300))
        report("GET of one instance: p99 ms", 1000 * quiet[-3])
        with _starts_and_stops(cluster) as ended:
            before, begun = ended[0], time.perf_counter()
            cluster.longest_turn.value = 0.0
            loaded = sorted(waits(one, LOGIN, 500))
            rate = (ended[0] - before) / (time.perf_counter() - begun)
        report("GET of one instance under load: p99 ms", 1000 * loaded[-5])
        report("longest turn under load: processor ms", 1000 * cluster.longest_turn.value)
        report("load: starts and stops per second", rate)


@contextmanager
def _starts_and_stops(cluster: Cluster, per_second: int = 500) -> Iterator[list[int]]:
    """Have guests stop and start; yields the number of jobs that have ended so far."""
    from tests.bench.scale_master import name_of

    ended, over = [0], threading.Event()
    names = [name_of(number) for number in range(min(100, cluster.instances))]

    def work() -> None:
        master = Luxi(cluster.socket)
        while not over.is_set():
            for opcode in ("OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_STARTUP"):
                begun = time.perf_counter()
                master.run_all([{"OP_ID": opcode, "instance_name": name} for name in names])
                ended[0] += len(names)
                master("AutoArchiveJobs", 0, 10)
                time.sleep(max(0.0, len(names) / per_second - (time.perf_counter() - begun)))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        time.sleep(2)
        yield ended
    finally:
        over.set()
        thread.join()


def measure_starts(cluster: Cluster, report: Figures, guests: int = 200) -> None:
    """Starts of stopped guests: those with disks on their node, and those that any node could run.

    Many at once, as the queue carries them out, and one after the other.
    """
    from tests.bench.scale_master import WITH_DISKS, name_of

    master = Luxi(cluster.socket)
    for kind, first, last in (
        ("with disks", 0, WITH_DISKS),
        ("without disks", WITH_DISKS, WITH_DISKS + guests),
    ):
        names = [name_of(number) for number in range(first, min(last, cluster.instances))]
        if not names:
            continue
        _run_on_each(master, "OP_INSTANCE_SHUTDOWN", names)
        cluster.longest_turn.value = 0.0
        with _costs(cluster, report, f"starts {kind}", len(names)):
            seconds = _run_on_each(master, "OP_INSTANCE_STARTUP", names)
        report(f"starts {kind}: per second", len(names) / seconds)
        report(f"starts {kind}, longest turn: processor ms", 1000 * cluster.longest_turn.value)
        one_by_one = names[:30]
        _run_on_each(master, "OP_INSTANCE_SHUTDOWN", one_by_one)
        with _costs(cluster, report, f"one start {kind}", len(one_by_one)):
            for name in one_by_one:
                master.run({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": name})


@contextmanager
def _costs(cluster: Cluster, report: Figures, name: str, jobs: int) -> Iterator[None]:
    """Report what each of the jobs that the block runs costs the master and the nodes."""
    idle = cluster.idle
    before, calls, begun = cluster.seconds(), cluster.calls.value, time.perf_counter()
    yield
    spent = time.perf_counter() - begun
    report(f"{name}: ms", 1000 * spent / jobs)
    report(f"{name}: processor ms", 1000 * (cluster.seconds() - before - idle * spent) / jobs)
    report(f"{name}: calls of nodes", (cluster.calls.value - calls) / jobs)


def _run_on_each(master: Luxi, opcode: str, names: Sequence[str]) -> float:
    """Submit a job for each instance and wait until all have ended well; the seconds that took.

    The client waits for the last job without polling, as its questions would cost the master time.
    """
    begun = time.time()
    requests = [[{"OP_ID": opcode, "instance_name": name}] for name in names]
    jobs = [number for _, number in master("SubmitManyJobs", requests)]
    for job in reversed(jobs):
        until(partial(_ended, master, job), 600)
    rows = master("QueryJobs", jobs, ["status", "end_ts", "opresult"])
    if bad := [row for row in rows if row[0] != "success"]:
        raise RuntimeError(f"{len(bad)} jobs failed: {bad[0]}")
    return float(max(seconds + parts / 1e6 for _, (seconds, parts), _ in rows) - begun)


def measure_verify(cluster: Cluster, report: Figures) -> None:
    """A whole verification, and the longest answer to another client meanwhile."""
    master, other = Luxi(cluster.socket), Luxi(cluster.socket)
    _change_one(master, 0)  # the first job loads the code of all operations
    longest, over = [0.0], threading.Event()

    def ask() -> None:
        while not over.is_set():
            begun = time.perf_counter()
            other("QueryConfigValues", ["cluster_name"])
            longest[0] = max(longest[0], time.perf_counter() - begun)
            time.sleep(0.002)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        before, begun = cluster.seconds(), time.perf_counter()
        cluster.longest_turn.value = 0.0
        jobs = _submit_verification(master)
        until(lambda: _all_ended(master, jobs), 300)
        report("cluster verify: processor s", cluster.seconds() - before)
        report("cluster verify: s", time.perf_counter() - begun)
    finally:
        over.set()
        asking.join()
    report("longest turn during verify: processor ms", 1000 * cluster.longest_turn.value)
    report("longest answer during verify: ms", 1000 * longest[0])


def _submit_verification(master: Luxi) -> list[int]:
    first = master("SubmitJob", [{"OP_ID": "OP_CLUSTER_VERIFY"}])
    until(lambda: _all_ended(master, [first]), 60)
    [[result]] = master("QueryJobs", [first], ["opresult"])
    return [number for _, number in result[0]["jobs"]]


def _all_ended(master: Luxi, jobs: Sequence[int]) -> None:
    rows = master("QueryJobs", jobs, ["status"])
    if any(status not in ("success", "error", "canceled") for (status,) in rows):
        time.sleep(0.05)
        raise ConnectionError("still running")


def measure_batches(cluster: Cluster, report: Figures, evacuated: int = 100) -> None:
    """Evacuations of two nodes, a list in a terminal, and as many creations as there are instances.

    The instances of one node run and are migrated, which the nodes in memory do at once; those of
    the other one are stopped.
    """
    from tests.bench.scale_master import WITH_DISKS

    master = Luxi(cluster.socket)
    # The first nodes have instances whose disks are on them alone.
    if cluster.nodes > WITH_DISKS + 1:
        for kind, node in (("running", cluster.nodes), ("stopped", cluster.nodes - 1)):
            _evacuate(master, report, kind, f"node{node}", 2 * evacuated)
    first_line, whole = _list_in_terminal(cluster)
    report("gnt-instance list, first line: s", first_line)
    report("gnt-instance list: s", whole)
    requests = [
        [creation(f"batch{number}.example.com", f"node{number % cluster.nodes + 1}")]
        for number in range(cluster.instances)
    ]
    before, begun = cluster.seconds(), time.perf_counter()
    accepted = [number for done, number in master("SubmitManyJobs", requests) if done]
    report("creations in one request, accepted", len(accepted))
    report("creations in one request, accepted: s", time.perf_counter() - begun)
    until(lambda: _ended(master, accepted[-1]), 3600)
    until(lambda: _all_ended(master, accepted), 600)
    report("creations in one request: ms each", _each(time.perf_counter() - begun, accepted))
    report("creations in one request: processor ms", _each(cluster.seconds() - before, accepted))
    report("resident memory after that: MiB", cluster.resident())


def _evacuate(master: Luxi, report: Figures, kind: str, node: str, most: int) -> None:
    """Move all instances of a node away, if they are not too many."""
    rows = master("QueryInstances", [], ["name", "pnode"], False)
    leaving = [name for name, primary in rows if primary == node]
    if len(leaving) > most:
        return
    if kind == "stopped":
        stop = "OP_INSTANCE_SHUTDOWN"
        master.run_all([{"OP_ID": stop, "instance_name": each} for each in leaving])
    begun = time.perf_counter()
    evacuation = {"OP_ID": "OP_NODE_EVACUATE", "node_name": node, "mode": "primary-only"}
    first = master("SubmitJob", [evacuation])
    until(lambda: _all_ended(master, [first]), 300)
    report(f"evacuation, {kind}, planned: s", time.perf_counter() - begun)
    jobs = [number for _, number in _result_of(master, first)["jobs"]]
    until(lambda: _all_ended(master, jobs), 300)
    for number in jobs:
        _result_of(master, number)
    report(f"evacuation, {kind}: instances", len(jobs))
    report(f"evacuation, {kind}: s", time.perf_counter() - begun)


def _result_of(master: Luxi, job: int) -> Any:
    """Return the result of a job's first opcode.

    :raises RuntimeError: the job has failed.
    """
    [[status, result]] = master("QueryJobs", [job], ["status", "opresult"])
    if status != "success":
        raise RuntimeError(f"job {job} failed: {result}")
    return result[0]


def _each(seconds: float, jobs: Sequence[int]) -> float:
    return 1000 * seconds / len(jobs)


def _ended(master: Luxi, job: int) -> None:
    """Wait until a job changes; without polling all of thousands."""
    [[status]] = master("QueryJobs", [job], ["status"])
    if status not in FINAL:
        master("WaitForJobChange", job, ["status"], [status], 0, 10)
        raise ConnectionError("still running")


def _list_in_terminal(cluster: Cluster) -> tuple[float, float]:
    """Return the seconds until the first and the last line of ``gnt-instance list``."""
    environment = {**os.environ, "FORCE_LUXI_SOCKET": cluster.socket, "PYTHONPATH": TREE}
    code = "from ganeti.cli.program import main; main('gnt_instance')"
    command = [sys.executable, "-P", "-c", code, "list"]
    begun = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as listing:
        assert listing.stdout is not None
        listing.stdout.readline()
        first = time.perf_counter() - begun
        lines = listing.stdout.read().count(b"\n")
    if lines < cluster.instances:
        raise RuntimeError(f"gnt-instance list has {lines} lines")
    return first, time.perf_counter() - begun


def measure_queue(cluster: Cluster, report: Figures, jobs: int = 20_000) -> None:
    """Jobs that wait: submit them, list them, cancel them."""
    master = Luxi(cluster.socket)
    begun = time.perf_counter()
    answers = master("SubmitManyJobs", [[a_delay(600)] for _ in range(jobs)])
    report("submit no-op jobs: s", time.perf_counter() - begun)
    accepted = [number for done, number in answers if done]
    report("accepted no-op jobs", len(accepted))
    report("list no-op jobs: s", _raw(cluster.socket, "Query", "job", ["id", "status"], None))
    begun = time.perf_counter()
    master("CancelJobs", accepted)
    until(lambda: _all_ended(master, accepted), 120)
    report("cancel no-op jobs: s", time.perf_counter() - begun)


MEASURES: dict[str, Callable[[Cluster, Figures], None]] = {
    "start": measure_start,
    "lists": measure_lists,
    "api": measure_remote_api,
    "jobs": measure_jobs,
    "starts": measure_starts,
    "verify": measure_verify,
    "queue": measure_queue,
    "batches": measure_batches,
}


def measure(nodes: int, instances: int, names: Sequence[str], report: Figures) -> None:
    """Print the figures of one size."""
    from tests.bench.scale_master import prepare

    print(f"\n{instances} instances on {nodes} nodes")
    folder = tempfile.mkdtemp(prefix="bench-scale-")
    cluster = Cluster(folder, nodes, instances)
    try:
        # In a process of its own, so that its memory is not this one's.
        preparing = SPAWN.Process(target=prepare, args=(folder, nodes, instances))
        preparing.start()
        preparing.join()
        if "start" not in names:
            cluster.start()
        for name in names:
            MEASURES[name](cluster, report)
    finally:
        cluster.stop()
        shutil.rmtree(folder)


def measure_limits(instances: int) -> None:
    """Print what this machine does at best: JSON of a list, a sync, an echo over TLS."""
    from tests.bench.scale_master import _certificate, large_state

    print("\nbare limits of this machine")
    rows = [
        {"name": each.name, "os": each.os, "tags": each.tags, "uuid": each.uuid}
        for each in large_state(3, instances).instances.values()
    ]
    begun = time.perf_counter()
    encoded = msgspec.json.encode(rows)
    spent = 1000 * (time.perf_counter() - begun)
    print(f"JSON of {instances} rows, {len(encoded)} bytes: {spent:.1f} ms")
    with tempfile.TemporaryDirectory() as folder:
        print(f"fdatasync of an appended record: {1000 / syncs(folder):.2f} ms")
        pem = f"{folder}/rapi.pem"
        Path(pem).write_bytes(_certificate())
        server = SPAWN.Process(target=serve_bare, args=(pem, BARE_PORT, f"{folder}/echo"))
        server.start()
        try:
            until(lambda: Client("127.0.0.1", BARE_PORT).close())
            rate = requests(f"https://127.0.0.1:{BARE_PORT}/version", "", 1000)
            print(f"request to a bare resource over TLS: {1000 / rate:.2f} ms")
        finally:
            server.terminate()
            server.join()


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instances", type=_numbers, default=[100, 1000, 5000, 20_000])
    options.add_argument("--nodes", type=_numbers, default=[3, 40, 200])
    options.add_argument("--only", type=lambda text: text.split(","), default=list(MEASURES))
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for nodes in chosen.nodes:
        report = Figures()
        for instances in chosen.instances:
            measure(nodes, instances, chosen.only, report)
    measure_limits(max(chosen.instances))


if __name__ == "__main__":
    main()
