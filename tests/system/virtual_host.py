# SPDX-License-Identifier: BSD-2-Clause
"""A host that QEMU emulates, whose watchdog devices reset it.

It has a guest (a process that stands for QEMU) with a lease that something renews each second, and
``ganeti-watchdog`` of this tree, which has armed the device. It is booted once; its state is saved,
and each scenario begins with that.

Its time is counted in instructions: however busy this machine is, nothing in it is late, and when
it waits, its time passes at once (``-icount`` with ``sleep=off``). So what it does is told to it as
a whole, by a scenario: between two commands, minutes could pass.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRecord
from ganeti.hypervisor.kvm.runtime_paths import places
from ganeti.node.guest_lease import LEASE_NOTE
from ganeti.paths import Paths
from ganeti.rpc.guest_lease import LEASE
from tests.system import watchdog_life
from tests.system.emulated_machine import KERNEL_OPTIONS, TIMEOUT, Machine, require_emulator
from tests.system.linux import MINI
from tests.system.python_archive import PYTHON_HOME, add_python, list_modules
from tests.system.running import eventually
from tools.mini_initrd import Archive

INITRD = MINI / "host" / "initrd.img"

I6300ESB, SOFTDOG = 0, 1
"""The numbers of the devices."""

PATHS = Paths()
"""Those of an installed node: the virtual host is one."""

GUEST = "web1"
_CONTROL = f"{PATHS.run}/kvm/control"
_RECORD = GuestRecord(name=GUEST, memory=1, vcpus=1, place=GuestPhase.STARTING)

_FUNCTIONS = """
lease={run}/guest-lease
boot=$(cat /proc/sys/kernel/random/boot_id)
read_now() {{ read -r now _ < /proc/uptime; }}
mark() {{ read_now; echo "mark $1 $now"; }}
protect() {{ echo "$1" > /protected; write_lease; }}
write_lease() {{
  read_now
  read -r protected < /protected
  end=$((${{now%.*}} + {seconds})).${{now#*.}}
  printf '{{"boot_id":"%s","protected":%s,"end":%s}}' $boot $protected $end > $lease/.{note}
  mv $lease/.{note} $lease/{note}
}}
renew_leases() {{
  while sleep 1; do [ -e /silent ] || write_lease; done
}}
start_guest() {{
  mkdir -p {control} {run}/kvm/guests
  mkfifo /endless
  ( setsid sh -c 'read -r nothing < /endless' qemu -pidfile {pid} & echo $! > {pid} )
  printf %s '{record}' > {run}/kvm/guests/{guest}
  read -r guest < {pid}
}}
start_watchdog() {{
  PYTHONHOME={python} {python}/bin/python -S -c '
from ganeti.daemon.watchdogd import main
raise SystemExit(main())' "$@" || echo "ganeti-watchdog does not start"
  read -r watchdog < {run}/ganeti-watchdog.pid
}}
wait_for_device() {{
  until [ "$(cat /sys/class/watchdog/watchdog$1/state)" = "$2" ]; do sleep 0.1; done
}}
look_at_all() {{
  while sleep 0.2; do
    read_now
    running=no
    [ ! -d /proc/$guest ] || running=yes
    read -r state < /sys/class/watchdog/watchdog$1/state
    echo "seen $now $running $state"
  done
}}
"""


class Sighting(msgspec.Struct, frozen=True):
    """What was seen at a time: whether the guest ran, and whether the device counted down."""

    at: float
    guest: bool
    counts_down: bool


@dataclass(frozen=True)
class History:
    """What was seen in a scenario.

    ``reset`` is whether the host was reset in the end, and ``by_esb`` whether its Intel 6300ESB has
    done it. ``times`` are in seconds since the boot of the host, by the names of the marks.
    """

    seen: Sequence[Sighting]
    times: dict[str, float]
    reset: bool
    by_esb: bool
    output: str

    @property
    def end(self) -> float:
        """When the host was last seen: within a fifth of a second before a reset."""
        return self.seen[-1].at

    @property
    def guest_end(self) -> float:
        """When the guest was last seen."""
        return max(each.at for each in self.seen if each.guest)

    @property
    def device_end(self) -> float:
        """When the device was last seen to count down."""
        return max(each.at for each in self.seen if each.counts_down)


def require_virtual_host() -> None:
    """Skip a test where there is no QEMU, or nothing that it could boot."""
    require_emulator(INITRD)


def play(scenario: str, device: int = I6300ESB) -> History:
    """Let a scenario happen on a host that has booted; return what was seen until its end.

    It is a script of the host's shell, with the functions and variables above, and may be
    interrupted by a reset.
    """
    with _Machine(_saved_host(), "-incoming", f"exec:cat {_saved_host()}/state") as machine:
        eventually(lambda: machine.ask("query-status")["status"] == "paused", TIMEOUT)
        machine.ask("cont")
        machine.type(f"look_at_all {device} &\n{scenario}\necho scenario is over\n")
        text = machine.read_until("scenario is over\n")
        events = machine.end()
    seen = [
        Sighting(float(at), guest == "yes", state == "active")
        for at, guest, state in re.findall(r"^seen (\S+) (\w+) (\w+)$", text, re.MULTILINE)
    ]
    times = {name: float(at) for name, at in re.findall(r"^mark (\w+) (\S+)$", text, re.MULTILINE)}
    reasons = [each["data"]["reason"] for each in events if each["event"] == "SHUTDOWN"]
    by_esb = any(each["event"] == "WATCHDOG" for each in events)
    return History(seen, times, "guest-reset" in reasons, by_esb, text)


@cache
def _saved_host() -> Path:
    """Boot a host, and return the folder with its saved state."""
    folder = Path(tempfile.mkdtemp(prefix="ganeti-host-"))
    atexit.register(shutil.rmtree, folder)
    first = INITRD.read_bytes()
    # An archive that is not compressed has to begin at a multiple of four bytes.
    (folder / "initrd").write_bytes(first + bytes(-len(first) % 4) + _more_files(folder))
    with _Machine(folder) as machine:
        machine.read_until("mini: host is up\n")
        machine.type(
            ". /functions\nmkdir -p $lease\nprotect true\nrenew_leases &\nstart_guest\n"
            f"start_watchdog\nwait_for_device {I6300ESB} active\necho host is ready\n"
        )
        machine.read_until("host is ready\n")
        machine.ask("stop")
        machine.ask("migrate", uri=f"exec:cat > {folder}/state")
        eventually(lambda: machine.ask("query-migrate")["status"] == "completed", TIMEOUT)
    return folder


def _more_files(folder: Path) -> bytes:
    """Return an archive with the watchdog, and the functions of scenarios."""
    made = Archive()
    whole_life = Path(watchdog_life.__file__).read_text() + "live()\n"
    add_python(made, list_modules(whole_life, {"GANETI_ROOTDIR": str(folder / "trial")}))
    functions = _FUNCTIONS.format(
        run=PATHS.run,
        note=LEASE_NOTE,
        seconds=round(LEASE),
        control=_CONTROL,
        pid=places(_CONTROL, GUEST).pid,
        record=msgspec.json.encode(_RECORD).decode(),
        guest=GUEST,
        python=PYTHON_HOME,
    )
    made.file("functions", functions.encode())
    return made.content()


class _Machine(Machine):
    """A machine with the files of a folder; its first serial port is the host's shell."""

    def __init__(self, files: Path, *options: str) -> None:
        self._received = b""
        super().__init__(lambda shell: [*_options(files / "initrd", shell), *options])

    def __enter__(self) -> _Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def type(self, text: str) -> None:
        """Type something for the host's shell."""
        self.port.sendall(text.encode())

    def read_until(self, mark: str) -> str:
        """Return what the host shows until it shows ``mark``, or ends."""
        while mark.encode() not in self._received:
            received = self.port.recv(1 << 16)
            if not received:
                # It ends by itself, after it has said why.
                self.wait()
                break
            # The terminal may end lines as terminals do.
            self._received += received.replace(b"\r", b"")
        before, _, self._received = self._received.partition(mark.encode())
        return before.decode(errors="replace")


def _options(initrd: Path, shell: str) -> list[str]:
    return [
        *("-accel", "tcg", "-icount", "shift=0,sleep=off", "-m", "384"),
        *("-initrd", str(initrd), "-append", KERNEL_OPTIONS, "-serial", shell),
        *("-device", "i6300esb"),
        # A reset ends QEMU: what it has booted then need not be waited for.
        *("-action", "watchdog=reset,reboot=shutdown"),
    ]
