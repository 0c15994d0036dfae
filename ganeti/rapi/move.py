# SPDX-License-Identifier: BSD-2-Clause
"""``move-instance``: moves instances between clusters over their remote APIs.

The source prepares an export and authenticates itself with the secret that both clusters share. The
destination creates the instance and returns where it waits for the disks. The source shuts the
instance down and sends them. The instance is removed at the source only after all of this succeeded
and it runs at the destination, if it ran before. Any earlier failure is rolled back: there is
always one complete instance, and never two that run.
"""

from __future__ import annotations

import io
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ganeti.rapi.client import GANETI_RAPI_PORT, Error, GanetiApiError, GanetiRapiClient, Object
from ganeti.rapi.following import JobFollower, RemoteCluster

REMOTE_IMPORT = "remote-import"
"""The type of the log entry with the endpoints where the destination waits for the disks."""


class MoveFailed(Error):
    """The instance was not moved; the message says where it is now."""


@dataclass(frozen=True)
class MoveOptions:
    """What differs at the destination; None or an empty value means as at the source."""

    name: str | None = None
    primary: str | None = None
    secondary: str | None = None
    allocator: str | None = None
    template: str | None = None
    hypervisor: str | None = None
    nics: Sequence[Object] | None = None
    hvparams: Object = field(default_factory=dict)
    beparams: Object = field(default_factory=dict)
    keep_source: bool = False
    compress: str = "none"


@dataclass(frozen=True)
class InstanceMover:
    """Moves instances from one cluster to another."""

    source: RemoteCluster
    destination: RemoteCluster

    def move(self, instance: str, wishes: MoveOptions) -> list[str]:
        """Move an instance; return its nodes at the destination.

        :raises MoveFailed: if it is still at the source.
        """
        about = self.source.asked(lambda: self.source.client.GetInstance(instance))
        ran = about["admin_state"] in ("up", True)
        name = wishes.name or about["name"]
        prepared = self.source.do(lambda: self.source.client.PrepareExport(instance, "remote"))
        self.source.say(f"{self.source.name}: {instance} is ready to be exported")
        order = self._build_request(about, wishes, prepared)
        # Not repeated without an answer, as the first job may exist.
        arriving = self.destination.job(self.destination.client.CreateInstance(**order))
        target = arriving.wait_for_message(REMOTE_IMPORT)
        starting = False
        try:
            if ran:
                self.source.do(lambda: self.source.client.ShutdownInstance(instance))
            self._export(instance, wishes, prepared, target)
            nodes: list[str] = arriving.wait_for_result()
            if ran and not wishes.keep_source:
                # Before the call: without an answer, it may be running.
                starting = True
                self.destination.do(lambda: self.destination.client.StartupInstance(name))
        except (Error, KeyboardInterrupt) as e:
            if self._remove_destination(name, arriving) or not starting:
                self._restart_source(instance, ran=ran)
            else:
                self.source.say(
                    f"{self.source.name}: {instance} remains stopped: it may be running at"
                    f" {self.destination.name}"
                )
            if isinstance(e, KeyboardInterrupt):
                raise
            raise MoveFailed(f"{e}; the instance is still at {self.source.name}") from e
        self._finish_source(instance, keep=wishes.keep_source, ran=ran)
        return nodes

    def _export(self, instance: str, wishes: MoveOptions, prepared: Object, target: Object) -> None:
        sending = self.source.client.ExportInstance(
            instance,
            "remote",
            target["disks"],
            shutdown=True,
            remove_instance=False,
            x509_key_name=prepared["x509_key_name"],
            destination_x509_ca=target["x509_ca"],
            compress=wishes.compress,
        )
        result = self.source.job(sending).wait_for_result()
        match result:
            case [True, [*disks]] if all(disks):
                return
        raise MoveFailed(f"{self.source.name} did not send all disks: {result}")

    def _finish_source(self, instance: str, *, keep: bool, ran: bool) -> None:
        """Remove the instance at the source, or restart it if both are kept."""
        source = self.source
        if keep and not ran:
            return
        try:
            if keep:
                source.do(lambda: source.client.StartupInstance(instance))
                self.destination.say(f"{self.destination.name}: the copy is not started")
            else:
                source.do(lambda: source.client.DeleteInstance(instance))
        except Error as e:
            raise MoveFailed(
                f"{e}; {instance} is complete at {self.destination.name}, and is stopped but still"
                f" present at {self.source.name}: remove it there"
            ) from e

    def _remove_destination(self, name: str, arriving: JobFollower) -> bool:
        """Remove the instance at the destination; return whether it is certainly gone."""
        arriving.cancel_job()
        try:
            if self._exists_at_destination(name):
                self.destination.do(lambda: self.destination.client.DeleteInstance(name))
        except Error as e:
            self.destination.say(
                f"{self.destination.name}: {name} may still exist: {e}; when the cluster is"
                f" reachable, run gnt-instance remove {name}"
            )
            return False
        return True

    def _restart_source(self, instance: str, *, ran: bool) -> None:
        """Start the instance at the source again if it ran before."""
        if not ran:
            return
        try:
            self.source.do(lambda: self.source.client.StartupInstance(instance))
        except Error as e:
            self.source.say(
                f"{self.source.name}: {instance} is complete but stopped: {e}; when the cluster is"
                f" reachable, run gnt-instance start {instance}"
            )

    def _exists_at_destination(self, name: str) -> bool:
        """Return whether the destination has the instance, which only this move can have
        created."""
        try:
            self.destination.asked(lambda: self.destination.client.GetInstance(name))
        except GanetiApiError as e:
            if e.code == 404:
                return False
            raise
        return True

    def _build_request(self, about: Object, wishes: MoveOptions, prepared: Object) -> Object:
        """Return the creation request for the destination."""
        name = wishes.name or about["name"]
        order = {
            "mode": REMOTE_IMPORT,
            "name": name,
            "disk_template": wishes.template or about["disk_template"],
            "disks": [{"size": size} for size in about["disk.sizes"]],
            "nics": _copy_nics(about) if wishes.nics is None else list(wishes.nics),
            "os": about["os"],
            "hypervisor": wishes.hypervisor or about.get("hypervisor"),
            "hvparams": {**about["custom_hvparams"], **wishes.hvparams},
            "beparams": {**about["custom_beparams"], **wishes.beparams},
            "pnode": wishes.primary,
            "snode": wishes.secondary,
            "iallocator": wishes.allocator,
            "start": False,
            # At the source, the instance has this name and this address until the end of the move.
            "name_check": False,
            "ip_check": False,
            "source_handshake": prepared["handshake"],
            "source_x509_ca": prepared["x509_ca"],
            "source_instance_name": about["name"],
            "compress": wishes.compress,
        }
        return {key: value for key, value in order.items() if value is not None}


def _copy_nics(about: Object) -> list[Object]:
    """Return the network cards of the source with their addresses."""
    columns = zip(
        about["nic.macs"], about["nic.ips"], about["nic.modes"], about["nic.links"], strict=True
    )
    cards = [{"mac": mac, "ip": ip, "mode": mode, "link": link} for mac, ip, mode, link in columns]
    return [{key: value for key, value in card.items() if value} for card in cards]


# --- the command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if every instance was moved, else 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Messages of jobs may contain characters that the terminal's locale cannot encode.
        sys.stdout.reconfigure(errors="backslashreplace")
    chosen = _create_parser().parse_args(argv)
    if chosen.dest_instance_name and len(chosen.instances) > 1:
        print("--dest-instance-name can be used with a single instance only", file=sys.stderr)
        return 1
    try:
        mover = InstanceMover(
            _connect_cluster(chosen.source, chosen, "src"),
            _connect_cluster(chosen.destination, chosen, "dest"),
        )
    except OSError as e:
        print(f"Failure: {e}", file=sys.stderr)
        return 1
    return max(_move(mover, instance, chosen) for instance in chosen.instances)


def _move(mover: InstanceMover, instance: str, chosen: Namespace) -> int:
    wishes = MoveOptions(
        name=chosen.dest_instance_name,
        primary=chosen.dest_primary_node,
        secondary=chosen.dest_secondary_node,
        allocator=chosen.iallocator,
        template=chosen.dest_disk_template,
        nics=[{} for _ in range(chosen.new_nics)] if chosen.new_nics is not None else None,
        hvparams=dict(chosen.hvparams),
        beparams=dict(chosen.beparams),
        keep_source=chosen.keep_source_instance,
        compress=chosen.compress,
    )
    try:
        nodes = mover.move(instance, wishes)
    except Error as e:
        print(f"Failure: {instance} was not moved: {e}", file=sys.stderr)
        return 1
    _print_line(f"{instance} is now at {mover.destination.name}, on {', '.join(nodes)}")
    return 0


def _print_line(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def _connect_cluster(name: str, chosen: Namespace, side: str) -> RemoteCluster:
    return RemoteCluster(_create_client(name, chosen, side), name, _print_line, time.sleep)


def _create_client(cluster: str, chosen: Namespace, side: str) -> GanetiRapiClient:
    def of(option: str) -> Any:
        return getattr(chosen, f"{side}_{option}")

    password = None
    if of("password_file") is not None:
        with open(of("password_file"), encoding="utf-8") as file:
            password = file.readline().rstrip("\n")
    # The server holds a request for up to 89 seconds.
    return GanetiRapiClient(
        of("address") or cluster,
        of("rapi_port"),
        of("username"),
        password,
        cafile=of("ca_file"),
        timeout=120.0,
    )


def _create_parser() -> ArgumentParser:
    options = ArgumentParser(prog="move-instance", description="Move instances between clusters.")
    options.add_argument("source", help="the cluster that has the instances")
    options.add_argument("destination", help="the cluster to move the instances to")
    options.add_argument("instances", nargs="+", metavar="instance")
    for side, whose in (("src", "source's"), ("dest", "destination's")):
        add = options.add_argument
        add(
            f"--{side}-address",
            metavar="HOST",
            help=f"the address of the {whose} remote API, if it differs from the name",
        )
        add(f"--{side}-rapi-port", type=int, default=GANETI_RAPI_PORT, metavar="PORT")
        add(
            f"--{side}-ca-file",
            metavar="FILE",
            help=f"the CA certificate that verifies the {whose} certificate",
        )
        add(f"--{side}-username", metavar="NAME")
        add(
            f"--{side}-password-file",
            metavar="FILE",
            help="read the password from the first line of this file",
        )
    add = options.add_argument
    add("--dest-instance-name", metavar="NAME", help="the name of the instance at the destination")
    add("--dest-primary-node", metavar="NODE")
    add("--dest-secondary-node", metavar="NODE")
    add("--dest-disk-template", metavar="TEMPLATE")
    add(
        "--iallocator",
        metavar="NAME",
        help="the instance allocator that selects nodes at the destination",
    )
    add(
        "--new-nics",
        type=int,
        metavar="N",
        help="create this many new network cards instead of those of the source",
    )
    add(
        "-B", "--backend-parameters", dest="beparams", type=_parse_pair, action="append", default=[]
    )
    add(
        "-H",
        "--hypervisor-parameters",
        dest="hvparams",
        type=_parse_pair,
        action="append",
        default=[],
    )
    add("--compress", default="none", metavar="TOOL")
    add(
        "--keep-source-instance",
        action="store_true",
        help="do not remove the instance at the source",
    )
    return options


def _parse_pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ArgumentTypeError(f"{text} must be NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
