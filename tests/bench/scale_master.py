# SPDX-License-Identifier: BSD-2-Clause
"""A real master daemon of any size in one process: its nodes answer from memory, without sockets.

``bench_scale`` runs it. Recovery, journal, checkpoints, queue, locks, operations, queries and LUXI
are those of ``ganeti-masterd``, on a real disk and a real reactor.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from itertools import count
from multiprocessing.sharedctypes import Synchronized
from random import Random
from typing import Any, TypeAlias

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.task import deferLater

from ganeti import __version__
from ganeti.config import access_file
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.initial_state import initial_state
from ganeti.config.state import ClusterState, Stored, make_state
from ganeti.daemon.master_services.file_threads import FileThreads
from ganeti.daemon.master_services.identifiers import SystemIdentifiers
from ganeti.daemon.master_services.local_hooks import LocalHooks
from ganeti.daemon.process.service import DaemonProgram, run
from ganeti.daemon.process.services import Daemon, ServicePart
from ganeti.journal.file_journal import FileJournal
from ganeti.luxi.connection import LuxiService
from ganeti.luxi.server import LuxiMethods
from ganeti.master.master import Dependencies, Master
from ganeti.master.ssconf_distribution import SsconfDistribution
from ganeti.master.startup import Startup, StartupMandate
from ganeti.master.state_paths import StatePaths
from ganeti.model.disk import Template
from ganeti.model.guest import Guest
from ganeti.model.instance import AdminState
from ganeti.model.node import Node
from ganeti.model.running import running_config
from ganeti.node.status_reports import REPORT_INTERVAL
from ganeti.paths import Paths
from ganeti.pki.authority import Authority
from ganeti.rpc.instances import Migration
from ganeti.rpc.node import NodeInfo, OSDefinitionReport
from ganeti.rpc.node_client import NodeClient
from ganeti.rpc.quorum import Ballot, ReplicaSet, VoterState
from ganeti.rpc.shared_listings import SharedListings
from ganeti.rpc.wire import CallRequest
from ganeti.schema.records import replace
from ganeti.system.files import LocalFiles
from ganeti.testing.builders import a_disk, a_nic, an_instance
from ganeti.testing.certificates import MemoryKeys
from ganeti.testing.processes import MemoryStateFiles
from ganeti.testing.tools import MemoryAllocators

MASTER = "node1"
MEMORY = 1 << 20
"""Memory of each node in MiB, enough for all instances on a single one."""

WITH_DISKS = 100
"""Number of instances with a disk in a file on their node."""

DEFINITION = OSDefinitionReport(
    name="noop",
    path="/usr/share/ganeti/os/noop",
    valid=True,
    diagnosis="",
    variants=(),
    parameters=(),
    api_versions=(20,),
)

SENT = Migration(status="completed", downtime_ms=1)
"""How each migration ends at once."""

Tally: TypeAlias = "Synchronized[float]"


def name_of(number: int) -> str:
    """Return the name of an instance."""
    return f"instance{number:05}.example.com"


def large_state(nodes: int, instances: int) -> ClusterState:
    """Return a cluster of this size; its instances are configured to run.

    The first hundred have a disk on their node, the others are diskless: before one of them starts,
    all nodes are asked whether it runs, as they are for disks on shared storage.
    """
    random = Random(1)
    ids = (f"{random.getrandbits(128):032x}" for _ in range(10**6))
    first = initial_state(
        name="cluster.example.com",
        address="192.0.2.250",
        master=MASTER,
        master_address="10.0.0.1",
        certificate="00" * 32,
        hypervisors=("fake",),
        templates=(Template.FILE, Template.DISKLESS),
        ids=lambda: next(ids),
        random=random,
        now=1_700_000_000.0,
    )
    records: list[Stored] = [each for same in first.objects.values() for each in same.values()]
    hosts = [first.master]
    for number in range(2, nodes + 1):
        address = f"10.0.{number // 250}.{number % 250}"
        host = replace(
            first.master,
            uuid=next(ids),
            name=f"node{number}",
            primary_ip=address,
            secondary_ip=address,
            master_candidate=False,
        )
        hosts.append(host)
        records.append(host)
    for number in range(instances):
        records += _instance(number, hosts[number % nodes])
    return make_state(records, serial_no=1, ctime=first.ctime, mtime=first.mtime)


def _instance(number: int, host: Node) -> tuple[Stored, ...]:
    mac = f"aa:00:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    nic = a_nic(f"{number}", mac=mac)
    small = {"maxmem": 16, "minmem": 16}
    built = an_instance(name_of(number), nics=(nic,), admin_state=AdminState.UP, beparams=small)
    instance = replace(built.instance, primary_node=host.uuid)
    if number >= WITH_DISKS:
        return (instance,)
    disk = replace(a_disk(f"disk{number}"), nodes=(host.uuid,))
    return replace(instance, disks=(disk.uuid,), disks_active=True), disk


def prepare(folder: str, nodes: int, instances: int) -> None:
    """Write the files of a cluster of this size below ``folder``."""
    paths, state = Paths(folder), large_state(nodes, instances)
    for place in (f"{paths.data}/rapi", paths.queue, paths.sockets):
        os.makedirs(place)
    for path, content in (
        (paths.config_file, ConfigDataEncoder().text(state)),
        (paths.access_file, access_file.text(state)),
        (paths.rapi_users, b"admin secret write\n"),
        (paths.rapi_certificate, _certificate()),
    ):
        with open(path, "wb") as file:
            file.write(content)


def _certificate() -> bytes:
    return Authority.founded("bench", time.time()).credentials(["localhost"], time.time()).pem


def _guest(call: Any) -> Guest:
    """Return the guest that a call is about."""
    return msgspec.convert(call["guest"], Guest)


class HostsInMemory:
    """The node daemons of a cluster: a transport that answers from memory, one turn later.

    ``calls`` counts the requests except renewals of the lease and those for reports, ``seconds``
    the processor time of the answers, which a real master does not spend.
    """

    def __init__(self, reactor: Any, state: ClusterState, calls: Tally, seconds: Tally) -> None:
        self._reactor = reactor
        self._calls = calls
        self._seconds = seconds
        self._votes: dict[str, VoterState] = {}
        self._guests: dict[str, dict[str, bytes]] = {node.name: {} for node in state.nodes.values()}
        self._encoded: dict[str, bytes] = {}
        self._touched: dict[str, set[str]] = {name: set() for name in self._guests}
        self._reported_at: dict[str, float] = {}
        self._watching: dict[str, Deferred[None]] = {}
        self._handlers: dict[str, Callable[[str, Any], Any]] = {
            "vote_info": lambda name, _: Ballot(granted=False, state=self.vote(name)),
            "vote_request": self._vote,
            "lease_renew": self._renew,
            "members_update": lambda name, call: call["members"]["revision"],
            "hooks_runner": lambda name, call: [],
            "os_diagnose": lambda name, call: [DEFINITION],
            "instance_start": self._start,
            "instance_shutdown": self._stop,
            "migration_info": lambda name, call: running_config(_guest(call), {}, ""),
            "accept_instance": lambda name, call: f"{call['address']}:8102",
            "instance_get_migration_status": lambda name, call: SENT,
            "instance_finalize_migration_dst": self._finish_incoming,
            "instance_finalize_migration_src": self._finish_outgoing,
        }
        for instance in state.instances.values():
            self._add(state.nodes[instance.primary_node].name, instance.name)

    def vote(self, name: str) -> VoterState:
        """Return the vote that a node has granted."""
        return self._votes.get(name, VoterState())

    async def exchange(self, node: Node, request: CallRequest) -> bytes:
        """Return the body of a node's answer."""
        if request.name == "node_watch":
            await self._wait_for_change(node.name, msgspec.json.decode(request.body))
        else:
            await deferLater(self._reactor, 0)
        began = time.thread_time()
        try:
            return self._answer(node.name, request)
        finally:
            self._calls.value += request.name not in ("lease_renew", "node_watch")
            self._seconds.value += time.thread_time() - began

    def _answer(self, name: str, request: CallRequest) -> bytes:
        if request.name in ("node_info", "all_instances_info"):
            only = msgspec.json.decode(request.body).get("only")
            if request.name == "node_info" and only is None:
                return self._describe(name)
            here = self._guests[name]
            guests = b",".join(
                here[each] for each in (here if only is None else only) if each in here
            )
            if request.name == "all_instances_info":
                return b"[true,{%b}]" % guests
            info = self._describe_without_guests(name)
            return b"[true,%b]" % info.replace(b'"guests":{}', b'"guests":{%b}' % guests)
        if request.name == "node_watch":
            return self._report(name, msgspec.json.decode(request.body)["since"])
        handler = self._handlers.get(request.name)
        result = None if handler is None else handler(name, msgspec.json.decode(request.body))
        return b"[true,%b]" % msgspec.json.encode(result)

    async def _wait_for_change(self, name: str, call: Any) -> None:
        """Wait as ``StatusReports`` of a node does, which has no guests that end by themselves."""
        if not call["since"]:
            await deferLater(self._reactor, 0)
            return
        if not self._touched[name]:
            self._watching[name] = Deferred()
            self._watching[name].addTimeout(call["wait"], self._reactor)
            with suppress(TimedOut):
                await self._watching[name]
        early = self._reported_at[name] + REPORT_INTERVAL - self._reactor.seconds()
        if self._touched[name] and early > 0:
            await deferLater(self._reactor, early)

    def _report(self, name: str, since: str) -> bytes:
        self._reported_at[name] = self._reactor.seconds()
        touched, self._touched[name] = self._touched[name], set()
        if not since:
            return b'[true,{"position":"1","info":%b}]' % self._describe(name)[len("[true,") : -1]
        here = self._guests[name]
        gone = msgspec.json.encode(sorted(each for each in touched if each not in here))
        told = b",".join(here[each] for each in touched if each in here)
        info = self._describe_without_guests(name).replace(b'"guests":{}', b'"guests":{%b}' % told)
        form = b'[true,{"position":"1","whole":false,"gone":%b,"info":%b}]'
        return form % (gone, info)

    def _touch(self, name: str, guest: str) -> None:
        """Report a guest, as a call has changed it."""
        self._touched[name].add(guest)
        if (watching := self._watching.pop(name, None)) is not None and not watching.called:
            watching.callback(None)

    def _describe_without_guests(self, name: str) -> bytes:
        used = 16 * len(self._guests[name])
        info = NodeInfo(
            memory_total=MEMORY,
            memory_free=MEMORY - used,
            memory_node=512,
            cpus=4096,
            cpu_nodes=1,
            cpu_sockets=1,
            cpus_node=4096,
            boot_id="1",
            guests={},
            storage=(),
            problems={},
        )
        return msgspec.json.encode(info)

    def _describe(self, name: str) -> bytes:
        found = self._encoded.get(name)
        if found is None:
            guests = b'"guests":{%b}' % b",".join(self._guests[name].values())
            info = self._describe_without_guests(name).replace(b'"guests":{}', guests)
            found = self._encoded[name] = b"[true,%b]" % info
        return found

    def _add(self, node: str, guest: str) -> None:
        text = '"{0}":{{"name":"{0}","memory":16,"vcpus":1,"cpu_time":0.0,"paused":false}}'
        self._guests[node][guest] = text.format(guest).encode()
        self._encoded.pop(node, None)

    def _start(self, name: str, call: Any) -> None:
        self._add(name, call["guest"]["name"])
        self._touch(name, call["guest"]["name"])

    def _stop(self, name: str, call: Any) -> None:
        self._guests[name].pop(call["instance_name"], None)
        self._encoded.pop(name, None)
        self._touch(name, call["instance_name"])

    def _finish_incoming(self, name: str, call: Any) -> str:
        if call["arrived"]:
            self._start(name, call)
        return ""

    def _finish_outgoing(self, name: str, call: Any) -> None:
        if call["left"]:
            self._stop(name, {"instance_name": call["guest"]["name"]})

    def _vote(self, name: str, call: Any) -> Ballot:
        vote = replace(self.vote(name), term=call["term"], master=call["master"])
        self._votes[name] = vote
        return Ballot(granted=True, state=vote)

    def _renew(self, name: str, call: Any) -> int:
        if call.get("replica_set") is not None:
            found = msgspec.convert(call["replica_set"], ReplicaSet)
            self._votes[name] = replace(self.vote(name), replica_set=found)
        return self.vote(name).replica_set.generation


def serve(folder: str, calls: Tally, seconds: Tally, longest: Tally) -> None:
    """Run the master daemon on the files that ``prepare`` wrote, until a signal ends it.

    ``longest`` becomes the longest processor time of a turn of its reactor, unless it is longer:
    others wait so long, however many programs share the machine.
    """

    async def start(daemon: Daemon, _: Namespace, paths: Paths) -> None:
        _measure_turns(daemon.reactor, longest)
        await _start(daemon, paths, calls, seconds)

    options = Namespace(foreground=True, debug=False)
    program = DaemonProgram("ganeti-masterd", "master-daemon", start)
    with open(os.devnull, "w") as nothing, redirect_stderr(nothing):  # the log is in the folder
        run(program, options, Paths(folder))


def _measure_turns(reactor: Any, longest: Tally) -> None:
    run_scheduled, last = reactor.runUntilCurrent, [time.thread_time()]

    def run() -> None:
        now = time.thread_time()
        longest.value = max(longest.value, now - last[0])
        last[0] = now
        run_scheduled()

    reactor.runUntilCurrent = run


async def _start(daemon: Daemon, paths: Paths, calls: Tally, seconds: Tally) -> None:
    reactor = daemon.reactor
    threads = FileThreads(reactor)
    daemon.add(threads)
    files = LocalFiles(threads)
    places = StatePaths(paths.data)
    journal = await FileJournal.open(files, places.journal, reactor)
    hosts: list[HostsInMemory] = []

    class _Late:
        """The transport, which exists when the state is known."""

        async def exchange(self, node: Node, request: CallRequest) -> bytes:
            return await hosts[0].exchange(node, request)

    nodes = NodeClient(
        _Late(),
        reactor,
        term=lambda: startup.quorum.term(),
        master=MASTER,
        elected=lambda: startup.quorum.elected,
    )
    keys = MemoryKeys(files, paths, count(1))
    around = Dependencies(
        files=files,
        places=places,
        nodes=SharedListings(nodes, reactor),
        clock=reactor,
        now=time.time,
        ids=SystemIdentifiers(),
        run_allocator=MemoryAllocators({}, []),
        shared=_NoFiles(),
        machine="x86_64",
        issue=keys.issue,
        name=MASTER,
        sessions=MemoryStateFiles(),
        hooks_here=LocalHooks(files, paths.hooks),
    )
    startup = Startup(
        around,
        journal,
        lambda: hosts[0].vote(MASTER) if hosts else VoterState(),
        Random(1),
        process=os.getpid(),
        lost=daemon.over.errback,
    )
    hosts.append(HostsInMemory(reactor, startup.master.config.state(), calls, seconds))
    master: Master = startup.master
    methods = LuxiMethods({})
    methods.replace_handlers(master.answers(), master.gate)
    daemon.add(LuxiService(reactor, (paths.master_socket, paths.query_socket), methods))
    daemon.add(ServicePart("master", stop=master.stop))
    await startup.start_master(StartupMandate())
    ssconf = SsconfDistribution(master.nodes, master.config.state, reactor, __version__)
    master.config.observe(ssconf.config_changed)
    daemon.add(ServicePart("reports of nodes", start=master.status_watch.start))
    daemon.add(
        ServicePart("distribution of ssconf", start=ssconf.schedule_update, stop=ssconf.stop)
    )


class _NoFiles:
    """The shared files of a cluster that has none."""

    async def read(self) -> list[Any]:
        return []
