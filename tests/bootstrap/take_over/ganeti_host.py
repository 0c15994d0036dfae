# SPDX-License-Identifier: BSD-2-Clause
"""A host with the folder of a cluster that Ganeti runs."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.take_over.examination import Examination, examine
from ganeti.bootstrap.take_over.ganeti_folder import GanetiFolder, read_folder
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.state import ClusterState
from ganeti.paths import Paths
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance, uuid_of

NOW = 1_800_000_000.0
CLUSTER = a_cluster(
    nodes=["node1", "node2", a_node("node3", offline=True)],
    instances=[an_instance("web1", disks=[a_disk("d1")])],
    networks=["net1"],
    tags=("production",),
    candidate_certs={uuid_of("node", name): f"SHA1:{name}" for name in ("node1", "node2")},
)


class ScriptedHost:
    """A host on which all is well, unless a test says otherwise; ``daemons`` are running."""

    def __init__(self) -> None:
        self.daemons: dict[str, int] = {}
        self.missing_addresses: set[str] = set()
        self.used_ports: set[int] = set()
        self.programs = {"qemu-system-x86_64"}

    def bind(self, address: str, port: int) -> int:
        if address in self.missing_addresses:
            return errno.EADDRNOTAVAIL
        return errno.EADDRINUSE if port in self.used_ports else 0

    def program(self, name: str) -> bool:
        return name in self.programs

    def daemon(self, pid_file: str) -> int | None:
        return self.daemons.get(os.path.basename(pid_file).removesuffix(".pid"))

    def now(self) -> float:
        return NOW


def a_job(number: int, status: str, **over: object) -> dict[str, Any]:
    """A job as Ganeti writes it, of one opcode."""
    opcode: dict[str, Any] = {
        "input": {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web1"},
        "status": status,
        "result": None,
        "log": [],
        "priority": 0,
        "start_timestamp": None,
        "exec_timestamp": None,
        "end_timestamp": None,
    }
    return {
        "id": number,
        "ops": [opcode],
        "received_timestamp": [1_700_000_000, 1],
        "start_timestamp": None,
        "end_timestamp": None,
        "livelock": "/run/ganeti/livelocks/job_1",
        "process_id": 4711,
        **over,
    }


class GanetiHost(SynchronousTestCase):
    """``paths`` are those of the host, the node ``node1``, where Ganeti runs ``CLUSTER``."""

    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        self.host = ScriptedHost()
        self.configure(CLUSTER)
        self.put("server.pem", "the key of Ganeti")
        self.put("hmac.key", "a secret")
        self.put("ssconf_cluster_name", "cluster.example.com\n")
        self.put("rapi/users", "# who\njo {HA1}0123 write\nann secret\n")
        self.put("cluster-domain-secret", "between clusters\n")
        self.put("queue/serial", "17\n")
        self.put("export/web1/config.ini", "an export")

    def put(self, name: str, content: str | bytes) -> Path:
        """Write a file of Ganeti's."""
        path = Path(self.paths.data, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def put_job(self, number: int, status: str, folder: str = "queue") -> None:
        self.put(f"{folder}/job-{number}", json.dumps(a_job(number, status)))

    def configure(self, state: ClusterState, **over: object) -> None:
        """Write the configuration, with other sections or another version if given."""
        document = json.loads(ConfigDataEncoder().text(state))
        self.put("config.data", json.dumps({**document, **over}))

    def folder(self) -> GanetiFolder:
        return read_folder(self.paths.data)

    def examination(self, name: str = "node1") -> Examination:
        return examine(self.folder(), self.paths, name, self.host)

    def contents(self) -> dict[str, bytes]:
        """Return all files of the host."""
        top = Path(self.paths.root)
        return {
            str(path.relative_to(top)): path.read_bytes()
            for path in sorted(top.rglob("*"))
            if path.is_file()
        }

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()
