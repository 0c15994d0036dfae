# SPDX-License-Identifier: BSD-2-Clause
"""Parsers for ``/proc/drbd`` of DRBD 8.4, and for errors of its tools."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ganeti.errors import Code
from ganeti.storage.interfaces import LocalState, VolumeStatus

MAJOR = 147
PROC = "/proc/drbd"
HELPER = "/sys/module/drbd/parameters/usermode_helper"
"""Has the path of the program that the kernel asks for permission before a resync."""
DEFAULT_HELPER = "/bin/true"
OPTIONS_FILE = "modprobe.d/ganeti.conf"
"""Is installed from ``daemons/ganeti.modprobe.in``, with the same options as here."""

_MINOR = re.compile(
    r"^\s*(?P<minor>\d+): cs:(?P<connection>\w+)"
    r"(?: ro:(?P<role>\w+)/\w+ ds:(?P<disk>\w+)/(?P<peer_disk>\w+))?"
)
_PERCENT = re.compile(r"sync'ed:\s*(\d+(?:\.\d+)?)%")
_FINISH = re.compile(r"finish: (\d+):(\d+):(\d+)")
_NUMBER = re.compile(r"\((-?\d+)\)")

# In these states there is no connection object in the kernel: disconnect fails with error 162, and
# only a new connect helps.
_NOT_LISTENING = frozenset({"StandAlone", "Disconnecting"})
_UNCONNECTED = _NOT_LISTENING | {
    "Unconfigured",
    # In these, the kernel retries by itself: the connection exists, and the peer is absent.
    "Unconnected",
    "Timeout",
    "BrokenPipe",
    "NetworkFailure",
    "ProtocolError",
    "TearDown",
    "WFConnection",
    "WFReportParams",
}
_SYNC_TARGET = frozenset({"SyncTarget", "PausedSyncT", "WFBitMapT", "WFSyncUUID", "StartingSyncT"})
_WITHOUT_LOCAL_DATA = frozenset({"", "Diskless", "Failed", "Detaching"})


def objection(helper: str) -> str:
    """Return why DRBD disks fail with this usermode helper, and what to do; empty if they work.

    ``drbdadm`` knows only the resources in its own configuration files. It fails for others, and
    the kernel then drops the connection instead of starting the resync.
    """
    if helper.rpartition("/")[2] != "drbdadm":
        return ""
    return (
        f"DRBD's usermode helper {helper} rejects disks that are not in its configuration files;"
        f" replace it: echo {DEFAULT_HELPER} > {HELPER}; at the next boot, the installed"
        f" {OPTIONS_FILE} does it, unless another file of modprobe.d sets usermode_helper"
    )


def describe_loading(helper: str = DEFAULT_HELPER) -> str:
    """Return how to load the module with a usermode helper, now and at each boot."""
    options = f"drbd minor_count=128 usermode_helper={helper}"
    if helper == DEFAULT_HELPER:
        permanent = f"drbd to /etc/modules, its options are in the installed {OPTIONS_FILE}"
    else:
        permanent = (
            f"'options {options}' to /etc/modprobe.d/ganeti.conf, which replaces the installed"
            " file of this name, and drbd to /etc/modules"
        )
    return f"load it with: modprobe {options}, and for the next boot write {permanent}"


@dataclass(frozen=True, kw_only=True)
class DrbdMinor:
    """A DRBD device; ``finish`` is the remaining time of a resync in seconds."""

    minor: int
    connection: str
    # A device without volumes, connection and role is listed without "ro:" and "ds:".
    role: str = ""
    disk: str = ""
    peer_disk: str = ""
    percent: float | None = None
    finish: int | None = None

    @property
    def primary(self) -> bool:
        return self.role == "Primary"

    @property
    def has_local_data(self) -> bool:
        """Whether local volumes are attached."""
        return self.disk not in _WITHOUT_LOCAL_DATA

    @property
    def listens(self) -> bool:
        """Whether it is connected to its peer, or waits for a connection."""
        return self.connection not in _NOT_LISTENING and self.connection != "Unconfigured"

    @property
    def peer_is_current(self) -> bool:
        # While disconnected, the kernel still shows what it last knew of the peer's disk.
        return self.connection not in _UNCONNECTED and self.peer_disk == "UpToDate"

    @property
    def local(self) -> LocalState:
        if self.disk == "UpToDate":
            return LocalState.OK
        # The kernel is reading the metadata, or comparing it with the peer's.
        if self.disk in ("Attaching", "Negotiating"):
            return LocalState.UNKNOWN
        return (
            LocalState.SYNC
            if self.connection in _SYNC_TARGET and self.has_local_data
            else LocalState.FAULTY
        )

    def status(self, size: int | None) -> VolumeStatus:
        """Return the status of the disk, whose ``size`` is known from elsewhere."""
        # ``/proc/drbd`` has no sizes; they are in ``/sys/block``.
        return VolumeStatus(
            path=path(self.minor),
            major=MAJOR,
            minor=self.minor,
            size=size,
            sync_percent=self.percent,
            estimated_time=self.finish,
            degraded=self.disk != "UpToDate" or not self.peer_is_current,
            local=self.local,
        )


def path(minor: int) -> str:
    return f"/dev/drbd{minor}"


def minors(proc: str) -> dict[int, DrbdMinor]:
    """Parse ``/proc/drbd``; return its devices by minor, without unconfigured ones."""
    found: dict[int, DrbdMinor] = {}
    blocks: list[tuple[re.Match[str], list[str]]] = []
    for line in proc.splitlines():
        if head := _MINOR.match(line):
            blocks.append((head, []))
        elif blocks:
            blocks[-1][1].append(line)
    for head, rest in blocks:
        # The kernel reports a minor like this when it is standalone, diskless and secondary:
        # nothing uses it.
        if head["connection"] == "Unconfigured":
            continue
        percent, finish = _PERCENT.search("\n".join(rest)), _FINISH.search("\n".join(rest))
        minor = int(head["minor"])
        found[minor] = DrbdMinor(
            minor=minor,
            connection=head["connection"],
            role=head["role"] or "",
            disk=head["disk"] or "",
            peer_disk=head["peer_disk"] or "",
            percent=float(percent[1]) if percent else None,
            finish=_seconds(finish) if finish else None,
        )
    return found


def version(proc: str) -> str | None:
    """Return the version of the kernel's DRBD."""
    found = re.match(r"version: (\S+)", proc)
    return found[1] if found else None


def refusal(said: str) -> int | None:
    """Return the error number in a message of ``drbdsetup``; None if there is none."""
    found = _NUMBER.search(said)
    return int(found[1]) if found else None


MANY_PRIMARIES, NO_DATA, HELD_OPEN = -1, -2, -12
IN_USE, NO_METADATA, ATTACHED, NO_MINOR = 102, 119, 124, 127
RESYNCING, PAUSED, NOT_PAUSED, NO_CONNECTION = 130, 134, 135, 162

KNOWN_ERRORS = {
    MANY_PRIMARIES: (Code.STATE, "make the peer's copy secondary first"),
    NO_DATA: (Code.STATE, "connect it to a node that has current data"),
    HELD_OPEN: (Code.STATE, "stop the process that has the device open first"),
    IN_USE: (Code.NOT_UNIQUE, "another disk uses this address and port"),
    NO_METADATA: (Code.STATE, "recreate the disk, or replace this node's copy"),
    ATTACHED: (Code.EXISTS, "detach it first"),
    NO_MINOR: (Code.UNKNOWN, "attach the disk first"),
    RESYNCING: (Code.TEMPORARY, "wait for the end of the resync"),
    PAUSED: (Code.STATE, "the resync is paused already"),
    NOT_PAUSED: (Code.STATE, "the resync is not paused"),
    NO_CONNECTION: (Code.UNKNOWN, "connect the disk first"),
}
"""The error code for each error number, and advice for the administrator."""


def _seconds(finish: re.Match[str]) -> int:
    hours, minutes, seconds = map(int, finish.groups())
    return hours * 3600 + minutes * 60 + seconds
