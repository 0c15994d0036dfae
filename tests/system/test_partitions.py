# SPDX-License-Identifier: BSD-2-Clause
"""Networks that break, old disks and masters that come back: the promises hold across machines.

Each test breaks something on real daemons in network namespaces, and then asks for the invariants:
what any master has acknowledged is in the state of every later master, at most one master
acknowledges at any instant, no guest runs on two nodes, and there is a master in the end.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError
from ganeti.opcodes.instance.lifecycle import StartInstance
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.opcodes.node import ModifyNode
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.tags import RemoveTags, TagKind
from tests.system.acknowledgements import (
    CLIENT_TIMEOUT,
    Acknowledged,
    Attempt,
    Clients,
    Found,
    Ledger,
    a_diskless_instance,
    a_shared_instance,
    a_tag,
    look,
    lost,
    submit,
    two_masters,
)
from tests.system.observer import GuestObserver
from tests.system.partitions import Network, PartitionedCluster, State, reason_to_skip
from tests.system.running import TIMEOUT, eventually, run
from tools.quickstart.place import TREE

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 1811), 0.5)"
LISTEN = """
import socket, sys
with socket.create_server((sys.argv[1], 1811)) as server:
    print("listening", flush=True)
    while True:
        server.accept()[0].close()
"""


TAG, UNTAG = a_tag("blue"), RemoveTags(kind=TagKind.CLUSTER, tags=("blue",))


def job(number: int, opcode: Opcode, *, node: int = 1, sent: float = 0.0) -> Acknowledged:
    """A job that was answered after a second, and succeeded."""
    return Acknowledged(number, node, opcode, sent, sent + 1, succeeded=True)


class NetworkTests(SynchronousTestCase):
    """The network breaks as it is told to, and nothing of it is left."""

    def setUp(self) -> None:
        if reason := reason_to_skip():
            self.skipTest(reason)
        self.network = Network(3)
        self.addCleanup(self.network.close)
        for number, host in self.network.hosts.items():
            listening = subprocess.Popen(
                host.command([sys.executable, "-c", LISTEN, f"10.213.0.{number}"]),
                stdout=subprocess.PIPE,
            )
            self.addCleanup(listening.communicate)
            self.addCleanup(listening.kill)
            assert listening.stdout is not None
            listening.stdout.readline()

    def reaches(self) -> set[tuple[int, int]]:
        """The pairs of hosts of which the first can connect to the second."""
        return {
            (a, b)
            for a, host in self.network.hosts.items()
            for b in self.network.hosts
            if a != b
            and run(host.command([sys.executable, "-c", CONNECT, f"10.213.0.{b}"])).returncode == 0
        }

    def test_groups_that_are_cut_do_not_reach_each_other(self) -> None:
        self.network.cut([1], [2, 3])
        self.assertEqual(self.reaches(), {(2, 3), (3, 2)})
        self.network.heal()
        self.assertEqual(len(self.reaches()), 6)

    def test_a_cut_in_one_direction_leaves_the_other_pairs(self) -> None:
        self.network.cut_one_way([1], [2])
        # A connection needs both directions.
        self.assertEqual(self.reaches(), {(1, 3), (3, 1), (2, 3), (3, 2)})


class TearDownTests(SynchronousTestCase):
    def test_nothing_is_left_when_the_process_that_made_the_hosts_is_killed(self) -> None:
        if reason := reason_to_skip():
            self.skipTest(reason)
        program = (
            "import subprocess; from tests.system.partitions import Network\n"
            "host = Network(1).hosts[1]\n"
            "subprocess.Popen(host.command(['sh', '-c', 'setsid sleep 4242 & wait']))\n"
            "print(host.pid, flush=True)\n"
            "subprocess.Popen(host.command(['sleep', '4242'])).wait()"
        )
        maker = subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(TREE)},
            stdout=subprocess.PIPE,
        )
        assert maker.stdout is not None
        keeper = int(maker.stdout.readline())
        inside = eventually(lambda: len(_same_namespace(keeper)) >= 3 and _same_namespace(keeper))
        maker.kill()
        maker.communicate()
        eventually(lambda: not any(Path(f"/proc/{pid}/ns/net").exists() for pid in inside))


def _same_namespace(keeper: int) -> list[int]:
    """The processes in the namespace of one of them."""
    found, ours = [], os.stat(f"/proc/{keeper}/ns/pid").st_ino
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.stat(entry / "ns/pid").st_ino == ours:
                found.append(int(entry.name))
    return found


class ObserverTests(SynchronousTestCase):
    """What goes wrong is seen."""

    def guests(self, **places: tuple[str, str]) -> list[str]:
        """What is seen of guests with these places on two nodes."""
        folders = {1: Path(self.mktemp()), 2: Path(self.mktemp())}
        for number, folder in folders.items():
            folder.mkdir(parents=True)
            for name, each in places.items():
                (folder / name).write_text(json.dumps({"place": each[number - 1]}))
        observer = GuestObserver(folders)
        observer.look()
        return [twice.guest for twice in observer.twice]

    def test_only_a_guest_that_is_here_on_two_nodes_runs_twice(self) -> None:
        seen = self.guests(twice=("here", "here"), comes=("here", "awaited"), gone=("left", "here"))
        self.assertEqual(seen, ["twice"])

    def lost(self, *jobs: Acknowledged, names: tuple[str, ...] = (), asked: Opcode = TAG) -> str:
        """What is lost of these jobs, where the state has ``names`` and job 1 asks for a tag."""
        known = {"OP_ID": asked.__struct_config__.tag, "tags": ["blue"]}
        found = Found(jobs={1: ("success", known)}, names=frozenset(names))
        return "; ".join(lost(Ledger(list(jobs)), found))

    def test_what_is_there_as_it_was_acknowledged_is_not_lost(self) -> None:
        self.assertEqual(self.lost(job(1, TAG), names=("blue",)), "")

    def test_a_job_that_is_not_known_is_lost(self) -> None:
        self.assertIn("job 2, acknowledged on node 1, is not known", self.lost(job(2, TAG)))

    def test_a_tag_that_is_not_there_is_lost(self) -> None:
        self.assertIn("blue is gone", self.lost(job(1, TAG)))

    def test_a_tag_that_was_removed_and_is_there_is_back(self) -> None:
        seen = self.lost(job(1, UNTAG), names=("blue",), asked=UNTAG)
        self.assertEqual(seen, "blue is back, which job 1 on node 1 had removed")

    def test_a_job_number_that_was_given_twice_is_seen(self) -> None:
        seen = self.lost(job(1, TAG), job(1, a_tag("red"), node=2), names=("blue",))
        self.assertIn("job number 1 was given twice, on node 1 and 2", seen)
        self.assertIn("job 1, acknowledged on node 2, is another job now", seen)

    def test_an_old_master_that_acknowledges_after_its_successor_is_seen(self) -> None:
        new, late = job(2, TAG, node=2, sent=5), job(3, TAG, node=1, sent=7)
        attempts = [Attempt(node=2, began=4)]
        self.assertEqual(len(two_masters(Ledger([new, late]), attempts)), 1)
        early = job(3, TAG, node=1, sent=5)
        self.assertEqual(two_masters(Ledger([new, early]), attempts), [])


class Scenarios(SynchronousTestCase):
    """What all scenarios share: a cluster for each class, all of which is well when a test begins.

    A test that leaves it otherwise costs the next one a new cluster, and does not fail it.
    """

    nodes: ClassVar[int] = 5
    state: ClassVar[State] = "file"
    _shared: ClassVar[PartitionedCluster | None] = None
    _ended: ClassVar[int] = 0

    def setUp(self) -> None:
        if reason := reason_to_skip():
            self.skipTest(reason)
        self.addCleanup(self._count)
        self.cluster, self.first = self._a_well_cluster()
        self.ledger = Ledger()
        self.attempts: list[Attempt] = []
        self.observer = GuestObserver(self.cluster.guest_folders())
        self.observer.__enter__()
        self.addCleanup(self.observer.__exit__)

    def _a_well_cluster(self) -> tuple[PartitionedCluster, int]:
        kind = type(self)
        if kind._shared is not None:
            with contextlib.suppress(AssertionError, GanetiError):
                return kind._shared, kind._shared.recover()
            kind._end()
        kind._shared = PartitionedCluster(self.nodes, state=self.state)
        # For a run of only some of the tests.
        atexit.register(kind._end)
        return kind._shared, kind._shared.master()

    def _count(self) -> None:
        kind = type(self)
        kind._ended += 1
        if kind._ended == len([name for name in dir(kind) if name.startswith("test_")]):
            self.assertEqual(kind._end(), [], "left behind")

    @classmethod
    def _end(cls) -> list[str]:
        shared, cls._shared = cls._shared, None
        return shared.destroy() if shared else []

    # --- what scenarios do

    def others(self, *numbers: int) -> list[int]:
        """The nodes that are none of these."""
        return [number for number in self.cluster.numbers if number not in numbers]

    def ask(self, number: int, *opcodes: Opcode, timeout: float = CLIENT_TIMEOUT) -> int:
        """Ask the master on a node for opcodes at once; how many of them it has acknowledged."""

        def acknowledged(opcode: Opcode) -> bool:
            with self.cluster.client(number, timeout) as client:
                return submit(client, number, opcode, self.ledger, timeout) is not None

        with ThreadPoolExecutor() as pool:
            return sum(pool.map(acknowledged, opcodes))

    def try_to_tag(self, number: int, *names: str, timeout: float = CLIENT_TIMEOUT) -> int:
        """Ask a master that may refuse, or not answer, to tag the cluster."""
        # The test's name makes the tags unique on a cluster that tests share.
        test = self.id().rpartition(".")[2][-80:]
        return self.ask(number, *(a_tag(f"{name}-{test}") for name in names), timeout=timeout)

    def tag(self, number: int, *names: str) -> None:
        """Tag the cluster; the master on this node must acknowledge that."""
        self.assertEqual(self.try_to_tag(number, *names, timeout=TIMEOUT), len(names))

    def fail_over(self, *numbers: int) -> int:
        """Make the first of the nodes the master that can be; the one that is."""
        said = []
        for number in numbers:
            self.attempts.append(Attempt.now(number))
            done = self.cluster.fail_over(number)
            if done.returncode == 0:
                return number
            said.append(f"node {number}: {done.stderr}")
        raise self.failureException("".join(said))

    def assert_kept(self) -> int:
        """All is well again, and the promises were kept; the node that is the master."""
        master = self.cluster.recover()
        # One that was replaced may be about to end.
        eventually(lambda: self.cluster.masters() == [master])
        problems = [
            *lost(self.ledger, look(self.cluster, master, self.ledger)),
            *two_masters(self.ledger, self.attempts),
            *map(str, self.observer.twice),
        ]
        self.assertEqual("\n".join(problems), "")
        return master


class PartitionTests(Scenarios):
    def test_what_a_master_of_a_minority_acknowledges_is_kept(self) -> None:
        old = self.first
        second, *most = self.others(old)
        self.cluster.perform(old, a_shared_instance("roam", self.cluster.name(second)))
        self.cluster.network.cut([old, second], most)
        self.try_to_tag(old, "cut1", "cut2", "cut3")
        made = a_diskless_instance("made-when-cut")
        move = MigrateInstance(instance_name="roam", target_node=self.cluster.name(old))
        self.ask(old, made, move, timeout=4 * CLIENT_TIMEOUT)
        new = self.fail_over(*most)
        self.try_to_tag(old, "cut4")
        self.tag(new, "most1", "most2")
        self.cluster.network.heal()
        for number in (new, old, new):
            self.cluster.watch(number)
        self.ask(new, StartInstance(instance_name="roam"))
        self.assert_kept()

    def test_a_master_whose_packets_are_lost_in_one_direction_is_replaced(self) -> None:
        old, most = self.first, self.others(self.first)
        self.cluster.network.cut_one_way([old], most)
        self.try_to_tag(old, "mute1")
        new = self.fail_over(*most)
        self.try_to_tag(old, "mute2")
        self.tag(new, "heard")
        self.cluster.network.cut_one_way(most, [old])
        self.try_to_tag(old, "deaf")
        self.assertEqual(self.assert_kept(), new)

    def test_a_network_that_comes_and_goes_costs_nothing_that_was_acknowledged(self) -> None:
        old, most = self.first, self.others(self.first)
        with Clients(self.cluster, self.ledger, seed=1):
            self.cluster.network.flap([old], most, times=4, seconds=0.7)
        self.assertEqual(self.assert_kept(), old)
        self.tag(old, "after")

    def test_a_master_that_was_paused_acknowledges_nothing_after_its_successor(self) -> None:
        old, most = self.first, self.others(self.first)
        with Clients(self.cluster, self.ledger, seed=2):
            eventually(lambda: len(self.ledger.jobs) > 20)
            self.cluster.freeze(old, "masterd")
            self.cluster.network.cut([old], most)
            new = self.fail_over(*most)
            eventually(lambda: any(job.node == new for job in self.ledger.jobs))
            self.cluster.thaw(old, "masterd")
            self.try_to_tag(old, "awake")
            self.cluster.network.heal()
        self.assertEqual(self.assert_kept(), new)

    def test_the_role_comes_back_from_a_lost_branch(self) -> None:
        old, most = self.first, self.others(self.first)
        self.cluster.network.cut([old], most)
        self.try_to_tag(old, *(f"alone{number}" for number in range(4)))
        # An orderly end writes a checkpoint, with all that is in memory.
        self.cluster.stop(old, "masterd")
        new = self.fail_over(*most)
        self.tag(new, "most")
        self.cluster.network.heal()
        self.ask(new, a_diskless_instance("made-by-successor"))
        self.assertEqual(self.cluster.master(), new)
        self.assertEqual(self.fail_over(old), old)
        self.tag(old, "back")
        self.assertEqual(self.assert_kept(), old)


def _cut_in_half(journal: Path) -> None:
    last = _last_segment(journal)
    os.truncate(last, last.stat().st_size // 2)


def _flip_a_bit(journal: Path) -> None:
    last = _last_segment(journal)
    content = bytearray(last.read_bytes())
    content[-10] ^= 1
    last.write_bytes(content)


def _remove(journal: Path) -> None:
    for file in journal.iterdir():
        file.unlink()
    journal.rmdir()


def _last_segment(journal: Path) -> Path:
    return max(journal.glob("segment-*"))


class OldDiskTests(Scenarios):
    """A master that starts with less than it has acknowledged."""

    nodes = 3

    def starts_with_less(self, lose: Callable[[], None]) -> None:
        """Kill the master, make its disk forget, and start what starts there."""
        old, most = self.first, self.others(self.first)
        self.tag(old, "last1", "last2", "last3")
        self.cluster.kill(old, "masterd", "noded")
        lose()
        with contextlib.suppress(GanetiError):
            self.cluster.start(old, "noded", "masterd")
        # Either it knows what it lacks and gets it, or it does not start and another one does.
        if not self.try_to_tag(old, "next"):
            self.tag(self.fail_over(*most), "successor")
        self.assert_kept()

    def journal(self) -> Path:
        return Path(self.cluster.node(self.first).paths.journal)

    def test_an_old_copy_of_its_folder(self) -> None:
        self.cluster.stop(self.first, "masterd")
        old = self.cluster.snapshot(self.first)
        self.cluster.start(self.first, "masterd")
        self.starts_with_less(lambda: self.cluster.restore(self.first, old))

    def test_a_segment_that_is_cut_in_half(self) -> None:
        self.starts_with_less(lambda: _cut_in_half(self.journal()))

    def test_a_bit_that_is_wrong_in_the_last_frame(self) -> None:
        self.starts_with_less(lambda: _flip_a_bit(self.journal()))

    def test_a_journal_that_is_gone(self) -> None:
        self.starts_with_less(lambda: _remove(self.journal()))

    def test_an_old_disk_of_a_candidate_is_not_what_a_failover_goes_on_from(self) -> None:
        second, third = self.others(self.first)
        self.cluster.stop(second, "noded")
        old = self.cluster.snapshot(second)
        self.cluster.start(second, "noded")
        self.cluster.master()
        self.tag(self.first, "newer1", "newer2")
        self.cluster.stop(second, "noded")
        self.cluster.restore(second, old)
        self.cluster.kill(self.first, "masterd", "noded")
        self.cluster.start(second, "noded")
        self.attempts.append(Attempt.now(second))
        if self.cluster.fail_over(second).returncode != 0:
            self.fail_over(third)
        self.assert_kept()


class FailoverTests(Scenarios):
    """Whatever becomes of a failover, it ends with one master."""

    nodes = 3

    def test_one_that_is_refused_leaves_the_master_that_there_was(self) -> None:
        second = self.others(self.first)[0]
        self.tag(self.first, "before")
        config = Path(self.cluster.node(second).paths.config_file)
        whole, broken = config.read_bytes(), b"this cannot be read"
        config.write_bytes(broken)
        self.attempts.append(Attempt.now(second))
        done = self.cluster.fail_over(second)
        if config.read_bytes() == broken:
            config.write_bytes(whole)
        master = second if done.returncode == 0 else self.first
        self.assertEqual(self.cluster.masters(), [master], done.stdout + done.stderr)
        self.tag(master, "goes-on")
        self.assertEqual(self.assert_kept(), master)

    def test_two_at_once_end_with_one_master(self) -> None:
        both = self.others(self.first)
        self.tag(self.first, "before")
        self.attempts += [Attempt.now(number) for number in both]
        started = [
            self.cluster.start_tool(number, "gnt-cluster", "master-failover", "--yes-do-it")
            for number in both
        ]
        for each in started:
            each.communicate()
        master = self.cluster.master()
        self.tag(master, "after")
        self.assert_kept()

    def test_one_that_is_killed_in_the_middle_can_be_done_again(self) -> None:
        for seconds in (0.3, 0.7):
            master = self.cluster.master()
            second = self.others(master)[0]
            self.tag(master, f"before{seconds}")
            self.attempts.append(Attempt.now(second))
            tool = self.cluster.start_tool(second, "gnt-cluster", "master-failover", "--yes-do-it")
            with contextlib.suppress(subprocess.TimeoutExpired):
                tool.wait(seconds)
            tool.kill()
            tool.communicate()
            # As cron does: the master that there was may be started again.
            self.cluster.watch(master)
            if second not in self.cluster.masters():
                self.fail_over(second)
            self.tag(self.cluster.master(), f"after{seconds}")
        self.assert_kept()


CLAIM = """
import json, socket, ssl, sys
certificate, authority, address, name, body = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(authority)
context.load_cert_chain(certificate)
with context.wrap_socket(socket.create_connection((address, 1811), 5), server_hostname=name) as to:
    head = f"POST /vote_request HTTP/1.1\\r\\nHost: {name}\\r\\nX-Ganeti-Term: 0\\r\\n"
    head += "Content-Type: application/json\\r\\nConnection: close\\r\\n"
    to.sendall(f"{head}Content-Length: {len(body)}\\r\\n\\r\\n{body}".encode())
    to.recv(65536)
"""


class IntruderTests(Scenarios):
    """A node that may not become the master."""

    nodes = 3

    def claim(self, by: int, term: int, **more: object) -> None:
        paths = self.cluster.node(by).paths
        body = json.dumps({"term": term, "master": self.cluster.name(by), **more})
        for number in self.cluster.numbers:
            node = self.cluster.node(number)
            files = (paths.node_certificate, paths.authority)
            self.cluster.python(by, "-c", CLAIM, *files, node.address, node.name, body)

    def test_a_plain_node_does_not_replace_the_master_or_use_up_the_terms(self) -> None:
        second, plain = self.others(self.first)
        name = self.cluster.name(plain)
        self.cluster.perform(self.first, ModifyNode(node_name=name, master_candidate=False))
        instead = [self.cluster.name(self.first)]
        for term in (3, 1000, 2**62, 10**4000):
            self.claim(plain, term, instead=instead)
            self.claim(plain, term, instead=None)
        self.tag(self.first, "still")
        self.assertEqual(self.fail_over(second), second)
        self.tag(second, "after")
        # It completes the replacement of the authority, which the demotion has begun.
        self.cluster.watch(second)
        self.assert_kept()


class TwoNodeTests(Scenarios):
    """Two nodes have no majority without each other."""

    nodes = 2

    def test_a_persons_word_that_the_other_is_down_lets_the_master_go_on(self) -> None:
        first, [second] = self.first, self.others(self.first)
        self.cluster.kill(second, "noded")
        self.cluster.network.cut([first], [second])
        done = self.cluster.tool(first, "gnt-cluster", "add-tags", "alone")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(self.cluster.name(second), done.stderr)
        self.assertIn("confirm-down", done.stderr)
        told = self.cluster.tool(
            first, "gnt-cluster", "confirm-down", "--yes-do-it", self.cluster.name(second)
        )
        self.assertEqual((told.returncode, told.stderr), (0, ""))
        self.tag(first, "confirmed")
        self.assert_kept()

    def test_with_a_witness_the_master_goes_on_by_itself(self) -> None:
        first, [second] = self.first, self.others(self.first)
        witness = self.cluster.add_node("--witness")
        self.cluster.network.cut([first, witness], [second])
        eventually(lambda: self.try_to_tag(first, "two-of-three"))
        self.assertEqual(self.assert_kept(), first)
        # What the failover looks up there comes in the background.
        told = f"{self.cluster.node(second).paths.data}/ssconf_master_candidates"
        eventually(lambda: os.path.exists(told))
        self.cluster.network.cut([first], [second, witness])
        self.assertEqual(self.fail_over(second), second)
        self.tag(second, "with-the-witness")
        self.assertEqual(self.assert_kept(), second)
