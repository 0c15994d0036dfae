# SPDX-License-Identifier: BSD-2-Clause
"""A QEMU in memory: it is called, leaves a process and a control socket, and speaks its protocol.

Its guests shut down, release devices and change their memory a second after they are asked to, and
are sent within a second. Like the real one, a guest arrives only in a machine like the one that it
left, with the same devices at the same addresses, and the receiver writes why not. One with another
user than root opens nothing after its start, but gets descriptors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import msgspec
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError  # noqa: A004
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IUNIXTransport,
)
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.testing.block_layer import MemoryBlockLayer, Rejected
from ganeti.testing.disk import MemoryDisk
from ganeti.testing.processes import MemoryProcesses, Ran, Script

GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}}}
MACHINES = """Supported machines are:
microvm              microvm (i386)
pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-{0})
pc-i440fx-{0}        Standard PC (i440FX + PIIX, 1996) (default)
pc-i440fx-6.2        Standard PC (i440FX + PIIX, 1996)
q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-{0})
pc-q35-{0}           Standard PC (Q35 + ICH9, 2009)
"""
CPUS = """Available CPUs:
x86 host                  processor with all supported host features
x86 max                   Enables all features supported by the accelerator
x86 qemu64                (alias configured by machine type)

Recognized CPUID flags:
  3dnow sse2
"""
SIZE = 128 << 20
"""How much there is to send of every guest, in bytes."""


class Complaint(str):
    """The answer to a command that QEMU does not do."""


_FIRST_SLOT = 3
"""The first slot of the root bus that is free for devices, as in a PC with a screen."""


@dataclass
class ScriptedQemu:
    """One process with a guest: ``status`` in QEMU's words, ``asked`` the commands it was given.

    ``slots`` are the devices on the root bus by their addresses, ``ports`` those behind root ports
    by the name of the port, ``drives`` and ``connections`` what was added for them by commands.
    ``received`` are descriptors that came with the command which is about them, ``sets`` those that
    stand for files, and ``named`` those that have names.
    ``ballooned`` is the memory that is taken from the guest, in bytes.
    ``capabilities`` are those of migrations, which it ``encrypts`` with the content of ``key``.
    So many times as ``lingering`` says, a drive is still in use when its device is gone.
    """

    pid: int
    argv: tuple[str, ...]
    status: str
    sending: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    host: ScriptedHost | None = None
    slots: dict[int, dict[str, str]] = field(default_factory=dict)
    ports: dict[str, dict[str, str]] = field(default_factory=dict)
    drives: set[str] = field(default_factory=set)
    connections: set[str] = field(default_factory=set)
    received: list[int] = field(default_factory=list)
    sets: dict[str, int] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)
    lingering: int = 0
    ballooned: int = 0
    uri: str = ""
    capabilities: dict[str, bool] = field(default_factory=dict)
    key: str = ""
    encrypts: bool = False
    blocks: MemoryBlockLayer = field(default_factory=MemoryBlockLayer)

    def __post_init__(self) -> None:
        for device in devices(self.argv):
            driver, *more = device.split(",")
            options = dict(each.split("=", 1) for each in more)
            # Devices on other buses take no slot of the root bus.
            on_root = "bus" not in options and not driver.startswith(("virtserialport", "usb-"))
            if on_root or options.get("bus", "").startswith("port"):
                self.insert({"driver": driver, **options})
        ids = [
            dict(pair.split("=", 1) for pair in each.split(",")[1:]) for each in devices(self.argv)
        ]
        self.blocks = MemoryBlockLayer(
            *(each["id"] for each in ids if each.get("id", "").startswith("disk-"))
        )
        self.connections |= {
            each.partition("id=")[2].partition(",")[0]
            for option, each in zip(self.argv, self.argv[1:], strict=False)
            if option == "-netdev"
        }

    @property
    def memory(self) -> int:
        """What the machine was started with, in bytes."""
        text = option(self.argv, "-m")
        return int(text[:-1]) << (10 if text.endswith("K") else 20)

    def is_root(self) -> bool:
        """Whether it has kept the user that has started it."""
        return not {"-runas", "-run-with"} & set(self.argv)

    def find_obstacle(self, path: str) -> str:
        """Why it cannot open a file after its start; empty if it can."""
        if path.startswith("/dev/fdset/"):
            return "" if path in self.sets else f"Could not open '{path}': Bad file descriptor"
        return "" if self.is_root() else f"Could not open '{path}': Permission denied"

    def insert(self, device: dict[str, str]) -> None:
        """Put a device into its slot or behind its port, or into the first slot that is free."""
        if "bus" in device:
            self.ports[device["bus"]] = device
            return
        free = next(slot for slot in count(_FIRST_SLOT) if slot not in self.slots)
        # Addresses may be in hexadecimal.
        self.slots[int(device.pop("addr", str(free)), 0)] = device

    @property
    def plugged(self) -> list[dict[str, str]]:
        """The devices on the root bus and behind its ports."""
        return [*self.slots.values(), *self.ports.values()]

    def has_device(self, name: str) -> bool:
        """Whether there is a device with this id."""
        return any(device.get("id") == name for device in self.plugged)

    def drop_device(self, name: str) -> None:
        """Remove a device by its id."""
        self.slots = {at: each for at, each in self.slots.items() if each.get("id") != name}
        self.ports = {at: each for at, each in self.ports.items() if each.get("id") != name}

    def fail(self, why: str) -> None:
        """Write why, and end."""
        assert self.host is not None
        text = f"qemu-system-x86_64: {why}\n".encode()
        self.host.disk.put(option(self.argv, "-D"), text, 0o600, 0)
        self.host._exit(self)


class QemuNetwork:
    """The addresses where QEMUs of any node await guests."""

    def __init__(self) -> None:
        self.awaited: dict[str, ScriptedQemu] = {}


class ScriptedHost:
    """The QEMUs of one node.

    Guests in ``stubborn`` ignore their power button and release no device, QEMUs of those in
    ``deaf`` answer nothing, and those in ``broken`` do not start. Those in ``locked`` have locked
    their CD drives, and open them when they have been asked to so many times. Files in
    ``unreadable`` cannot be added as drives. ``agents`` are the commands that the guest agents at
    these paths were given; there is no agent at others. ``version`` is that of the program.
    ``slow`` are seconds that commands take: until they are answered, and ``quit`` until QEMU has
    ended.
    """

    def __init__(
        self,
        clock: IReactorTime,
        network: QemuNetwork,
        programs: Iterable[str],
        version: str = "7.2.0",
    ) -> None:
        self.version = version
        self.spice = True
        self.slow: dict[str, float] = {}
        self._clock = clock
        self._network = network
        self.disk = MemoryDisk()
        self.processes = MemoryProcesses(clock, dict.fromkeys(programs, self._called))
        self.processes.programs["sh"] = self._start_tpm
        self.machines: dict[str, ScriptedQemu] = {}
        self.stubborn: set[str] = set()
        self.deaf: set[str] = set()
        self.broken: dict[str, str] = {}
        self.unreadable: set[str] = set()
        self.locked: dict[str, int] = {}
        self.agents: dict[str, list[str]] = {}

    def endpoint(self, path: str) -> IStreamClientEndpoint:
        """The way to a control socket."""
        return _Endpoint(self, path)

    def machine(self, name: str) -> ScriptedQemu:
        """The living QEMU of a guest."""
        [found] = [m for m in self.machines.values() if option(m.argv, "-name") == name]
        return found

    def _start_tpm(self, ran: Ran) -> Script:
        """Start a TPM, which listens in its folder."""
        if "tpm" in self.broken:
            return Script(code=1, err=self.broken["tpm"].encode())
        folder = ran.argv[6]
        pid = self.processes.spawn()
        self.processes.alive[pid] = replace(ran, pid=pid)
        self.disk.put(f"{folder}/pid", b"%d\n" % pid, 0o644, 0)
        return Script()

    def _called(self, ran: Ran) -> Script:
        if ran.argv[1:] == ("--version",):
            return Script(out=f"QEMU emulator version {self.version} (Debian)\n".encode())
        if ran.argv[1:] == ("-machine", "help"):
            return Script(out=MACHINES.format(self.version.rpartition(".")[0]).encode())
        if ran.argv[1:] == ("-cpu", "help"):
            return Script(out=CPUS.encode())
        if ran.argv[1:] == ("-spice", "help"):
            return Script(code=1, out=b"spice options:\n" if self.spice else b"")
        name = option(ran.argv, "-name")
        if name in self.broken:
            return self._break(ran, self.broken[name].encode())
        pid = self.processes.spawn()
        self.processes.alive[pid] = replace(ran, pid=pid)
        status = "prelaunch" if "-S" in ran.argv else "running"
        if "-incoming" in ran.argv:
            status = "inmigrate"
        [chardev] = [each for each in ran.argv if each.startswith("socket,id=qmp,")]
        path = chardev.split("path=")[1].split(",")[0]
        for file in (path, option(ran.argv, "-pidfile")):
            self.disk.put(file, b"%d\n" % pid, 0o600, 0)
        self.machines[path] = ScriptedQemu(pid, ran.argv, status, host=self)
        if "-D" in ran.argv:
            self.disk.put(option(ran.argv, "-D"), b"", 0o600, 0)
        return Script()

    def _break(self, ran: Ran, why: bytes) -> Script:
        """Fail to start; with a log the reason is written there only."""
        if "-D" not in ran.argv:
            return Script(code=1, err=why)
        self.disk.put(option(ran.argv, "-D"), b"qemu-system-x86_64: " + why, 0o600, 0)
        return Script(code=1)

    def shut_down(self, path: str) -> None:
        """Shut a guest down from inside; ``path`` is the socket of its monitor."""
        self._clock.callLater(1, self._exit, self.machines[path])

    def living(self, path: str) -> ScriptedQemu | None:
        """The QEMU that listens at ``path``."""
        machine = self.machines.get(path)
        return machine if machine and machine.pid in self.processes.alive else None

    def answer(self, machine: ScriptedQemu, command: str, given: Mapping[str, Any]) -> Any:
        """What a command comes to."""
        machine.asked.append(command)
        name = option(machine.argv, "-name")
        quick: dict[str, Callable[[], Any]] = {
            "query-status": lambda: {
                "status": machine.status,
                "running": machine.status == "running",
            },
            "query-version": self._tell_version,
            "query-migrate": lambda: machine.sending,
            "stop": lambda: self._become(machine, "paused"),
            "cont": lambda: self._become(machine, "running"),
            "quit": lambda: self._quit(machine),
            "migrate": lambda: self._send(machine, given["uri"]),
            "migrate-incoming": lambda: self._await(machine, given["uri"]),
            "migrate_cancel": lambda: self._cancel(machine),
            "migrate-continue": lambda: self._continue(machine),
            "migrate-set-capabilities": lambda: (
                machine.capabilities.update(
                    {each["capability"]: each["state"] for each in given["capabilities"]}
                )
                or {}
            ),
            "migrate-set-parameters": lambda: self._set_parameters(machine, given),
            "object-add": lambda: self._add_key(machine, given["dir"]),
            "object-del": lambda: self._remove_key(machine),
            "qom-get": lambda: f"{_machine_type(machine)}-machine",
            "qom-list": lambda: [{"name": each.get("id", "")} for each in machine.plugged],
            "query-named-block-nodes": lambda: [
                *({"node-name": each} for each in machine.drives),
                *machine.blocks.describe_nodes(),
            ],
            "query-pci": lambda: [{"bus": 0, "devices": _list_devices(machine)}],
            "query-cpus-fast": lambda: self._list_threads(machine),
            "query-memory-size-summary": lambda: {"base-memory": machine.memory},
            "query-balloon": lambda: _tell_memory(machine),
            "balloon": lambda: self._inflate(machine, given["value"]),
            "blockdev-add": lambda: self._add_drive(machine, given),
            "blockdev-del": lambda: self._remove_drive(machine, given["node-name"]),
            "add-fd": lambda: self._add_set(machine),
            "getfd": lambda: self._add_named(machine, given["fdname"]),
            "screendump": lambda: _complaint(machine.find_obstacle(given["filename"])),
            "netdev_add": lambda: self._add_connection(machine, given),
            "netdev_del": lambda: _discard(machine.connections, given["id"]),
            "device_add": lambda: self._add_device(machine, given),
            "device_del": lambda: self._request_release(machine, given["id"]),
            "human-monitor-command": lambda: _list_forwards(machine),
            "eject": lambda: self._open_tray(name, given),
            "blockdev-change-medium": lambda: (
                _complaint(machine.find_obstacle(given["filename"])) or self._open_tray(name, given)
            ),
        }
        if command == "system_powerdown" and name not in self.stubborn:
            self._clock.callLater(1, self._exit, machine)
        try:
            if command in machine.blocks.commands:
                return machine.blocks.run_command(command, given)
            return quick[command]() if command in quick else {}
        except Rejected as why:
            return Complaint(str(why))

    def _add_drive(self, machine: ScriptedQemu, given: Mapping[str, Any]) -> object:
        if given["driver"] not in ("raw", "qcow2"):
            machine.blocks.insert_node(given)
            return {}
        path = given["file"]["filename"]
        if obstacle := machine.find_obstacle(path):
            return Complaint(obstacle)
        if path in self.unreadable:
            return Complaint(f"Could not open '{path}': Permission denied")
        machine.drives.add(given["node-name"])
        return {}

    def _add_set(self, machine: ScriptedQemu) -> object:
        if not machine.received:
            return Complaint("No file descriptor supplied via SCM_RIGHTS")
        number = len(machine.sets)
        machine.sets[f"/dev/fdset/{number}"] = machine.received.pop(0)
        return {"fdset-id": number, "fd": 40 + number}

    def _add_named(self, machine: ScriptedQemu, name: str) -> object:
        if not machine.received:
            return Complaint("No file descriptor supplied via SCM_RIGHTS")
        machine.named[name] = machine.received.pop(0)
        return {}

    def _add_connection(self, machine: ScriptedQemu, given: Mapping[str, Any]) -> object:
        if "ifname" in given and not machine.is_root():
            return Complaint("could not open /dev/net/tun: Permission denied")
        names = f"{given.get('fds', '')}:{given.get('vhostfds', '')}".split(":")
        if missing := [name for name in names if name and name not in machine.named]:
            return Complaint(f"File descriptor named '{missing[0]}' has not been found")
        return _add(machine.connections, given["id"])

    def _tell_version(self) -> object:
        major, minor, micro = map(int, self.version.split("."))
        return {"qemu": {"major": major, "minor": minor, "micro": micro}}

    def _remove_drive(self, machine: ScriptedQemu, name: str) -> object:
        if machine.lingering:
            machine.lingering -= 1
            return Complaint(f"Node {name} is in use")
        if name in machine.blocks.nodes:
            machine.blocks.remove_node(name)
            return {}
        return _discard(machine.drives, name)

    def _add_device(self, machine: ScriptedQemu, given: Mapping[str, Any]) -> object:
        needed = given.get("drive") or given.get("netdev")
        if needed not in machine.drives | machine.connections:
            return Complaint(f"Property can't find value '{needed}'")
        bus = given.get("bus", "")
        if not bus and any(each.startswith("pcie-root-port") for each in devices(machine.argv)):
            return Complaint("Bus 'pcie.0' does not support hotplugging")
        if bus and not any(f"id={bus}," in each for each in devices(machine.argv)):
            return Complaint(f"Bus '{bus}' not found")
        if bus in machine.ports:
            return Complaint(f"PCI: slot 0 function 0 already occupied by {bus}")
        machine.insert({name: str(value) for name, value in given.items()})
        return {}

    def _list_threads(self, machine: ScriptedQemu) -> object:
        """Tell the threads of the virtual processors, which have numbers after that of QEMU."""
        count = int(option(machine.argv, "-smp").partition(",")[0])
        threads = [machine.pid + 1 + index for index in range(count)]
        for thread in threads:
            self.disk.put(f"/proc/{machine.pid}/task/{thread}/stat", b"", 0o444, 0)
        return [{"cpu-index": index, "thread-id": thread} for index, thread in enumerate(threads)]

    def _inflate(self, machine: ScriptedQemu, value: int) -> object:
        # Without a driver, QEMU accepts the command, and nothing follows.
        if option(machine.argv, "-name") not in self.stubborn:
            self._clock.callLater(1, setattr, machine, "ballooned", machine.memory - value)
        return {}

    def _request_release(self, machine: ScriptedQemu, name: str) -> object:
        if not machine.has_device(name):
            return Complaint(f"Device '{name}' not found")
        # QEMU answers at once, and a guest releases its device later, or never.
        if option(machine.argv, "-name") not in self.stubborn:
            self._clock.callLater(1, self._release, machine, name)
        return {}

    def _release(self, machine: ScriptedQemu, name: str) -> None:
        machine.drop_device(name)

    def _open_tray(self, name: str, given: Mapping[str, Any]) -> object:
        if self.locked.get(name, 0) and not given.get("force"):
            self.locked[name] -= 1
            return Complaint(
                f"Device '{given['device']}' is locked and force was not specified, wait for tray"
                " to open and try again"
            )
        return {}

    def _become(self, machine: ScriptedQemu, status: str) -> dict[str, object]:
        machine.status = status
        return {}

    def _quit(self, machine: ScriptedQemu) -> dict[str, object]:
        if seconds := self.slow.get("quit"):
            self._clock.callLater(seconds, self._exit, machine)
            return {}
        return self._exit(machine)

    def _exit(self, machine: ScriptedQemu) -> dict[str, object]:
        self.processes.alive.pop(machine.pid, None)
        for address, other in list(self._network.awaited.items()):
            if other is machine:
                del self._network.awaited[address]
        return {}

    def _await(self, machine: ScriptedQemu, uri: str) -> object:
        if uri in self._network.awaited:
            return Complaint("Failed to bind socket: Address already in use")
        self._network.awaited[uri] = machine
        return {}

    def _send(self, machine: ScriptedQemu, uri: str) -> dict[str, object]:
        machine.sending = {"status": "active", "ram": {"transferred": 0, "total": SIZE}}
        machine.uri = uri
        pauses = machine.capabilities.get("pause-before-switchover")
        self._clock.callLater(1, self._pause if pauses else self._sent, machine, uri)
        return {}

    def _pause(self, machine: ScriptedQemu, uri: str) -> None:
        if machine.sending.get("status") == "active":
            machine.sending["status"] = "pre-switchover"
            machine.status = "finish-migrate"

    def _continue(self, machine: ScriptedQemu) -> object:
        if machine.sending.get("status") != "pre-switchover":
            return Complaint("Migration not in expected state: pre-switchover")
        machine.sending["status"] = "active"
        self._sent(machine, machine.uri)
        return {}

    def _set_parameters(self, machine: ScriptedQemu, given: Mapping[str, Any]) -> object:
        if "tls-creds" in given:
            machine.encrypts = bool(given["tls-creds"])
        return {}

    def _add_key(self, machine: ScriptedQemu, folder: str) -> object:
        """Read a key, by its path or through a descriptor of its folder."""
        if machine.key:
            return Complaint("attempt to add duplicate property 'migration-key' to object")
        if not machine.is_root() and not folder.startswith("/proc/self/fd/"):
            return Complaint(f"Unable to access {folder}: Permission denied")
        keys = [path for path in self.disk.contents() if path.endswith("/keys.psk")]
        machine.key = self.disk.contents()[keys[-1]].decode()
        return {}

    def _remove_key(self, machine: ScriptedQemu) -> object:
        if not machine.key:
            return Complaint("object 'migration-key' not found")
        machine.key = ""
        return {}

    def _sent(self, machine: ScriptedQemu, uri: str) -> None:
        # It was cancelled in the meantime.
        if machine.sending.get("status") != "active":
            return
        there = self._network.awaited.pop(uri, None)
        if there is None:
            machine.sending = {"status": "failed", "error-desc": "Connection refused"}
            return
        here_key, there_key = (each.key if each.encrypts else "" for each in (machine, there))
        if here_key != there_key:
            machine.sending = {"status": "failed", "error-desc": "TLS handshake failed"}
            return
        if why := _mismatch(machine, there):
            there.fail(why)
            machine.sending = {"status": "failed", "error-desc": "Connection reset by peer"}
            return
        there.status, machine.status = machine.status, "postmigrate"
        if "-S" in there.argv:
            there.status = "paused"
        ram = {"transferred": SIZE, "total": SIZE}
        machine.sending = {"status": "completed", "downtime": 7, "ram": ram}

    def _cancel(self, machine: ScriptedQemu) -> dict[str, object]:
        machine.sending = {"status": "cancelled"}
        return {}


def _machine_type(machine: ScriptedQemu) -> str:
    return option(machine.argv, "-machine").partition(",")[0]


def _list_devices(machine: ScriptedQemu) -> list[dict[str, object]]:
    return [
        {"slot": slot, "qdev_id": device.get("id", "")} for slot, device in machine.slots.items()
    ]


def _list_forwards(machine: ScriptedQemu) -> str:
    """The answer to ``info usernet``: what is forwarded, at ports that QEMU has chosen."""
    found = [
        each.rpartition(":")[2]
        for option, value in zip(machine.argv, machine.argv[1:], strict=False)
        if option == "-netdev"
        for each in value.split(",")
        if each.startswith("hostfwd=")
    ]
    lines = ["  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ"]
    lines += [
        f"  TCP[HOST_FORWARD]   9       127.0.0.1 {40000 + number}       10.0.2.15 {port:>5}"
        "     0     0"
        for number, port in enumerate(found)
    ]
    return "\r\n".join([*lines, ""])


def _tell_memory(machine: ScriptedQemu) -> object:
    if not machine.has_device("balloon"):
        return Complaint("No balloon device has been activated")
    return {"actual": machine.memory - machine.ballooned}


def _complaint(obstacle: str) -> object:
    return Complaint(obstacle) if obstacle else {}


def _add(names: set[str], name: str) -> object:
    names.add(name)
    return {}


def _discard(names: set[str], name: str) -> object:
    if name not in names:
        return Complaint(f"Device '{name}' not found")
    names.remove(name)
    return {}


def _mismatch(here: ScriptedQemu, there: ScriptedQemu) -> str:
    """Why what is sent does not fit what awaits it."""
    sender, receiver = here.argv, there.argv
    for name, text in (
        ("-machine", "Machine type received is '{0}' and local is '{1}'"),
        ("-m", "Size mismatch: pc.ram: {0} != {1}: Invalid argument"),
        ("-smp", "Unknown savevm section or instance 'cpu' ({0}, {1})"),
    ):
        sent, awaited = option(sender, name), option(receiver, name)
        if sent != awaited:
            return text.format(sent, awaited)
    sent_devices, awaited_devices = _device_types(here), _device_types(there)
    if sent_devices != awaited_devices:
        return f"Unknown savevm section or instance: {sent_devices} and {awaited_devices}"
    return ""


def _device_types(machine: ScriptedQemu) -> list[tuple[str, str]]:
    """The devices by their addresses and ports; ids are not part of what is sent."""
    ports = [each for each in devices(machine.argv) if each.startswith("pcie-root-port")]
    found = [(str(slot), device["driver"]) for slot, device in machine.slots.items()]
    found += [(port, device["driver"]) for port, device in machine.ports.items()]
    return [*sorted(found), *(("root port", each) for each in ports)]


def devices(argv: tuple[str, ...]) -> list[str]:
    """The devices of a machine, in their order."""
    return [argv[at + 1] for at, each in enumerate(argv) if each == "-device"]


def option(argv: tuple[str, ...], name: str) -> str:
    """The argument that follows the option ``name``."""
    return argv[argv.index(name) + 1]


@implementer(IStreamClientEndpoint)
class _Endpoint:
    def __init__(self, host: ScriptedHost, path: str) -> None:
        self._host = host
        self._path = path

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self._path in self._host.agents:
            answered = protocolFactory.buildProtocol(UNIXAddress(self._path))
            assert answered is not None
            answered.makeConnection(_AgentLine(self._host, self._path, answered))
            return succeed(answered)
        machine = self._host.living(self._path)
        if machine is None:
            return fail(ConnectionRefusedError())
        protocol = protocolFactory.buildProtocol(UNIXAddress(self._path))
        assert protocol is not None
        line = _Line(self._host, machine, protocol)
        protocol.makeConnection(line)
        line.say(GREETING)
        return succeed(protocol)


class _AgentLine(StringTransport):
    """The channel of a guest's agent."""

    def __init__(self, host: ScriptedHost, path: str, protocol: IProtocol) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._host, self._path, self._other = host, path, protocol

    def write(self, data: bytes) -> None:
        asked = msgspec.json.decode(data.lstrip(b"\xff"))
        command = asked["execute"]
        if command == "guest-sync-delimited":
            answer = b'\xff{"return": %d}\n' % asked["arguments"]["id"]
        else:
            self._host.agents[self._path].append(command)
            if command == "guest-shutdown":
                self._host.shut_down(self._path.removesuffix(".agent") + ".qmp")
                return
            answer = b'{"return": 2}\n'
        self._host._clock.callLater(0, self._other.dataReceived, answer)


@implementer(IUNIXTransport)
class _Line(StringTransport):
    """A connection to a QEMU, which answers in a later turn."""

    def __init__(self, host: ScriptedHost, machine: ScriptedQemu, protocol: IProtocol) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._host = host
        self._machine = machine
        self._other = protocol

    def say(self, what: object, later: float = 0) -> None:
        if option(self._machine.argv, "-name") not in self._host.deaf:
            data = msgspec.json.encode(what) + b"\r\n"
            self._host._clock.callLater(later, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if not self.disconnecting:
            self._other.dataReceived(data)

    def write(self, data: bytes) -> None:
        asked = msgspec.json.decode(data)
        answer = self._host.answer(self._machine, asked["execute"], asked.get("arguments", {}))
        if isinstance(answer, Complaint):
            self.say({"error": {"class": "GenericError", "desc": str(answer)}})
        else:
            later = 0 if asked["execute"] == "quit" else self._host.slow.get(asked["execute"], 0)
            self.say({"return": answer}, later)

    def sendFileDescriptor(self, descriptor: int) -> None:
        self._machine.received.append(descriptor)

    def loseConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            # As Twisted does: not within this call.
            self._host._clock.callLater(0, self._other.connectionLost, Failure(ConnectionDone()))
