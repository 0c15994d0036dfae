# SPDX-License-Identifier: BSD-2-Clause
"""OS definitions: folders of scripts that install an operating system on a guest's disks."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.errors import Code, Refused
from ganeti.rpc.node import DescribeOSes, OSDefinitionReport
from ganeti.system.interfaces import IFiles
from ganeti.system.script_folders import (
    FOLDER_NAME,
    find_script_problem,
    parse_parameter,
    read_list,
)

API_VERSIONS = frozenset({10, 15, 20})
WITH_VARIANTS, WITH_PARAMETERS = 15, 20
"""The first API versions with variants and with parameters."""

SEED_SCRIPT = "seed"
"""The script that writes what a guest reads when it boots: an extension of the OS interface."""


class OSDefinitions:
    """The OS definitions of this node; re-read on each access, as they are few small files."""

    def __init__(self, files: IFiles, search_path: Sequence[str]) -> None:
        self._files = files
        self._search_path = search_path

    async def describe(self, call: DescribeOSes) -> list[OSDefinitionReport]:
        return self.all_definitions()

    def all_definitions(self) -> list[OSDefinitionReport]:
        """Return every definition, including broken ones; the first one of each name counts."""
        found: dict[str, OSDefinitionReport] = {}
        for folder in self._search_path:
            for name in self._files.names(folder):
                if (
                    name not in found
                    and FOLDER_NAME.fullmatch(name)
                    and self._is_folder(folder, name)
                ):
                    found[name] = self._read_definition(f"{folder}/{name}", name)
        return [found[name] for name in sorted(found)]

    def find_definition(self, os: str) -> OSDefinitionReport:
        """Return the usable definition for ``os`` (``name`` or ``name+variant``).

        :raises Refused: the definition does not exist or is broken.
        """
        name = os.partition("+")[0]
        if not FOLDER_NAME.fullmatch(name):
            raise Refused(f"{os!r} is not a valid name of an OS definition", Code.INPUT)
        for folder in self._search_path:
            if self._is_folder(folder, name):
                definition = self._read_definition(f"{folder}/{name}", name)
                if not definition.valid:
                    raise Refused(f"OS definition {name}: {definition.diagnosis}", Code.STATE)
                return definition
        places = ", ".join(self._search_path)
        raise Refused(f"OS definition {name} not found in {places}", Code.UNKNOWN)

    def has_seed(self, os: str) -> bool:
        """Return whether the definition for ``os`` has a script that prepares the first boot."""
        name = os.partition("+")[0]
        if not FOLDER_NAME.fullmatch(name):
            return False
        for folder in self._search_path:
            if self._is_folder(folder, name):
                return self._files.stat(f"{folder}/{name}/{SEED_SCRIPT}") is not None
        return False

    def _is_folder(self, folder: str, name: str) -> bool:
        found = self._files.stat(f"{folder}/{name}")
        return found is not None and found.folder

    def _read_definition(self, path: str, name: str) -> OSDefinitionReport:
        versions, problems = self._read_api_versions(path)
        api = max(versions & API_VERSIONS, default=0)
        problems += self._find_problems(path, api)
        variants = read_list(self._files, path, "variants.list") if api >= WITH_VARIANTS else []
        parameters = (
            read_list(self._files, path, "parameters.list") if api >= WITH_PARAMETERS else []
        )
        return OSDefinitionReport(
            name=name,
            path=path,
            valid=not problems,
            diagnosis="; ".join(problems),
            variants=tuple(variants),
            parameters=tuple(parse_parameter(line) for line in parameters),
            api_versions=tuple(sorted(versions)),
            trusted=self._files.stat(f"{path}/create") is not None,
        )

    def _read_api_versions(self, path: str) -> tuple[set[int], list[str]]:
        lines = read_list(self._files, path, "ganeti_api_version")
        try:
            versions = {int(line) for line in lines}
        except ValueError:
            return set(), ["ganeti_api_version has a line that is not a number"]
        if versions & API_VERSIONS:
            return versions, []
        wanted = ", ".join(str(version) for version in sorted(API_VERSIONS))
        return versions, [f"ganeti_api_version has none of the supported versions {wanted}"]

    def _find_problems(self, path: str, api: int) -> list[str]:
        """Return the problems that make a definition of this API version unusable."""
        needed = ["export", "import", "rename"]
        needed += ["verify"] if api >= WITH_PARAMETERS else []
        create = "create_untrusted"
        if self._files.stat(f"{path}/create") or not self._files.stat(f"{path}/{create}"):
            create = "create"
        needed += [SEED_SCRIPT] if self._files.stat(f"{path}/{SEED_SCRIPT}") else []
        problems = [
            problem
            for name in (create, *needed)
            if (problem := find_script_problem(self._files, path, name))
        ]
        if api >= WITH_PARAMETERS and self._files.stat(f"{path}/parameters.list") is None:
            problems.append("parameters.list is missing")
        return problems


def api_version(definition: OSDefinitionReport) -> int:
    """Return the newest API version that both the definition and this software support."""
    return max(API_VERSIONS.intersection(definition.api_versions))
