# SPDX-License-Identifier: BSD-2-Clause
"""The facts about the cluster that clients ask for most."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.master.cluster_info import ClusterInfo
from ganeti.model.parameters.fake import Fake
from ganeti.model.parameters.kvm import Kvm
from ganeti.testing.builders import a_cluster


class ClusterInfoTests(SynchronousTestCase):
    def facts(self, state: ClusterState) -> Any:
        return msgspec.json.decode(ClusterInfo("1.0", "x86_64").encoded(state))

    def test_parameters_of_guests_have_their_defaults(self) -> None:
        told = self.facts(a_cluster(hvparams={"kvm": {"acpi": False}}))["hvparams"]
        self.assertIs(told["kvm"]["acpi"], False)
        self.assertEqual(set(told["kvm"]), set(Kvm.__struct_fields__))
        self.assertEqual(set(told["fake"]), set(Fake.__struct_fields__))

    def test_memory_has_its_old_name_as_well(self) -> None:
        told = self.facts(a_cluster(beparams={"default": {"maxmem": 512}}))["beparams"]["default"]
        self.assertEqual((told["memory"], told["maxmem"], told["minmem"]), (512, 512, 128))
