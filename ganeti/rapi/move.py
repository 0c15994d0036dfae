# SPDX-License-Identifier: BSD-2-Clause
"""``move-instance``: moves instances between clusters, with nothing but their remote APIs.

The source prepares an export and proves by the secret that both clusters share who it is; the
destination makes the instance and says where it awaits the disks; the source sends them. The
source's instance is removed by its own export job, once everything has arrived.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import localtime, strftime
from typing import Any

from ganeti.rapi.client import GANETI_RAPI_PORT, Error, GanetiRapiClient, Object

REMOTE_IMPORT = "remote-import"
"""The type of the log entry that says where the destination awaits the disks."""

FINAL = frozenset({"success", "error", "canceled"})
FIELDS = ("status", "opresult")

Say = Callable[[str], None]


class MoveFailed(Error):
    """The instance was not moved; the message says how far it came, and where it is now."""


@dataclass(frozen=True)
class Wishes:
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


class Follower:
    """A job of one cluster, whose messages are passed on as they come."""

    def __init__(self, client: GanetiRapiClient, job_id: int, cluster: str, say: Say) -> None:
        self.job_id = job_id
        self.result: Any = None
        self._client = client
        self._cluster = cluster
        self._say = say
        self._seen: Sequence[Any] | None = None
        self._serial: int | None = None

    def wait_for(self, kind: str) -> Any:
        """The payload of the next message of this type.

        :raises MoveFailed: the job ended without one.
        """
        while True:
            ended, entries = self._next()
            payload = None
            for _, _, its_kind, its_payload in entries:
                if its_kind == kind:
                    payload = its_payload
                else:
                    self._show(its_payload)
            if payload is not None:
                return payload
            if ended:
                raise MoveFailed(self._ended())

    def wait(self) -> Any:
        """The result of the job's only opcode.

        :raises MoveFailed: the job was not successful.
        """
        while True:
            ended, entries = self._next()
            for _, _, _, payload in entries:
                self._show(payload)
            if ended == "success":
                return self.result
            if ended:
                raise MoveFailed(self._ended())

    def cancel(self) -> None:
        """Ask for the job's end, whatever state it is in."""
        try:
            self._client.CancelJob(self.job_id)
        except Error as e:
            self._say(f"{self._cluster}: job {self.job_id} could not be canceled: {e}")

    def _next(self) -> tuple[str | None, Sequence[Any]]:
        """The job's final status, or None, and its new messages; waits for either."""
        changed = self._client.WaitForJobChange(self.job_id, FIELDS, self._seen, self._serial)
        if changed is None:
            return None, ()
        self._seen, entries = changed["job_info"], changed["log_entries"] or ()
        if entries:
            self._serial = max(entry[0] for entry in entries)
        status, results = self._seen or (None, None)
        if status not in FINAL:
            return None, entries
        self.result = results[0] if results else None
        return status, entries

    def _show(self, payload: Any) -> None:
        self._say(f"{self._cluster}: {payload}")

    def _ended(self) -> str:
        match self.result:
            case [str(), [str(text), *_]]:
                why = text
            case _:
                why = str(self.result)
        return f"job {self.job_id} of {self._cluster} ended without success: {why}"


@dataclass(frozen=True)
class Mover:
    """The two clusters, by the clients of their remote APIs and their names."""

    source: GanetiRapiClient
    source_name: str
    destination: GanetiRapiClient
    destination_name: str
    say: Say

    def move(self, instance: str, wishes: Wishes) -> list[str]:
        """Move an instance; answers the nodes that it has at the destination.

        :raises MoveFailed: it is still at the source, and not at the destination.
        """
        about = self.source.GetInstance(instance)
        preparing = self.source.PrepareExport(instance, "remote")
        prepared = self._at_source(preparing).wait()
        self.say(f"{self.source_name}: {instance} is ready to be sent")
        order = self._order(about, wishes, prepared)
        arriving = self._at_destination(self.destination.CreateInstance(**order))
        target = arriving.wait_for(REMOTE_IMPORT)
        try:
            self._send(instance, wishes, prepared, target)
        except Error:
            # What was made there is taken back by the job itself, when it ends.
            arriving.cancel()
            self._settle(arriving)
            raise
        nodes: list[str] = arriving.wait()
        return nodes

    def _send(self, instance: str, wishes: Wishes, prepared: Object, target: Object) -> None:
        sending = self.source.ExportInstance(
            instance,
            "remote",
            target["disks"],
            shutdown=True,
            remove_instance=not wishes.keep_source,
            x509_key_name=prepared["x509_key_name"],
            destination_x509_ca=target["x509_ca"],
            compress=wishes.compress,
        )
        result = self._at_source(sending).wait()
        match result:
            case [True, [*disks]] if all(disks):
                return
        raise MoveFailed(f"{self.source_name} did not send everything: {result}")

    def _settle(self, job: Follower) -> None:
        try:
            job.wait()
        except Error as e:
            self.say(str(e))

    def _at_source(self, job_id: int) -> Follower:
        return Follower(self.source, job_id, self.source_name, self.say)

    def _at_destination(self, job_id: int) -> Follower:
        return Follower(self.destination, job_id, self.destination_name, self.say)

    def _order(self, about: Object, wishes: Wishes, prepared: Object) -> Object:
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
            "start": about["admin_state"] in ("up", True),
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
    chosen = _options().parse_args(argv)
    if chosen.dest_instance_name and len(chosen.instances) > 1:
        print("--dest-instance-name is for a single instance", file=sys.stderr)
        return 1
    try:
        mover = Mover(
            _client(chosen.source, chosen, "src"),
            chosen.source,
            _client(chosen.destination, chosen, "dest"),
            chosen.destination,
            lambda text: print(strftime("%H:%M:%S", localtime()), text, flush=True),
        )
    except OSError as e:
        print(f"Failure: {e}", file=sys.stderr)
        return 1
    return max(_move(mover, instance, chosen) for instance in chosen.instances)


def _move(mover: Mover, instance: str, chosen: Namespace) -> int:
    wishes = Wishes(
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
    mover.say(f"{instance} is at {mover.destination_name} now, on {', '.join(nodes)}")
    return 0


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
