# SPDX-License-Identifier: BSD-2-Clause
"""The block layer of a QEMU in memory: nodes, filters, dirty bitmaps, and exports by NBD."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ganeti.schema.documents import Document

Arguments: TypeAlias = Mapping[str, Any]
"""What a command of QEMU's monitor is given."""

FILTERS = ("copy-before-write", "snapshot-access")
DISK_SIZE = 64 << 20


class Rejected(Exception):
    """QEMU does not execute a command; with its message."""


class MemoryBlockLayer:
    """The nodes of a guest's disks, whose devices have these ids.

    ``nodes`` has the node below each one, ``devices`` the node that a device uses, ``bitmaps`` the
    areas in each bitmap of a node and whether it records; the guest writes by ``write_as_guest``.
    ``refuses`` maps a command to the message with which it is rejected. ``jobs`` copy disks.
    ``saved`` are the snapshots with memory, and the nodes in each; their jobs, ``saving``, end with
    ``job_error`` when they are asked about for the second time.
    """

    def __init__(self, *devices: str) -> None:
        self.devices = {name: f"#{name}" for name in devices}
        self.nodes: dict[str, str] = {f"#{name}": "" for name in devices}
        self.bitmaps: dict[str, dict[str, tuple[set[int], bool]]] = {
            f"#{name}": {} for name in devices
        }
        self.exports: dict[str, Arguments] = {}
        self.serves = False
        self.refuses: dict[str, str] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.saved: dict[str, Sequence[str]] = {}
        self.loaded: list[str] = []
        self.saving: dict[str, Document] = {}
        self.job_error = ""

    def write_as_guest(self, area: int) -> None:
        """Write an area on every disk."""
        for found in self.bitmaps.values():
            for areas, records in found.values():
                if records:
                    areas.add(area)

    @property
    def commands(self) -> Mapping[str, Callable[[Arguments], object]]:
        """What executes each command, with its arguments."""
        return {
            "query-block": self._list_devices,
            "block-dirty-bitmap-add": lambda given: self._record(given, True),
            "block-dirty-bitmap-enable": lambda given: self._record(given, True),
            "block-dirty-bitmap-disable": lambda given: self._record(given, False),
            "block-dirty-bitmap-merge": self._merge,
            "block-dirty-bitmap-remove": self._forget,
            "block-export-add": self._export,
            "block-job-cancel": self._cancel_job,
            "blockdev-mirror": self._add_job,
            "job-dismiss": self._dismiss_job,
            "query-jobs": lambda _: [*self.jobs.values(), *self._list_saving()],
            "blockdev-snapshot-delete-internal-sync": lambda _: None,
            "blockdev-snapshot-internal-sync": lambda _: None,
            "snapshot-load": self._load,
            "snapshot-save": self._save,
            "nbd-server-start": lambda _: self._serve(True),
            "nbd-server-stop": lambda _: self._serve(False),
            "qom-set": self._set_drive,
            "transaction": self._run_all,
        }

    def run_command(self, command: str, given: Arguments) -> object:
        """Execute a command.

        :raises Rejected: it is impossible, or refused.
        """
        if command in self.refuses:
            raise Rejected(self.refuses[command])
        answer = self.commands[command](given)
        return {} if answer is None else answer

    def describe_nodes(self) -> list[Document]:
        """Return the answer to ``query-named-block-nodes``."""
        return [
            {
                "node-name": name,
                "image": {"virtual-size": DISK_SIZE},
                "dirty-bitmaps": [
                    {"name": each, "recording": records}
                    for each, (_, records) in self.bitmaps.get(name, {}).items()
                ],
            }
            for name in self.nodes
        ]

    def insert_node(self, given: Arguments) -> None:
        """Add a scratch file or a filter."""
        if "blockdev-add" in self.refuses:
            raise Rejected(self.refuses["blockdev-add"])
        below = str(given.get("file", ""))
        if given["driver"] in FILTERS and below not in self.nodes:
            raise Rejected(f"Cannot find device='' nor node-name='{below}'")
        self.nodes[given["node-name"]] = below

    def remove_node(self, name: str) -> None:
        """Remove a node that nothing uses."""
        if name in self.devices.values() or name in self.nodes.values():
            raise Rejected(f"Node '{name}' is busy: node is used as backing hd")
        if any(each["node-name"] == name for each in self.exports.values()):
            raise Rejected(f"Node {name} is in use")
        del self.nodes[name]

    def _save(self, given: Arguments) -> None:
        self.saved[given["tag"]] = given["devices"]
        self.saving[given["job-id"]] = {"id": given["job-id"], "status": "running"}

    def _load(self, given: Arguments) -> None:
        self.loaded.append(given["tag"])
        self.saving[given["job-id"]] = {"id": given["job-id"], "status": "running"}

    def _list_saving(self) -> list[Document]:
        found = list(self.saving.values())
        error = {"error": self.job_error} if self.job_error else {}
        for each in found:
            self.saving[str(each["id"])] = {**each, "status": "concluded", **error}
        return found

    def _list_devices(self, _: Arguments) -> object:
        return [
            {
                "device": name,
                "qdev": f"/machine/peripheral/{name}/virtio-backend",
                "inserted": {"node-name": node},
            }
            for name, node in self.devices.items()
        ]

    def _record(self, given: Arguments, records: bool) -> None:
        found = self.bitmaps[given["node"]]
        areas = found[given["name"]][0] if given["name"] in found else set()
        found[given["name"]] = areas, records

    def _merge(self, given: Arguments) -> None:
        found = self.bitmaps[given["node"]]
        for name in given["bitmaps"]:
            found[given["target"]][0].update(found[name][0])

    def _forget(self, given: Arguments) -> None:
        del self.bitmaps[given["node"]][given["name"]]

    def _add_job(self, given: Arguments) -> None:
        name = given["job-id"]
        if given["device"] not in self.devices or given["target"] not in self.nodes:
            raise Rejected(f"Cannot find device='{given['device']}'")
        self.jobs[name] = {
            "id": name,
            "status": "running",
            "current-progress": 0,
            "total-progress": DISK_SIZE,
        }

    def _cancel_job(self, given: Arguments) -> None:
        job = self.jobs.get(given["device"])
        if job is None or job["status"] == "concluded":
            raise Rejected(f"Job '{given['device']}' cannot be cancelled")
        job["status"] = "concluded"
        if given.get("force"):
            job["error"] = "Operation canceled"

    def _dismiss_job(self, given: Arguments) -> None:
        if self.saving.pop(given["id"], None):
            return
        if self.jobs[given["id"]]["status"] != "concluded":
            raise Rejected(f"Job '{given['id']}' in state 'running' cannot accept command dismiss")
        del self.jobs[given["id"]]

    def follow(self) -> None:
        """Let all jobs have copied everything."""
        for job in self.jobs.values():
            job.update({"status": "ready", "current-progress": job["total-progress"]})

    def _export(self, given: Arguments) -> None:
        for each in given.get("bitmaps", ()):
            if self.bitmaps[each["node"]][each["name"]][1]:
                raise Rejected("Enabled bitmap incompatible with readonly export")
        self.exports[given["id"]] = dict(given)

    def _serve(self, serves: bool) -> None:
        if self.serves == serves:
            raise Rejected("NBD server already running" if serves else "NBD server not running")
        self.serves = serves
        self.exports.clear()

    def _set_drive(self, given: Arguments) -> None:
        device = given["path"].split("/")[3]
        self.devices[device] = given["value"]

    def _run_all(self, given: Arguments) -> None:
        for each in given["actions"]:
            self.run_command(each["type"], each["data"])
