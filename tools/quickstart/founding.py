# SPDX-License-Identifier: BSD-2-Clause
"""A new cluster: its folder, its first node, the nodes that join, and a first instance."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from ganeti.bootstrap.daemons import runs
from ganeti.bootstrap.init_cluster import init_cluster
from ganeti.bootstrap.join_cluster import create_token
from ganeti.errors import Failed
from ganeti.model.disk import Template
from ganeti.rapi.users_file import scrypt_line
from ganeti.storage.pretend.devices import GROUP
from tools.quickstart import guest, orders, store
from tools.quickstart.daemons import Daemon, daemons, end_guests, stop
from tools.quickstart.place import TREE, Cluster, Node
from tools.quickstart.telling import Progress

RAPI_USER = "quickstart"

TEMPLATES = (
    Template.FILE,
    Template.SHAREDFILE,
    Template.DISKLESS,
    Template.PLAIN,
    Template.DRBD,
)
"""What disks can be made of; the volumes and mirrors of the last two are files in truth."""


def create(cluster: Cluster, progress: Progress, linux: Path) -> None:
    """Make the cluster and start everything; whatever fails, no process of it is left.

    ``linux`` is the folder for a kernel, which the kvm hypervisor needs.
    """
    settings: dict[str, Any] = {}
    if cluster.said.hypervisor == "kvm":
        qemu = guest.require_qemu()
        settings["hvparams"] = guest.settings(qemu, *guest.fetch_linux(linux))
        progress.done(f"QEMU is {qemu}, and a Linux for guests is in {linux}")
    cluster.keep()
    cluster.make_reachable()
    try:
        _create(cluster, progress, settings)
    except BaseException:
        stop(cluster)
        store.stop(cluster)
        end_guests(cluster)
        raise
    replace(cluster, said=msgspec.structs.replace(cluster.said, complete=True)).keep()


def _create(cluster: Cluster, progress: Progress, settings: dict[str, Any]) -> None:
    master = cluster.master
    access = store.found(cluster)
    if store.start(cluster):
        progress.done(f"etcd runs, with {len(store.members(cluster))} members")
    init_cluster(
        master.paths,
        cluster=cluster.name,
        address=master.address,
        master=master.name,
        master_address=master.address,
        hypervisors=(cluster.said.hypervisor,),
        templates=TEMPLATES,
        volume_group_name=GROUP,
        store=access,
        **settings,
    )
    for node in cluster.nodes:
        _equip(cluster, node)
    _admit_a_user(cluster)
    _write_tools(cluster)
    progress.done("the cluster is founded: certificates, configuration, journal")
    _start(Daemon(cluster, master, "noded"), progress)
    others = cluster.nodes[1:]
    with ThreadPoolExecutor(max_workers=len(others) + 2) as pool:
        master_runs = pool.submit(_start, Daemon(cluster, master, "masterd"), progress)
        starting = [
            master_runs,
            pool.submit(_start, Daemon(cluster, master, "rapi"), progress),
            *(pool.submit(_join, cluster, node, progress, master_runs) for node in others),
        ]
    for each in starting:
        each.result()
    with orders.client_of(master) as client:
        orders.perform(client, map(orders.add, others))
        if others:
            progress.done(f"{len(others)} more nodes are members of the cluster")
        instance = orders.first_instance(cluster)
        orders.perform(client, [instance])
        (row,) = orders.instances(client)
        progress.done(f"instance {row[0]} is {row[2]} on {row[1]}")


def resume(cluster: Cluster, progress: Progress) -> int:
    """Start what does not run of a cluster that was made before; answers how many daemons."""
    cluster.make_reachable()
    _write_tools(cluster)  # the tree may have got new ones
    members = store.start(cluster)
    missing = [daemon for daemon in daemons(cluster) if daemon.process() is None]
    with ThreadPoolExecutor(max_workers=max(1, len(missing))) as pool:
        starting = [pool.submit(_start, daemon, progress) for daemon in missing]
    for each in starting:
        each.result()
    return members + len(missing)


def clear(cluster: Cluster) -> int:
    """End every process of the cluster and empty its folder; answers how many guests ran."""
    stop(cluster)
    store.stop(cluster)
    guests = end_guests(cluster)
    if cluster.reached_by != str(cluster.folder):
        with suppress(FileNotFoundError):
            os.unlink(cluster.reached_by)
    # The description last: without it, nobody knows what the folder is.
    for entry in sorted(cluster.folder.iterdir(), key=lambda entry: entry == cluster.description):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return guests


def remove(cluster: Cluster) -> int:
    """Clear the cluster and remove its folder."""
    guests = clear(cluster)
    cluster.folder.rmdir()
    with suppress(OSError):  # others are there
        cluster.folder.parent.rmdir()
    return guests


def _equip(cluster: Cluster, node: Node) -> None:
    """Give a node the OS definitions of the tree, and the folder that all nodes share."""
    definitions = Path(node.paths.os_search_path[0])
    definitions.parent.mkdir(parents=True)
    definitions.symlink_to(TREE / "os")
    common = cluster.folder / "shared"
    common.mkdir(exist_ok=True)
    Path(node.paths.shared_file_storage).symlink_to(common)
    setting = Path(node.paths.pretend_storage)
    setting.parent.mkdir(parents=True, exist_ok=True)
    setting.write_text(f"{cluster.pretend}\n")


def _admit_a_user(cluster: Cluster) -> None:
    password = secrets.token_urlsafe(18)
    with open(cluster.master.paths.rapi_users, "a", encoding="utf-8") as users:
        line = scrypt_line(RAPI_USER, password, secrets.token_bytes(16), "write")
        users.write(f"{line}\n")
    _keep_secret(cluster.password_file, f"{password}\n")
    # Of every node, as each can become the master.
    logins = (
        f"machine {node.address} login {RAPI_USER} password {password}\n" for node in cluster.nodes
    )
    _keep_secret(cluster.curl_file, "".join(logins))


def _keep_secret(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _write_tools(cluster: Cluster) -> None:
    """Write launchers of all programs, which work on this cluster whatever the environment.

    They act as the node whose environment they are called in, or else as the first one.
    """
    cluster.tools.mkdir(exist_ok=True)
    for launcher in sorted((TREE / "daemons").glob("*.in")):
        source = launcher.read_text(encoding="utf-8")
        if source.startswith("#!@PYTHON@"):
            does = f'exec {shlex.quote(sys.executable)} -P {_called(launcher.stem)} "$@"\n'
        elif launcher.stem == "daemon-util":
            does = _configured(source, cluster)
        else:
            continue  # not a program: configuration of cron, logrotate and others
        script = cluster.tools / launcher.stem
        script.write_text(
            "#!/bin/sh\n"
            f"nodes={shlex.quote(f'{cluster.reached_by}/node')}\n"
            'number=${GANETI_ROOTDIR#"$nodes"}\n'
            'case $number in "${GANETI_ROOTDIR-}" | *[!0-9]*) number=1 ;; esac\n'
            f'export GANETI_ROOTDIR="$nodes$number" GANETI_HOSTNAME="node$number.{cluster.name}"'
            f" PYTHONPATH={shlex.quote(str(TREE))} PYTHONDONTWRITEBYTECODE=\n"
            f"{does}",
            encoding="utf-8",
        )
        script.chmod(0o755)


def _configured(script: str, cluster: Cluster) -> str:
    """Return a script with the folders that ``configure`` would write into it."""
    folders = {"localstatedir": "/var", "sysconfdir": "/etc", "sbindir": str(cluster.tools)}
    for name, folder in folders.items():
        script = script.replace(f"@{name}@", folder)
    return script


def _called(program: str) -> str:
    """The words that make Python run a program."""
    match program.partition("-"):
        case ("ganeti", _, kind):
            return f"-m ganeti.daemon.{kind}"
        case ("gnt", _, _):
            module = program.replace("-", "_")
            return f"-c 'from ganeti.cli.program import main; main(\"{module}\")'"
    return "-c 'import sys; from ganeti.rapi.move import main; sys.exit(main())'"


def _join(cluster: Cluster, node: Node, progress: Progress, master_runs: Future[None]) -> None:
    master_runs.result()
    token = create_token(cluster.master.paths, node=node.name, addresses=[node.address])
    _start(Daemon(cluster, node, "noded"), progress, "--join", "-", token=token)


def _start(daemon: Daemon, progress: Progress, *options: str, token: str = "") -> None:
    try:
        daemon.start(*options, token=token)
    except Failed:
        # The node daemon starts the remote API of candidates, and may have been faster. The lock
        # on its pid file tells, wherever its process ids are counted.
        if daemon.kind != "rapi" or not runs(daemon.node.paths, daemon.program):
            raise
    progress.done(f"{daemon.program} runs on {daemon.node.name} ({daemon.node.address})")
