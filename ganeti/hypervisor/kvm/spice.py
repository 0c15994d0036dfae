# SPDX-License-Identifier: BSD-2-Clause
"""QEMU options for SPICE, a remote desktop with sound, and for sound cards.

Meaning and names of the parameters are those of gnt-instance(8).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

import msgspec

from ganeti.errors import Code, Failed
from ganeti.hypervisor.kvm.devices import at_slot, escaped
from ganeti.model.parameters.kvm import Kvm, list_sound_cards
from ganeti.schema.documents import UNREADABLE
from ganeti.system.interfaces import IProcesses

KEY_FILES = ("spice.pem", "spice-ca.pem")
"""The key with its certificate, and the certificate of who has signed it; as in Ganeti."""

SOUND_DEVICES: Mapping[str, str] = {
    "ac97": "AC97",
    "es1370": "ES1370",
    "hda": "intel-hda",
    "sb16": "sb16",
}
"""The QEMU device of each sound card."""

_ISA = frozenset({"sb16"})
_FAMILIES = {4: "inet", 6: "inet6"}
_ADDRESS_TIMEOUT = 10.0


def is_address(bind: str) -> bool:
    """Return whether ``spice_bind`` is an address; otherwise it is a network device of the node."""
    try:
        ipaddress.ip_address(bind)
    except ValueError:
        return False
    return True


async def find_address(kvm: Kvm, processes: IProcesses) -> str:
    """Return the address that SPICE listens on; empty without SPICE.

    :raises Failed: the network device has none.
    """
    if not kvm.spice_bind or is_address(kvm.spice_bind):
        return kvm.spice_bind
    argv = ["ip", "-json", "address", "show", "dev", kvm.spice_bind]
    finished = await processes.run(argv, timeout=_ADDRESS_TIMEOUT)
    wanted = [_FAMILIES[kvm.spice_ip_version]] if kvm.spice_ip_version else [*_FAMILIES.values()]
    found = [] if finished.code else _parse_addresses(finished.out)
    for family in wanted:
        for kind, address in found:
            if kind == family:
                return address
    version = f"IPv{kvm.spice_ip_version} " if kvm.spice_ip_version else ""
    raise Failed(
        f"spice_bind: the network device {kvm.spice_bind} of this node has no {version}address;"
        " name another one, or an address",
        Code.ENVIRONMENT,
    )


def _parse_addresses(output: bytes) -> list[tuple[str, str]]:
    """Return the families and addresses of a device that are not for its link only."""
    try:
        devices = msgspec.json.decode(output)
        return [
            (each["family"], each["local"])
            for device in devices
            for each in device.get("addr_info", ())
            if each.get("scope") != "link"
        ]
    except (*UNREADABLE, AttributeError, KeyError, TypeError):
        return []


def spice_options(kvm: Kvm, port: int, address: str, keys: str) -> Iterator[str]:
    """Yield the options of the SPICE server; ``keys`` is the folder of the cluster's certificate.

    ``address`` is that of ``spice_bind``.
    """
    options = [f"{'tls-port' if kvm.spice_use_tls else 'port'}={port}", f"addr={escaped(address)}"]
    version = kvm.spice_ip_version or ipaddress.ip_address(address).version
    options.append(f"ipv{version}=on")
    if kvm.spice_password_file:
        file = escaped(kvm.spice_password_file)
        yield from ("-object", f"secret,id=spice-password,file={file}")
        options.append("password-secret=spice-password")
    else:
        options.append("disable-ticketing=on")
    if kvm.spice_use_tls:
        pair, authority = (escaped(f"{keys}/{name}") for name in KEY_FILES)
        options += [f"x509-key-file={pair}", f"x509-cert-file={pair}"]
        options += [f"x509-cacert-file={authority}", "tls-channel=default"]
        options.append(f"tls-ciphers={escaped(kvm.spice_tls_ciphers)}")
    for name, value in (
        ("image-compression", kvm.spice_image_compression),
        ("jpeg-wan-compression", kvm.spice_jpeg_wan_compression),
        ("zlib-glz-wan-compression", kvm.spice_zlib_glz_wan_compression),
        ("streaming-video", kvm.spice_streaming_video),
    ):
        options += [f"{name}={value}"] if value else []
    options.append(f"playback-compression={'on' if kvm.spice_playback_compression else 'off'}")
    options.append(f"agent-mouse={'on' if kvm.spice_use_vdagent else 'off'}")
    yield from ("-spice", ",".join(options))


def agent_options(slots: Mapping[str, str]) -> Iterator[str]:
    """Yield the options of the channel of the SPICE agent, *vdagent*."""
    yield from ("-chardev", "spicevmc,id=vdagent,name=vdagent")
    # Its bus must differ from that of the QEMU guest agent.
    controller = ["virtio-serial-pci", "id=spice-ports", *at_slot("spice-ports", slots)]
    yield from ("-device", ",".join(controller))
    port = "virtserialport,bus=spice-ports.0,chardev=vdagent,name=com.redhat.spice.0"
    yield from ("-device", port)


def sound_options(kvm: Kvm, slots: Mapping[str, str]) -> Iterator[str]:
    """Yield the options of the sound cards; they are heard by SPICE only."""
    if not (cards := list_sound_cards(kvm.soundhw)):
        return
    yield from ("-audiodev", f"{'spice' if kvm.spice_bind else 'none'},id=sound")
    for card in cards:
        name = f"sound-{card}"
        place = [] if card in _ISA else at_slot(name, slots)
        # That of Intel is a bus, and the device on it makes the sound.
        heard = [] if card == "hda" else ["audiodev=sound"]
        yield from ("-device", ",".join([SOUND_DEVICES[card], f"id={name}", *heard, *place]))
        if card == "hda":
            yield from ("-device", f"hda-duplex,bus={name}.0,audiodev=sound")
