# SPDX-License-Identifier: BSD-2-Clause
"""Makes the daemons of an environment of Python services of its host.

``pip install`` puts files below the prefix of the environment only. ``ganeti-services install``
adds to the host what ``make install`` adds: links to the commands, units of systemd, the init
script, ``daemon-util``, cron jobs, and the users of the daemons; ``ganeti-services remove`` removes
it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ganeti.errors import Refused
from ganeti.paths import ADMINISTRATORS, DATADIR, LOCALSTATEDIR, SYSCONFDIR, Paths

PREFIX = "/usr/local"
"""Where files of the host are installed: packages of the distribution have theirs elsewhere."""

_UNITS = f"{PREFIX}/lib/systemd/system"
_DAEMON_UTIL = f"{PREFIX}/lib/ganeti/daemon-util"

_TARGETS: Mapping[str, str] = {
    "daemon-util": _DAEMON_UTIL,
    "ganeti.init": f"{SYSCONFDIR}/init.d/ganeti",
    "ganeti.cron": f"{SYSCONFDIR}/cron.d/ganeti",
    "ganeti.logrotate": f"{SYSCONFDIR}/logrotate.d/ganeti",
    "ganeti.modprobe": f"{PREFIX}/lib/modprobe.d/ganeti.conf",
    "ganeti.sysusers": f"{PREFIX}/lib/sysusers.d/ganeti.conf",
    "ganeti.tmpfiles": f"{PREFIX}/lib/tmpfiles.d/ganeti.conf",
}
"""The place of each file on the host; units of systemd go to one folder."""

_PROGRAMS = frozenset({"daemon-util", "ganeti.init"})

_PACKAGED = ("/usr/sbin/ganeti-noded", "/usr/bin/ganeti-noded")
"""The node daemon of packages, whose units have the same names."""

_MARKER = re.compile(r"@(\w+)@")


@dataclass(frozen=True)
class Environment:
    """An environment of Python with this software: its programs, and the templates of services."""

    python: str
    programs: str
    templates: str

    @classmethod
    def running(cls) -> Environment:
        """Return the environment that runs this program."""
        return cls(sys.executable, sysconfig.get_path("scripts"), f"{DATADIR}/ganeti/services")

    def fill(self, template: str) -> str:
        """Return the text of a template with what holds here in place of its markers."""
        values = {
            "PYTHON": self.python,
            "sbindir": self.programs,
            "sysconfdir": SYSCONFDIR,
            "localstatedir": LOCALSTATEDIR,
            "group": ADMINISTRATORS,
            "datadir": DATADIR,
            "prefix": PREFIX,
        }
        return _MARKER.sub(lambda found: values.get(found[1], found[0]), template)

    def list_programs(self) -> list[str]:
        """Return the names of the programs that the host gets links to."""
        return sorted(
            name
            for name in os.listdir(self.programs)
            if name.startswith(("gnt-", "ganeti-")) or name == "move-instance"
        )


class HostServices:
    """The files of the host that belong to an environment; ``root`` is empty but in tests."""

    def __init__(self, environment: Environment, root: str = "") -> None:
        self._environment = environment
        self._root = root

    def install(self) -> list[str]:
        """Write all files, also over those of another release, and return their paths.

        :raises Refused: packages own the services of this host, or there are no templates.
        """
        for path in _PACKAGED:
            if os.path.exists(self._root + path) and not os.path.islink(self._root + path):
                raise Refused(
                    f"{path} belongs to a package, whose units have the same names; remove the"
                    " package first: apt-get remove ganeti-node"
                )
        written = []
        for template, path in self._list_files():
            with open(template, encoding="utf-8") as file:
                text = self._environment.fill(file.read())
            self._write(path, text, 0o755 if _name_of(template) in _PROGRAMS else 0o644)
            written.append(path)
        for path, program in self._list_links():
            self._link(path, program)
            written.append(path)
        return written

    def remove(self) -> list[str]:
        """Remove what ``install`` has written, and return the paths.

        :raises Refused: this node is still part of a cluster.
        """
        if os.path.exists(self._root + Paths().node_certificate):
            raise Refused(
                "this host is a node of a cluster; remove it from the cluster first: gnt-node"
                " remove, or gnt-cluster destroy on the last one"
            )
        removed = []
        for _, path in self._list_files():
            if os.path.exists(self._root + path):
                os.remove(self._root + path)
                removed.append(path)
        for path, program in self._list_links():
            if os.path.islink(self._root + path) and os.readlink(self._root + path) == program:
                os.remove(self._root + path)
                removed.append(path)
        # An administrator may have OS definitions there.
        with suppress(OSError):
            os.rmdir(self._root + os.path.dirname(_DAEMON_UTIL))
        return removed

    def list_enabled(self) -> list[str]:
        """Return the units that systemd starts by itself: those that say by what."""
        units = []
        for template, path in self._list_files():
            with open(template, encoding="utf-8") as file:
                if path.startswith(_UNITS) and "\n[Install]\n" in file.read():
                    units.append(os.path.basename(path))
        return units

    def _list_files(self) -> Iterator[tuple[str, str]]:
        """Yield each template with its place on the host.

        :raises Refused: there are none.
        """
        folder = self._environment.templates
        if not os.path.isdir(folder):
            raise Refused(
                f"there is no {folder}: this is not an environment with the wheel; in a checkout,"
                " run make install"
            )
        for name, path in _TARGETS.items():
            yield f"{folder}/{name}.in", path
        for name in sorted(os.listdir(f"{folder}/systemd")):
            yield f"{folder}/systemd/{name}", f"{_UNITS}/{name.removesuffix('.in')}"

    def _list_links(self) -> Iterator[tuple[str, str]]:
        for name in self._environment.list_programs():
            yield f"{PREFIX}/sbin/{name}", f"{self._environment.programs}/{name}"

    def _write(self, path: str, text: str, mode: int) -> None:
        target = self._root + path
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        with open(f"{target}.new", "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
        os.replace(f"{target}.new", target)

    def _link(self, path: str, program: str) -> None:
        target = self._root + path
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        if os.path.lexists(f"{target}.new"):
            os.remove(f"{target}.new")
        os.symlink(program, f"{target}.new")
        os.replace(f"{target}.new", target)


def _name_of(template: str) -> str:
    return os.path.basename(template).removesuffix(".in")


def main(arguments: Sequence[str] | None = None) -> int:
    """Install or remove the services of this host; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="ganeti-services",
        description="Makes the daemons of this environment of Python services of the host.",
    )
    parser.add_argument("action", choices=("install", "remove"))
    installs = parser.parse_args(arguments).action == "install"
    services = HostServices(Environment.running())
    try:
        if not installs:
            _run_systemctl("disable", "--quiet", *services.list_enabled())
        for path in services.install() if installs else services.remove():
            print(path)
        told = [_create_users(), _run_systemctl("daemon-reload")] if installs else []
        if installs:
            told.append(_run_systemctl("enable", "--quiet", *services.list_enabled()))
    except (Refused, OSError) as e:
        print(f"ganeti-services: {e}", file=sys.stderr)
        return 1
    return 0 if all(told) else 1


def _create_users() -> bool:
    """Create the users of the daemons, and their folders; return whether that succeeded."""
    commands = (["systemd-sysusers"], ["systemd-tmpfiles", "--create", "ganeti.conf"])
    for command in commands:
        if shutil.which(command[0]) is None:
            problem = f"there is no {command[0]}, so that all daemons run as root"
            print(f"ganeti-services: {problem}", file=sys.stderr)
        elif subprocess.run(command, check=False).returncode:
            return False
    return True


def _run_systemctl(*arguments: str) -> bool:
    """Tell systemd something, if it runs; return whether that succeeded."""
    if not os.path.isdir("/run/systemd/system"):
        return True
    return subprocess.run(["systemctl", *arguments], check=False).returncode == 0
