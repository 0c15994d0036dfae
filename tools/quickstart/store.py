# SPDX-License-Identifier: BSD-2-Clause
"""The state store of a cluster that was asked for one: members of etcd, on the first nodes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ganeti.bootstrap.daemons import ETCD
from ganeti.bootstrap.etcd_members import CLIENT_PORT, PACKAGE, EtcdMember, issue_certificates
from ganeti.bootstrap.own_members import OwnStore, create_own_store
from ganeti.bootstrap.store_access import StoreAccess
from ganeti.errors import Code, Failed, Refused
from ganeti.journal.etcd.member_files import data_folder, settings_file
from tools.quickstart.place import TREE, Cluster, Node
from tools.quickstart.processes import Process, end, proven

_INSTALLING = 900.0
_STARTING = 30.0
_ENDING = 10.0


def members(cluster: Cluster) -> tuple[EtcdMember, ...]:
    """The members: three, or one if there are fewer nodes; none if the state is in files."""
    if cluster.said.store != "etcd":
        return ()
    nodes = cluster.nodes[: 3 if cluster.said.nodes >= 3 else 1]
    return tuple(
        EtcdMember(f"etcd{node.number}", node.address, f"{cluster.reached_by}/etcd{node.number}")
        for node in nodes
    )


def found(cluster: Cluster) -> StoreAccess | OwnStore | None:
    """Make the members' folders and certificates; how the master accesses them, if there are any.

    Members that the cluster runs itself are its own affair, but for the first one.

    :raises Refused: etcd is missing, and what to do.
    """
    if cluster.said.store == "own-etcd":
        _require_etcd()
        first = cluster.master
        return create_own_store(first.paths, cluster.name, first.name, first.address)
    named = members(cluster)
    if not named:
        return None
    _require_etcd()
    issued = issue_certificates(cluster.name, named, time.time())
    for each in named:
        os.mkdir(each.folder, 0o700)
        Path(each.authority).write_bytes(issued.authority)
        Path(each.certificate).write_bytes(issued.members[each.name])
    return StoreAccess([each.endpoint for each in named], issued.authority, issued.client)


def own_members(cluster: Cluster) -> Iterator[tuple[Node, Process | None]]:
    """Yield the nodes that have a member of the cluster itself, with its process if it runs."""
    for node in cluster.nodes:
        folder = node.paths.store_member
        data = f"--data-dir={data_folder(folder)}"
        found = proven(
            Path(node.paths.run) / f"{ETCD}.pid",
            lambda arguments, _, data=data: data in arguments,  # type: ignore[misc]
        )
        if found is not None or os.path.exists(settings_file(folder)):
            yield node, found


def process(member: EtcdMember) -> Process | None:
    """The running process of a member."""
    return proven(
        _pid_file(member), lambda arguments, _: f"--data-dir={member.folder}/data" in arguments
    )


def start(cluster: Cluster) -> int:
    """Start the members that do not run; how many. They accept connections when this returns.

    :raises Failed: one does not, and why.
    """
    named = members(cluster)
    missing = [each for each in named if process(each) is None]
    started: list[subprocess.Popen[bytes]] = []
    for each in missing:
        node = cluster.node(named.index(each) + 1)
        with open(_log(each), "ab") as log:
            running = subprocess.Popen(
                cluster.command(node, each.command(named)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _pid_file(each).write_text(f"{running.pid}\n")
        started.append(running)
    until = time.monotonic() + _STARTING
    for each, running in zip(missing, started, strict=True):
        while not _accepts(cluster, each):
            # Not ``process``: a program that was just started has no arguments yet.
            if running.poll() is not None or time.monotonic() > until:
                raise Failed(f"etcd of {each.name} does not start; its log is {_log(each)}")
            time.sleep(0.05)
    return len(missing)


def stop(cluster: Cluster) -> None:
    """End the members, after whoever uses them."""
    running = [*map(process, members(cluster)), *(own for _, own in own_members(cluster))]
    end([each for each in running if each is not None], _ENDING)


def _accepts(cluster: Cluster, member: EtcdMember) -> bool:
    node = cluster.node(members(cluster).index(member) + 1)
    # Where the node is, as its network may not be that of this process.
    connect = ["bash", "-c", f"exec 3<>/dev/tcp/{member.address}/{CLIENT_PORT}"]
    quiet = subprocess.DEVNULL
    done = subprocess.run(cluster.command(node, connect), stdout=quiet, stderr=quiet)
    return done.returncode == 0


def _log(member: EtcdMember) -> str:
    return f"{member.folder}/log"


def _pid_file(member: EtcdMember) -> Path:
    return Path(member.folder) / "pid"


def _require_etcd() -> None:
    if shutil.which("etcd") is None and os.getuid() == 0:
        script = f". {TREE}/set-up.sh; set_up_packages {PACKAGE}"
        subprocess.run(["bash", "-c", script], timeout=_INSTALLING)
    if shutil.which("etcd") is None:
        raise Refused(
            f"there is no etcd: as root, apt-get install --no-install-recommends {PACKAGE}; or use"
            " --state-store file, which needs nothing",
            Code.ENVIRONMENT,
        )
