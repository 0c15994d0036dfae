# SPDX-License-Identifier: BSD-2-Clause
"""Folders of scripts and lists: the form that OS definitions and storage providers share."""

from __future__ import annotations

import re

from ganeti.system.interfaces import IFiles

FOLDER_NAME = re.compile(r"[a-zA-Z0-9_-]+")
"""A valid name of an OS definition or a provider."""

_OWNER_MAY_EXECUTE = 0o100


def find_script_problem(files: IFiles, folder: str, name: str) -> str:
    """Return why the file ``name`` in a folder cannot be run; empty if it can."""
    found = files.stat(f"{folder}/{name}")
    if found is None:
        return f"{name} is missing"
    if found.folder or not found.mode & _OWNER_MAY_EXECUTE:
        return f"{name} is not an executable file"
    return ""


def read_list(files: IFiles, folder: str, name: str) -> list[str]:
    """Return the lines of a list, without comments and blank ones; empty if it does not exist."""
    if files.stat(f"{folder}/{name}") is None:
        return []
    text = files.read(f"{folder}/{name}").decode("utf-8", "replace")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def parse_parameter(line: str) -> tuple[str, str]:
    """Return name and description of a parameter; the latter may be empty."""
    name, *rest = line.split(None, 1)
    return name, rest[0] if rest else ""
