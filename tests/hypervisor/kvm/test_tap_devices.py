# SPDX-License-Identifier: BSD-2-Clause
"""Network cards are connected to the host, or it is said why not."""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.hypervisor.kvm.packet_filter import build_filter, delete_filters
from ganeti.hypervisor.kvm.tap_devices import Taps, connect_tap, host_mac
from ganeti.model.guest import GuestNetwork, GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.traffic_rules import TrafficRules
from ganeti.schema.records import replace
from ganeti.testing.builders import a_guest
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Ran, Script

NIC = GuestNic(uuid="0123456789ab-cdef", mac="aa:00:10:00:00:01", mode="bridged", link="br0")
TAP = "gnt0123456789ab"
ADD = f"ip tuntap add dev {TAP} mode tap"
ADDRESS = f"ip link set {TAP} address fe:00:10:00:00:01"
OVS = "ovs-vsctl --timeout=20"


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
        self.assertEqual(self.commands(), [ADD, ADDRESS, f"ip link set {TAP} master br0 up"])

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
        trunk, hybrid = replace(switched, vlan=":5:6"), replace(switched, vlan=".5:6")
        cards = (routed, switched, trunk, hybrid)
        last = [" ".join(list(connect_tap(nic))[-1]) for nic in cards]
        add_port = f"{OVS} --if-exists del-port {TAP} -- add-port sw0 {TAP}"
        expected = [
            f"ip route replace 192.0.2.7 dev {TAP} table 100",
            f"{add_port} tag=5",
            f"{add_port} trunks=5,6",
            f"{add_port} tag=5 trunks=6 vlan_mode=native-untagged",
        ]
        self.assertEqual(last, expected)

    def test_a_bridge_keeps_its_mtu(self) -> None:
        # It would take over the 1500 of a new port.
        self.disk.put("/sys/class/net/br0/mtu", b"9000\n", 0o444, 0)
        self.successResultOf(self.taps.connect(a_guest(nics=(NIC,)), Kvm()))
        self.assertEqual(self.commands()[-1], f"ip link set {TAP} mtu 9000 master br0 up")

    def test_a_bridge_does_not_take_over_the_address_of_a_card(self) -> None:
        found = [host_mac(mac) for mac in ("AA:00:10:00:00:01", "fe:00:10:00:00:01")]
        self.assertEqual(found, ["fe:00:10:00:00:01", "fa:00:10:00:00:01"])

    def test_an_open_vswitch_that_is_not_there_is_refused(self) -> None:
        for link in ("sw0", "br0"):
            guest = a_guest(nics=(replace(NIC, mode="openvswitch", link=link),))
            failure = self.failureResultOf(self.taps.connect(guest, Kvm()), Refused)
            message = f"no Open vSwitch bridge {link}: create it (ovs-vsctl add-br {link})"
            self.assertIn(message, str(failure.value))

    def test_without_its_program_it_is_said_what_is_missing(self) -> None:
        self.disk.add_folder("/sys/class/net/sw0", 0o755)
        guest = a_guest(nics=(replace(NIC, mode="openvswitch", link="sw0"),))
        failure = self.failureResultOf(self.taps.connect(guest, Kvm()), Refused)
        self.assertIn("check that Open vSwitch is installed and running", str(failure.value))

    def test_a_port_of_open_vswitch_is_removed_with_the_device(self) -> None:
        self.disk.put("/run/openvswitch/db.sock", b"", 0o600, 0)
        self.processes.programs["ovs-vsctl"] = Script()
        self.successResultOf(self.taps.disconnect((TAP, "gnt1")))
        removal = f"{OVS} -- --if-exists del-port {TAP} -- --if-exists del-port gnt1"
        self.assertEqual(self.commands(), [removal])

    def test_the_routing_table_of_the_kernel_is_refused(self) -> None:
        guest = a_guest(nics=(replace(NIC, mode="routed", link="local", ip="192.0.2.7"),))
        failure = self.failureResultOf(self.taps.connect(guest, Kvm()), Refused)
        self.assertIn("routing table local is the kernel's", str(failure.value))

    def test_a_route_that_would_cut_off_the_node_is_refused(self) -> None:
        self.processes.programs["ip"] = Script(out=b'[{"type": "local"}]')
        guest = a_guest(nics=(replace(NIC, mode="routed", link="", ip="192.0.2.7"),))
        failure = self.failureResultOf(self.taps.connect(guest, Kvm()), Refused)
        self.assertIn("192.0.2.7 is one of this node itself", str(failure.value))

    def test_a_mode_that_is_none_is_refused(self) -> None:
        guest = a_guest(nics=(replace(NIC, mode="pool"),))
        failure = self.failureResultOf(self.taps.connect(guest, Kvm()), Refused)
        self.assertIn("use bridged, openvswitch or routed", str(failure.value))


class VlanTests(SynchronousTestCase):
    """A card on a bridge that separates VLANs."""

    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder("/sys/class/net/br0/bridge", 0o755)
        self.filter(b"1\n")
        self.processes = MemoryProcesses(Clock(), {"ip": Script(), "bridge": Script()})
        self.taps = Taps(MemoryFiles(self.disk), self.processes)

    def filter(self, content: bytes) -> None:
        self.disk.put("/sys/class/net/br0/bridge/vlan_filtering", content, 0o644, 0)

    def commands_for(self, vlan: str) -> list[str]:
        guest = a_guest(nics=(replace(NIC, vlan=vlan),))
        self.successResultOf(self.taps.connect(guest, Kvm()))
        return [" ".join(ran.argv) for ran in self.processes.ran][2:]

    def test_it_is_up_when_it_has_its_vlans(self) -> None:
        expected = [
            f"ip link set {TAP} master br0",
            f"bridge vlan del dev {TAP} vid 1-4094",
            f"bridge vlan add dev {TAP} vid 10 pvid untagged",
            f"bridge vlan add dev {TAP} vid 20",
            f"bridge vlan add dev {TAP} vid 30",
            f"ip link set {TAP} up",
        ]
        self.assertEqual(self.commands_for(".10:20:30"), expected)

    def test_a_trunk_has_no_untagged_vlan(self) -> None:
        added = [each for each in self.commands_for(":20") if "vlan add" in each]
        self.assertEqual(added, [f"bridge vlan add dev {TAP} vid 20"])

    def test_a_bridge_that_ignores_vlans_is_refused(self) -> None:
        self.filter(b"0\n")
        guest = a_guest(nics=(replace(NIC, vlan=".10"),))
        failure = self.failureResultOf(self.taps.connect(guest, Kvm()), Refused)
        self.assertIn("bridge br0 of this node does not separate VLANs", str(failure.value))
        self.assertEqual(self.processes.ran, [])

    def test_a_vlan_that_was_edited_into_the_configuration_is_refused(self) -> None:
        guest = a_guest(nics=(replace(NIC, vlan=".9999"),))
        failure = self.failureResultOf(self.taps.connect(guest, Kvm()), Refused)
        self.assertIn("its vlan .9999: 9999 is not a VLAN ID", str(failure.value))

    def test_a_running_card_changes_its_vlan(self) -> None:
        change = self.taps.reconnect(replace(NIC, vlan=".10"), replace(NIC, vlan=".20"), "web1")
        self.successResultOf(change)
        commands = [" ".join(ran.argv) for ran in self.processes.ran]
        self.assertEqual(commands[0], f"ip link set {TAP} down nomaster")
        self.assertEqual(commands[-2], f"bridge vlan add dev {TAP} vid 20 pvid untagged")


class FilterTests(SynchronousTestCase):
    """A card with rules, on a node that can filter packets."""

    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder("/sys/class/net/br0/bridge", 0o755)
        self.disk.add_folder("/sys/class/net/sw0", 0o755)
        self.disk.put("/usr/sbin/nft", b"", 0o755, 0)
        self.processes = MemoryProcesses(Clock(), {"ip": Script(), "nft": Script()})
        self.taps = Taps(MemoryFiles(self.disk), self.processes)
        self.card = replace(NIC, rules=TrafficRules(anti_spoofing=True))

    def start(self, card: GuestNic) -> Deferred[None]:
        return Deferred.fromCoroutine(self.taps.connect(a_guest(nics=(card,)), Kvm()))

    def filters(self) -> list[bytes]:
        return [ran.stdin for ran in self.processes.ran if ran.argv == ("nft", "-f", "-")]

    def test_it_is_there_before_the_card_is_connected(self) -> None:
        self.successResultOf(self.start(self.card))
        names = [" ".join(ran.argv) for ran in self.processes.ran]
        self.assertEqual(names[-2:], ["nft -f -", f"ip link set {TAP} master br0 up"])
        self.assertEqual(self.filters()[-1], build_filter(self.card))

    def test_it_is_removed_with_the_device(self) -> None:
        self.successResultOf(self.taps.disconnect((TAP,)))
        self.assertEqual(self.filters(), [delete_filters([TAP])])

    def test_a_node_that_cannot_filter_refuses_the_card(self) -> None:
        self.successResultOf(MemoryFiles(self.disk).remove("/usr/sbin/nft"))
        failure = self.failureResultOf(self.start(self.card), Refused)
        self.assertIn("install the package nftables", str(failure.value))

    def test_a_filter_that_fails_leaves_no_device(self) -> None:
        self.processes.programs["nft"] = Script(code=1, err=b"Operation not supported")
        failure = self.failureResultOf(self.start(self.card), Refused)
        self.assertIn("nft -f -: Operation not supported", str(failure.value))
        self.assertNotIn("master", [word for ran in self.processes.ran for word in ran.argv])

    def test_rules_that_were_edited_into_the_configuration_are_refused(self) -> None:
        card = replace(NIC, rules=TrafficRules(firewall="ssh"))
        failure = self.failureResultOf(self.start(card), Refused)
        self.assertIn("its packet filter is invalid: ssh is no rule", str(failure.value))

    def test_rules_of_a_running_guest_change_without_a_break(self) -> None:
        free = replace(self.card, rules=None)
        self.successResultOf(self.taps.reconnect(self.card, free, "web1"))
        self.assertEqual(self.filters(), [build_filter(free)])
        self.assertEqual({ran.argv[0] for ran in self.processes.ran}, {"nft"})

    def test_rules_that_cannot_change_stay(self) -> None:
        self.processes.programs["nft"] = Script(code=1, err=b"no memory")
        other = replace(self.card, ip="192.0.2.7")
        failure = self.failureResultOf(self.taps.reconnect(self.card, other, "web1"), Refused)
        self.assertIn(
            "cannot be filtered (nft -f -: no memory); it is as it was", str(failure.value)
        )

    def test_one_that_another_program_has_removed_is_set_again(self) -> None:
        self.disk.add_folder(f"/sys/class/net/{TAP}", 0o755)
        self.processes.programs["nft"] = Script(out=b"table netdev other\n")
        starting = replace(self.card, uuid="fedc")
        restored = self.successResultOf(self.taps.restore_filters([self.card, starting]))
        self.assertEqual(restored, [self.card])
        self.assertEqual(self.filters(), [build_filter(self.card)])

    def test_one_that_is_there_stays(self) -> None:
        self.disk.add_folder(f"/sys/class/net/{TAP}", 0o755)
        self.processes.programs["nft"] = Script(out=f"table netdev {TAP}\n".encode())
        self.assertEqual(self.successResultOf(self.taps.restore_filters([self.card])), [])
        self.assertEqual(self.filters(), [])

    def test_what_cannot_be_listed_or_set_fails(self) -> None:
        self.disk.add_folder(f"/sys/class/net/{TAP}", 0o755)
        for at, words in (("list", "nft list tables netdev: no"), ("-f", "nft -f -: no memory")):
            self.processes.programs["nft"] = partial(self.fail_at, at)
            failure = self.failureResultOf(self.taps.restore_filters([self.card]), Failed)
            self.assertIn(words, str(failure.value))

    def fail_at(self, word: str, ran: Ran) -> Script:
        return Script(code=1, err=b"no memory") if word in ran.argv else Script()

    def test_without_rules_nothing_is_asked(self) -> None:
        self.assertEqual(self.successResultOf(self.taps.restore_filters([])), [])
        self.assertEqual(self.processes.ran, [])

    def test_an_address_without_rules_changes_nothing(self) -> None:
        self.successResultOf(self.taps.reconnect(NIC, replace(NIC, ip="192.0.2.7"), "web1"))
        self.assertEqual(self.processes.ran, [])

    def test_a_switch_outside_of_the_kernel_is_refused(self) -> None:
        self.processes.programs["ovs-vsctl"] = Script(out=b"netdev\n")
        card = replace(self.card, mode="openvswitch", link="sw0")
        failure = self.failureResultOf(self.start(card), Refused)
        self.assertIn(
            "sw0 has datapath_type=netdev, which packet filters do not", str(failure.value)
        )


class ServerTests(SynchronousTestCase):
    """A card with a DHCP server."""

    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder("/sys/class/net/br0/bridge", 0o755)
        for program in ("nft", "dnsmasq"):
            self.disk.put(f"/usr/sbin/{program}", b"", 0o755, 0)
        names = ("ip", "nft", "nsenter")
        self.processes = MemoryProcesses(Clock(), {name: Script() for name in names})
        self.taps = Taps(MemoryFiles(self.disk), self.processes)
        office = GuestNetwork(name="office", uuid="u", tags=("dhcp",), subnet="192.0.2.0/24")
        self.card = replace(NIC, ip="192.0.2.7", network=office)
        self.without = replace(self.card, network=replace(office, tags=()))

    def programs(self) -> list[str]:
        return [ran.argv[0] for ran in self.processes.ran]

    def test_it_runs_before_the_card_is_connected(self) -> None:
        self.successResultOf(self.taps.connect(a_guest(nics=(self.card,)), Kvm()))
        self.assertEqual(self.programs()[-3:], ["nsenter", "nft", "ip"])
        self.assertEqual(self.processes.ran[-2].stdin, build_filter(self.card))

    def test_one_that_fails_leaves_no_device(self) -> None:
        self.processes.programs["nsenter"] = Script(code=1, err=b"no memory")
        failure = self.failureResultOf(
            self.taps.connect(a_guest(nics=(self.card,)), Kvm()), Refused
        )
        self.assertIn("no memory", str(failure.value))
        self.assertNotIn("master", [word for ran in self.processes.ran for word in ran.argv])

    def test_a_node_without_the_program_refuses_the_card(self) -> None:
        self.successResultOf(MemoryFiles(self.disk).remove("/usr/sbin/dnsmasq"))
        failure = self.failureResultOf(
            self.taps.connect(a_guest(nics=(self.card,)), Kvm()), Refused
        )
        self.assertIn("install the package dnsmasq-base", str(failure.value))

    def test_a_tag_of_a_running_guest_starts_and_ends_it(self) -> None:
        self.successResultOf(self.taps.reconnect(self.without, self.card, "web1"))
        self.assertEqual(self.programs()[-2:], ["nsenter", "nft"])
        self.disk.put(f"/run/netns/{TAP}", b"", 0o644, 0)
        self.successResultOf(self.taps.reconnect(self.card, self.without, "web1"))
        commands = [" ".join(ran.argv) for ran in self.processes.ran]
        self.assertEqual(commands[-2:], [f"ip netns delete {TAP}", "nft -f -"])

    def test_one_that_cannot_change_is_as_it_was(self) -> None:
        self.processes.programs["nsenter"] = Script(code=1, err=b"no memory")
        change = self.taps.reconnect(self.without, self.card, "web1")
        failure = self.failureResultOf(change, Refused)
        self.assertIn("no memory); it is as it was", str(failure.value))
        self.assertEqual(self.processes.ran[-1].stdin, build_filter(self.without))

    def test_one_that_has_ended_is_restored_with_its_filter(self) -> None:
        self.disk.add_folder(f"/sys/class/net/{TAP}", 0o755)
        cards = [("web1", self.card), ("web2", self.without)]
        self.assertEqual(self.successResultOf(self.taps.restore_servers(cards)), ["web1"])
        self.assertEqual(self.processes.ran[-1].stdin, build_filter(self.card))

    def test_one_that_is_left_ends_with_the_device(self) -> None:
        self.disk.put(f"/run/netns/{TAP}", b"", 0o644, 0)
        self.successResultOf(self.taps.disconnect((TAP,)))
        commands = [" ".join(ran.argv) for ran in self.processes.ran]
        self.assertIn(f"ip netns delete {TAP}", commands)


class ReconnectTests(SynchronousTestCase):
    """A card of a running guest moves from a bridge to a routing table."""

    def setUp(self) -> None:
        self.failing: tuple[str, ...] = ()
        disk = MemoryDisk()
        disk.add_folder("/sys/class/net/br0/bridge", 0o755)
        disk.add_folder("/sys/class/net/sw0", 0o755)
        self.processes = MemoryProcesses(Clock(), {"ip": self.ip})
        self.taps = Taps(MemoryFiles(disk), self.processes)
        self.routed = replace(NIC, mode="routed", link="100", ip="192.0.2.7")

    def ip(self, ran: Ran) -> Script:
        failed = any(word in ran.argv for word in self.failing)
        return Script(code=2, err=b"no such table") if failed else Script()

    def commands(self) -> list[str]:
        return [" ".join(ran.argv) for ran in self.processes.ran if "-json" not in ran.argv]

    def test_it_is_released_and_connected(self) -> None:
        self.successResultOf(self.taps.reconnect(NIC, self.routed, "web1"))
        self.assertEqual(self.commands()[0], f"ip link set {TAP} down nomaster")
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
