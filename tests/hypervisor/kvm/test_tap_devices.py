# SPDX-License-Identifier: BSD-2-Clause
"""Network cards are connected to the host, or it is said why not."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.hypervisor.kvm.tap_devices import Taps, connect_tap
from ganeti.model.guest import GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.schema.records import replace
from ganeti.testing.builders import a_guest
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Ran, Script

NIC = GuestNic(uuid="0123456789ab-cdef", mac="aa:00:10:00:00:01", mode="bridged", link="br0")
TAP = "gnt0123456789ab"
ADD = f"ip tuntap add dev {TAP} mode tap"


class TapsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder("/sys/class/net/br0/bridge", 0o755)
        self.processes = MemoryProcesses(Clock(), {"ip": Script()})
        self.taps = Taps(MemoryFiles(self.disk), self.processes)

    def commands(self) -> list[str]:
        return [" ".join(ran.argv) for ran in self.processes.ran]

    def test_a_bridged_card_is_connected_to_its_bridge(self) -> None:
        self.successResultOf(self.taps.connect(a_guest(nics=(NIC,)), Kvm()))
        self.assertEqual(self.commands(), [ADD, f"ip link set {TAP} master br0 up"])

    def test_a_device_that_was_left_is_removed_first(self) -> None:
        self.disk.add_folder(f"/sys/class/net/{TAP}", 0o755)
        self.successResultOf(self.taps.connect(a_guest(nics=(NIC,)), Kvm()))
        self.assertEqual(self.commands()[:2], [f"ip link delete {TAP}", ADD])

    def test_a_bridge_that_is_not_there_is_refused(self) -> None:
        guest = a_guest(nics=(replace(NIC, link="br9"),))
        failure = self.failureResultOf(self.taps.connect(guest, Kvm()), Refused)
        self.assertIn("this node has no bridge br9: create it", str(failure.value))
        self.assertEqual(self.commands(), [])

    def test_without_privileges_it_is_said_what_would_help(self) -> None:
        self.processes.programs["ip"] = Script(code=2, err=b"Operation not permitted\n")
        failure = self.failureResultOf(self.taps.connect(a_guest(nics=(NIC,)), Kvm()), Refused)
        message = str(failure.value)
        self.assertIn("Operation not permitted", message)
        self.assertIn("run the node daemon as root, or set the hypervisor parameter", message)

    def test_cards_that_go_out_through_qemu_need_nothing(self) -> None:
        guest = a_guest(nics=(replace(NIC, link="br9"),))
        self.successResultOf(self.taps.connect(guest, Kvm(kvm_net="user")))
        self.assertEqual(self.commands(), [])

    def test_the_other_modes(self) -> None:
        routed = replace(NIC, mode="routed", link="100", ip="192.0.2.7")
        switched = replace(NIC, mode="openvswitch", link="sw0", vlan=".5")
        trunk = replace(switched, vlan=":5:6")
        last = [" ".join(list(connect_tap(nic))[-1]) for nic in (routed, switched, trunk)]
        expected = [
            f"ip route replace 192.0.2.7 dev {TAP} table 100",
            f"ovs-vsctl --may-exist add-port sw0 {TAP} tag=5",
            f"ovs-vsctl --may-exist add-port sw0 {TAP} trunks=5,6",
        ]
        self.assertEqual(last, expected)


class ReconnectTests(SynchronousTestCase):
    """A card of a running guest moves from a bridge to a routing table."""

    def setUp(self) -> None:
        self.failing: tuple[str, ...] = ()
        disk = MemoryDisk()
        disk.add_folder("/sys/class/net/br0/bridge", 0o755)
        self.processes = MemoryProcesses(Clock(), {"ip": self.ip})
        self.taps = Taps(MemoryFiles(disk), self.processes)
        self.routed = replace(NIC, mode="routed", link="100", ip="192.0.2.7")

    def ip(self, ran: Ran) -> Script:
        failed = any(word in ran.argv for word in self.failing)
        return Script(code=2, err=b"no such table") if failed else Script()

    def commands(self) -> list[str]:
        return [" ".join(ran.argv) for ran in self.processes.ran]

    def test_it_is_released_and_connected(self) -> None:
        self.successResultOf(self.taps.reconnect(NIC, self.routed, "web1"))
        self.assertEqual(self.commands()[0], f"ip link set {TAP} nomaster")
        self.assertEqual(self.commands()[-1], f"ip route replace 192.0.2.7 dev {TAP} table 100")

    def test_where_it_cannot_be_connected_it_stays(self) -> None:
        self.failing = ("route",)
        failure = self.failureResultOf(self.taps.reconnect(NIC, self.routed, "web1"), Refused)
        self.assertIn("no such table); it is still connected to br0", str(failure.value))
        self.assertEqual(self.commands()[-1], f"ip link set {TAP} master br0 up")

    def test_one_that_is_disconnected_is_told(self) -> None:
        self.failing = ("route", "master")
        failure = self.failureResultOf(self.taps.reconnect(NIC, self.routed, "web1"), Failed)
        self.assertIn("and not to br0 again", str(failure.value))
        self.assertIn("it is disconnected; correct the network of this node", str(failure.value))

    def test_a_program_that_is_missing_leaves_it_where_it_was(self) -> None:
        switched = replace(NIC, mode="openvswitch", link="sw0")
        failure = self.failureResultOf(self.taps.reconnect(NIC, switched, "web1"), Refused)
        self.assertIn("it is still connected to br0", str(failure.value))
        self.assertEqual(self.commands()[-1], f"ip link set {TAP} master br0 up")
