# SPDX-License-Identifier: BSD-2-Clause
"""Where the clusters of this checkout are, what they are, and where their nodes listen."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ganeti.errors import Code, Failed, Refused
from ganeti.paths import NODED_PORT, RAPI_PORT, Paths
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record

TREE = Path(__file__).resolve().parent.parent.parent
"""The checkout."""

CLUSTERS = TREE / "clusters"
"""Where clusters are made unless another folder is named."""

MOST_NODES = 50

LONGEST_ROOT = 44
"""Bytes of a root folder: sockets below it, of guests too, must have paths under 108 bytes."""

_DESCRIPTION = "quickstart.json"


class Description(Record):
    """What is kept of a cluster: what it was asked to be, and its place on the loopback device."""

    name: str
    hypervisor: Literal["fake", "kvm"]
    nodes: Annotated[int, msgspec.Meta(ge=1, le=MOST_NODES)]
    network: str
    store: Literal["file", "etcd", "own-etcd"] = "file"
    complete: bool = False


@dataclass(frozen=True)
class Node:
    """One of the nodes; the first is the master of a new cluster."""

    number: int
    name: str
    address: str
    paths: Paths


@dataclass(frozen=True)
class Cluster:
    """A cluster that has a folder."""

    folder: Path
    said: Description

    @property
    def name(self) -> str:
        return self.said.name

    @property
    def nodes(self) -> tuple[Node, ...]:
        numbers = range(1, self.said.nodes + 1)
        return tuple(self.node(number) for number in numbers)

    @property
    def master(self) -> Node:
        return self.node(1)

    def node(self, number: int) -> Node:
        """The node with this number, from 1 on.

        :raises Refused: there are not that many.
        """
        if not 1 <= number <= self.said.nodes:
            raise Refused(f"{self.name} has the nodes 1 to {self.said.nodes}", Code.UNKNOWN)
        return Node(
            number=number,
            name=f"node{number}.{self.name}",
            address=f"{self.said.network}.{number}",
            paths=Paths(f"{self.reached_by}/node{number}"),
        )

    @property
    def reached_by(self) -> str:
        """The folder as daemons name it: itself, or a short link to it if its path is long."""
        longest = f"{self.folder}/node{self.said.nodes}"
        if len(longest.encode()) <= LONGEST_ROOT:
            return str(self.folder)
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        return f"/tmp/ganeti-{digest}"

    @property
    def description(self) -> Path:
        """The file with ``said``."""
        return self.folder / _DESCRIPTION

    @property
    def tools(self) -> Path:
        """The folder with the tools for this cluster."""
        return self.folder / "bin"

    @property
    def pretend(self) -> str:
        """The folder for volume groups and mirrored disks, which are only pretended."""
        return f"{self.reached_by}/pretend"

    @property
    def password_file(self) -> Path:
        return self.folder / "rapi-password"

    @property
    def curl_file(self) -> Path:
        """User and password in the form that curl reads, so that no process list shows them."""
        return self.folder / "netrc"

    def rapi_of(self, node: Node) -> str:
        """The URL of the remote API where a node is the master."""
        return f"https://{node.address}:{RAPI_PORT}"

    @property
    def rapi(self) -> str:
        """The URL of the remote API of a new cluster."""
        return self.rapi_of(self.master)

    def environment(self, node: Node) -> dict[str, str]:
        """What makes a program one of a node's."""
        search = os.environ.get("PYTHONPATH")
        return {
            "GANETI_ROOTDIR": node.paths.root,
            "GANETI_HOSTNAME": node.name,
            "PYTHONPATH": f"{TREE}:{search}" if search else str(TREE),
        }

    def command(self, node: Node, command: list[str]) -> list[str]:
        """Return the command line that runs ``command`` where the node's daemons run.

        That is this host; a cluster whose nodes are in namespaces overrides it.
        """
        return command

    def make_reachable(self) -> None:
        """See that the short link is there, and nobody else's.

        :raises Refused: something else has its name.
        """
        link = self.reached_by
        if link == str(self.folder):
            return
        with suppress(FileExistsError):
            os.symlink(self.folder, link)
        if os.lstat(link).st_uid != os.getuid() or os.readlink(link) != str(self.folder):
            raise Refused(f"{link} must be a link to {self.folder}, and is not: remove it")

    def keep(self) -> None:
        """Write the description."""
        draft = self.folder / f"{_DESCRIPTION}.new"
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(self.said)) + b"\n")
        draft.replace(self.description)


def find(folder: Path) -> Cluster | None:
    """The cluster in a folder, if there is one.

    :raises Failed: its description cannot be read.
    """
    try:
        text = (folder / _DESCRIPTION).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return Cluster(folder, msgspec.json.decode(text, type=Description))
    except UNREADABLE as e:
        raise Failed(f"{folder / _DESCRIPTION} cannot be read ({e}); remove {folder}") from None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others from changing the cluster in a folder, which is made if it is not there.

    :raises Refused: somebody else does right now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"another quickstart is at work in {folder}; wait for it to end"
            ) from None
        yield
    finally:
        os.close(descriptor)


def free_network(folder: Path, nodes: int) -> str:
    """The first three numbers of addresses for a new cluster, none of them in use.

    They follow from the folder's path, so that a cluster gets the same ones again.

    :raises Failed: there are none left.
    """
    taken = {
        found.said.network
        for other in folder.parent.iterdir()
        if other != folder and (found := find(other)) is not None
    }
    for attempt in range(100):
        digest = hashlib.sha256(f"{folder} {attempt}".encode()).digest()
        network = f"127.{16 + digest[0] % 224}.{digest[1]}"
        if network not in taken and _is_free(network, nodes):
            return network
    raise Failed(
        f"no free addresses 127.x.y.1 to .{nodes} with the ports {NODED_PORT} and {RAPI_PORT} were"
        " found; is this Linux, with the loopback device up (ip link set lo up)?"
    )


def _is_free(network: str, nodes: int) -> bool:
    doors = [(f"{network}.{number}", NODED_PORT) for number in range(1, nodes + 1)]
    doors.append((f"{network}.1", RAPI_PORT))
    for door in doors:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(door)
            except OSError:
                return False
    return True
