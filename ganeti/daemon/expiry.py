# SPDX-License-Identifier: BSD-2-Clause
"""The expiry times of certificates as a metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ganeti.errors import Invalid
from ganeti.metrics.family import Labels, MetricFamily, gauges
from ganeti.pki.validity import valid_until


def certificate_expiry(paths: Mapping[str, str]) -> MetricFamily:
    """Return the expiry times of the certificates in these files that can be read."""
    return gauges(
        "ganeti_certificate_expiry_timestamp_seconds",
        "Expiry time of a certificate, in seconds since the epoch.",
        ("certificate",),
        _ends(paths),
    )


def _ends(paths: Mapping[str, str]) -> Iterator[tuple[Labels, float]]:
    for name, path in paths.items():
        try:
            with open(path, "rb") as file:
                yield (name,), valid_until(file.read())
        except (OSError, Invalid):
            continue  # reported by the daemon that needs the certificate
