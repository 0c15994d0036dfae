# SPDX-License-Identifier: BSD-2-Clause
"""DRBD 8.4 of one node, as scripts over copies in memory that refuse in its words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ganeti.errors import Refused
from ganeti.storage.drbd.status_parsers import HELPER
from ganeti.system.interfaces import Stat
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.mirror import Copies, Key, MemoryCopy
from ganeti.testing.processes import Ran, Script

FIRST_PORT = 11000
NUMBERS = {"Multiple primaries": (-1, 11), "Need access": (-2, 17)}
TEXTS = {
    -12: "Device is held open by someone",
    102: "Local address(port) already in use.",
    119: "No valid meta-data signature found.",
    124: "Device is attached to a disk (use detach first)",
    127: "Device minor not allocated",
    130: "Resize not allowed during resync.",
    162: "Invalid configuration request\nadditional info from kernel:\nunknown connection",
    165: "Unclean meta-data found.",
}


class ScriptedDrbd:
    """The kernel's part and the tools of one node, whose minors have ports from 11000 on.

    ``programs`` is for ``MemoryProcesses``; ``files`` has ``/proc/drbd``. Metadata is where it
    was written, so a copy is found again when the same volume is attached.
    """

    def __init__(self, copies: Copies, here: str, there: str) -> None:
        self._copies = copies
        self._here = here
        self._there = there
        self._minors: set[int] = set()
        self._blank: set[str] = set()
        self._clean: set[int] = set()
        self.helper = "/bin/true"
        self.files = DrbdFiles(self)
        self.programs: dict[str, Callable[[Ran], Script]] = {
            "drbdsetup": self._drbdsetup,
            "drbdmeta": self._drbdmeta,
        }
        self._verbs: dict[str, Callable[[Ran], Script]] = {
            "new-resource": lambda ran: Script(),
            "new-minor": self._new_minor,
            "attach": self._attach,
            "connect": self._connect,
            "disconnect": self._disconnect,
            "net-options": self._net_options,
            "primary": self._primary,
            "secondary": self._secondary,
            "detach": self._detach,
            "resize": self._resize,
            "pause-sync": self._pause,
            "resume-sync": self._pause,
            "down": self._down,
        }

    def proc(self) -> str:
        """``/proc/drbd``."""
        lines = ["version: 8.4.11 (api:1/proto:86-101)", "srcversion: 0123456789ABCDEF01234567"]
        for minor in sorted(self._minors):
            lines += self._lines(minor)
        return "\n".join(lines) + "\n"

    def size(self, minor: int) -> int | None:
        """Sectors of a device; None where there is none."""
        copy = self._copies.get(self._key(minor)) if minor in self._minors else None
        return None if copy is None else copy.size * 2048

    def _key(self, minor: int) -> Key:
        return (self._here, FIRST_PORT + minor)

    def _lines(self, minor: int) -> list[str]:
        key = self._key(minor)
        copy = self._copies.get(key)
        if copy is None:
            return [f" {minor}: cs:StandAlone ro:Secondary/Unknown ds:Diskless/DUnknown   r----s"]
        connected = self._copies.connected(key)
        peer = self._copies.all_copies()[copy.peer] if connected else None
        filled = connected and self._copies.filling(key)
        fills = connected and self._copies.filling(copy.peer)
        states = {
            "SyncTarget": filled,
            "SyncSource": fills,
            "Connected": connected,
            "WFConnection": copy.listens,
        }
        state = next((name for name, holds in states.items() if holds), "StandAlone")
        roles = f"{_role(copy)}/{_role(peer) if peer else 'Unknown'}"
        disks = f"{_disk(copy)}/{_disk(peer) if peer else 'DUnknown'}"
        lines = [
            f" {minor}: cs:{state} ro:{roles} ds:{disks} C r-----",
            "    ns:0 nr:0 dw:0 dr:0 al:8 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:d oos:0",
        ]
        late = copy if filled else peer if fills else None
        if late is not None:
            percent = 100 * (1 - late.behind / late.size)
            lines.append(f"\t[=>....] sync'ed: {percent:4.1f}% (62464/65536)K")
            lines.append("\tfinish: 0:01:05 speed: 16,000 (16,000) K/sec")
        return lines

    def _drbdmeta(self, ran: Ran) -> Script:
        number = next(word for word in ran.argv if word.isdigit())
        copy = self._copies.get(self._key(int(number))) if int(number) in self._minors else None
        # Whatever volume is named: the device of this number must have no local data.
        if copy is not None and copy.up and copy.there:
            return Script(code=20, err=f"Device '{number}' is configured!\n".encode())
        if ran.argv[-1] == "create-md":
            self._blank.add(ran.argv[4])
        else:
            assert ran.argv[-1] == "apply-al"
            self._clean.add(int(number))
        return Script()

    def _drbdsetup(self, ran: Ran) -> Script:
        return self._verbs[ran.argv[1]](ran)

    def _new_minor(self, ran: Ran) -> Script:
        self._minors.add(int(ran.argv[3]))
        return Script()

    def _attach(self, ran: Ran) -> Script:
        minor, meta = int(ran.argv[2]), ran.argv[4]
        key = self._key(minor)
        copy = self._copies.get(key)
        if minor not in self._clean:
            return _refusal(165)
        if copy is not None and copy.up and copy.there:
            return _refusal(124)
        if meta in self._blank:
            size = next(int(each[7:-1]) // 1024 for each in ran.argv if each.startswith("--size="))
            peer = (self._there, key[1])
            before = copy or MemoryCopy(size, peer)
            self._copies.all_copies()[key] = replace(before, size=size, current=False, behind=size)
            self._blank.discard(meta)
        elif copy is None:
            return _refusal(119)
        # An attached device uses its activity log, which is therefore not clean any more.
        self._clean.discard(minor)
        copy = self._copies.all_copies()[key]
        copy.there = copy.up = True
        self._copies.run_due_steps()
        return Script()

    def _connect(self, ran: Ran) -> Script:
        copy = self._at(ran.argv[3])
        if copy is None or copy.listens:
            return _refusal(102)
        copy.listens, copy.both = True, "--allow-two-primaries" in ran.argv
        self._copies.run_due_steps()
        return Script()

    def _disconnect(self, ran: Ran) -> Script:
        copy = self._at(ran.argv[2])
        if copy is None or not copy.listens:
            return _refusal(162)
        copy.listens = False
        self._copies.run_due_steps()
        return Script()

    def _net_options(self, ran: Ran) -> Script:
        copy = self._at(ran.argv[2])
        if copy is None or not copy.listens:
            return _refusal(162)
        key, both = self._key_at(ran.argv[2]), ran.argv[-1] == "--allow-two-primaries"
        return _attempt(lambda: self._copies.listen(key, both=both))

    def _primary(self, ran: Ran) -> Script:
        if int(ran.argv[2]) not in self._minors:
            return _refusal(127)
        key = self._key(int(ran.argv[2]))
        return _attempt(lambda: self._copies.promote(key, force="--force" in ran.argv))

    def _secondary(self, ran: Ran) -> Script:
        copy = self._copies.all_copies()[self._key(int(ran.argv[2]))]
        if copy.opened:
            return _refusal(-12, code=11)
        copy.writable = False
        return Script()

    def _detach(self, ran: Ran) -> Script:
        copy = self._copies.all_copies()[self._key(int(ran.argv[2]))]
        copy.there = copy.current = False
        return Script()

    def _resize(self, ran: Ran) -> Script:
        copies = self._copies.all_copies()
        copy = copies[self._key(int(ran.argv[2]))]
        peer = copies[copy.peer]
        if any(self._copies.filling(key) for key in (copy.peer, peer.peer)):
            return _refusal(130)
        size = int(ran.argv[3].removeprefix("--size=").removesuffix("k")) // 1024
        if (grown := size - copy.size) > 0:
            # What is new is copied to the peer like anything else.
            copy.size = peer.size = size
            peer.current, peer.behind = False, float(grown)
        return Script()

    def _pause(self, ran: Ran) -> Script:
        copy, paused = (
            self._copies.all_copies()[self._key(int(ran.argv[2]))],
            ran.argv[1] == "pause-sync",
        )
        if copy.paused == paused:
            return Script(code=10, err=b"0: Failure: (134) Pause flag is already set\n")
        copy.paused = paused
        return Script()

    def _down(self, ran: Ran) -> Script:
        minor = int(ran.argv[2].removeprefix("resource"))
        copy = self._copies.get(self._key(minor))
        if copy is not None and minor in self._minors:
            if copy.opened:
                return _refusal(-12, code=11)
            copy.up = copy.listens = copy.writable = copy.both = False
        self._minors.discard(minor)
        self._copies.run_due_steps()
        return Script()

    def _at(self, address: str) -> MemoryCopy | None:
        return self._copies.get(self._key_at(address))

    def _key_at(self, address: str) -> Key:
        _, ip, port = address.split(":")
        return ip, int(port)


class DrbdFiles(MemoryFiles):
    """Files in which the kernel shows what DRBD does."""

    def __init__(self, drbd: ScriptedDrbd) -> None:
        disk = MemoryDisk()
        for folder in ("/proc", "/sys/block", HELPER.rpartition("/")[0]):
            disk.add_folder(folder, 0o755)
        for path in ("/proc/drbd", HELPER):
            disk.put(path, b"", 0o444, 0.0)
        super().__init__(disk)
        self._drbd = drbd

    def read(self, path: str) -> bytes:
        if path == "/proc/drbd":
            return self._drbd.proc().encode()
        if path == HELPER:
            return f"{self._drbd.helper}\n".encode()
        return f"{self._drbd.size(_minor_of(path))}\n".encode()

    def stat(self, path: str) -> Stat | None:
        if path.startswith("/sys/block/drbd"):
            there = self._drbd.size(_minor_of(path)) is not None
            return super().stat("/proc/drbd" if there else "/none")
        return super().stat(path)


def _minor_of(path: str) -> int:
    return int(path.removeprefix("/sys/block/drbd").removesuffix("/size"))


def _role(copy: MemoryCopy) -> str:
    return "Primary" if copy.writable else "Secondary"


def _disk(copy: MemoryCopy) -> str:
    return "UpToDate" if copy.current else "Inconsistent" if copy.there else "Diskless"


def _attempt(change: Callable[[], None]) -> Script:
    try:
        change()
    except Refused as e:
        number, code = next(NUMBERS[part] for part in NUMBERS if part in str(e))
        return Script(code=code, err=f"0: State change failed: ({number}) {e}\n".encode())
    return Script()


def _refusal(number: int, code: int = 10) -> Script:
    return Script(code=code, err=f"0: Failure: ({number}) {TEXTS[number]}\n".encode())
