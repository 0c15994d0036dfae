# SPDX-License-Identifier: BSD-2-Clause
"""Names and addresses of hosts, as the resolver of this one knows them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from ganeti.cli.session import FAILURE, ExitTool
from ganeti.schema.host_names import RULE, is_host_name, normalized

Lookup = Callable[..., list[tuple[Any, ...]]]
"""As :func:`socket.getaddrinfo`."""


def resolved(
    name: str,
    option: str,
    family: int = socket.AF_INET,
    *,
    loopback: bool = False,
    lookup: Lookup = socket.getaddrinfo,
) -> str:
    """Return the address of ``name``, one that other hosts can reach unless ``loopback`` will do.

    :raises ExitTool: there is none; ``option`` is how to give it instead.
    """
    require_host_name(name)
    try:
        found = [str(each[4][0]) for each in lookup(name, None, family, socket.SOCK_STREAM)]
    except (OSError, UnicodeError):  # the latter of names that the DNS cannot have
        raise ExitTool(
            FAILURE, f"the name {name} does not resolve; give its address by {option} ADDRESS"
        ) from None
    usable = [address for address in found if loopback or not _is_loopback(address)]
    if not usable:
        raise ExitTool(
            FAILURE,
            f"the name {name} resolves to {found[0]}, which other nodes cannot reach; correct"
            f" /etc/hosts or the DNS, or give its address by {option} ADDRESS",
        )
    return usable[0]


def require_host_name(name: str) -> None:
    """Check that ``name`` can be a host's.

    :raises ExitTool: it cannot, or it is what the resolver takes for an address, as 1.5 is 1.0.0.5.
    """
    if not is_host_name(normalized(name)):
        raise ExitTool(FAILURE, f"the name {name!r} {RULE}")
    try:
        address = socket.inet_ntoa(socket.inet_aton(name))
    except OSError:
        return
    raise ExitTool(FAILURE, f"{name} is no name: it stands for the address {address}")


def full_name(name: str, lookup: Lookup = socket.getaddrinfo) -> str:
    """Return the name with its domain if ``name`` is its first part, or else ``name`` itself."""
    try:
        found = str(lookup(name, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)[0][3])
    except (OSError, UnicodeError):
        return name
    return found if found.lower().startswith(f"{name.lower()}.") else name


def device_of(address: str) -> str | None:
    """Return the network device of this host that has the IPv4 address, if one has it first."""
    import fcntl
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ask:
        for _, name in socket.if_nameindex():
            wanted = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(ask.fileno(), _SIOCGIFADDR, wanted)
            except OSError:  # it has no IPv4 address
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None


_SIOCGIFADDR = 0x8915
"""Linux: the IPv4 address of a device, netdevice(7)."""


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
