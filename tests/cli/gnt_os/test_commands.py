# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-os modify`` changes what the cluster keeps for an OS definition."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_os.commands import GNT_OS
from ganeti.opcodes.cluster import ModifyCluster
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal


class ModifyTests(SynchronousTestCase):
    def made(self, *words: str) -> Opcode:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_OS, "modify", *words, "debian"), 0, terminal.err)
        return replace(terminal.job(), reason=())

    def test_parameters_are_those_of_the_definition(self) -> None:
        made = self.made(
            *("-O", "size=small,-mirror", "--os-parameters-private", "password=x"),
            *("-H", "kvm:acpi=no", "-H", "fake:migration_mode=live"),
        )
        self.assertEqual(
            made,
            ModifyCluster(
                osparams={"debian": {"size": "small", "mirror": None}},
                osparams_private_cluster={"debian": {"password": "x"}},
                os_hvp={"debian": {"kvm": {"acpi": "no"}, "fake": {"migration_mode": "live"}}},
            ),
        )

    def test_it_can_be_hidden_and_blacklisted(self) -> None:
        made = self.made("--hidden", "yes", "--blacklisted", "no")
        wanted = ModifyCluster(
            hidden_os=(("add", "debian"),),  # type: ignore[arg-type]
            blacklisted_os=(("remove", "debian"),),  # type: ignore[arg-type]
        )
        self.assertEqual(made, wanted)

    def test_a_change_of_nothing_is_refused(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_OS, "modify", "debian"), 1)
        self.assertIn("no changes requested", terminal.err)
