# SPDX-License-Identifier: BSD-2-Clause
"""A cluster is upgraded node by node, and downgraded again, while clients write all the time.

``python -m tests.system.upgrade_load --rounds 3`` makes a cluster of three nodes for it, prints
figures, and ends with 1 if a request failed, an acknowledged write is missing, or a guest was
restarted. With ``--interrupt``, the master daemon is killed in each step of each upgrade, which is
then repeated.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ganeti import __version__
from ganeti.errors import Code, GanetiError, Refused
from ganeti.luxi.methods import QueryClusterInfo, QueryInstances, QueryJobs, QueryTags, SubmitJob
from ganeti.luxi.unreachable import ConnectionLost, MasterNotRunning
from ganeti.model.disk import Template
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.paths import RAPI_PORT
from ganeti.rapi.client import GanetiApiError, GanetiRapiClient
from tests.system.acknowledgements import a_diskless_instance
from tests.system.releases import make_release, start_command, write_upgrade_command
from tests.system.running import TIMEOUT, RunningCluster, eventually, run
from tools.quickstart.daemons import Daemon
from tools.quickstart.orders import FINAL

NODES = 3
CLIENTS = 2
"""How many clients use each interface."""

INTERVAL = 0.1
"""Seconds between two writes of a client."""

RETRY_INTERVAL = 0.2
"""Seconds before a client repeats a request as ``doc/upgrade.md`` says."""

CREATE_EVERY = 10
"""One write of so many creates an instance; the others add a tag."""

STEP_TIMEOUT = 5 * TIMEOUT
"""Seconds that a step of an upgrade may take on a busy machine."""

NEXT = f"{__version__}+next"


class Repeat(Exception):
    """A request was answered in a way after which clients repeat it."""


@dataclass
class Load:
    """What clients asked for and what they were promised; ``problems`` should stay empty."""

    answered: int = 0
    repeated: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    written: dict[str, list[int]] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        requests = self.answered + self.repeated.total() + self.failed.total()
        lines = [
            f"requests: {requests}, failed {self.failed.total()}",
            *(f"  failed: {count} {why}" for why, count in self.failed.items()),
            *(f"  repeated as documented: {count} {why}" for why, count in self.repeated.items()),
            f"acknowledged writes: {len(self.written)}, whose jobs ended: {dict(self.ended)}",
            *(f"PROBLEM: {problem}" for problem in self.problems),
        ]
        return "\n".join(lines)


Write: TypeAlias = Callable[[str, bool], int]
"""Submits a job that adds a tag, or creates an instance, of this name; returns its ID."""


def writes_by_luxi(running: RunningCluster) -> Write:
    """Return how a client of the master's socket writes."""
    client = running.client()

    def write(name: str, create: bool) -> int:
        tag = AddTags(kind=TagKind.CLUSTER, tags=(name,))
        opcode = a_diskless_instance(name) if create else tag
        try:
            return client.ask(SubmitJob(ops=(opcode,)))
        except (MasterNotRunning, ConnectionLost) as e:
            raise Repeat(type(e).__name__) from e
        except Refused as e:
            if e.code is Code.TEMPORARY:
                raise Repeat("a refusal that is temporary") from e
            raise

    return write


def writes_by_remote_api(running: RunningCluster) -> Write:
    """Return how a client of the remote API writes."""
    master = running.cluster.master
    client = GanetiRapiClient(
        master.address,
        RAPI_PORT,
        "quickstart",
        (running.cluster.folder / "rapi-password").read_text().strip(),
        cafile=master.paths.authority,
    )

    def write(name: str, create: bool) -> int:
        try:
            if not create:
                return client.AddClusterTags([name])
            return client.CreateInstance(
                *("create", name, "diskless", [], []),
                os_type="noop",
                beparams={"memory": 16},
                name_check=False,
                ip_check=False,
                start=False,
                no_install=True,
            )
        except GanetiApiError as e:
            if e.code in (None, 502, 503):
                raise Repeat(f"status {e.code}" if e.code else "a lost connection") from e
            raise

    return write


class Clients:
    """Clients that write until the block ends, each with a connection of its own."""

    def __init__(self, running: RunningCluster, load: Load) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._over = threading.Event()
        ways = {"luxi": writes_by_luxi, "rapi": writes_by_remote_api}
        self._threads = [
            threading.Thread(target=self._repeat, args=(f"{name}-{number}", way(running)))
            for name, way in ways.items()
            for number in range(CLIENTS)
        ]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, client: str, write: Write) -> None:
        for count in itertools.count(len(self._load.written)):
            if self._over.wait(INTERVAL):
                return
            self._write(write, f"{client}-{count}", count % CREATE_EVERY == 0)

    def _write(self, write: Write, name: str, create: bool) -> None:
        """Write until there is an answer, or the end is near."""
        while True:
            try:
                job = write(name, create)
            except Repeat as e:
                with self._lock:
                    self._load.repeated[f"{name.partition('-')[0]}: {e}"] += 1
                if self._over.wait(RETRY_INTERVAL):
                    return
            except (GanetiError, GanetiApiError) as e:
                with self._lock:
                    self._load.failed[f"{name.partition('-')[0]}: {e}"] += 1
                return
            else:
                with self._lock:
                    self._load.answered += 1
                    self._load.written.setdefault(name, []).append(job)
                return


def look(running: RunningCluster, load: Load) -> None:
    """Wait for the end of all jobs, and look for what was acknowledged."""
    jobs = tuple(job for ids in load.written.values() for job in ids)
    eventually(lambda: FINAL.issuperset(_statuses(running, jobs).values()), 2 * TIMEOUT)
    statuses = _statuses(running, jobs)
    load.ended = Counter(statuses.values())
    there = {
        *running.ask(QueryTags(kind="cluster")),
        *(str(row[0]) for row in running.ask(QueryInstances(names=(), fields=("name",)))),
    }
    for name, ids in load.written.items():
        if unknown := [job for job in ids if job not in statuses]:
            load.problems.append(f"{name}: jobs {unknown} were acknowledged and are not known")
        if name not in there:
            ended = [running.ask(QueryJobs(ids=(job,), fields=("opresult",))) for job in ids]
            load.problems.append(f"{name} was acknowledged and is missing: {ended}")
    verified = running.tool("cluster", "verify")
    if verified.returncode != 0:
        load.problems.append(f"gnt-cluster verify: {verified.stdout}{verified.stderr}")


def _statuses(running: RunningCluster, jobs: tuple[int, ...]) -> dict[int, str]:
    rows = running.ask(QueryJobs(ids=jobs, fields=("id", "status")))
    return {row[0]: row[1] for row in rows if row is not None}


class Upgrades:
    """A cluster of three nodes with a guest on each, between two releases."""

    def __init__(self) -> None:
        self.running = RunningCluster("--nodes", str(NODES))
        self.load = Load()
        self._folder = Path(tempfile.mkdtemp(prefix="gnt-upgrade-"))
        self._trees = {release: make_release(release) for release in (__version__, NEXT)}
        try:
            for number in range(2, NODES + 1):
                self.running.perform(self._guest(number))
            self._guests = self._guest_records()
        except BaseException:
            self.destroy()
            raise

    def _guest(self, number: int) -> CreateInstance:
        return CreateInstance(
            instance_name=f"guest{number}",
            mode=CreationMode.CREATE,
            disk_template=Template.FILE,
            disks=({"size": 16},),
            nics=({},),
            beparams={"memory": 128},
            os_type="noop",
            pnode=self.running.cluster.node(number).name,
            name_check=False,
            ip_check=False,
        )

    def _guest_records(self) -> dict[str, tuple[int, int, bytes]]:
        """What nodes know of their guests: file, time of its last change, and content.

        A guest that is started again gets a new file.
        """
        found = {}
        for node in self.running.cluster.nodes:
            # The folder is made with the first guest; a path without it matches nothing.
            for path in sorted(Path(node.paths.run).glob("fake-hypervisor/*")):
                stat = path.stat()
                found[f"{node.name}: {path.name}"] = (
                    stat.st_ino,
                    stat.st_mtime_ns,
                    path.read_bytes(),
                )
        return found

    def destroy(self) -> list[str]:
        """End everything; return what is left."""
        for folder in (self._folder, *self._trees.values()):
            shutil.rmtree(folder)
        return self.running.destroy()

    @contextmanager
    def under_load(self) -> Iterator[None]:
        """Let clients write during the block, and look for what they were promised after it."""
        with Clients(self.running, self.load):
            yield
        look(self.running, self.load)
        if self._guest_records() != self._guests:
            self.load.problems.append("guests were restarted")

    def install(self, release: str) -> None:
        """Let the nodes have a release to install."""
        for number in range(1, NODES + 1):
            self._install(number, release)

    def _install(self, number: int, release: str, *kinds: str, pause: Path | None = None) -> None:
        usual = ("noded", "masterd", "rapi") if number == 1 else ("noded",)
        write_upgrade_command(
            self.running, number, self._trees[release], *(kinds or usual), pause=pause
        )

    def upgrade(self, release: str) -> None:
        """Upgrade the cluster to a release, a canary first; the tool must succeed."""
        self.install(release)
        self._finish(release)

    def _finish(self, release: str) -> None:
        done = run([*self._command(release)], patience=2 * STEP_TIMEOUT)
        if done.returncode != 0:
            self.load.problems.append(f"{release}: {done.stdout}{done.stderr}")
        self._compare_releases(release)

    def _command(self, release: str) -> list[str]:
        canary = self.running.cluster.node(NODES).name
        tool = str(self.running.cluster.tools / "gnt-cluster")
        return [tool, "upgrade", "--to", release, "--canary", canary]

    def _compare_releases(self, release: str) -> None:
        """Look whether all daemons have a release."""
        tree = str(self._trees[release])
        # The remote API is the last that the program of the master starts, after the tool's end.
        others = eventually_empty(
            lambda: [
                f"{daemon.program} of {daemon.node.name}"
                for daemon in self._daemons()
                if tree not in _environment(daemon)
            ]
        )
        found = self.running.ask(QueryClusterInfo())["software_version"]
        if found != release or others:
            self.load.problems.append(f"{release}: the master has {found}, others: {others}")

    def _daemons(self) -> list[Daemon]:
        nodes = [self.running.daemon("noded", number) for number in range(1, NODES + 1)]
        return [*nodes, self.running.daemon("masterd"), self.running.daemon("rapi")]

    def interrupt(self, release: str) -> None:
        """Upgrade to a release; the master is killed in each step, and the upgrade repeated."""
        self.install(release)
        for number in range(NODES, 1, -1):
            self._interrupt_program(release, number)
        # The installation on the master ends itself after the first of its daemons.
        self._install(1, release, "noded")
        self._kill_in_time(release, lambda: self._has(release, "noded"))
        self._interrupt_program(release, 1)
        self._finish(release)

    def _interrupt_program(self, release: str, number: int) -> None:
        """Kill the master while the program of a node runs; the node daemon then ends it, too.

        The next attempt runs it again, to its end, before it comes to the next node.
        """
        pause = self._folder / f"node{number}"
        pause.touch()
        self._install(number, release, pause=pause)
        reached = Path(f"{pause}.reached")
        if number == NODES:
            # Before the first of the jobs: they are submitted once the master is there again.
            self._kill_in_time(release, lambda: True)
        self._kill_in_time(release, reached.exists)
        reached.unlink()

    def _has(self, release: str, kind: str, number: int = 1) -> bool:
        """Whether a daemon runs that was started from the tree of a release."""
        return str(self._trees[release]) in _environment(self.running.daemon(kind, number))

    def _kill_in_time(self, release: str, moment: Callable[[], bool]) -> None:
        """Begin the upgrade, and kill the master daemon at a moment; the former one is started."""
        former = next(tree for name, tree in self._trees.items() if name != release)
        tool = subprocess.Popen(
            self._command(release), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(lambda: moment() or tool.poll() is not None, STEP_TIMEOUT)
        if not moment():
            self.load.problems.append(f"an upgrade to {release} ended before it was interrupted")
        self.running.kill("masterd")
        command, environment = start_command(self.running.daemon("masterd"), former)
        run(command, environment=environment)
        tool.send_signal(signal.SIGINT)
        tool.wait(TIMEOUT)


def eventually_empty(find: Callable[[], list[str]]) -> list[str]:
    """Return the first empty answer, or the last one."""
    with suppress(AssertionError):
        eventually(lambda: not find())
    return find()


def _environment(daemon: Daemon) -> str:
    process = daemon.process()
    if process is None:
        return ""
    pid = Path(daemon.node.paths.run, f"{daemon.program}.pid").read_text().strip()
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except FileNotFoundError:
        return ""


def main() -> int:
    """Make a cluster, upgrade it in both directions, print figures."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=1, help="upgrades and downgrades")
    parser.add_argument("--interrupt", action="store_true", help="kill the master in each step")
    options = parser.parse_args()
    upgrades = Upgrades()
    try:
        with upgrades.under_load():
            for release in (NEXT, __version__) * options.rounds:
                began = time.monotonic()
                (upgrades.interrupt if options.interrupt else upgrades.upgrade)(release)
                print(f"release {release}: {time.monotonic() - began:.0f} s", flush=True)
    finally:
        left = upgrades.destroy()
    upgrades.load.problems += [f"left behind: {each}" for each in left]
    print(upgrades.load)
    return 1 if upgrades.load.problems or upgrades.load.failed else 0


if __name__ == "__main__":
    sys.exit(main())
