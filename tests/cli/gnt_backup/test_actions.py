# SPDX-License-Identifier: BSD-2-Clause
"""An import creates an instance with what its export has, unless something else is given."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_backup.actions import imported
from ganeti.cli.session import ExitTool
from tests.cli.terminal import arguments


class ImportTests(SynchronousTestCase):
    def test_disks_and_cards_are_those_of_the_export(self) -> None:
        self.assertEqual(
            imported(arguments(node="node1")),
            {
                "mode": "import",
                "no_install": None,
                "disks": [],
                "nics": [],
                "pnode": "node1",
                "snode": None,
                "hypervisor": None,
                "hvparams": {},
            },
        )

    def test_others_may_be_given(self) -> None:
        found = imported(arguments(os_size=512, net=[("0", {"ip": "pool"})]))
        self.assertEqual((found["disks"], found["nics"]), ([{"size": 512}], [{"ip": "pool"}]))

    def test_what_a_new_instance_may_not_have_an_import_may_not_either(self) -> None:
        with self.assertRaisesRegex(ExitTool, "a diskless instance has no disks"):
            imported(arguments(disk_template="diskless", os_size=512))
