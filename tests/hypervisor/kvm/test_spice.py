# SPDX-License-Identifier: BSD-2-Clause
"""Options of SPICE and sound cards, and the address that SPICE listens on."""

from __future__ import annotations

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.hypervisor.kvm.spice import agent_options, find_address, sound_options, spice_options
from ganeti.model.parameters.kvm import Kvm
from ganeti.testing.processes import MemoryProcesses, Script

SECURE = Kvm(spice_bind="127.0.0.1", spice_use_tls=True, spice_password_file="/secret")
ADDRESSES = [
    {"family": "inet6", "local": "fe80::1", "scope": "link"},
    {"family": "inet6", "local": "2001:db8::1", "scope": "global"},
    {"family": "inet", "local": "192.0.2.1", "scope": "global"},
]


def server(kvm: Kvm, address: str = "127.0.0.1") -> list[str]:
    """The options of the server."""
    return [*spice_options(kvm, 11001, address, "/keys")][-1].split(",")


class OptionTests(SynchronousTestCase):
    def test_without_a_password_and_tls_everybody_may_connect(self) -> None:
        expected = ["port=11001", "addr=127.0.0.1", "ipv4=on", "disable-ticketing=on"]
        expected += ["playback-compression=on", "agent-mouse=on"]
        self.assertEqual(server(Kvm(spice_bind="127.0.0.1")), expected)
        self.assertIn("ipv6=on", server(Kvm(spice_bind="::1"), "::1"))

    def test_tls_and_the_password_come_from_files(self) -> None:
        options = [*spice_options(SECURE, 11001, "127.0.0.1", "/keys")]
        self.assertEqual(options[:2], ["-object", "secret,id=spice-password,file=/secret"])
        found = options[3].split(",")
        for each in (
            *("tls-port=11001", "password-secret=spice-password", "tls-channel=default"),
            *("x509-key-file=/keys/spice.pem", "x509-cert-file=/keys/spice.pem"),
            *("x509-cacert-file=/keys/spice-ca.pem", "tls-ciphers=HIGH:-DES:-3DES:-EXPORT:-DH"),
        ):
            self.assertIn(each, found)
        self.assertNotIn("disable-ticketing=on", found)
        self.assertNotIn("port=11001", found)

    def test_compression_and_the_agent_are_chosen(self) -> None:
        found = server(
            Kvm(
                spice_bind="127.0.0.1",
                spice_image_compression="glz",
                spice_jpeg_wan_compression="never",
                spice_zlib_glz_wan_compression="always",
                spice_streaming_video="filter",
                spice_playback_compression=False,
                spice_use_vdagent=False,
            )
        )
        expected = ["image-compression=glz", "jpeg-wan-compression=never"]
        expected += ["zlib-glz-wan-compression=always", "streaming-video=filter"]
        self.assertEqual(found[4:], [*expected, "playback-compression=off", "agent-mouse=off"])

    def test_the_agent_has_a_controller_of_its_own_at_its_recorded_address(self) -> None:
        found = [*agent_options({"spice-ports": "0x7"})]
        self.assertIn("virtio-serial-pci,id=spice-ports,addr=0x7", found)
        self.assertTrue(found[-1].startswith("virtserialport,bus=spice-ports.0,"))

    def test_sound_goes_to_spice_or_nowhere(self) -> None:
        self.assertEqual([*sound_options(Kvm(), {})], [])
        found = [
            *sound_options(Kvm(soundhw="ac97, hda,ac97", spice_bind="::"), {"sound-hda": "0x9"})
        ]
        self.assertEqual(
            found[1::2],
            [
                *("spice,id=sound", "AC97,id=sound-ac97,audiodev=sound"),
                *("intel-hda,id=sound-hda,addr=0x9", "hda-duplex,bus=sound-hda.0,audiodev=sound"),
            ],
        )
        self.assertEqual([*sound_options(Kvm(soundhw="sb16"), {})][1], "none,id=sound")


class AddressTests(SynchronousTestCase):
    def find(self, script: Script | None = None, **over: object) -> str:
        output = msgspec.json.encode([{"ifname": "br0", "addr_info": ADDRESSES}])
        processes = MemoryProcesses(Clock(), {"ip": script or Script(out=output)})
        kvm = msgspec.structs.replace(Kvm(spice_bind="br0"), **over)
        found: str = self.successResultOf(find_address(kvm, processes))
        return found

    def test_a_network_device_stands_for_its_address_of_the_wanted_version(self) -> None:
        self.assertEqual(self.find(), "192.0.2.1")
        self.assertEqual(self.find(spice_ip_version=6), "2001:db8::1")

    def test_an_address_is_taken_as_it_is(self) -> None:
        for address in ("", "0.0.0.0", "2001:db8::2"):
            self.assertEqual(self.find(spice_bind=address), address)

    def test_a_device_without_an_address_is_named(self) -> None:
        for output in (b"[]", b"nonsense", b'["x"]', b'[{"addr_info": [1]}]'):
            processes = MemoryProcesses(Clock(), {"ip": Script(out=output)})
            kvm = Kvm(spice_bind="br0", spice_ip_version=4)
            error = self.failureResultOf(find_address(kvm, processes), Failed).value
            self.assertIn("br0 of this node has no IPv4 address", str(error))
