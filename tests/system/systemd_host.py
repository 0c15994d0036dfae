# SPDX-License-Identifier: BSD-2-Clause
"""A host with a running systemd: the root of this host, in namespaces, with changes put aside."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.system.linux import MINI
from tests.system.running import TIMEOUT, eventually
from tools.quickstart.place import TREE

SYSTEMD = "/lib/systemd/systemd"
CLUSTER, CLUSTER_ADDRESS = "cluster.example.com", "192.0.2.100"
MAX_HOSTS = 2

PATIENCE = 3 * TIMEOUT
"""Seconds that a boot, a shutdown or a restart of a daemon may take on a busy machine."""

PREFIX = "/usr/lib/ganeti"
_SOURCE, _PYTHON, _ENVIRONMENT = (
    f"{PREFIX}/{each}" for each in ("source", "python", "environment")
)
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = f"{_ENVIRONMENT}/bin/python3"
GUEST = "/srv/mini"
"""Where a kernel and an initial RAM disk for a guest are."""

_NETWORK = """\
[Unit]
DefaultDependencies=no
Before=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/sbin/ldconfig
ExecStart=/sbin/ip link add br0 type bridge
ExecStart=/sbin/ip link set br0 up
ExecStart=/sbin/ip address add %s/24 dev br0
"""


def _name(number: int) -> str:
    return f"node{number}.example.com"


def _address(number: int) -> str:
    return f"192.0.2.{number}"


_HOSTS = "".join(
    f"{line}\n"
    for line in (
        "127.0.0.1 localhost",
        f"{CLUSTER_ADDRESS} {CLUSTER}",
        *(f"{_address(each)} {_name(each)} node{each}" for each in range(1, MAX_HOSTS + 1)),
    )
)

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require_systemd() -> None:
    """Skip a test where a systemd cannot be booted."""
    if os.geteuid() != 0:
        raise SkipTest("namespaces and mounts need root")
    if not os.path.exists(SYSTEMD):
        raise SkipTest("there is no systemd here that could be booted: install systemd")
    if " cgroup2 " not in Path("/proc/mounts").read_text():
        raise SkipTest("there are no cgroups of version 2 here")


class SystemdHost:
    """A host on which the daemons of this source tree are installed with their units.

    It can be booted again after it was shut down or its power was cut. It is one of several by its
    ``number``, and has folders of this host at other places: ``binds``, by their places there.
    """

    def __init__(self, number: int = 1, binds: Mapping[str, Path] | None = None) -> None:
        self.number = number
        self.name = _name(number)
        self._binds = binds or {}
        self.home = Path(tempfile.mkdtemp(prefix="gnt-systemd-"))
        self._upper = self.home / "upper"
        self._boot: subprocess.Popen[bytes] | None = None
        self._install()

    def _install(self) -> None:
        """Write what differs from the root of this host."""
        # Only our units: those of other programs on this host have nothing to do with the test.
        for kind in ("multi-user", "timers", "sockets", "getty", "network-online"):
            folder = self._upper / f"etc/systemd/system/{kind}.target.wants"
            folder.mkdir(parents=True)
            os.setxattr(folder, "trusted.overlay.opaque", b"y")
        self.write("/etc/fstab", "")
        self.write("/etc/hostname", f"{self.name.partition('.')[0]}\n")
        self.write("/etc/hosts", _HOSTS)
        # The same for all boots, so that the journal has them all.
        self.write("/etc/machine-id", f"{secrets.token_hex(16)}\n")
        (self._upper / "var/log/journal").mkdir(parents=True)
        network = _NETWORK % _address(self.number)
        self.write("/etc/systemd/system/test-network.service", network)
        self._enable("test-network.service", "multi-user")
        # Python and its libraries may be in a home folder, which most daemons must not see.
        self.write(f"{_ENVIRONMENT}/pyvenv.cfg", f"home = {_PYTHON}/bin\n")
        self.write("/etc/ld.so.conf.d/python.conf", f"{_PYTHON}/lib\n")
        link = self._upper / PYTHON.lstrip("/")
        link.parent.mkdir()
        link.symlink_to(f"{_PYTHON}/bin/{_VERSION}")
        fill = {
            "PYTHON": PYTHON,
            "pythondir": _SOURCE,
            "sbindir": "/usr/sbin",
            "prefix": "/usr",
            "sysconfdir": "/etc",
            "localstatedir": "/var",
            "group": "gntadmin",
        }
        places = {
            "ganeti.sysusers": "/usr/lib/sysusers.d/ganeti.conf",
            "ganeti.tmpfiles": "/usr/lib/tmpfiles.d/ganeti.conf",
            "ganeti.modprobe": "/usr/lib/modprobe.d/ganeti.conf",
            "ganeti.cron": "/etc/cron.d/ganeti",
            "ganeti.init": "/etc/init.d/ganeti",
            "ganeti.logrotate": "/etc/logrotate.d/ganeti",
            "daemon-util": f"{PREFIX}/daemon-util",
        }
        for source in sorted(TREE.joinpath("daemons").rglob("*.in")):
            text = source.read_text()
            for name, value in fill.items():
                text = text.replace(f"@{name}@", value)
            unit = source.parent.name == "systemd"
            place = places.get(source.stem, f"/usr/sbin/{source.stem}")
            self.write(
                f"/lib/systemd/system/{source.stem}" if unit else place,
                text,
                0o644 if unit else 0o755,
            )
            if unit and "[Install]" in text:
                target = "timers" if source.stem.endswith(".timer") else "multi-user"
                self._enable(source.stem, target)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the host while it is down."""
        # Links of folders that are part of the root: /lib is /usr/lib.
        place = (
            self._upper
            / os.path.realpath(os.path.dirname(path)).lstrip("/")
            / os.path.basename(path)
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def _enable(self, unit: str, target: str) -> None:
        link = self._upper / f"etc/systemd/system/{target}.target.wants/{unit}"
        where = "/etc" if unit.startswith("test-") else "/lib"
        link.symlink_to(f"{where}/systemd/system/{unit}")

    def boot(self) -> None:
        """Boot the host; its units have started when this returns."""
        (self.home / "pid").unlink(missing_ok=True)
        libraries = f"lib/{_VERSION}/site-packages"
        binds = [
            f"{TREE}={_SOURCE}",
            f"{TREE}/os=/usr/share/ganeti/os",
            f"{sys.base_prefix}={_PYTHON}",
            f"{sys.prefix}/{libraries}={_ENVIRONMENT}/{libraries}",
        ]
        binds += [f"{source}={place}" for place, source in self._binds.items()]
        if MINI.is_dir():
            binds.append(f"{MINI}={GUEST}")
        self._boot = subprocess.Popen(
            [
                # It ends with this process, whatever ends that.
                *("setpriv", "--pdeathsig", "TERM"),
                *(str(TREE / "tools" / "boot-root"), "--over", str(self.home)),
                *(word for bind in binds for word in ("--bind", bind)),
                "/",
            ],
        )
        eventually(lambda: self._pid() is not None, PATIENCE)
        eventually(
            lambda: self.run("systemctl", "--quiet", "is-active", "dbus.socket").returncode == 0,
            PATIENCE,
        )
        self.run("systemctl", "is-system-running", "--wait")

    def connect(self, other: SystemdHost) -> None:
        """Connect the bridges of two running hosts, until one of them ends."""
        here, there = self._pid(), other._pid()
        cable = f"ip link add uplink type veth peer name uplink netns {there}"
        subprocess.run(
            ["nsenter", "--target", str(here), "--net", *cable.split()],
            check=True,
            timeout=PATIENCE,
        )
        for each in (self, other):
            each.succeed("ip", "link", "set", "uplink", "master", "br0", "up")

    def _pid(self) -> int | None:
        try:
            return int((self.home / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def run(self, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command on the host."""
        enter = ["nsenter", "--target", str(self._pid()), "--all", "--root", "--wd", "env", "-i"]
        return subprocess.run(
            [*enter, f"PATH={_PATH}", "HOME=/root", "LC_ALL=C.UTF-8", *words],
            input=said,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def succeed(self, *words: str) -> str:
        """Run a command on the host, which must succeed; return its output."""
        done = self.run(*words)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.show_all(unit, name)[0]

    def show_all(self, unit: str, *names: str) -> list[str]:
        """Return properties of a unit as they are at one moment."""
        shown = self.succeed("systemctl", "show", f"--property={','.join(names)}", unit)
        # In an order of their own.
        found = dict(line.partition("=")[::2] for line in shown.splitlines())
        return [found[name] for name in names]

    def shut_down(self) -> None:
        """Shut the host down, as an administrator does."""
        self.run("systemctl", "poweroff")
        self._await_end()

    def cut_power(self) -> None:
        """End all processes of the host at once."""
        if (pid := self._pid()) is not None:
            os.kill(pid, signal.SIGKILL)
        self._await_end()

    def _await_end(self) -> None:
        if self._boot is not None:
            self._boot.wait(PATIENCE)
            self._boot = None

    def journal(self, *words: str) -> str:
        """Return what the journal has, of the present boot unless ``words`` say otherwise."""
        return self.run("journalctl", "--no-pager", *(words or ("--boot",))).stdout

    def remove(self) -> None:
        if self._boot is not None:
            self.cut_power()
        shutil.rmtree(self.home)
