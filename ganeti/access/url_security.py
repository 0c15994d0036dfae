# SPDX-License-Identifier: BSD-2-Clause
"""Addresses that secrets may be sent to."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_secure(url: str) -> bool:
    """Return whether an address uses HTTPS, or is of this host, where others cannot listen."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        # Reading a malformed port raises the error.
        _ = parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
