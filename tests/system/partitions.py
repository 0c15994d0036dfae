# SPDX-License-Identifier: BSD-2-Clause
"""A cluster whose nodes are in network namespaces of their own, so that the network can break.

Each node has a network, a process table and an address; a bridge connects them, and nftables on
that bridge drops what a partition would. The processes that keep the namespaces end with the
process that made them, and the kernel ends everything inside, however a test ends.

Tests run outside: they reach the masters' sockets, the pid files and the notes of the guests
through the file system, whatever the partition.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from ganeti.errors import GanetiError
from ganeti.luxi.client import LuxiClient
from ganeti.luxi.methods import Request
from ganeti.opcodes.cluster import VerifyConfig
from ganeti.opcodes.opcode import Opcode
from ganeti.system.pidfile import holder
from tests.system.running import TIMEOUT, eventually, processes_of, run
from tools.quickstart import founding, orders, store
from tools.quickstart.daemons import Daemon
from tools.quickstart.place import Cluster, Description, Node
from tools.quickstart.telling import Progress

R = TypeVar("R")

State: TypeAlias = Literal["file", "etcd", "own-etcd"]
"""Where the state of a cluster is; see the option ``--state-store`` of the quick start."""

NETWORK = "10.213.0"
"""Free on every host, as it is used inside namespaces only."""

DAEMONS = ("noded", "masterd", "rapi")

ANSWER_TIMEOUT = 10.0
"""Seconds to wait for an answer of a master that may be paused or cut off."""

_PROGRAMS = ("ip", "nft", "nsenter", "setpriv", "unshare")

_KEEPER = "trap '' CHLD; echo ready; exec sleep infinity"
"""The first process of a namespace; it ignores SIGCHLD, so that orphans leave no zombies."""

_RULES = """
table bridge partition {
  set blocked { type ipv4_addr . ipv4_addr; }
  chain forward {
    type filter hook forward priority -200;
    ip saddr . ip daddr @blocked drop
  }
}
"""
# ARP passes: a node that is cut off does not answer, as behind a router, and is not "unreachable".


@cache
def reason_to_skip() -> str:
    """Return why namespaces cannot be had here; empty if they can."""
    if os.getuid() != 0:
        return "only root can make network namespaces"
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)}"
    try:
        with _Namespace("--net") as tried:
            tried.run(["nft", "-f", "-"], _RULES)
            tried.run(["ip", "-batch", "-"], "link add name bridge type bridge\n")
    except (OSError, AssertionError) as e:
        return f"no network namespace with a bridge and nftables: {e}"
    return ""


class _Namespace:
    """Namespaces that last until they are closed, or until the thread that made them ends."""

    def __init__(self, *kinds: str) -> None:
        self._kinds = kinds
        self._keeper = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", *kinds, "sh", "-c", _KEEPER],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.readline()
        if said != b"ready\n":
            self.close()
            raise AssertionError(f"unshare {' '.join(kinds)}: {said.decode(errors='replace')}")
        self.pid = self._keeper.pid
        if "--fork" in kinds:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            self.pid = int(children)

    def command(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs ``command`` inside; it ends with its caller."""
        options = {"--net": "-n", "--pid": "-p", "--mount-proc": "-m"}
        enter = [options[kind] for kind in self._kinds if kind in options]
        return [
            *("nsenter", "-t", str(self.pid), *enter),
            *("setpriv", "--pdeathsig", "KILL", *command),
        ]

    def run(self, command: Sequence[str], said: str = "") -> str:
        """Run a program inside to its end, which must be a good one, and return its output."""
        done = run(self.command(command), said=said)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def close(self) -> None:
        """End every process inside."""
        self._keeper.kill()
        self._keeper.wait()
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()

    def __enter__(self) -> _Namespace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class _NamespacedCluster(Cluster):
    """A cluster of the quick start; what belongs to a node runs in that node's namespaces."""

    hosts: Mapping[int, _Namespace] = field(default_factory=dict)

    def command(self, node: Node, command: list[str]) -> list[str]:
        return self.hosts[node.number].command(command)


class _Silent(Progress):
    def done(self, what: str) -> None:
        """Say nothing."""


class Network:
    """Hosts, numbered from 1, with a network, a process table and an address each.

    To be made in the main thread: everything inside ends with the thread that made it.
    """

    def __init__(self, hosts: int) -> None:
        self.hosts: dict[int, _Namespace] = {}
        self._switch = _Namespace("--net")
        try:
            self._switch.run(["nft", "-f", "-"], _RULES)
            bridge = "link add name bridge type bridge\nlink set bridge up\n"
            self._switch.run(["ip", "-batch", "-"], bridge)
            for _ in range(hosts):
                self.add()
        except BaseException:
            self.close()
            raise

    def add(self) -> int:
        """Add a host, and return its number."""
        number = len(self.hosts) + 1
        host = _Namespace("--net", "--pid", "--fork", "--kill-child", "--mount-proc")
        self.hosts[number] = host
        cable = (
            f"link add name host{number} type veth peer name eth0 netns {host.pid}\n"
            f"link set host{number} master bridge up\n"
        )
        self._switch.run(["ip", "-batch", "-"], cable)
        address = f"address add {NETWORK}.{number}/24 dev eth0\n"
        host.run(["ip", "-batch", "-"], f"{address}link set eth0 up\nlink set lo up\n")
        return number

    def close(self) -> None:
        """End all processes on the hosts, and the network."""
        for namespace in (*self.hosts.values(), self._switch):
            namespace.close()

    def cut(self, *groups: Iterable[int]) -> None:
        """Drop all packets between nodes of different groups, and no others."""
        sides = [tuple(group) for group in groups]
        self._block((a, b) for one, other in permutations(sides, 2) for a in one for b in other)

    def cut_one_way(self, senders: Iterable[int], receivers: Iterable[int]) -> None:
        """Drop the packets from ``senders`` to ``receivers``, and no others."""
        to = tuple(receivers)
        self._block((a, b) for a in senders for b in to if a != b)

    def flap(self, *groups: Iterable[int], times: int, seconds: float) -> None:
        """Cut and heal in turns, ``times`` times, each for ``seconds``; end healed."""
        sides = [tuple(group) for group in groups]
        pause = threading.Event()
        for _ in range(times):
            self.cut(*sides)
            pause.wait(seconds)
            self.heal()
            pause.wait(seconds)

    def heal(self) -> None:
        """Let every packet through."""
        self._block(())

    def _block(self, pairs: Iterable[tuple[int, int]]) -> None:
        elements = ", ".join(f"{NETWORK}.{a} . {NETWORK}.{b}" for a, b in pairs)
        added = f"add element bridge partition blocked {{ {elements} }}\n" if elements else ""
        # One transaction: at no moment is the old partition gone and the new one not there.
        self._switch.run(["nft", "-f", "-"], f"flush set bridge partition blocked\n{added}")


class PartitionedCluster:
    """A cluster of ``nodes`` nodes, numbered from 1, that runs until ``destroy``.

    To be made in the main thread, like ``Network``.
    """

    def __init__(self, nodes: int, *, state: State = "file") -> None:
        """``state`` is where the state of the cluster is."""
        # Short, because sockets are in it.
        self.home = Path(tempfile.mkdtemp(prefix="gnt-"))
        self.network = Network(nodes)
        said = Description(name="cut", hypervisor="fake", nodes=nodes, network=NETWORK, store=state)
        self.cluster = _NamespacedCluster(self.home / "cut", said, self.network.hosts)
        try:
            self.cluster.folder.mkdir()
            founding.create(self.cluster, _Silent(), self.home)
        except BaseException:
            self.destroy()
            raise

    def destroy(self) -> list[str]:
        """End everything; return what is left of it, which should be nothing."""
        self.network.close()
        try:
            eventually(lambda: not processes_of(self.home))
        except AssertionError:
            return processes_of(self.home)
        finally:
            shutil.rmtree(self.home)
        return []

    # --- the nodes and their daemons

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(self.network.hosts)

    def node(self, number: int) -> Node:
        return self.cluster.node(number)

    def name(self, number: int) -> str:
        return self.node(number).name

    def pid(self, number: int, daemon: str) -> int | None:
        """Return the number of a running daemon, as its own node counts processes."""
        return holder(f"{self.node(number).paths.run}/ganeti-{daemon}.pid")

    def runs(self, number: int, daemon: str) -> bool:
        return self.pid(number, daemon) is not None

    def masters(self) -> list[int]:
        """Return the nodes on which a master daemon runs, whether it may act or not."""
        return [number for number in self.numbers if self.runs(number, "masterd")]

    def start(self, number: int, *daemons: str) -> None:
        """Start those of the daemons that do not run.

        :raises Failed: one does not start.
        """
        for daemon in daemons:
            if not self.runs(number, daemon):
                Daemon(self.cluster, self.node(number), daemon).start()

    def stop(self, number: int, *daemons: str) -> None:
        """Ask daemons to end, and wait until they have."""
        self._end(number, daemons, signal.SIGTERM)

    def kill(self, number: int, *daemons: str) -> None:
        """Kill daemons, which have no time to put anything in order."""
        self._end(number, daemons, signal.SIGKILL)

    def freeze(self, number: int, daemon: str) -> None:
        """Pause a daemon, which keeps its connections and answers nothing."""
        self.send(number, daemon, signal.SIGSTOP)

    def thaw(self, number: int, daemon: str) -> None:
        """Let a paused daemon go on."""
        self.send(number, daemon, signal.SIGCONT)

    def send(self, number: int, daemon: str, which: signal.Signals) -> None:
        """Send a signal to a daemon; nothing happens if it does not run."""
        if pid := self.pid(number, daemon):
            # A process that ended in the meantime is no reason to fail.
            run(self.network.hosts[number].command(["sh", "-c", f"kill -{which.value} {pid}"]))

    def _end(self, number: int, daemons: Sequence[str], which: signal.Signals) -> None:
        for daemon in daemons:
            before = self.pid(number, daemon)
            self.send(number, daemon, which)
            eventually(lambda: before is None or self.pid(number, daemon) != before)  # noqa: B023

    def kill_member(self, number: int) -> None:
        """Kill the member of etcd on a node, as a power failure would."""
        members = store.members(self.cluster)
        process = store.process(members[number - 1])
        assert process is not None, f"no member of etcd runs on node {number}"
        process.send(signal.SIGKILL)
        eventually(lambda: not process.alive())

    def start_members(self) -> None:
        """Start the members of etcd that do not run."""
        store.start(self.cluster)

    def guest_folders(self) -> dict[int, Path]:
        """Return the folders with the notes of the guests on each node."""
        return {each: Path(self.node(each).paths.run) / "fake-hypervisor" for each in self.numbers}

    # --- programs on a node

    def command(self, number: int, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the environment that run Python on a node."""
        node = self.node(number)
        command = self.cluster.command(node, [sys.executable, "-P", *arguments])
        return command, {**os.environ, **self.cluster.environment(node)}

    def python(
        self, number: int, *arguments: str, said: str = "", timeout: float = 2 * TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run Python on a node to its end."""
        command, environment = self.command(number, *arguments)
        return run(command, environment=environment, said=said, patience=timeout)

    def tool(
        self, number: int, name: str, *arguments: str, timeout: float = 2 * TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a tool, named as in ``gnt-cluster``, on a node to its end."""
        return self.python(number, *_tool(name), *arguments, timeout=timeout)

    def start_tool(self, number: int, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a tool on a node, to be waited for or killed; its errors can be read."""
        command, environment = self.command(number, *_tool(name), *arguments)
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            command, env=environment, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE
        )

    def watch(self, number: int) -> None:
        """Run the watcher on a node once, as cron does every few minutes."""
        self.start_watcher(number).communicate()

    def start_watcher(self, number: int) -> subprocess.Popen[bytes]:
        """Start one run of the watcher on a node, to be waited for."""
        command, environment = self.command(number, "-m", "ganeti.daemon.watcher")
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    def fail_over(self, number: int, *options: str) -> subprocess.CompletedProcess[str]:
        """Make a node the master, if the cluster lets it."""
        return self.tool(number, "gnt-cluster", "master-failover", "--yes-do-it", *options)

    # --- the masters

    def client(self, number: int, timeout: float = ANSWER_TIMEOUT) -> LuxiClient:
        """Return a client of the master daemon on a node."""
        path = self.node(number).paths.master_socket
        return LuxiClient(path, connect_seconds=timeout, answer_seconds=timeout)

    def ask(self, number: int, request: Request[R], timeout: float = TIMEOUT) -> R:
        with self.client(number, timeout) as client:
            return client.ask(request)

    def perform(self, number: int, *opcodes: Opcode, timeout: float = TIMEOUT) -> list[Any]:
        """Have the master on a node do opcodes, as a job each; return their results.

        :raises GanetiError: why there is no result.
        """
        with self.client(number, timeout) as client:
            return orders.perform(client, opcodes)

    def master(self) -> int:
        """Return the node whose master does what it is asked, once it and all copies are well."""
        found: int = eventually(self._settled_master, 2 * TIMEOUT)
        return found

    def _settled_master(self) -> int | None:
        for number in self.masters():
            with suppress(GanetiError):
                if self.perform(number, VerifyConfig(), timeout=ANSWER_TIMEOUT) == [True]:
                    return number
        return None

    def recover(self) -> int:
        """Heal the network, let all nodes run again, and return the master when all is well."""
        self.network.heal()
        for number in self.numbers:
            for daemon in DAEMONS:
                self.thaw(number, daemon)
            self.start(number, "noded")
        if not self.masters():
            # As cron does.
            for number in self.numbers:
                self.watch(number)
        return self.master()

    def add_node(self, *options: str) -> int:
        """Have a new host join, as ``gnt-node add`` with these options does; return its number."""
        master, number = self.master(), self.network.add()
        said = msgspec.structs.replace(self.cluster.said, nodes=number)
        self.cluster = replace(self.cluster, said=said)
        node = self.node(number)
        add = ("gnt-node", "add", f"--primary-ip={node.address}", *options)
        token = self.tool(master, *add, "--token-only", node.name).stdout
        Daemon(self.cluster, node, "noded").start("--join", "-", token=token)
        added = self.tool(master, *add, "--joined", node.name)
        if added.returncode != 0:
            raise AssertionError(f"gnt-node add: {added.stdout}{added.stderr}")
        return number

    # --- disks

    def snapshot(self, number: int) -> Path:
        """Copy what a node keeps on disk, and return where the copy is."""
        to = Path(tempfile.mkdtemp(prefix=f"disk{number}-", dir=self.home))
        shutil.copytree(self.node(number).paths.data, to, symlinks=True, dirs_exist_ok=True)
        return to

    def restore(self, number: int, snapshot: Path) -> None:
        """Give a node, whose daemons do not run, an old disk."""
        data = Path(self.node(number).paths.data)
        shutil.rmtree(data)
        shutil.copytree(snapshot, data, symlinks=True)


def _tool(name: str) -> list[str]:
    module = json.dumps(name.replace("-", "_"))
    return ["-c", f"from ganeti.cli.program import main; main({module})"]
