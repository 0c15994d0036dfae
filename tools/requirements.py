# SPDX-License-Identifier: BSD-2-Clause
"""Prints what pyproject.toml asks for and this Python lacks, one requirement a line.

Arguments are names of optional groups, such as ``test``. Older packages count as lacking.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def lacking(requirement: str) -> bool:
    """Whether a requirement ``NAME>=VERSION`` is not met.

    What extras such as ``NAME[tls]`` bring is not looked for; list it, too.
    """
    name, _, least = requirement.partition(">=")
    name = name.partition("[")[0]
    try:
        return _numbers(version(name)) < _numbers(least)
    except PackageNotFoundError:
        return True


def _numbers(text: str) -> list[int]:
    found = re.match(r"[\d.]*", text)
    assert found is not None
    return [int(part) for part in found[0].split(".") if part]


def main() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    wanted = list(project["dependencies"])
    for group in sys.argv[1:]:
        wanted += project["optional-dependencies"][group]
    for requirement in filter(lacking, wanted):
        print(requirement)


if __name__ == "__main__":
    main()
