# SPDX-License-Identifier: BSD-2-Clause
"""DRBD: command lines, what the kernel says, and the contract over scripted nodes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Template
from ganeti.model.mirror import MirrorEnds, add_ends
from ganeti.storage.drbd import drbd_commands, status_parsers
from ganeti.storage.drbd.status_parsers import DrbdMinor, describe_loading
from ganeti.storage.drbd.volumes import DrbdVolumes
from ganeti.storage.interfaces import IMirror, ISnapshots, IVolumes, LocalState, VolumeStatus
from ganeti.testing.builders import a_disk, a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.drbd import FIRST_PORT, ScriptedDrbd
from ganeti.testing.mirror import Copies
from ganeti.testing.processes import MemoryProcesses, Script
from ganeti.testing.storage import Held, MemoryVolumes
from tests.contracts.mirror import (
    ADDRESSES,
    MirrorBasicsContract,
    MirrorContract,
    MirrorRepairsContract,
)

TREE = Path(__file__).parent.parent.parent

ENDS = MirrorEnds("192.0.2.1", "192.0.2.2", 11000, 0, 3, "c0ffee")
CAPTURED = """\
version: 8.4.11 (api:1/proto:86-101)
srcversion: FC3433D849E3B88C1E7B55C
 0: cs:SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----
    ns:8064 nr:0 dw:0 dr:8928 al:8 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:d oos:62464
\t[=>....] sync'ed: 11.8% (62464/65536)K
\tfinish: 0:01:05 speed: 16,000 (16,000) K/sec
 1: cs:Unconfigured
 2: cs:WFConnection ro:Secondary/Unknown ds:Inconsistent/DUnknown C r-----
    ns:0 nr:0 dw:0 dr:0 al:8 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:d oos:65536
13: cs:StandAlone ro:Primary/Unknown ds:Diskless/DUnknown   r-----
"""


class DrbdVolumesTests(
    MirrorBasicsContract, MirrorContract, MirrorRepairsContract, SynchronousTestCase
):
    def make(self, node: str, copies: Copies) -> tuple[IVolumes, IMirror]:
        here, there = (
            ADDRESSES[node],
            next(ip for ip in ADDRESSES.values() if ip != ADDRESSES[node]),
        )
        self.scripted = ScriptedDrbd(copies, here, there)
        self.below = MemoryVolumes()
        self.processes = MemoryProcesses(self.clock, self.scripted.programs)
        self.drbd = DrbdVolumes(self.processes, self.scripted.files, self.below, node)
        return self.drbd, self.drbd

    def test_volumes_below_come_and_go_with_the_disk(self) -> None:
        self.whole()
        held = sorted(self.below.held.values(), key=lambda each: each.size)
        self.assertEqual(held, [Held(64, "web1", True), Held(128, "web1", True)])
        self.done(self.two.volumes.remove(self.two.disk))
        self.assertEqual(self.below.held, {})

    def test_nothing_is_left_of_a_disk_that_could_not_be_made(self) -> None:
        self.scripted.programs["drbdmeta"] = lambda ran: Script(code=20, err=b"bad luck\n")
        self.processes.programs.update(self.scripted.programs)
        making = self.two.volumes.create(self.two.disk, owner="web1", primary=True)
        error = self.failureResultOf(Deferred.fromCoroutine(making), Failed)
        self.assertIn("drbdmeta --force failed: bad luck", str(error.value))
        self.assertEqual(self.below.held, {})

    def test_a_disk_is_made_beside_those_that_are_in_use(self) -> None:
        nodes = {node.uuid: node for node in map(a_node, ADDRESSES)}
        for number in (0, 1):
            logical_id = (*nodes, FIRST_PORT + number, number, number, "secret")
            disk = a_disk(
                f"disk{number}", Template.DRBD, nodes=tuple(ADDRESSES), logical_id=logical_id
            )
            disk = add_ends(disk, nodes)
            self.done(self.two.volumes.create(disk, owner="web1", primary=True))
        self.assertEqual(len(self.done(self.two.volumes.volumes())), 2)

    def test_a_disk_that_is_being_copied_does_not_grow_and_says_why(self) -> None:
        self.created()
        growing = self.one.volumes.grow(self.one.disk, 32)
        self.assertIn("wait for the end of the resync", self.refused(growing))

    def test_a_disk_that_exists_is_left_alone(self) -> None:
        self.whole()
        self.refused(self.two.volumes.create(self.two.disk, owner="web1", primary=True))
        self.assertEqual(len(self.below.held), 2)

    def test_a_helper_that_breaks_mirrors_is_refused_before_anything_is_made(self) -> None:
        self.assertEqual(self.drbd.obstacle(), "")
        self.scripted.helper = "/sbin/drbdadm"
        making = self.two.volumes.create(self.two.disk, owner="web1", primary=True)
        error = self.failureResultOf(Deferred.fromCoroutine(making), Refused).value
        self.assertIn("echo /bin/true > /sys/module/drbd/parameters/usermode_helper", str(error))
        self.assertEqual((str(error), self.below.held), (self.drbd.obstacle(), {}))

    def test_without_the_module_it_is_said_how_to_load_it(self) -> None:
        self.drbd = DrbdVolumes(self.processes, MemoryFiles(MemoryDisk()), self.below, "node1")
        self.assertIn("load it with: modprobe drbd", self.drbd.obstacle())

    def test_the_installed_options_are_those_that_messages_name(self) -> None:
        installed = (TREE / "daemons" / "ganeti.modprobe.in").read_text(encoding="utf-8")
        command = "drbd minor_count=128 usermode_helper="
        self.assertIn(f"\noptions {command}/bin/true\n", installed)
        self.assertIn(f"modprobe {command}/bin/true,", describe_loading())

    def test_another_helper_replaces_the_installed_options(self) -> None:
        self.assertIn(
            "write 'options drbd minor_count=128 usermode_helper=/bin/ok' to"
            " /etc/modprobe.d/ganeti.conf",
            describe_loading("/bin/ok"),
        )

    def test_looking_costs_no_process(self) -> None:
        self.whole()
        ran = len(self.processes.ran)
        self.status(self.two)
        self.attach(self.two)
        self.done(self.two.volumes.volumes())
        self.assertEqual(len(self.processes.ran), ran)

    def test_a_snapshot_is_one_of_the_data_below(self) -> None:
        self.whole()
        taken = self.done(ISnapshots(self.two.volumes).snapshot(self.two.disk, "one.snap"))
        self.assertEqual((taken.dev_type, taken.logical_id[1]), (Template.PLAIN, "one.snap"))


class CommandTests(SynchronousTestCase):
    def test_metadata_is_written_and_its_log_applied(self) -> None:
        self.assertEqual(
            [
                " ".join(each)
                for each in (
                    drbd_commands.create_metadata(3, "/dev/vg/meta", 128),
                    drbd_commands.create_metadata(3, "/dev/vg/meta", 8),
                    drbd_commands.apply_activity_log(0, "/dev/vg/meta", 128),
                    drbd_commands.apply_activity_log(0, "/dev/vg/meta", 8),
                )
            ],
            [
                "drbdmeta --force 3 v08 /dev/vg/meta 0 create-md",
                "drbdmeta --force 3 v08 /dev/vg/meta flex-external create-md",
                "drbdmeta 0 v08 /dev/vg/meta 0 apply-al",
                "drbdmeta 0 v08 /dev/vg/meta flex-external apply-al",
            ],
        )

    def test_a_copy_is_attached_as_the_parameters_say(self) -> None:
        params = {"disk-barriers": "bf", "meta-barriers": True, "disk-custom": "--al-extents=127"}
        self.assertEqual(
            " ".join(drbd_commands.attach(0, "DATA", "META", 128, 64, params)),
            "drbdsetup attach 0 DATA META 0 --on-io-error=detach --size=65536k --disk-barrier=no"
            " --disk-flushes=no --md-flushes=no --c-plan-ahead=0 --resync-rate=61440"
            " --al-extents=127",
        )

    def test_a_dynamic_resync_and_small_metadata(self) -> None:
        params = {"dynamic-resync": True, "c-plan-ahead": 20, "c-max-rate": 9, "disk-barriers": "n"}
        self.assertEqual(
            " ".join(drbd_commands.attach(0, "DATA", "META", 8, None, params)),
            "drbdsetup attach 0 DATA META flexible --on-io-error=detach --c-plan-ahead=20"
            " --c-max-rate=9",
        )

    def test_both_ends_are_connected_with_a_secret(self) -> None:
        self.assertEqual(
            " ".join(drbd_commands.connect(0, ENDS, {"protocol": "A"}, both=True)),
            "drbdsetup connect resource0 ipv4:192.0.2.1:11000 ipv4:192.0.2.2:11000 --protocol=A"
            " --after-sb-0pri=discard-zero-changes --after-sb-1pri=consensus --cram-hmac-alg=md5"
            " --shared-secret=c0ffee --allow-two-primaries",
        )

    def test_ipv6_addresses_stand_in_brackets(self) -> None:
        ends = MirrorEnds("2001:db8::1", "2001:db8::2", 11000, 0, 0, "x")
        expected = ("ipv6:[2001:db8::1]:11000", "ipv6:[2001:db8::2]:11000")
        self.assertEqual(drbd_commands.addresses(ends), expected)

    def test_the_rest_of_the_commands(self) -> None:
        ends = "ipv4:192.0.2.1:11000 ipv4:192.0.2.2:11000"
        lines = {
            drbd_commands.new_resource(0): "new-resource resource0",
            drbd_commands.new_minor(0): "new-minor resource0 0 0",
            drbd_commands.disconnect(ENDS): f"disconnect {ends}",
            drbd_commands.net_options(
                ENDS, both=False
            ): f"net-options {ends} --allow-two-primaries=no",
            drbd_commands.primary(0): "primary 0",
            drbd_commands.primary(0, force=True): "primary 0 --force",
            drbd_commands.secondary(0): "secondary 0",
            drbd_commands.detach(0): "detach 0",
            drbd_commands.resize(0, 88): "resize 0 --size=90112k",
            drbd_commands.pause_sync(0, paused=True): "pause-sync 0",
            drbd_commands.pause_sync(0, paused=False): "resume-sync 0",
            drbd_commands.down(0): "down resource0",
        }
        for command, line in lines.items():
            self.assertEqual(" ".join(command), f"drbdsetup {line}")


class ReadingTests(SynchronousTestCase):
    def test_what_the_kernel_says_is_read(self) -> None:
        self.assertEqual(status_parsers.version(CAPTURED), "8.4.11")
        self.assertEqual(
            status_parsers.minors(CAPTURED),
            {
                0: DrbdMinor(
                    minor=0,
                    connection="SyncSource",
                    role="Primary",
                    disk="UpToDate",
                    peer_disk="Inconsistent",
                    percent=11.8,
                    finish=65,
                ),
                2: DrbdMinor(
                    minor=2,
                    connection="WFConnection",
                    role="Secondary",
                    disk="Inconsistent",
                    peer_disk="DUnknown",
                ),
                13: DrbdMinor(
                    minor=13,
                    connection="StandAlone",
                    role="Primary",
                    disk="Diskless",
                    peer_disk="DUnknown",
                ),
            },
        )

    def test_a_resync_has_a_rest(self) -> None:
        self.assertEqual(
            status_parsers.minors(CAPTURED)[0].status(64),
            VolumeStatus(
                path="/dev/drbd0",
                major=147,
                minor=0,
                size=64,
                sync_percent=11.8,
                estimated_time=65,
                degraded=True,
                local=LocalState.OK,
            ),
        )

    def test_copies_are_good_bad_or_on_their_way(self) -> None:
        cases = {
            ("Connected", "UpToDate", "UpToDate"): (LocalState.OK, False),
            ("Connected", "UpToDate", "Diskless"): (LocalState.OK, True),
            ("WFConnection", "UpToDate", "Outdated"): (LocalState.OK, True),
            ("SyncTarget", "Inconsistent", "UpToDate"): (LocalState.SYNC, True),
            ("Connected", "Diskless", "UpToDate"): (LocalState.FAULTY, True),
            ("StandAlone", "Outdated", "DUnknown"): (LocalState.FAULTY, True),
            ("Connected", "Negotiating", "UpToDate"): (LocalState.UNKNOWN, True),
        }
        for (connection, disk, peer), expected in cases.items():
            minor = DrbdMinor(
                minor=0, connection=connection, role="Primary", disk=disk, peer_disk=peer
            )
            status = minor.status(None)
            self.assertEqual((status.local, status.degraded), expected, minor)

    @given(st.text() | st.text(alphabet="0123456789: csrod:/\n\t%'", max_size=200))
    def test_any_text_is_read(self, text: str) -> None:
        status_parsers.minors(text)
        status_parsers.version(text)
        status_parsers.refusal(text)


class RefusalTests(SynchronousTestCase):
    def test_a_refusal_says_what_would_help(self) -> None:
        said = b"0: Failure: (162) Invalid configuration request\nadditional info: unknown\n"
        clock = Clock()
        scripted = ScriptedDrbd(Copies(clock), ENDS.local_ip, ENDS.remote_ip)
        processes = MemoryProcesses(clock, {"drbdsetup": Script(code=10, err=said)})
        disk = a_disk("one", Template.DRBD, nodes=("node1", "node2"))
        nodes = {node.uuid: node for node in map(a_node, ("node1", "node2"))}
        volumes = DrbdVolumes(processes, scripted.files, MemoryVolumes(), "node1")
        promoting = volumes.promote(add_ends(disk, nodes))
        error = self.failureResultOf(Deferred.fromCoroutine(promoting), Refused).value
        assert isinstance(error, Refused)
        self.assertEqual(error.code, Code.UNKNOWN)
        self.assertIn("connect the disk first", str(error))
