# SPDX-License-Identifier: BSD-2-Clause
"""When certificates end, as a metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ganeti.errors import Invalid
from ganeti.metrics.family import Labels, MetricFamily, gauges
from ganeti.pki.validity import valid_until


def certificate_expiry(paths: Mapping[str, str]) -> MetricFamily:
    """Return when the certificates in files end, as far as they can be read."""
    return gauges(
        "ganeti_certificate_expiry_timestamp_seconds",
        "When a certificate ends, in seconds since the epoch.",
        ("certificate",),
        _ends(paths),
    )


def _ends(paths: Mapping[str, str]) -> Iterator[tuple[Labels, float]]:
    for name, path in paths.items():
        try:
            with open(path, "rb") as file:
                yield (name,), valid_until(file.read())
        except (OSError, Invalid):
            continue  # whoever needs it says so
