# SPDX-License-Identifier: BSD-2-Clause
"""``move-instance``: moves instances between clusters, with nothing but their remote APIs.

The source prepares an export and proves by the secret that both clusters share who it is; the
destination makes the instance and says where it awaits the disks; the source, where it stands
still, sends them. Only when all of that has succeeded, and it runs at the destination if it did at
the source, is it removed there. Until then every failure is taken back: there is one whole
instance at any time, and never two that run.
"""

from __future__ import annotations

import io
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ganeti.rapi.client import GANETI_RAPI_PORT, Error, GanetiApiError, GanetiRapiClient, Object
from ganeti.rapi.following import FollowedCluster, JobFollower

REMOTE_IMPORT = "remote-import"
"""The type of the log entry that says where the destination awaits the disks."""


class MoveFailed(Error):
    """The instance was not moved; the message says where it is now."""


@dataclass(frozen=True)
class MoveOptions:
    """What is to be different at the destination; None and nothing means as at the source."""

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
class Mover:
    """The two clusters."""

    source: FollowedCluster
    destination: FollowedCluster

    def move(self, instance: str, wishes: MoveOptions) -> list[str]:
        """Move an instance; answers the nodes that it has at the destination.

        :raises MoveFailed: it is not at the destination, but still at the source.
        """
        about = self.source.asked(lambda: self.source.client.GetInstance(instance))
        ran = about["admin_state"] in ("up", True)
        name = wishes.name or about["name"]
        prepared = self.source.do(lambda: self.source.client.PrepareExport(instance, "remote"))
        self.source.say(f"{self.source.name}: {instance} is ready to be sent")
        order = self._order(about, wishes, prepared)
        arriving = self.destination.job(self.destination.client.CreateInstance(**order))
        target = arriving.wait_for(REMOTE_IMPORT)
        starting = False
        try:
            if ran:
                self.source.do(lambda: self.source.client.ShutdownInstance(instance))
            self._send(instance, wishes, prepared, target)
            nodes: list[str] = arriving.wait()
            if ran and not wishes.keep_source:
                starting = True
                self.destination.do(lambda: self.destination.client.StartupInstance(name))
        except (Error, KeyboardInterrupt) as e:
            if self._taken_back(name, arriving) or not starting:
                self._go_on(instance, ran=ran)
            else:
                self.source.say(
                    f"{self.source.name}: {instance} stays stopped: it is unknown whether it runs"
                    f" at {self.destination.name}"
                )
            if isinstance(e, KeyboardInterrupt):
                raise
            raise MoveFailed(f"{e}; it is still at {self.source.name}") from e
        self._leave(instance, keep=wishes.keep_source, ran=ran)
        return nodes

    def _send(self, instance: str, wishes: MoveOptions, prepared: Object, target: Object) -> None:
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
        result = self.source.job(sending).wait()
        match result:
            case [True, [*disks]] if all(disks):
                return
        raise MoveFailed(f"{self.source.name} did not send everything: {result}")

    def _leave(self, instance: str, *, keep: bool, ran: bool) -> None:
        """Let the source's instance go, or go on where both are kept."""
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
                f"{e}; {instance} is whole at {self.destination.name}, and is stopped, but still"
                f" there, at {source.name}: remove it there"
            ) from e

    def _taken_back(self, name: str, arriving: JobFollower) -> bool:
        """Remove what is at the destination; whether it is gone for certain."""
        arriving.end()
        try:
            if self._is_there(name):
                self.destination.do(lambda: self.destination.client.DeleteInstance(name))
        except Error as e:
            self.destination.say(
                f"{self.destination.name}: {name} may be left there: {e};"
                f" once it can be reached: gnt-instance remove {name}"
            )
            return False
        return True

    def _go_on(self, instance: str, *, ran: bool) -> None:
        """Let the source's instance run again if it did."""
        if not ran:
            return
        try:
            self.source.do(lambda: self.source.client.StartupInstance(instance))
        except Error as e:
            self.source.say(
                f"{self.source.name}: {instance} is whole but stopped: {e};"
                f" once it can be reached: gnt-instance start {instance}"
            )

    def _is_there(self, name: str) -> bool:
        """Whether the destination still has what only our job can have made."""
        try:
            self.destination.asked(lambda: self.destination.client.GetInstance(name))
        except GanetiApiError as e:
            if e.code == 404:
                return False
            raise
        return True

    def _order(self, about: Object, wishes: MoveOptions, prepared: Object) -> Object:
        """The request for the instance at the destination."""
        name = wishes.name or about["name"]
        order = {
            "mode": REMOTE_IMPORT,
            "name": name,
            "disk_template": wishes.template or about["disk_template"],
            "disks": [{"size": size} for size in about["disk.sizes"]],
            "nics": _nics(about) if wishes.nics is None else list(wishes.nics),
            "os": about["os"],
            "hypervisor": wishes.hypervisor or about.get("hypervisor"),
            "hvparams": {**about["custom_hvparams"], **wishes.hvparams},
            "beparams": {**about["custom_beparams"], **wishes.beparams},
            "pnode": wishes.primary,
            "snode": wishes.secondary,
            "iallocator": wishes.allocator,
            "start": False,
            "name_check": False,
            "ip_check": False,
            "source_handshake": prepared["handshake"],
            "source_x509_ca": prepared["x509_ca"],
            "source_instance_name": about["name"],
            "compress": wishes.compress,
        }
        return {key: value for key, value in order.items() if value is not None}


def _nics(about: Object) -> list[Object]:
    """The network cards as they are, with their addresses."""
    columns = zip(
        about["nic.macs"], about["nic.ips"], about["nic.modes"], about["nic.links"], strict=True
    )
    cards = [{"mac": mac, "ip": ip, "mode": mode, "link": link} for mac, ip, mode, link in columns]
    return [{key: value for key, value in card.items() if value} for card in cards]


# --- the command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code: 0 if every instance was moved, else 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Messages of jobs may have characters that the locale of the terminal has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    chosen = _options().parse_args(argv)
    if chosen.dest_instance_name and len(chosen.instances) > 1:
        print("--dest-instance-name is for a single instance", file=sys.stderr)
        return 1
    try:
        mover = Mover(
            _cluster(chosen.source, chosen, "src"), _cluster(chosen.destination, chosen, "dest")
        )
    except OSError as e:
        print(f"Failure: {e}", file=sys.stderr)
        return 1
    return max(_move(mover, instance, chosen) for instance in chosen.instances)


def _move(mover: Mover, instance: str, chosen: Namespace) -> int:
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
    _say(f"{instance} is at {mover.destination.name} now, on {', '.join(nodes)}")
    return 0


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def _cluster(name: str, chosen: Namespace, side: str) -> FollowedCluster:
    return FollowedCluster(_client(name, chosen, side), name, _say, time.sleep)


def _client(cluster: str, chosen: Namespace, side: str) -> GanetiRapiClient:
    def of(option: str) -> Any:
        return getattr(chosen, f"{side}_{option}")

    password = None
    if of("password_file") is not None:
        with open(of("password_file"), encoding="utf-8") as file:
            password = file.readline().rstrip("\n")
    # A request waits at the server for up to 89 seconds.
    return GanetiRapiClient(
        of("address") or cluster,
        of("rapi_port"),
        of("username"),
        password,
        cafile=of("ca_file"),
        timeout=120.0,
    )


def _options() -> ArgumentParser:
    options = ArgumentParser(prog="move-instance", description="Move instances between clusters.")
    options.add_argument("source", help="the cluster that has the instances")
    options.add_argument("destination", help="the cluster that is to have them")
    options.add_argument("instances", nargs="+", metavar="instance")
    for side, whose in (("src", "source's"), ("dest", "destination's")):
        add = options.add_argument
        add(f"--{side}-address", metavar="HOST", help=f"the {whose} address, if not its name")
        add(f"--{side}-rapi-port", type=int, default=GANETI_RAPI_PORT, metavar="PORT")
        add(f"--{side}-ca-file", metavar="FILE", help=f"who signs the {whose} certificate")
        add(f"--{side}-username", metavar="NAME")
        add(f"--{side}-password-file", metavar="FILE", help="its first line is the password")
    add = options.add_argument
    add("--dest-instance-name", metavar="NAME", help="another name at the destination")
    add("--dest-primary-node", metavar="NODE")
    add("--dest-secondary-node", metavar="NODE")
    add("--dest-disk-template", metavar="TEMPLATE")
    add("--iallocator", metavar="NAME", help="who chooses the nodes at the destination")
    add("--new-nics", type=int, metavar="N", help="new cards, instead of those of the source")
    add("-B", "--backend-parameters", dest="beparams", type=_pair, action="append", default=[])
    add("-H", "--hypervisor-parameters", dest="hvparams", type=_pair, action="append", default=[])
    add("--compress", default="none", metavar="TOOL")
    add("--keep-source-instance", action="store_true", help="do not remove it at the source")
    return options


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
