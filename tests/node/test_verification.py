# SPDX-License-Identifier: BSD-2-Clause
"""What a node finds when it looks at itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import ganeti
from ganeti.errors import Failed, Invalid
from ganeti.model.disk import Template
from ganeti.node.disks import make_storage_drivers
from ganeti.node.verification import CHECKS, NodeChecks
from ganeti.paths import Paths
from ganeti.pki.authority import Authority, create_self_signed
from ganeti.rpc.node import OSDefinitionReport, VerifyNode
from ganeti.storage.drbd.volumes import DrbdVolumes
from ganeti.storage.interfaces import StorageUnit
from ganeti.storage.lvm.lvm_commands import Lvm
from ganeti.storage.lvm.volumes import LogicalVolumes
from ganeti.testing.builders import a_disk
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.images import MemoryImages
from ganeti.testing.lvm import ScriptedLvm, ScriptedPool
from ganeti.testing.processes import MemoryProcesses
from ganeti.testing.storage import Held, MemoryUnits, MemoryVolumes, name_of

NOOP = OSDefinitionReport(
    name="noop",
    path="/os/noop",
    valid=True,
    diagnosis="",
    variants=(),
    parameters=(),
    api_versions=(20,),
)


class ChecksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        files, clock = MemoryFiles(self.disk), Clock()
        paths = Paths("/n1")
        doors = make_storage_drivers(
            "node1", paths, files, MemoryImages(), MemoryProcesses(clock, {}), clock.seconds
        )
        self.plain = MemoryVolumes()
        drbd = DrbdVolumes(MemoryProcesses(clock, {}), files, self.plain, "node1")
        self.reached: list[str] = []
        self.images = MemoryImages()
        self.checks = NodeChecks(
            files=files,
            paths=paths,
            now=lambda: 1_700_000_000.25,
            hypervisors={"fake": MemoryHypervisor()},
            drivers={Template.PLAIN: self.plain, Template.DRBD: drbd},
            units={
                "lvm-vg": MemoryUnits(StorageUnit(name="vg0", size=100, free=40, used=60)),
                "lvm-pv": MemoryUnits(
                    StorageUnit(name="/dev/sda", group="vg0", size=100, free=40, used=60),
                    StorageUnit(name="/dev/sdb", size=100, free=100, used=0),
                ),
            },
            folders=doors.folders,
            oses=lambda: [NOOP],
            reach=self.reach,
            space=self.images.space,
        )

    async def reach(self, host: str, port: int) -> None:
        self.reached.append(f"{host}:{port}")
        if host == "192.0.2.9":
            raise Failed("no route")

    def put(self, path: str, content: bytes = b"", mode: int = 0o644) -> None:
        self.disk.add_folder(path.rpartition("/")[0], 0o755)
        self.disk.put(path, content, mode, 0.0)

    def verify(self, **what: Any) -> dict[str, Any]:
        named = {key.replace("_", "-"): value for key, value in what.items()}
        call = VerifyNode(what=named, cluster_name="c1")
        found = self.successResultOf(Deferred.fromCoroutine(self.checks.verify(call)))
        answer: dict[str, Any] = json.loads(json.dumps(found))
        return answer

    def test_a_node_says_what_it_is_and_what_time_it_has(self) -> None:
        self.assertEqual(
            self.verify(version=None, time=None),
            {"version": [3000000, ganeti.__version__], "time": [1_700_000_000, 250_000]},
        )

    def test_peers_are_reached_at_each_address_once(self) -> None:
        peers = {"n2": ["192.0.2.2", "192.0.2.2"], "n3": ["192.0.2.3", "192.0.2.9"]}
        found = self.verify(node_net_test=peers)
        self.assertEqual(found, {"node-net-test": {"n3": "192.0.2.9: no route"}})
        self.assertEqual(self.reached, ["192.0.2.2:1811", "192.0.2.3:1811", "192.0.2.9:1811"])

    def test_hypervisors_are_there_or_not(self) -> None:
        found = self.verify(hypervisor=["fake", "kvm"])
        expected = {"fake": None, "kvm": "is not available on this node"}
        self.assertEqual(found, {"hypervisor": expected})

    def test_only_storage_that_can_run_short_is_asked_for_it(self) -> None:
        self.assertEqual(self.verify(storage_shortages=["plain"]), {})
        lvm = ScriptedLvm()
        plain = LogicalVolumes(Lvm(MemoryProcesses(Clock(), lvm.programs)), self.images)
        self.checks = replace(self.checks, drivers={Template.PLAIN: plain})
        self.assertEqual(self.verify(storage_shortages=["plain"]), {})
        lvm.pools["thin"] = ScriptedPool(64, data=99.0)
        [found] = self.verify(storage_shortages=["plain", "drbd"])["storage-shortages"]
        self.assertIn("99 % of thin pool vg0/thin are used", found)

    def test_what_stands_in_the_way_of_disks_is_told_by_template(self) -> None:
        found = self.verify(storage_obstacles=["plain", "drbd"])["storage-obstacles"]
        self.assertEqual(list(found), ["drbd"])
        self.put("/proc/drbd")
        self.put("/sys/module/drbd/parameters/usermode_helper", b"/bin/true\n")
        self.assertEqual(self.verify(storage_obstacles=["plain", "drbd"]), {})

    def test_files_that_a_master_replaces_have_fingerprints(self) -> None:
        self.put("/n1/var/lib/ganeti/rapi/users", b"jack")
        self.put("/etc/passwd", b"root")
        users = "/var/lib/ganeti/rapi/users"
        found = self.verify(filelist=[users, "/var/lib/ganeti/rapi.pem", "/etc/passwd"])["filelist"]
        self.assertEqual([(name, len(digest)) for name, digest in found.items()], [(users, 64)])

    def test_a_storage_folder_that_is_fine_has_no_answer(self) -> None:
        fine, other = "/srv/ganeti/file-storage", "/data"
        self.assertEqual(self.verify(file_storage_path=fine), {})
        self.assertIn("/n1/etc/ganeti", self.verify(file_storage_path=other)["file-storage-path"])
        self.put(f"/n1{fine}")
        self.assertIn("is not a folder", self.verify(file_storage_path=fine)["file-storage-path"])

    def test_folders_that_cannot_be_accepted_are_named(self) -> None:
        self.put("/n1/etc/ganeti/file-storage-paths", b"/data\n/etc\n")
        found = self.verify(allowed_file_storage_paths=None)
        self.assertEqual(found, {"allowed-file-storage-paths": ["/etc"]})

    def test_scripts_must_be_programs(self) -> None:
        self.put("/x/good", mode=0o755)
        self.put("/x/bad")
        found = self.verify(user_scripts=["/x/good", "/x/bad", "/x/none", "/x"])
        self.assertEqual(found, {"user-scripts": ["/x/bad", "/x/none", "/x"]})

    def test_volumes_groups_and_their_devices_are_listed(self) -> None:
        name = name_of(a_disk("one", Template.PLAIN, logical_id=("vg0", "one")))
        self.plain.held = {name: Held(64, attached=True), "vg1/two": Held(32)}
        device = {
            "name": "/dev/sda",
            "vg_name": "vg0",
            "size": 100,
            "free": 40,
            "attributes": "a--",
        }
        self.assertEqual(
            self.verify(vglist=None, pvlist=["vg0"], lvlist="vg0"),
            {
                "vglist": {"vg0": 100},
                "pvlist": [device],
                "lvlist": {"vg0/one": ["64.00", False, False]},
            },
        )

    def test_a_check_that_cannot_be_made_says_why(self) -> None:
        self.plain.trouble["volumes"] = Failed("lvs is broken")
        self.assertEqual(self.verify(lvlist="vg0"), {"lvlist": "lvs is broken"})

    def test_the_certificate_is_known_by_its_fingerprint(self) -> None:
        path = "/n1/var/lib/ganeti/server.pem"
        [error, text] = self.verify(client_cert=None)["client-cert"]
        self.assertEqual((error, path in text), ("ERROR", True))
        self.put(path, Authority.founded("c1", 1_700_000_000).certificate)
        [error, text] = self.verify(client_cert=None)["client-cert"]
        self.assertEqual((error, len(text)), (None, 64))
        self.disk.overwrite(path, b"junk")
        self.assertEqual(self.verify(client_cert=None)["client-cert"][0], "ERROR")

    def test_the_ends_of_certificates_are_told(self) -> None:
        made = create_self_signed("node1", 1_700_000_000, timedelta(days=1))
        self.put("/n1/var/lib/ganeti/server.pem", made.pem)
        self.put("/n1/var/lib/ganeti/rapi.pem", b"junk")
        ends = {"/n1/var/lib/ganeti/server.pem": 1_700_086_400.0}
        self.assertEqual(self.verify(certificates=None)["certificates"], ends)

    def test_folders_on_full_file_systems_are_named_with_what_is_free_there(self) -> None:
        self.images.room = 100 << 20
        paths = self.checks.paths
        self.assertEqual(
            self.verify(full_file_systems=101),
            {"full-file-systems": dict.fromkeys(("/usr", paths.data, paths.log), 100)},
        )
        self.assertEqual(self.verify(full_file_systems=100), {})

    def test_os_definitions_and_bridges_are_listed(self) -> None:
        self.put("/sys/class/net/br0/bridge/stp_state")
        found = self.verify(oslist=None, bridges=["br0", "br1"])
        self.assertEqual((found["oslist"][0]["name"], found["bridges"]), ("noop", ["br1"]))

    def test_programs_that_are_missing_are_listed(self) -> None:
        self.put("/usr/sbin/nft")
        found = self.verify(missing_programs=["dnsmasq", "nft"])
        self.assertEqual(found, {"missing-programs": ["dnsmasq"]})

    def test_a_node_without_drbd_says_so(self) -> None:
        found = self.verify(drbd_version=None, drbd_list=None, drbd_helper=None)
        self.assertEqual((found["drbd-version"], found["drbd-list"]), (None, []))
        self.assertFalse(found["drbd-helper"][0])

    def test_a_node_with_drbd_lists_its_minors(self) -> None:
        self.put(
            "/proc/drbd", b"version: 8.4.11 (x)\n 3: cs:StandAlone ro:Primary/Unknown ds:a/b\n"
        )
        self.put("/sys/module/drbd/parameters/usermode_helper", b"/bin/true\n")
        found = self.verify(drbd_version=None, drbd_list=None, drbd_helper=None)
        expected = {"drbd-version": "8.4.11", "drbd-list": [3], "drbd-helper": [True, "/bin/true"]}
        self.assertEqual(found, expected)

    def test_mirrors_that_are_pretended_are_not_the_kernels(self) -> None:
        self.put("/proc/drbd", b" 3: cs:StandAlone ro:Primary/Unknown ds:a/b\n")
        self.checks = replace(self.checks, drivers={Template.DRBD: MemoryVolumes()})
        self.assertEqual(self.verify(drbd_list=None, drbd_helper=None), {"drbd-list": []})

    def test_a_host_without_the_kernels_file_systems_is_not_set_up(self) -> None:
        found = self.verify(nodesetup=None)["nodesetup"]
        self.assertEqual([each.rpartition(" ")[2] for each in found], ["/proc", "/sys"])
        self.put("/proc/meminfo")
        self.put("/sys/class/net/lo/operstate")
        self.assertEqual(self.verify(nodesetup=None), {"nodesetup": []})

    def test_keys_that_everybody_can_read_are_told(self) -> None:
        self.put("/proc/meminfo")
        self.put("/sys/class/net/lo/operstate")
        self.put("/n1/var/lib/ganeti/ca.key", mode=0o400)
        self.put("/n1/var/lib/ganeti/server.pem", mode=0o644)
        [problem] = self.verify(nodesetup=None)["nodesetup"]
        self.assertIn("chmod o= /n1/var/lib/ganeti/server.pem", problem)

    def test_programs_of_hypervisors_tell_their_versions(self) -> None:
        found = self.verify(**{"hypervisor-versions": {"fake": {}, "lxc": {}}})
        self.assertEqual(found, {"hypervisor-versions": {"fake": "1.0"}})

    def test_hypervisor_parameters_are_tried(self) -> None:
        sets = [["cluster", "fake", {}], ["cluster", "kvm", {}]]
        self.assertEqual(self.verify(hvparms=sets), {"hvparms": []})

    def test_unknown_checks_are_left_out_and_nonsense_is_refused(self) -> None:
        self.assertEqual(self.verify(weather=None), {})
        call = VerifyNode(what={"lvlist": 5}, cluster_name="c1")
        verifying = Deferred.fromCoroutine(self.checks.verify(call))
        self.assertIn("what.lvlist", str(self.failureResultOf(verifying, Invalid).value))
        self.assertIn("lvlist", CHECKS)
