# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-os modify`` changes what the cluster keeps for an OS definition."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_os.commands import GNT_OS
from ganeti.luxi.methods import Query
from ganeti.opcodes.cluster import ModifyCluster
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal, answer


def a_terminal() -> Terminal:
    """A terminal of a cluster whose nodes have the OS definition debian."""
    return Terminal({Query: answer({"name": "text"}, ["debian"])})


class ModifyTests(SynchronousTestCase):
    def made(self, *words: str) -> Opcode:
        terminal = a_terminal()
        self.assertEqual(terminal.run(GNT_OS, "modify", *words, "debian"), 0, terminal.err)
        self.assertEqual(terminal.err, "")
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

    def test_settings_may_be_made_before_the_definition_is_installed(self) -> None:
        terminal = a_terminal()
        self.assertEqual(terminal.run(GNT_OS, "modify", "--hidden", "yes", "debain"), 0)
        self.assertIn("no node has the OS definition debain", terminal.err)
        self.assertEqual(terminal.run(GNT_OS, "modify", "-O", "size=1", "debian+small"), 0)
        self.assertEqual(terminal.err, "")

    def test_a_change_of_nothing_is_refused(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_OS, "modify", "debian"), 1)
        self.assertIn("no changes requested", terminal.err)
