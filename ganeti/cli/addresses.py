# SPDX-License-Identifier: BSD-2-Clause
"""Name resolution on this host, its network devices, and whether an address answers."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Callable
from typing import Any

from ganeti.cli.session import FAILURE, ExitTool
from ganeti.schema.host_names import RULE, is_host_name, normalize

Lookup = Callable[..., list[tuple[Any, ...]]]
"""Has the signature of :func:`socket.getaddrinfo`."""


def resolved(
    name: str,
    option: str,
    family: int = socket.AF_INET,
    *,
    loopback: bool = False,
    lookup: Lookup = socket.getaddrinfo,
) -> str:
    """Return the address of ``name``; a loopback address only if ``loopback`` is true.

    :raises ExitTool: if there is no such address; the message names ``option`` as the alternative.
    """
    require_host_name(name)
    try:
        found = [str(each[4][0]) for each in lookup(name, None, family, socket.SOCK_STREAM)]
    except (OSError, UnicodeError):  # UnicodeError: a name that the DNS cannot encode
        raise ExitTool(FAILURE, _explain_unresolved(name, option, family, lookup)) from None
    usable = [address for address in found if loopback or not _is_loopback(address)]
    if not usable:
        raise ExitTool(
            FAILURE,
            f"the name {name} resolves to {found[0]}, which other nodes cannot reach; correct"
            f" /etc/hosts or the DNS, or give its address with {option} ADDRESS",
        )
    return usable[0]


def _explain_unresolved(name: str, option: str, family: int, lookup: Lookup) -> str:
    ipv6 = family == socket.AF_INET6
    other = socket.AF_INET if ipv6 else socket.AF_INET6
    try:
        found = str(lookup(name, None, other, socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        return f"the name {name} does not resolve; give its address with {option} ADDRESS"
    wanted, has = ("IPv6", "IPv4") if ipv6 else ("IPv4", "IPv6")
    return (
        f"the name {name} has the {has} address {found}, and no {wanted} address, which the nodes"
        f" of this cluster use (--primary-ip-version of gnt-cluster init); add one to the DNS or"
        f" /etc/hosts, or give it with {option} ADDRESS"
    )


def require_host_name(name: str) -> None:
    """Check that ``name`` is a valid host name.

    :raises ExitTool: if it is not, or the resolver takes it for an address, as 1.5 for 1.0.0.5.
    """
    if not is_host_name(normalize(name)):
        raise ExitTool(FAILURE, f"the name {name!r} {RULE}")
    try:
        address = socket.inet_ntoa(socket.inet_aton(name))
    except OSError:
        return
    raise ExitTool(FAILURE, f"{name} is not a host name: it stands for the address {address}")


def resolve_full_name(name: str, lookup: Lookup = socket.getaddrinfo) -> str:
    """Return the fully qualified form of ``name``, or ``name`` itself if there is none."""
    try:
        found = str(lookup(name, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)[0][3])
    except (OSError, UnicodeError):
        return name
    # The canonical name of an alias is that of another host.
    return found if found.lower().startswith(f"{name.lower()}.") else name


def find_device(address: str) -> str | None:
    """Return the network device of this host that has ``address``, if any.

    Of the IPv4 addresses of a device only the first one is known.
    """
    if ":" in address:
        with open(_IPV6_ADDRESSES, encoding="ascii") as file:
            return find_ipv6_device(address, file.read())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ask:
        for _, name in socket.if_nameindex():
            wanted = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(ask.fileno(), _SIOCGIFADDR, wanted)
            except OSError:  # the device has no IPv4 address
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None


def find_ipv6_device(address: str, table: str) -> str | None:
    """Return the device of an IPv6 address, by the text of ``/proc/net/if_inet6``."""
    wanted = socket.inet_pton(socket.AF_INET6, address).hex()
    rows = (line.split() for line in table.splitlines())
    return next((row[-1] for row in rows if row[0] == wanted), None)


_IPV6_ADDRESSES = "/proc/net/if_inet6"
_SIOCGIFADDR = 0x8915
"""Linux: get the IPv4 address of a device, netdevice(7)."""


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def answers(address: str, port: int) -> bool:
    """Return whether a connection is accepted; a node daemon listens once it has its
    certificate."""
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True
