# SPDX-License-Identifier: BSD-2-Clause
"""Ganeti continues with the present configuration."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ganeti.bootstrap.take_over.adopt import adopt
from ganeti.bootstrap.take_over.give_back import ORIGINAL, give_back
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.model.instance import AdminState
from ganeti.schema.records import replace
from ganeti.testing.builders import a_disk, an_instance
from tests.bootstrap.take_over.ganeti_host import CLUSTER, GanetiHost


class GiveBackTests(GanetiHost):
    def adopt(self) -> ClusterState:
        self.state = adopt(self.paths, self.folder())
        return self.state

    def configuration(self) -> Any:
        return json.loads(self.read(self.paths.config_file))

    def test_ganeti_has_its_files_and_the_present_configuration(self) -> None:
        self.adopt()
        grown = self.state.put(next(iter(CLUSTER.networks.values())))
        web1 = next(iter(grown.instances.values()))
        Path(self.paths.config_file).write_bytes(ConfigDataEncoder().text(grown.remove(web1)))
        told = give_back(self.paths, "node1")
        found = self.configuration()
        self.assertEqual(found["instances"], {})
        self.assertEqual(found["cluster"]["candidate_certs"], CLUSTER.cluster.candidate_certs)
        self.assertGreater(found["serial_no"], self.state.serial_no)
        self.assertEqual(self.read(f"{self.paths.data}/hmac.key"), b"a secret")
        self.assertEqual(self.read(self.paths.node_certificate), b"the key of Ganeti")
        self.assertIn("Ganeti has the present configuration", told[0])
        self.assertIn("taken-over-1", told[1])

    def test_nodes_have_their_roles_of_before(self) -> None:
        self.adopt()
        give_back(self.paths, "node1")
        nodes = self.configuration()["nodes"].values()
        roles = {node["name"]: (node["master_candidate"], node["offline"]) for node in nodes}
        expected = {"node1": (True, False), "node2": (True, False), "node3": (False, True)}
        self.assertEqual(roles, expected)

    def test_the_same_version_is_written(self) -> None:
        self.configure(CLUSTER, version=3_010_000)
        self.adopt()
        give_back(self.paths, "node1")
        self.assertEqual(self.configuration()["version"], 3_010_000)

    def test_a_version_that_does_not_read_ours_gets_its_own(self) -> None:
        self.configure(CLUSTER, version=2_160_000)
        before = self.configuration()
        self.adopt()
        told = give_back(self.paths, "node1")
        self.assertEqual(self.configuration(), before)
        self.assertIn("changes since then are not in it", told[0])

    def test_reservations_are_there_again(self) -> None:
        new = {"name": "new1", "forthcoming": True, "uuid": "n1", "disks": ["d"]}
        disk = {"forthcoming": True, "uuid": "d", "size": 5}
        document = self.configuration()
        self.configure(
            CLUSTER,
            instances={**document["instances"], "n1": new},
            disks={**document["disks"], "d": disk},
        )
        self.adopt()
        give_back(self.paths, "node1")
        found = self.configuration()
        self.assertEqual((found["instances"]["n1"], found["disks"]["d"]), (new, disk))

    def test_complete_reservations_come_over_and_go_back(self) -> None:
        disk = replace(a_disk("d9"), forthcoming=True)
        fields: dict[str, Any] = {"admin_state": AdminState.DOWN, "forthcoming": True}
        built = an_instance("new1", disks=[disk], **fields)
        [reserved] = built.disks
        self.configure(CLUSTER.put(reserved).put(built.instance))
        state = self.adopt()
        self.assertEqual(state.instance("new1"), built.instance)
        give_back(self.paths, "node1")
        found = self.configuration()
        self.assertIs(found["instances"][built.instance.uuid]["forthcoming"], True)
        self.assertIs(found["disks"][reserved.uuid]["forthcoming"], True)

    def test_the_first_configuration_is_kept_beside(self) -> None:
        before = self.read(self.paths.config_file)
        self.adopt()
        give_back(self.paths, "node1")
        self.assertEqual(self.read(f"{self.paths.data}/{ORIGINAL}"), before)

    def test_numbers_of_jobs_are_not_assigned_again(self) -> None:
        self.adopt()
        Path(f"{self.paths.queue}/serial").write_text("99\n")
        give_back(self.paths, "node1")
        self.assertEqual(self.read(f"{self.paths.queue}/serial"), b"99\n")

    def test_a_copy_without_a_queue_is_given_back(self) -> None:
        shutil.rmtree(self.paths.queue)
        self.adopt()
        give_back(self.paths, "node1")
        self.assertFalse(os.path.exists(self.paths.queue))

    def test_other_nodes_only_get_their_files(self) -> None:
        self.adopt()
        before = self.read(f"{self.paths.data}/ganeti-before/config.data")
        self.assertEqual(len(give_back(self.paths, "node2")), 1)
        self.assertEqual(self.read(self.paths.config_file), before)

    def test_there_is_a_way_back_only_after_a_take_over(self) -> None:
        with self.assertRaisesRegex(Refused, "this node was not taken over from Ganeti"):
            give_back(self.paths, "node1")

    def test_daemons_are_stopped_first(self) -> None:
        self.adopt()
        with open(f"{self.paths.run}/ganeti-masterd.pid", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with self.assertRaisesRegex(Refused, "ganeti-masterd of this node must be stopped"):
                give_back(self.paths, "node1")

    def test_guests_that_ganeti_would_not_find_are_shut_down_first(self) -> None:
        self.adopt()
        pid_file = f"{self.paths.run}/kvm/control/web1.pid"
        os.makedirs(os.path.dirname(pid_file))
        waits = [sys.executable, "-uc", "input('started')", "-pidfile", pid_file]
        guest = subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert guest.stdout is not None
        guest.stdout.read(1)
        Path(pid_file).write_text(f"{guest.pid}\n")
        try:
            with self.assertRaisesRegex(Refused, "this software has started: web1; shut them"):
                give_back(self.paths, "node1")
        finally:
            guest.communicate(b"\n")
        give_back(self.paths, "node1")
