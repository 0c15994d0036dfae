# SPDX-License-Identifier: BSD-2-Clause
"""The unit of a guest is its own, and is stopped in the right order."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.kvm.scope import SHUTDOWN, SLICE, scope_command


class ScopeTests(SynchronousTestCase):
    def unit(self, name: str, stamp: int = 1) -> str:
        [found] = [each for each in scope_command(name, stamp) if each.startswith("--unit=")]
        return found.removeprefix("--unit=")

    def test_a_command_follows_that_runs_in_a_scope_of_the_slice(self) -> None:
        command = scope_command("web1", 7)
        self.assertEqual(command[:2], ("systemd-run", "--scope"))
        self.assertIn(f"--slice={SLICE}", command)
        self.assertEqual(command[-1], "--")

    def test_each_start_has_a_unit_of_its_own(self) -> None:
        self.assertEqual(self.unit("web1.example.com", 7), "ganeti-guest-web1.example.com-7")
        self.assertNotEqual(self.unit("web1", 1), self.unit("web1", 2))

    def test_no_name_has_characters_that_a_unit_may_not_have(self) -> None:
        self.assertEqual(self.unit("web/1 é@x"), "ganeti-guest-web_1___x-1")

    def test_the_description_has_the_whole_name(self) -> None:
        self.assertIn("--description=Ganeti instance web/1", scope_command("web/1", 1))

    def test_guests_are_asked_to_shut_down_before_disks_and_network_go(self) -> None:
        command = scope_command("web1", 1)
        self.assertIn(f"--property=Before={SHUTDOWN}", command)
        for unit in ("local-fs.target", "drbd.service", "network.target"):
            self.assertIn(f"--property=After={unit}", command)
