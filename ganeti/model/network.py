# SPDX-License-Identifier: BSD-2-Clause
"""IP networks with pools of addresses for instances."""

from __future__ import annotations

from ganeti.model.named import TaggedObject
from ganeti.schema.types import Line

DHCP_TAG = "dhcp"
"""The tag of a network whose cards get their IPv4 addresses by DHCP."""
ADVERTISEMENT_TAG = "ra"
"""The tag of a network whose IPv6 prefix is advertised to its cards."""


class Network(TaggedObject, omit_defaults=True):
    """An IPv4 network; reservations are bitmaps, one ``0`` or ``1`` for each address in order."""

    name: Line
    mac_prefix: Line | None = None
    network: Line
    network6: Line | None = None
    gateway: Line | None = None
    gateway6: Line | None = None
    reservations: Line | None = None
    ext_reservations: Line | None = None
