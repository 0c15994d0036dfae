# SPDX-License-Identifier: BSD-2-Clause
"""The commands of the quick start."""

from __future__ import annotations

import argparse
import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ganeti.errors import Code, Failed, GanetiError, Refused
from tools.quickstart.daemons import daemons, master_of
from tools.quickstart.place import (
    CLUSTERS,
    MOST_NODES,
    Cluster,
    Description,
    alone,
    find,
    free_network,
)
from tools.quickstart.telling import Progress, complain, say

NOT_RUNNING = 3
"""The exit code of ``status`` when something does not run, as init scripts have it."""


def up(options: argparse.Namespace) -> int:
    """Make the cluster, or start it again if it was made before."""
    from tools.quickstart import console, founding

    progress = Progress()
    console.fetch_libraries()
    folder: Path = options.folder / options.name
    with alone(folder):
        cluster = find(folder)
        if cluster is not None and cluster.said.complete:
            return _again(cluster, options, progress)
        if cluster is not None:
            say(f"An earlier start of cluster {cluster.name} was cut off: starting over.")
            founding.clear(cluster)
        cluster = _planned(options, folder)
        said = cluster.said
        say(
            f"Cluster {cluster.name}: {said.nodes} nodes on {said.network}.1 and on, hypervisor"
            f" {said.hypervisor}, in {folder}"
        )
        founding.create(cluster, progress, _linux(options))
    say(f"Ready after {progress.seconds:.1f} seconds.")
    _advise(cluster)
    return 0


def _linux(options: argparse.Namespace) -> Path:
    """The folder for what guests boot, which clusters share: it is large to download."""
    return Path(os.environ.get("GANETI_MINI_GUEST") or options.folder / ".linux")


def _planned(options: argparse.Namespace, folder: Path) -> Cluster:
    if any(folder.iterdir()):
        raise Refused(f"{folder} is not the folder of a cluster, and not empty: remove it")
    nodes = options.nodes or 3
    said = Description(
        name=options.name,
        hypervisor=options.hypervisor or "fake",
        nodes=nodes,
        network=free_network(folder, nodes),
        store=options.state_store or "file",
    )
    return Cluster(folder, said)


def start(options: argparse.Namespace) -> int:
    """Start a cluster that was stopped."""
    _known(options)
    return up(options)


def _again(cluster: Cluster, options: argparse.Namespace, progress: Progress) -> int:
    """Start what does not run of a cluster that there is; it stays what it is."""
    from tools.quickstart import founding

    said = cluster.said
    asked = (options.nodes, options.hypervisor, options.state_store)
    there = (said.nodes, said.hypervisor, said.store)
    if any(want not in (None, has) for want, has in zip(asked, there, strict=True)):
        kept = "" if said.store == "file" else f", its state in {said.store}"
        raise Refused(
            f"cluster {cluster.name} is there already, with {said.nodes} nodes and hypervisor"
            f" {said.hypervisor}{kept}: destroy it first, or make another one with --name"
        )
    started = founding.resume(cluster, progress)
    if started:
        say(f"Cluster {cluster.name} runs again after {progress.seconds:.1f} seconds.")
    else:
        say(f"Cluster {cluster.name} runs already, in {cluster.folder}.")
    _advise(cluster)
    return 0


def stop(options: argparse.Namespace) -> int:
    """End the daemons; guests go on, and everything is kept."""
    from tools.quickstart import store
    from tools.quickstart.daemons import stop as stop_daemons

    cluster = _known(options)
    with alone(cluster.folder):
        stop_daemons(cluster)
        store.stop(cluster)
    say(f"Cluster {cluster.name} is stopped; {_command(cluster)} start brings it back.")
    return 0


def status(options: argparse.Namespace) -> int:
    """Say what runs."""
    from tools.quickstart import orders, store

    cluster = _known(options)
    away = 0
    for member in store.members(cluster):
        running = store.process(member)
        away += running is None
        state = f"runs as process {running.pid}" if running else "does not run"
        say(f"{member.name:<24} {'etcd':<15} {state}")
    for node, running in store.own_members(cluster):
        state = f"runs as process {running.pid}" if running else "does not run"
        say(f"{node.name:<24} {'ganeti-etcd':<15} {state}")
    for daemon in daemons(cluster):
        process = daemon.process()
        away += process is None
        state = f"runs as process {process.pid}" if process else f"does not run, see {daemon.log}"
        say(f"{daemon.node.name:<24} {daemon.program:<15} {state}")
    if away:
        say(f"{_command(cluster)} start brings back what does not run.")
        return NOT_RUNNING
    with orders.client_of(master_of(cluster)) as client:
        for name, where, condition in orders.instances(client):
            say(f"{name!s:<24} {'instance':<15} {condition} on {where}")
    return 0


def destroy(options: argparse.Namespace) -> int:
    """End all processes of the cluster, guests too, and remove its folder."""
    from tools.quickstart.founding import remove

    cluster = _known(options)
    with alone(cluster.folder):
        guests = remove(cluster)
    ended = f"; guests that ran and were ended: {guests}" if guests else ""
    say(f"Cluster {cluster.name} is gone{ended}.")
    return 0


def env(options: argparse.Namespace) -> int:
    """Print what scripts want to know, as lines KEY=value."""
    for key, value in _environment(_known(options)).items():
        say(f"{key}={shlex.quote(value) if value else ''}")
    return 0


def run(options: argparse.Namespace) -> int:
    """Run a command in the environment of one of the nodes, the master unless told otherwise."""
    cluster = _known(options)
    command: list[str] = options.command
    if not command:
        raise Refused("run what? for example: run gnt-instance list", Code.INPUT)
    node = master_of(cluster) if options.node is None else cluster.node(options.node)
    environment = {
        **os.environ,
        **_environment(cluster),
        **cluster.environment(node),
        "PATH": f"{cluster.tools}:{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
    }
    try:
        os.execvpe(command[0], command, environment)
    except OSError as e:
        raise Failed(f"cannot run {command[0]}: {e.strerror}", Code.ENVIRONMENT) from None


def _environment(cluster: Cluster) -> dict[str, str]:
    from tools.quickstart.founding import RAPI_USER

    master = master_of(cluster)
    pids = {
        f"{daemon.kind.upper()}_PID"
        + (f"_{daemon.node.number}" if daemon.kind == "noded" else ""): daemon.process()
        for daemon in daemons(cluster)
    }
    return {
        "NAME": cluster.name,
        "GANETI_ROOTDIR": master.paths.root,
        "GANETI_HOSTNAME": master.name,
        "LUXI_SOCKET": master.paths.master_socket,
        "RAPI_URL": cluster.rapi_of(master),
        "CONSOLE_URL": f"{cluster.rapi_of(master)}/ui/",
        "RAPI_USER": RAPI_USER,
        "RAPI_PASSWORD": cluster.password_file.read_text().strip(),
        "RAPI_CA": master.paths.authority,
        **{key: str(process.pid) if process else "" for key, process in pids.items()},
    }


def _known(options: argparse.Namespace) -> Cluster:
    cluster = find(options.folder / options.name)
    if cluster is None:
        named = "" if options.name == "default" else f" --name {options.name}"
        raise Refused(
            f"there is no cluster {options.name} in {options.folder}; ./quickstart{named} makes it",
            Code.UNKNOWN,
        )
    return cluster


def _command(cluster: Cluster) -> str:
    """How to call this program for a cluster."""
    named = "" if cluster.name == "default" else f" --name {cluster.name}"
    where = "" if cluster.folder.parent == CLUSTERS else f" --folder {cluster.folder.parent}"
    return f"./quickstart{named}{where}"


def _advise(cluster: Cluster) -> None:
    from tools.quickstart import console
    from tools.quickstart.founding import RAPI_USER

    quickstart = _command(cluster)
    new = "-t file -s 16m -o " + ("noop" if cluster.said.hypervisor == "fake" else "mini")
    master = master_of(cluster)
    curl = f"curl --cacert {master.paths.authority} --netrc-file {cluster.curl_file}"
    waits = "" if console.libraries_complete() else " (while its libraries are fetched, it says so)"
    say(
        f"""
Web console: {cluster.rapi_of(master)}/ui/{waits}
  user {RAPI_USER}, password in {cluster.password_file}

Try next:
  {quickstart} run gnt-instance list
  {quickstart} run gnt-instance add {new} --no-name-check --no-ip-check second
  {quickstart} run gnt-instance console first.{cluster.name}
  {curl} {cluster.rapi_of(master)}/2/instances
  {quickstart} status        also: stop, start, env, destroy"""
    )


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "start": start,
    "stop": stop,
    "status": status,
    "destroy": destroy,
    "env": env,
    "run": run,
}


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(f"{text!r}: use up to 32 letters, digits and dashes")
    return text


def _nodes(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_NODES:
        raise argparse.ArgumentTypeError(f"from 1 to {MOST_NODES}, not {number}")
    return number


def _parser() -> argparse.ArgumentParser:
    # The options stand before or after the command: a default must not undo what came before it.
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    shared.add_argument("--name", type=_name, help="which cluster, of several; default: default")
    shared.add_argument(
        "--folder", type=lambda text: Path(text).resolve(), help=f"default: {CLUSTERS}"
    )
    parser = argparse.ArgumentParser(
        prog="quickstart",
        description="A cluster on this host: without a command, make it or start it again.",
        parents=[shared],
    )
    parser.add_argument("--nodes", type=_nodes, help="how many nodes a new cluster has; default: 3")
    parser.add_argument(
        "--hypervisor",
        choices=("fake", "kvm"),
        help="what runs the guests of a new cluster; default: fake, which only pretends",
    )
    parser.add_argument(
        "--state-store",
        choices=("file", "etcd", "own-etcd"),
        help="where the state of a new cluster is: in files (the default), in an etcd that is made"
        " for it, or in one whose members the cluster runs itself",
    )
    commands = parser.add_subparsers(dest="what", metavar="COMMAND")
    for name, function in COMMANDS.items():
        text = (function.__doc__ or "").removesuffix(".")
        command = commands.add_parser(name, help=text, description=text, parents=[shared])
        if name == "run":
            command.add_argument("--node", type=int, metavar="N", help="default: the master")
            command.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND …")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for locales without UTF-8
    options = _parser().parse_args(arguments, argparse.Namespace(name="default", folder=CLUSTERS))
    try:
        return COMMANDS.get(options.what or "", up)(options)
    except BrokenPipeError:
        # Whoever read has read enough; Python is not to complain of that at its end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (GanetiError, OSError) as e:
        complain(e)
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
