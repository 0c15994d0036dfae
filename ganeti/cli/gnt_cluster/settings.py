# SPDX-License-Identifier: BSD-2-Clause
"""The fields of requests that change settings, from several options; also of groups and nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ganeti.cli.command import Arguments, Document
from ganeti.cli.ipolicy_options import policy
from ganeti.cli.options import parse_boolean
from ganeti.cli.session import FAILURE, ExitTool


def settings(arguments: Arguments) -> Document:
    """Return the fields of a settings request that are composed of several options."""
    fields: Document = {}
    for name in ("hv_state", "disk_state"):
        if name in arguments:
            fields[name] = by_name(arguments[name])
    limits = policy(arguments)
    if limits:
        fields["ipolicy"] = limits
    return fields


def by_name(given: Sequence[tuple[str, Any]]) -> Document:
    """Return values by name; ``kind/name`` gives values by kind and name.

    :raises ExitTool: values are given for a whole kind and for a name of it.
    """
    fields: Document = {}
    whole = {ident for ident, _ in given}
    for ident, values in given:
        kind, slash, name = ident.partition("/")
        if slash and kind in whole:
            raise ExitTool(FAILURE, f"{kind} and {ident} exclude each other; give one of them")
        if slash:
            fields.setdefault(kind, {})[name] = values
        else:
            fields[ident] = values
    return fields


def cluster_settings(arguments: Arguments) -> Document:
    """As :func:`settings`, with the fields that only the cluster has."""
    fields = settings(arguments)
    collectors = arguments.get("enabled_data_collectors")
    if collectors:
        fields["enabled_data_collectors"] = {
            name: _parse_switch(name, value) for name, value in collectors.items()
        }
    intervals = arguments.get("data_collector_interval")
    if intervals:
        try:
            fields["data_collector_interval"] = {
                name: int(value) for name, value in intervals.items()
            }
        except (TypeError, ValueError):
            raise ExitTool(
                FAILURE, "--data-collector-interval: values must be whole numbers"
            ) from None
    return fields


def _parse_switch(name: str, value: object) -> bool:
    """Return whether a data collector is enabled; 1 and 0 are yes and no."""
    if isinstance(value, bool):
        return value
    try:
        return parse_boolean({"1": "yes", "0": "no"}.get(str(value), str(value)))
    except ValueError as e:
        raise ExitTool(FAILURE, f"--enabled-data-collectors {name}: {e}") from None
