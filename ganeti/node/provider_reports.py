# SPDX-License-Identifier: BSD-2-Clause
"""The handler of the call for the external storage providers of a node."""

from __future__ import annotations

from ganeti.rpc.storage import DescribeProviders, ProviderReport
from ganeti.storage.ext.providers import Providers


class ProviderReports:
    """Reports of the external storage providers of this node."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    async def describe_providers(self, call: DescribeProviders) -> list[ProviderReport]:
        """Return a report of each provider."""
        return [
            ProviderReport(
                name=each.name,
                path=each.path,
                valid=each.valid,
                diagnosis=each.diagnosis,
                parameters=each.parameters,
            )
            for each in self._providers.all_providers()
        ]
