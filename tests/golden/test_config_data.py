# SPDX-License-Identifier: BSD-2-Clause
"""``config.data`` and ``ssconf_*`` have the form that existing software reads and writes."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.formats import ConfigDataEncoder, loaded
from ganeti.config.invariants import verify
from ganeti.config.ssconf import ssconf
from ganeti.errors import Invalid
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.declaration import defaults
from ganeti.testing.builders import a_cluster, a_disk, an_instance

DATA = Path(__file__).parent / "data"


def ids() -> str:
    raise AssertionError("nothing here needs a new UUID")


class ConfigDataTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = (DATA / "config.data").read_bytes()
        self.state = loaded(self.text, ids=ids)

    def test_a_file_of_other_software_is_written_as_it_was_read(self) -> None:
        self.assertEqual(json.loads(ConfigDataEncoder().text(self.state)), json.loads(self.text))

    def test_it_verifies(self) -> None:
        self.assertEqual(verify(self.state), [])

    def test_what_may_be_missing_or_null_is_filled_in(self) -> None:
        document = json.loads(self.text)
        for name in ("uid_pool", "compression_tools", "max_running_jobs", "ssh_key_bits"):
            del document["cluster"][name]
        document["cluster"]["hidden_os"] = None
        del document["cluster"]["beparams"]["default"]["vcpus"]
        [node, _] = document["nodes"].values()
        node["powered"] = None
        [instance] = document["instances"].values()
        for name in ("osparams_private", "disks_active", "admin_state_source"):
            del instance[name]
        del document["filters"]
        state = loaded(json.dumps(document).encode(), ids=ids)
        self.assertEqual(
            (state.cluster.uid_pool, state.cluster.max_running_jobs, state.cluster.hidden_os),
            ((), 20, ()),
        )
        self.assertEqual(state.cluster.beparams["default"]["vcpus"], 1)
        self.assertTrue(state.node("node1").powered)
        self.assertTrue(state.instance("web").disks_active)
        self.assertEqual(verify(state), [])

    def test_what_is_only_reserved_does_not_vanish(self) -> None:
        document = json.loads(self.text)
        document["instances"]["x"] = {"forthcoming": True, "uuid": "x", "name": "web9"}
        document["disks"]["y"] = {"forthcoming": True, "uuid": "y"}
        with self.assertRaises(Invalid) as caught:
            loaded(json.dumps(document).encode(), ids=ids)
        paths = [problem.path for problem in caught.exception.problems]
        self.assertEqual(paths, ["instances/x"])
        self.assertIn("web9 is only reserved (forthcoming)", str(caught.exception))

    def test_ssconf_has_the_known_keys(self) -> None:
        texts = ssconf(self.state, release="3.0.2")
        self.assertEqual(sorted(texts), json.loads((DATA / "ssconf_keys.json").read_text()))

    def test_ssconf_has_the_known_texts(self) -> None:
        texts = ssconf(self.state, release="3.0.2")
        expected = {
            "cluster_name": "cluster.example.com",
            "cluster_tags": "prod",
            "enabled_user_shutdown": "False",
            "hvparams_fake": "migration_mode=live",
            "hvparams_lxc": "",
            "instance_list": "web.example.com",
            "master_candidates": "node1.example.com",
            "master_candidates_certs": "00000003-0000-4000-8000-000000000003="
            "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD",
            "master_candidates_ips": "192.0.2.1",
            "master_netmask": "32",
            "master_node": "node1.example.com",
            "networks": "0000000a-0000-4000-8000-00000000000a net1",
            "node_list": "node1.example.com\nnode2.example.com",
            "node_secondary_ips": "node1.example.com 198.51.100.1\nnode2.example.com 198.51.100.2",
            "node_vm_capable": "node1.example.com=True\nnode2.example.com=True",
            "offline_nodes": "",
            "primary_ip_family": "2",
            "ssh_ports": "node1.example.com=22\nnode2.example.com=22",
            "uid_pool": "10000-10010",
        }
        self.assertEqual({key: texts[key] for key in expected}, expected)

    def test_names_are_in_natural_order(self) -> None:
        state = a_cluster(nodes=["node10", "node9", "alpha"], instances=["web10", "web2"])
        texts = ssconf(state, release="")
        self.assertEqual(texts["node_list"], "alpha\nnode9\nnode10")
        self.assertEqual(texts["instance_list"], "web2\nweb10")


class OldFormatTests(SynchronousTestCase):
    def test_a_file_of_2_2_gets_uuids_for_names(self) -> None:
        numbers = count(1)
        text = (DATA / "config-2.2.data").read_bytes()
        state = loaded(text, ids=lambda: f"uuid-{next(numbers)}")
        self.assertEqual(verify(state), [])
        web = state.instance("web.example.com")
        [disk] = state.get_disks(web)
        self.assertEqual(state.master.name, "node1.example.com")
        self.assertEqual((web.admin_state, web.disks_active), ("up", True))
        self.assertEqual(web.beparams, {"minmem": 512, "maxmem": 512})
        self.assertEqual(state.cluster.beparams["default"], dict(defaults(Backend)))
        self.assertEqual(
            [state.nodes[node].name for node in disk.nodes],
            ["node1.example.com", "node2.example.com"],
        )
        self.assertEqual([child.dev_type for child in disk.children], ["plain", "plain"])
        self.assertEqual(loaded(ConfigDataEncoder().text(state), ids=ids), state)


class CheckpointTests(SynchronousTestCase):
    def test_equal_states_make_equal_bytes(self) -> None:
        web, mail = an_instance("web", disks=[a_disk("1")]), an_instance("mail")
        one, other = a_cluster(instances=[web, mail]), a_cluster(instances=[mail, web])
        self.assertEqual(ConfigDataEncoder().text(one), ConfigDataEncoder().text(other))

    def test_a_later_checkpoint_has_what_changed_and_not_what_went(self) -> None:
        checkpoint = ConfigDataEncoder()
        before = a_cluster(instances=["web", "mail"])
        checkpoint.text(before)
        after = before.remove(before.instance("mail")).settled()
        self.assertEqual(checkpoint.text(after), ConfigDataEncoder().text(after))
        self.assertEqual(loaded(checkpoint.text(after), ids=ids), after)
