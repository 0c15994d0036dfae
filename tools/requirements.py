# SPDX-License-Identifier: BSD-2-Clause
"""Compares what pyproject.toml asks for with what this Python has.

Prints the requirements that are not met, one a line; older packages do not meet them. Groups are
names of optional dependencies, such as ``test``.
"""

from __future__ import annotations

import re
import sys
import tomllib
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def required(groups: Sequence[str] = ()) -> list[str]:
    """Return the requirements ``NAME>=VERSION`` of the project and of its optional groups."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    wanted: list[str] = list(project["dependencies"])
    for group in groups:
        wanted += project["optional-dependencies"][group]
    return wanted


def lowest(requirement: str) -> str:
    """Return the requirement that only the lowest version of ``NAME>=VERSION`` meets."""
    return requirement.replace(">=", "==")


def lacking(requirement: str) -> bool:
    """Return whether a requirement ``NAME>=VERSION`` is not met.

    What extras such as ``NAME[tls]`` bring is not looked for; list it, too.
    """
    name, least = _parts(requirement)
    try:
        return _numbers(version(name)) < _numbers(least)
    except PackageNotFoundError:
        return True


def check(package: str, module: str, wanted: Sequence[str] | None = None) -> tuple[bool, str]:
    """Return whether a package is new enough and its ``module`` can be imported.

    With it goes the version, or what is wrong.
    """
    least = dict(map(_parts, wanted or required()))[package]
    try:
        found = version(package)
    except PackageNotFoundError:
        return False, f"not installed; {least} or newer is needed"
    if lacking(f"{package}>={least}"):
        return False, f"{found} is too old; {least} or newer is needed"
    try:
        import_module(module)
    except Exception as e:  # such as a shared library that is missing
        return False, f"{found} does not work: {e}"
    return True, found


def _parts(requirement: str) -> tuple[str, str]:
    """Return the name, without extras, and the lowest version."""
    name, _, least = requirement.partition(">=")
    return name.partition("[")[0], least


def _numbers(text: str) -> list[int]:
    found = re.match(r"[\d.]*", text)
    assert found is not None
    return [int(part) for part in found[0].split(".") if part]


def main() -> int:
    """Run the program; its exit code."""
    options = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("groups", nargs="*", metavar="GROUP", help="also what these groups need")
    options.add_argument(
        "--lowest",
        action="store_true",
        help="print all requirements, each as its lowest version and no other",
    )
    options.add_argument(
        "--check",
        nargs=2,
        metavar=("PACKAGE", "MODULE"),
        help="look at one package, and whether a module of it can be imported",
    )
    chosen = options.parse_args()
    if chosen.check:
        works, told = check(*chosen.check)
        print(told)
        return 0 if works else 1
    wanted = required(chosen.groups)
    print(*(map(lowest, wanted) if chosen.lowest else filter(lacking, wanted)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
