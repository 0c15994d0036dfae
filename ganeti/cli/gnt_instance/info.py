# SPDX-License-Identifier: BSD-2-Clause
"""The output of ``gnt-instance info``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ganeti.cli.command import OpcodeResult
from ganeti.cli.output import Fields, size, timestamp
from ganeti.model.running import PendingChange

_SYNC = {1: "ok", 2: "syncing", 3: "unknown", 4: "faulty"}


def told(facts: Fields) -> Fields:
    """Return an instance as nested names and values."""
    return {
        "Instance name": facts["name"],
        "UUID": facts["uuid"],
        "Serial number": facts["serial_no"],
        "Creation time": timestamp(facts["ctime"]),
        "Modification time": timestamp(facts["mtime"]),
        "State": _format_state(facts),
        **_format_running(facts.get("running")),
        "Nodes": [
            {
                "primary": facts["pnode"],
                "group": f"{facts['pnode_group_name']} (UUID {facts['pnode_group_uuid']})",
            },
            {"secondaries": _format_secondaries(facts)},
        ],
        "Operating system": facts["os"],
        "Operating system parameters": parameters(facts["os_instance"], facts["os_actual"]),
        "Allocated network port": facts["network_port"],
        "Hypervisor": facts["hypervisor"],
        "Hypervisor parameters": parameters(facts["hv_instance"], facts["hv_actual"]),
        "Back-end parameters": parameters(facts["be_instance"], facts["be_actual"]),
        "NICs": [
            {**_format_nic(index, nic), **_format_rules(rules)}
            for index, (nic, rules) in enumerate(
                zip(facts["nics"], facts["nic_rules"], strict=True)
            )
        ],
        "Disk template": facts["disk_template"],
        "Disks": [_format_disk(f"disk/{index}", disk) for index, disk in enumerate(facts["disks"])],
    }


def parameters(own: Mapping[str, object], actual: Mapping[str, object]) -> dict[str, object]:
    """Return all effective parameters; those that are not set on the object are marked as
    defaults."""
    return {
        name: _format_value(value) if name in own else f"default ({_to_text(value)})"
        for name, value in sorted(actual.items())
    }


def _format_value(value: object) -> object:
    return _to_text(value) if isinstance(value, list) else value


def _to_text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _format_state(facts: Mapping[str, object]) -> str:
    configured = f"configured to be {facts['config_state']}"
    running = facts["run_state"]
    return configured if running is None else f"{configured}, actual state is {running}"


def _format_running(running: Fields | None) -> Fields:
    """Return what a guest runs with, and the changes that take effect at its next start."""
    if running is None:
        return {}
    forwards = running.get("forwards", ())
    chosen = {name: value for name, value in sorted(running["chosen"].items()) if value}
    return {
        "Running with": {
            "memory": size(running["memory"]),
            "vcpus": running["vcpus"],
            **({"version": running["version"]} if running["version"] else {}),
            **chosen,
            **({"forwarded ports": ", ".join(forwards)} if forwards else {}),
        },
        "Changes at the next start": [str(PendingChange(*change)) for change in running["pending"]],
    }


def _format_secondaries(facts: Fields) -> list[str]:
    groups = zip(facts["snodes"], facts["snodes_group_names"], strict=True)
    return [f"{node} (group {group})" for node, group in groups]


def _format_nic(index: int, nic: Sequence[OpcodeResult]) -> Fields:
    name, uuid, ip, mac, mode, link, vlan, _, network = nic
    return {
        f"nic/{index}": None,
        "MAC": mac,
        "IP": ip,
        "mode": mode,
        "link": link,
        "vlan": vlan,
        "network": network["name"] if network else None,
        "UUID": uuid,
        "name": name,
    }


def _format_rules(rules: Fields) -> Fields:
    """Return the rules that are set."""
    units = {"bandwidth_in": " Mbit/s", "bandwidth_out": " Mbit/s"}
    return {
        name: "yes" if value is True else f"{value}{units.get(name, '')}"
        for name, value in rules.items()
    }


def _format_disk(label: str, disk: Fields) -> Fields:
    found: dict[str, object] = {label: f"{disk['dev_type']}, size {size(disk['size'])}"}
    if disk.get("mode"):
        found["access mode"] = disk["mode"]
    if disk.get("drbd_info"):
        drbd = disk["drbd_info"]
        found["nodeA"] = f"{drbd['primary_node']}, minor={drbd['primary_minor']}"
        found["nodeB"] = f"{drbd['secondary_node']}, minor={drbd['secondary_minor']}"
        found["port"] = drbd["port"]
    found["logical_id"] = "/".join(map(str, disk["logical_id"][:2]))
    for where, status in (("on primary", disk["pstatus"]), ("on secondary", disk["sstatus"])):
        if status is not None:
            found[where] = _format_disk_status(status)
    found["name"] = disk["name"]
    found["UUID"] = disk["uuid"]
    if disk["children"]:
        found["child devices"] = [
            _format_disk(f"child {index}", child) for index, child in enumerate(disk["children"])
        ]
    return found


def _format_disk_status(status: Sequence[OpcodeResult]) -> str:
    path, major, minor, percent, seconds, degraded, local = status
    words = [str(path)] if path else []
    if major is not None:
        words.append(f"({major}:{minor})")
    if percent is not None:
        eta = f"{seconds} s" if seconds is not None else "unknown"
        words.append(f"RECOVERING {percent:.2f}%, ETA {eta}")
    else:
        words.append("*DEGRADED*" if degraded else "in sync")
    text = " ".join(words)
    return text if local in (None, 1) else f"{text}, local disk {_SYNC.get(local, local)}"
