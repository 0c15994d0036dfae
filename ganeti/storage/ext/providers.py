# SPDX-License-Identifier: BSD-2-Clause
"""External storage providers: folders of scripts that make and attach volumes.

The format is that of ganeti-extstorage-interface(7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.errors import Code, Refused
from ganeti.system.interfaces import IFiles
from ganeti.system.script_folders import (
    FOLDER_NAME,
    find_script_problem,
    parse_parameter,
    read_list,
)

PARAMETERS = "parameters.list"
_REQUIRED = ("attach", "create", "detach", "grow", "remove", "setinfo", "verify")
_OPTIONAL = ("close", "open", "snapshot")


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A provider on this node; ``diagnosis`` says why it cannot be used, empty if it can.

    ``parameters`` are names with descriptions; ``scripts`` are those that it has.
    """

    name: str
    path: str
    diagnosis: str
    parameters: tuple[tuple[str, str], ...] = ()
    scripts: frozenset[str] = frozenset()

    @property
    def valid(self) -> bool:
        return not self.diagnosis


class Providers:
    """The providers of this node; re-read on each access, so that a repair is seen at once."""

    def __init__(self, files: IFiles, search_path: Sequence[str]) -> None:
        self._files = files
        self._search_path = search_path

    def all_providers(self) -> list[Provider]:
        """Return every provider, including broken ones; the first one of each name counts."""
        found: dict[str, Provider] = {}
        for folder in self._search_path:
            for name in self._files.names(folder):
                valid = name not in found and FOLDER_NAME.fullmatch(name)
                if valid and self._is_folder(f"{folder}/{name}"):
                    found[name] = self._read_provider(f"{folder}/{name}", name)
        return [found[name] for name in sorted(found)]

    def find_provider(self, name: str) -> Provider:
        """Return a usable provider.

        :raises Refused: this node has none with this name, or it lacks a script.
        """
        if not FOLDER_NAME.fullmatch(name):
            raise Refused(f"{name!r} is not a valid name of a storage provider", Code.INPUT)
        for folder in self._search_path:
            if self._is_folder(f"{folder}/{name}"):
                provider = self._read_provider(f"{folder}/{name}", name)
                if not provider.valid:
                    raise Refused(
                        f"external storage provider {name} in {provider.path} cannot be used:"
                        f" {provider.diagnosis}",
                        Code.STATE,
                    )
                return provider
        raise Refused(
            f"this node has no external storage provider {name}; install it in"
            f" {' or '.join(self._search_path)}, and see gnt-storage diagnose",
            Code.UNKNOWN,
        )

    def _is_folder(self, path: str) -> bool:
        found = self._files.stat(path)
        return found is not None and found.folder

    def _read_provider(self, path: str, name: str) -> Provider:
        problems = [find_script_problem(self._files, path, each) for each in _REQUIRED]
        scripts = set(_REQUIRED)
        for each in _OPTIONAL:
            if self._files.stat(f"{path}/{each}") is not None:
                problems.append(find_script_problem(self._files, path, each))
                scripts.add(each)
        if self._files.stat(f"{path}/{PARAMETERS}") is None:
            problems.append(f"{PARAMETERS} is missing")
        parameters = read_list(self._files, path, PARAMETERS)
        return Provider(
            name=name,
            path=path,
            diagnosis="; ".join(each for each in problems if each),
            parameters=tuple(parse_parameter(line) for line in parameters),
            scripts=frozenset(scripts),
        )
