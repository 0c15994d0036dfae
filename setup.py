# SPDX-License-Identifier: BSD-2-Clause
"""What ``pyproject.toml`` cannot say: the files that ``tools/shared_data.py`` has made."""

from pathlib import Path

from setuptools import setup

SHARED = Path("build/shared")

folders: dict[str, list[str]] = {}
for path in sorted(SHARED.rglob("*")):
    if path.is_file():
        folder = Path("share") / path.parent.relative_to(SHARED)
        folders.setdefault(str(folder), []).append(str(path))

setup(data_files=sorted(folders.items()))
