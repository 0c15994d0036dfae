# SPDX-License-Identifier: BSD-2-Clause
"""Each rule of the configuration is noticed when it is broken."""

from __future__ import annotations

from typing import Any

from immutables import Map
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState, Stored, empty
from ganeti.model.disk import Template
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_nic, a_node, an_instance, uuid_of

MIRRORS = [a_disk(f"{n}", Template.DRBD, nodes=("node1", "node2")) for n in (2, 3)]
STATE = a_cluster(
    nodes=["node1", "node2", "node3"],
    groups=["default"],
    instances=[an_instance("web1", disks=MIRRORS), an_instance("web2", disks=[a_disk("4")])],
)
WEB, FILE = STATE.instance("web1"), STATE.get_disks(STATE.instance("web2"))[0]
NODE, MIRROR = STATE.node("node3"), STATE.get_disks(WEB)[0]


class VerifyTests(SynchronousTestCase):
    def wrong(self, expected: str, *records: Stored, state: ClusterState = STATE) -> None:
        for record in records:
            state = state.put(record)
        self.assertTrue(any(expected in each for each in verify(state)), verify(state))

    def cluster(self, **over: Any) -> Stored:
        return replace(STATE.cluster, **over)

    def test_a_good_state_has_nothing_wrong(self) -> None:
        self.assertEqual(verify(STATE), [])

    def test_there_is_one_cluster(self) -> None:
        self.assertEqual(verify(empty()), ["the configuration must contain exactly one cluster"])

    def test_references_must_resolve(self) -> None:
        self.wrong("master node x is not in the configuration", self.cluster(master_node="x"))
        self.wrong("belongs to unknown group x", replace(NODE, group="x"))
        self.wrong("is on unknown node x", replace(WEB, primary_node="x"))
        self.wrong("web1 has unknown disk x", replace(WEB, disks=("x",)))
        self.wrong("is on unknown node x", replace(FILE, nodes=("x",)))
        nics = (a_nic("n", network="x"),)
        self.wrong("a network card in unknown network x", replace(WEB, nics=nics))
        group = replace(STATE.group("default"), networks={"x": {}})
        self.wrong("connected to unknown network x", group)

    def test_flags_of_nodes_must_fit(self) -> None:
        self.wrong("must be a candidate", replace(STATE.master, master_candidate=False))
        self.wrong(
            "more than one of the flags candidate, offline and drained", replace(NODE, drained=True)
        )
        self.wrong("not master_capable", replace(NODE, master_capable=False))
        wrong = self.cluster(candidate_certs={"x": "AA"})
        self.wrong("node x has a candidate's certificate", wrong)

    def test_what_is_unique_is_there_once(self) -> None:
        card = replace(a_nic("n"), mac=WEB.nics[0].mac.upper())
        self.wrong("MAC address", an_instance("web3", nics=(card,)).instance)
        self.wrong("address 192.0.2.1 is used 2 times", a_node("x", primary_ip="192.0.2.1"))
        self.wrong("belongs to 2 instances", an_instance("web3", disks=[FILE]).instance)
        twin = a_disk("other", logical_id=FILE.logical_id)
        self.wrong("volume or file file", twin)
        port = MIRROR.logical_id[2]
        self.wrong(f"port {port} is used 2 times", replace(WEB, network_port=port))
        self.wrong(f"port {port} is used 2 times", self.cluster(tcpudp_port_pool=(port,)))
        self.wrong("above highest_used_port", replace(WEB, network_port=14000))
        other = replace(MIRRORS[1], logical_id=(*MIRROR.logical_id[:2], 11009, 1, 7, ""))
        self.wrong(f"minor {uuid_of('node', 'node1')} 1", other)

    def test_disks_must_fit_their_instance(self) -> None:
        self.wrong("disks of several templates", replace(FILE, dev_type=Template.PLAIN), mixed())
        self.wrong("disk 0 has the iv_name disk/7", replace(FILE, iv_name="disk/7"))
        self.wrong("not on the primary node and one other", replace(WEB, primary_node=NODE.uuid))
        self.wrong(
            "different nodes in logical_id", replace(MIRROR, nodes=(NODE.uuid, MIRROR.nodes[0]))
        )

    def test_what_is_in_use_must_be_enabled(self) -> None:
        self.wrong("hypervisor fake, which is not enabled", self.cluster(enabled_hypervisors=()))

    def test_serial_numbers_begin_at_one(self) -> None:
        self.wrong("has invalid serial number 0", replace(NODE, serial_no=0))

    def test_indexes_must_fit_the_objects(self) -> None:
        for name in ("names", "primaries", "copies", "owners", "macs"):
            nothing: dict[str, Any] = {name: Map()}
            broken = replace(STATE, **nothing)
            self.wrong(f"index {name} does not match", state=broken)


def mixed() -> Stored:
    """An instance with a disk of one kind and one of another."""
    return replace(STATE.instance("web2"), disks=(FILE.uuid, MIRRORS[0].uuid))
