# SPDX-License-Identifier: BSD-2-Clause
"""Network cards are connected to the host, or it is said why not."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.hypervisor.kvm.tap_devices import Taps, connect_tap
from ganeti.model.guest import GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.schema.records import replace
from ganeti.testing.builders import a_guest
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Script

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
