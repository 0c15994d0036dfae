# SPDX-License-Identifier: BSD-2-Clause
"""Shell definitions of the usual structure work: scripts that source a file beside themselves.

Debian's ``ganeti-instance-debootstrap`` and most public definitions are built like this one.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.trial.unittest import TestCase

from ganeti.node.oses import OSDefinitions
from ganeti.node.scripts import OSScripts
from ganeti.rpc.node import ValidateOS
from ganeti.system.files import LocalFiles
from ganeti.system.processes import LocalProcesses
from ganeti.testing.builders import a_disk, a_guest
from tests.node.test_shipped_oses import at_once

FILES = {
    "ganeti_api_version": "20\n15\n10\n",
    "variants.list": "default\n",
    "variants/default.conf": "SUITE=stable\n",
    "parameters.list": "dhcp whether it asks for its address\n",
    "common.sh": """
SCRIPT=$(basename "$0")
[ -z "$OS_VARIANT" ] || . "variants/$OS_VARIANT.conf"
say() { printf '%s %s %s\\n' "$SCRIPT" "$SUITE" "$1"; }
""",
    "create": '. common.sh\nsay "$INSTANCE_NAME" > "$DISK_0_PATH"\n',
    "rename": '. common.sh\nsay "$OLD_INSTANCE_NAME" > "$DISK_0_PATH"\n',
    "export": ". common.sh\nsay exported\n",
    "import": '. common.sh\n{ say imported; cat; } > "$IMPORT_DEVICE"\n',
    "verify": '. common.sh\n[ -e parameters.list ] && [ "$1" = parameters ]\n',
}


class ShellDefinitionTests(TestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        definition = folder / "debootstrap"
        (definition / "variants").mkdir(parents=True)
        for name, text in FILES.items():
            script = "." not in name and "_" not in name
            (definition / name).write_text(f"#!/bin/bash\nset -e\n{text}" if script else text)
            (definition / name).chmod(0o755 if script else 0o644)
        clock, files = cast(IReactorTime, reactor), LocalFiles(at_once)
        processes = LocalProcesses(cast(IReactorFDSet, reactor), clock)
        definitions = OSDefinitions(files, [str(folder)])
        logs = str(folder / "logs")
        self.scripts = OSScripts(
            definitions,
            processes,
            files,
            logs,
            clock.seconds,
            cache=str(folder / "cache"),
            work=str(folder / "work"),
        )
        self.guest = a_guest("web1", os="debootstrap+default", disks=[a_disk("a", size=1)])
        self.disk = folder / "disk"

    def on_the_disk(self) -> str:
        return self.disk.read_text()

    async def test_create_finds_what_is_beside_it(self) -> None:
        await self.scripts.create(self.guest, [str(self.disk)])
        self.assertEqual(self.on_the_disk(), "create stable web1\n")

    async def test_rename_finds_what_is_beside_it(self) -> None:
        await self.scripts.rename(self.guest, [str(self.disk)], "web0")
        self.assertEqual(self.on_the_disk(), "rename stable web0\n")

    async def test_a_dump_is_restored(self) -> None:
        dump = str(self.disk.with_suffix(".dump"))
        await self.scripts.export(self.guest, [str(self.disk)], 0, sink=dump)
        await self.scripts.restore(self.guest, [str(self.disk)], 0, source=dump)
        self.assertEqual(self.on_the_disk(), "import stable imported\nexport stable exported\n")

    async def test_verify_finds_what_is_beside_it(self) -> None:
        await self.scripts.verify(ValidateOS(os="debootstrap+default", osparams={"dhcp": "yes"}))
