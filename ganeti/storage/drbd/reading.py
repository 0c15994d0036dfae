# SPDX-License-Identifier: BSD-2-Clause
"""What DRBD 8.4 says: ``/proc/drbd``, and the refusals of its tools."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ganeti.errors import Code
from ganeti.storage.interfaces import LocalHost, VolumeStatus

MAJOR = 147
PROC = "/proc/drbd"
HELPER = "/sys/module/drbd/parameters/usermode_helper"
"""Names the program that the kernel asks before it fills a mirror, and obeys."""

_MINOR = re.compile(
    r"^\s*(?P<minor>\d+): cs:(?P<connection>\w+)"
    r"(?: ro:(?P<role>\w+)/\w+ ds:(?P<disk>\w+)/(?P<peer_disk>\w+))?"
)
_PERCENT = re.compile(r"sync'ed:\s*(\d+(?:\.\d+)?)%")
_FINISH = re.compile(r"finish: (\d+):(\d+):(\d+)")
_NUMBER = re.compile(r"\((-?\d+)\)")

_ALONE = frozenset({"StandAlone", "Disconnecting"})
_UNCONNECTED = _ALONE | {
    "Unconfigured",
    "Unconnected",
    "Timeout",
    "BrokenPipe",
    "NetworkFailure",
    "ProtocolError",
    "TearDown",
    "WFConnection",
    "WFReportParams",
}
_FILLED = frozenset({"SyncTarget", "PausedSyncT", "WFBitMapT", "WFSyncUUID", "StartingSyncT"})
_NO_COPY = frozenset({"", "Diskless", "Failed", "Detaching"})


def objection(helper: str) -> str:
    """Why mirrors would not live with this helper, and what to do; empty if they will.

    ``drbdadm``, DRBD's own, knows the mirrors of its configuration files. For all others it fails,
    and the kernel breaks the connection that was about to be filled.
    """
    if helper.rpartition("/")[2] != "drbdadm":
        return ""
    return (
        f"DRBD asks {helper}, which breaks the mirrors that it does not know; let it ask another: "
        f"echo /bin/true > {HELPER}, and for the node's next start put 'options drbd "
        "minor_count=128 usermode_helper=/bin/true' into /etc/modprobe.d/drbd.conf"
    )


@dataclass(frozen=True, kw_only=True)
class DrbdMinor:
    """A device of DRBD; ``finish`` is the rest of a resync in seconds."""

    minor: int
    connection: str
    role: str = ""
    disk: str = ""
    peer_disk: str = ""
    percent: float | None = None
    finish: int | None = None

    @property
    def primary(self) -> bool:
        return self.role == "Primary"

    @property
    def has_copy(self) -> bool:
        """Whether volumes are attached below it."""
        return self.disk not in _NO_COPY

    @property
    def listens(self) -> bool:
        """Whether it is connected to its peer, or tries to be."""
        return self.connection not in _ALONE and self.connection != "Unconfigured"

    @property
    def peer_is_current(self) -> bool:
        return self.connection not in _UNCONNECTED and self.peer_disk == "UpToDate"

    @property
    def local(self) -> LocalHost:
        if self.disk == "UpToDate":
            return LocalHost.OK
        if self.disk in ("Attaching", "Negotiating"):
            return LocalHost.UNKNOWN
        return LocalHost.SYNC if self.connection in _FILLED and self.has_copy else LocalHost.FAULTY

    def status(self, size: int | None) -> VolumeStatus:
        """What there is to say of it, where ``size`` is known from elsewhere."""
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
    """The devices that ``/proc/drbd`` lists, those without a configuration left out."""
    found: dict[int, DrbdMinor] = {}
    blocks: list[tuple[re.Match[str], list[str]]] = []
    for line in proc.splitlines():
        if head := _MINOR.match(line):
            blocks.append((head, []))
        elif blocks:
            blocks[-1][1].append(line)
    for head, rest in blocks:
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
    """The version of the kernel's DRBD."""
    found = re.match(r"version: (\S+)", proc)
    return found[1] if found else None


def refusal(said: str) -> int | None:
    """The number in a refusal of ``drbdsetup``; None if there is none."""
    found = _NUMBER.search(said)
    return int(found[1]) if found else None


MANY_PRIMARIES, NO_DATA, HELD_OPEN = -1, -2, -12
IN_USE, NO_METADATA, ATTACHED, NO_MINOR = 102, 119, 124, 127
RESYNCING, PAUSED, NOT_PAUSED, NO_CONNECTION = 130, 134, 135, 162

REFUSALS = {
    MANY_PRIMARIES: (Code.STATE, "make the peer's copy secondary first"),
    NO_DATA: (Code.STATE, "connect it to a node that has current data"),
    HELD_OPEN: (Code.STATE, "stop what uses it first"),
    IN_USE: (Code.NOT_UNIQUE, "another disk uses this address and port"),
    NO_METADATA: (Code.STATE, "recreate the disk, or replace this node's copy"),
    ATTACHED: (Code.EXISTS, "detach it first"),
    NO_MINOR: (Code.UNKNOWN, "attach the disk first"),
    RESYNCING: (Code.TEMPORARY, "wait for the end of the resync"),
    PAUSED: (Code.STATE, "its resync is held already"),
    NOT_PAUSED: (Code.STATE, "its resync is not held"),
    NO_CONNECTION: (Code.UNKNOWN, "connect the disk first"),
}
"""What the numbers mean to an operator: the classification, and what would help."""


def _seconds(finish: re.Match[str]) -> int:
    hours, minutes, seconds = map(int, finish.groups())
    return hours * 3600 + minutes * 60 + seconds
