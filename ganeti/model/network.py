# SPDX-License-Identifier: BSD-2-Clause
"""Networks that hand out addresses to instances."""

from __future__ import annotations

from ganeti.model.named import TaggedObject
from ganeti.schema.types import Line


class Network(TaggedObject, omit_defaults=True):
    """An IPv4 network; the reservations have one ``0`` or ``1`` for each of its addresses."""

    name: Line
    mac_prefix: Line | None = None
    network: Line
    network6: Line | None = None
    gateway: Line | None = None
    gateway6: Line | None = None
    reservations: Line | None = None
    ext_reservations: Line | None = None
