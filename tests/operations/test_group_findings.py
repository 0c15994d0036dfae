# SPDX-License-Identifier: BSD-2-Clause
"""Verification finds what does not fit together in a node group, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.snapshots import put_snapshot
from ganeti.config.state import ClusterState
from ganeti.model.disk import Template
from ganeti.model.instance_snapshots import DiskSnapshot, Snapshot
from ganeti.opcodes.cluster import VerifyConfig, VerifyGroup
from ganeti.operations.cluster import verify
from ganeti.operations.cluster.file_findings import file_findings, own_file_findings
from ganeti.operations.cluster.group_findings import GroupData
from ganeti.operations.cluster.host_findings import parameter_sets
from ganeti.operations.cluster.verify import config_findings
from ganeti.operations.operation import AncillaryFile, NodeAnswers
from ganeti.paths import Paths
from ganeti.rpc.node import DescribeNode, VerifyNode
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

NOW = MemoryTools(a_cluster()).tools.time.date()
KVM = {"enabled_hypervisors": ("kvm", "fake")}
NOOP = {"name": "noop", "valid": True}
OLD = {"name": "old", "valid": True}


def answers(**by_node: Mapping[str, Any]) -> dict[Any, Any]:
    """What nodes answer to checks, with every instance of theirs running."""
    found: dict[Any, Any] = {}
    for name, answer in by_node.items():
        found[uuid_of("node", name), VerifyNode] = answer
        runs = ("web1",) if name == "node1" else ()
        found[uuid_of("node", name), DescribeNode] = some_facts(runs=runs)
    return found


class GroupCase(SynchronousTestCase):
    def found(
        self,
        state: ClusterState,
        facts: Mapping[Any, Any],
        since: float | None = None,
        before: ClusterState | None = None,
    ) -> list[str]:
        """The codes and texts of what a verification of the default group finds."""
        memory = MemoryTools(state)
        plan = verify.plan_group(
            VerifyGroup(group_name="default", error_codes=True),
            state,
            NodeAnswers(dict(facts), since=since, state=before),
        )
        self.successResultOf(verify.run_group(plan, memory.tools))
        return [said for said in memory.progress.said if said.startswith("  - ")]

    def assert_found(self, found: Sequence[str], *parts: str) -> None:
        self.assertEqual(len(found), 1, found)
        for part in parts:
            self.assertIn(part, found[0])


class FindingTests(GroupCase):
    def test_nothing_is_wrong_with_what_fits(self) -> None:
        state = a_cluster(instances=["web1"])
        fine = {"oslist": [NOOP], "lvlist": {}, "bridges": ["br9"], "time": [int(NOW), 0]}
        self.assertEqual(self.found(state, answers(node1=fine)), [])

    def test_an_instance_that_breaks_the_policy_is_a_warning(self) -> None:
        state = a_cluster(instances=[an_instance("web1", beparams={"vcpus": 99})])
        found = self.found(state, answers(node1={}))
        self.assert_found(
            found, "WARNING:EINSTANCEPOLICY", "99 virtual processors is outside the range"
        )

    def test_copies_in_two_groups_and_a_node_that_is_not_to_run_instances(self) -> None:
        disk = a_disk("d", Template.DRBD, nodes=("node1", "node2"))
        nodes = [a_node("node1"), a_node("node2", group="east", vm_capable=False)]
        web1 = an_instance("web1", disks=[disk])
        state = a_cluster(nodes=nodes, groups=["default", "east"], instances=[web1])
        unsuitable, split = self.found(state, answers(node1={}))
        self.assertIn("ERROR:EINSTANCEUNSUITABLENODE:instance:web1:is on node node2", unsuitable)
        self.assertIn("WARNING:EINSTANCESPLITGROUPS:instance:web1", split)
        self.assertIn("default, east", split)

    def test_instances_that_a_tag_keeps_apart_are_found_on_one_node(self) -> None:
        pair = [an_instance(name, tags=("service:dns",)) for name in ("web1", "web2")]
        state = a_cluster(instances=pair, tags=("htools:iextags:service",))
        facts = answers(node1={})
        facts[uuid_of("node", "node1"), DescribeNode] = some_facts(runs=("web1", "web2"))
        self.assert_found(self.found(state, facts), "ERROR:EEXTAGS", "web1, web2", "service:dns")

    def test_a_bridge_is_missed_by_guests_that_need_it(self) -> None:
        nic = a_nic("n", nicparams={"link": "br7"})
        state = a_cluster(instances=[an_instance("web1", hypervisor="kvm", nics=(nic,))], **KVM)
        found = self.found(state, answers(node1={"bridges": ["br7", "br8"]}))
        self.assert_found(found, "ERROR:ENODENET:node:node1", "lacks bridges of its instances: br7")
        self.assertEqual(self.found(a_cluster(instances=["web1"]), answers(node1={})), [])

    def test_a_program_is_missed_by_guests_whose_network_has_a_server(self) -> None:
        facts = answers(node1={"missing-programs": ["dnsmasq"]})
        nic = a_nic("n", network=uuid_of("network", "net1"))
        web1 = an_instance("web1", hypervisor="kvm", nics=(nic,))
        for tags in (("ra",), ()):
            network = a_network("net1", tags=tags)
            state = a_cluster(instances=[web1], networks=[network], **KVM)
            found = self.found(state, facts)
            if tags:
                self.assert_found(found, "ERROR:ENODENET:node:node1", "install dnsmasq-base")
            else:
                self.assertEqual(found, [])

    def test_volumes_of_nobody_are_found_unless_they_are_reserved(self) -> None:
        disk = a_disk("d", Template.PLAIN)
        web1 = an_instance("web1", disks=[disk])
        name = "/".join(map(str, disk.logical_id))
        volumes = {each: ["1.00", True, True] for each in (name, "vg0/root", "vg0/root2")}
        state = a_cluster(instances=[web1], reserved_lvs=("vg0/root",))
        found = self.found(state, answers(node1={"lvlist": volumes}))
        self.assert_found(found, "WARNING:ENODEORPHANLV", "no instance: vg0/root2; remove")

    def test_volumes_of_snapshots_belong_to_their_instances(self) -> None:
        disk = a_disk("d", Template.PLAIN)
        built = an_instance("web1", disks=[disk])
        state = a_cluster(instances=[built])
        then = (DiskSnapshot(uuid=disk.uuid, size=disk.size),)
        snapshot = Snapshot(name="before", uuid="u1", ctime=1.0, disks=then)
        state = put_snapshot(built.instance, snapshot)(state)
        name = "/".join(map(str, disk.logical_id))
        volumes = {
            each: ["1.00", True, True] for each in (name, f"{name}.gnt-u1", f"{name}.gnt-u2")
        }
        found = self.found(state, answers(node1={"lvlist": volumes}))
        self.assertIn(f"no instance: {name}.gnt-u2; remove", "\n".join(found))

    def test_definitions_that_instances_need_and_others_have(self) -> None:
        state = a_cluster(nodes=["node1", "node2"], instances=["web1"])
        facts = answers(node1={"oslist": [OLD]}, node2={"oslist": [NOOP]})
        lacking, more = sorted(self.found(state, facts))
        self.assertIn("ERROR:ENODEOS:node:node1:lacks the OS definition noop of its", lacking)
        self.assertIn("WARNING:ENODEOS:node:node2:lacks the OS definition old", more)

    def test_folders_and_versions_of_storage(self) -> None:
        for answer, code in (
            ({"shared-file-storage-path": "no"}, "ENODESHAREDFILESTORAGEPATHUNUSABLE"),
            ({"allowed-file-storage-paths": ["/etc"]}, "ENODEFILESTORAGEPATHS"),
        ):
            found = self.found(a_cluster(instances=["web1"]), answers(node1=answer))
            self.assert_found(found, f"ERROR:{code}:node:node1")
        state = a_cluster(nodes=["node1", "node2"], instances=["web1"])
        facts = answers(node1={"drbd-version": "8.4.11"}, node2={"drbd-version": "8.4.7"})
        self.assert_found(self.found(state, facts), "ENODEDRBDVERSION:group:default", "8.4.7")

    def test_a_physical_volume_that_is_missing(self) -> None:
        device = {"name": "/dev/sdb", "vg_name": "vg0", "attributes": "a-m"}
        there = {**device, "name": "/dev/sda", "attributes": "a--"}
        found = self.found(
            a_cluster(instances=["web1"]), answers(node1={"pvlist": [there, device]})
        )
        self.assert_found(found, "ERROR:ENODELVM:node:node1", "/dev/sdb of volume group vg0 is")

    def test_drbd_devices_of_nobody_are_found(self) -> None:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        web1 = an_instance("web1", disks=[disk])
        before = a_cluster(nodes=["node1", "node2"], instances=[web1])
        facts = answers(node1={"drbd-list": [0, 7]}, node2={"drbd-list": [0]})
        found = self.found(before, facts)
        self.assert_found(found, "ERROR:ENODEDRBD:node:node1", "no instance: /dev/drbd7;")
        # An instance that was removed after the nodes were asked.
        state = a_cluster(nodes=["node1", "node2"], instances=["web1"])
        self.assertEqual(len(self.found(state, facts, before=before)), 1)

    def test_a_kernel_that_asks_another_helper_about_mirrors(self) -> None:
        state = a_cluster(instances=["web1"], drbd_usermode_helper="/bin/true")
        for helper, codes in (("/bin/true", 0), ("/sbin/other", 1)):
            found = self.found(state, answers(node1={"drbd-helper": [True, helper]}))
            self.assertEqual(["ENODEDRBDHELPER" in each for each in found], [True] * codes)
        told = {"drbd-helper": [True, "/x"], "storage-obstacles": {"drbd": "asks /x"}}
        self.assert_found(self.found(state, answers(node1=told)), "cannot use drbd disks: asks /x")

    def test_a_host_that_is_not_set_up(self) -> None:
        found = self.found(
            a_cluster(instances=["web1"]), answers(node1={"nodesetup": ["mount it"]})
        )
        self.assert_found(found, "ERROR:ENODESETUP:node:node1:mount it")

    def test_hypervisor_parameters_that_a_node_cannot_give(self) -> None:
        own: dict[str, Any] = {"hypervisor": "kvm", "hvparams": {"kernel_path": "/k"}}
        web1, web2 = an_instance("web1", **own), an_instance("web2", node="node2", **own)
        state = a_cluster(nodes=["node1", "node2"], instances=[web1, web2], **KVM)
        sources = [found[0] for found in parameter_sets(state.group("default"), state) if found]
        self.assertEqual(sources, ["cluster", "cluster", "instances web1, web2"])
        problems = [[source, "kvm", "there is no /k"] for source in sources[1:]]
        of_cluster, of_instance = self.found(state, answers(node1={"hvparms": problems}, node2={}))[
            -2:
        ]
        self.assertIn("ERROR:ENODEHV:node:node1:does not support the kvm parameters", of_cluster)
        self.assertIn("of instances web1: there is no /k", of_instance)

    def test_a_helper_that_the_master_lacks_is_told_of_its_nodes(self) -> None:
        node2 = a_node("node2", ndparams={"oob_program": "/sbin/ipmi"})
        memory = MemoryTools(a_cluster(nodes=["node1", node2]))
        [question] = verify.config_queries(VerifyConfig(), memory.state())
        what, name = {"user-scripts": ["/sbin/ipmi"]}, memory.state().cluster.cluster_name
        self.assertEqual(question.call, VerifyNode(what=what, cluster_name=name))
        facts = NodeAnswers(
            {(uuid_of("node", "node1"), VerifyNode): {"user-scripts": ["/sbin/ipmi"]}}
        )
        plan = verify.plan_config(VerifyConfig(error_codes=True), memory.state(), facts)
        self.assertFalse(self.successResultOf(verify.run_config(plan, memory.tools)))
        self.assertIn("ERROR:ENODEOOBPATH:node:node2", memory.progress.said[-1])


class FileTests(GroupCase):
    """node1 is the master; what candidates share is its own."""

    def checked(self, answer: Any, *, candidate: bool = True, changed: bool = False) -> list[str]:
        """What is found where node2 answers this about the file that is shared."""
        node2 = a_node("node2", master_candidate=candidate)
        state = a_cluster(nodes=["node1", node2])
        before = a_cluster(nodes=["node1", a_node("node2", drained=True)]) if changed else state
        facts = NodeAnswers(
            {(uuid_of("node", "node2"), VerifyNode): {"filelist": answer}}, state=before
        )
        checked = GroupData(state.group("default"), list(state.nodes.values()), state, facts)
        found = list(file_findings(checked, [AncillaryFile("/users", b"jack", 0o640)]))
        self.assertEqual({each.code.value for each in found} - {"ENODEFILECHECK"}, set())
        return [f"{each.name} {each.message}" for each in found]

    def test_a_candidate_has_the_files_of_the_master(self) -> None:
        self.assertEqual(self.checked({"/users": sha256(b"jack").hexdigest()}), [])
        [lacking] = self.checked({})
        self.assertIn("node2 lacks /users, which every master candidate requires", lacking)
        [other] = self.checked({"/users": sha256(b"joe").hexdigest()})
        self.assertIn("node2 has a different /users than the master", other)

    def test_a_node_that_is_no_candidate_has_none_of_them(self) -> None:
        self.assertEqual(self.checked({}, candidate=False), [])
        [found] = self.checked({"/users": "?"}, candidate=False)
        self.assertIn("has /users, which is for master candidates only", found)

    def test_a_role_that_has_changed_meanwhile_is_not_judged(self) -> None:
        self.assertEqual(self.checked({}, changed=True), [])

    def test_files_that_cannot_be_read_are_told(self) -> None:
        [found] = self.checked("Permission denied")
        self.assertIn("check its copies of the cluster's files: Permission denied", found)

    def test_the_master_needs_them_all(self) -> None:
        files = [AncillaryFile(path, b"", 0) for path in Paths().shared_files]
        self.assertEqual(list(own_file_findings(files, "c")), [])
        [found] = own_file_findings(files[1:], "c")
        self.assertEqual((found.code.value, found.kind), ("ECLUSTERFILECHECK", "cluster"))
        self.assertIn("the master lacks /var/lib/ganeti/rapi.pem", found.message)


class ConfigTests(GroupCase):
    def test_what_refers_to_nothing_has_codes_of_its_own(self) -> None:
        lost = a_node("node2", group="gone")
        state = a_cluster(nodes=["node1", lost], instances=[an_instance("web1", node="gone")])
        found = {(each.code.value, each.kind, each.name) for each in config_findings(state)}
        self.assertIn(("ECLUSTERDANGLINGNODES", "node", "node2"), found)
        self.assertIn(("ECLUSTERDANGLINGINST", "instance", "web1"), found)


class SlowNodeTests(GroupCase):
    """One node took long to answer, and the others are judged by what was true then."""

    def test_clocks_are_compared_with_the_time_of_the_question(self) -> None:
        state = a_cluster(instances=["web1"])
        for clock, off in ((-290, ""), (-10, ""), (-500, "-200 s"), (200, "+200 s")):
            facts = answers(node1={"time": [int(NOW) + clock, 0]})
            found = self.found(state, facts, since=NOW - 300)
            self.assertEqual([off in each for each in found], [True] * bool(off), found)

    def test_what_has_changed_since_is_not_judged(self) -> None:
        before = a_cluster(instances=["web1", "web2"])
        state = a_cluster(instances=[an_instance("web1", beparams={"vcpus": 2})])
        facts = answers(node1={})
        facts[uuid_of("node", "node1"), DescribeNode] = some_facts(runs=("web2",))
        self.assertEqual(self.found(state, facts, before=before), [])
        self.assertEqual(len(self.found(state, facts, before=state)), 2)
