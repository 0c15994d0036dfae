# SPDX-License-Identifier: BSD-2-Clause
"""Networks that hand out addresses to instances."""

from __future__ import annotations

from ganeti.model.named import Tagged


class Network(Tagged, omit_defaults=True):
    """An IPv4 network; the reservations have one ``0`` or ``1`` for each of its addresses."""

    name: str
    mac_prefix: str | None = None
    network: str
    network6: str | None = None
    gateway: str | None = None
    gateway6: str | None = None
    reservations: str | None = None
    ext_reservations: str | None = None
