# SPDX-License-Identifier: BSD-2-Clause
"""Makes the files besides Python that the wheel installs below ``share``.

They are what ``make install`` installs: manual pages, OS definitions, the web console, scripts for
shells, and the templates of services, from which ``ganeti-services`` makes those of the host.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent


def make_shared_data(shared: Path) -> None:
    """Make the tree of files that are installed below ``share``."""
    make_manual_pages(shared / "man")
    make_os_definitions(shared / "ganeti" / "os")
    _copy_console(shared / "ganeti" / "ui")
    make_services(shared / "ganeti" / "services")
    make_completions(shared)


def make_os_definitions(folder: Path) -> None:
    """Copy the OS definitions into a folder."""
    _copy(TREE / "os", folder)


def make_services(folder: Path) -> None:
    """Copy the templates of services into a folder."""
    _copy(TREE / "daemons" / "systemd", folder / "systemd", ".in")
    for template in (TREE / "daemons").glob("*.in"):
        if template.name.startswith(("ganeti.", "daemon-util.")):
            _copy(template, folder / template.name)


def make_completions(shared: Path) -> None:
    """Copy the scripts with which shells complete command lines."""
    folder = shared / "bash-completion" / "completions"
    for launcher in (TREE / "daemons").glob("gnt-*.in"):
        _copy(TREE / "completion" / "ganeti.bash", folder / launcher.stem)
    _copy(TREE / "completion" / "_ganeti", shared / "zsh" / "site-functions" / "_ganeti")


def make_manual_pages(folder: Path) -> None:
    """Write the manual pages into folders of their sections, such as ``man8``."""
    from tools.manual import page

    for source in sorted((TREE / "man").glob("*.in")):
        name = source.name.removesuffix(".in")
        target = folder / f"man{name[-1]}" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page(source.read_text(encoding="utf-8")), encoding="utf-8")


def _copy_console(folder: Path) -> None:
    """Copy the web console, with its libraries if they can be had."""
    for name in ("index.html", "waiting.html", "icon.svg", "style.css", "package-lock.json", "src"):
        _copy(TREE / "ui" / name, folder / name)
    if shutil.which("npm") is None:
        print("without the libraries of the web console, as there is no npm", file=sys.stderr)
        return
    libraries = TREE / "build" / "console"
    libraries.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        _copy(TREE / "ui" / name, libraries / name)
    subprocess.run(["npm", "ci", "--omit=dev", "--loglevel=error"], check=True, cwd=libraries)
    _copy(libraries / "node_modules", folder / "node_modules")
    _copy(libraries / "package-lock.json", folder / "node_modules" / ".fetched-lock.json")


def _copy(source: Path, target: Path, suffix: str = "") -> None:
    """Copy a file with its mode, or a folder: its files that end like this."""
    if source.is_dir():
        for each in source.iterdir():
            if each.is_dir() or (each.name.endswith(suffix) and each.name != "__pycache__"):
                _copy(each, target / each.name, suffix)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
