# SPDX-License-Identifier: BSD-2-Clause
"""Prints the branch coverage of each package by the unit tests, from what coverage.py has measured.

Usage: package_coverage.py FILE.json. Ends with 1 if a package has less than its least share. The
simulation and the system tests, which start daemons, are not counted.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

LEAST = 85
LEAST_OF = {"bootstrap": 94, "cli": 94, "system": 50}
"""Percent of packages that have reached more, or whose real work only the system tests start."""


def shares(measured: dict[str, dict[str, dict[str, int]]]) -> dict[str, float]:
    """Return the percentage of lines and branches that were run, by package."""
    covered: dict[str, int] = defaultdict(int)
    whole: dict[str, int] = defaultdict(int)
    for path, file in measured.items():
        package, summary = Path(path).parts[1], file["summary"]
        counted = package != "testing" and not package.endswith(".py")
        if summary["num_statements"] and counted:
            covered[package] += summary["covered_lines"] + summary["covered_branches"]
            whole[package] += summary["num_statements"] + summary["num_branches"]
    return {package: 100 * covered[package] / whole[package] for package in sorted(whole)}


def main() -> int:
    bad = False
    for package, share in shares(json.loads(Path(sys.argv[1]).read_text())["files"]).items():
        least = LEAST_OF.get(package, LEAST)
        bad |= share < least
        print(f"{package:12} {share:5.1f} %" + (f", less than {least}" if share < least else ""))
    return bad


if __name__ == "__main__":
    sys.exit(main())
