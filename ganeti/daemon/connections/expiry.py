# SPDX-License-Identifier: BSD-2-Clause
"""The expiry times of certificates as a metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ganeti.errors import Invalid
from ganeti.metrics.family import Labels, MetricFamily, make_gauges
from ganeti.pki.validity import read_end_of_validity


def certificate_expiry(paths: Mapping[str, str]) -> MetricFamily:
    """Return the expiry times of the certificates in these files that can be read."""
    return make_gauges(
        "ganeti_certificate_expiry_timestamp_seconds",
        "Expiry time of a certificate, in seconds since the epoch.",
        ("certificate",),
        _expiry_times(paths),
    )


def _expiry_times(paths: Mapping[str, str]) -> Iterator[tuple[Labels, float]]:
    for name, path in paths.items():
        try:
            with open(path, "rb") as file:
                yield (name,), read_end_of_validity(file.read())
        except (OSError, Invalid):
            continue  # reported by the daemon that needs the certificate
