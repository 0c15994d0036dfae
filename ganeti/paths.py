# SPDX-License-Identifier: BSD-2-Clause
"""Paths of files and folders, below one root folder, so that several nodes can share a host."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import cached_property
from typing import Final

_TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _find_shared_data() -> str:
    """Return the folder of shared data: that of the prefix into which pip has installed this."""
    own = os.path.normpath(f"{_TREE}/../../../share")
    return own if os.path.isdir(f"{own}/ganeti/os") else "/usr/share"


try:
    from ganeti import _configured  # type: ignore[attr-defined, unused-ignore]
except ImportError:  # not by ``make install``: a source tree, or an environment of Python
    SYSCONFDIR, LOCALSTATEDIR, DATADIR, GROUP = "/etc", "/var", _find_shared_data(), "gntadmin"
else:
    SYSCONFDIR, LOCALSTATEDIR = _configured.SYSCONFDIR, _configured.LOCALSTATEDIR
    DATADIR, GROUP = _configured.DATADIR, _configured.GROUP

ADMINISTRATORS = GROUP
"""The group whose members may use the master's socket, and so the ``gnt-*`` commands."""

CONSOLE = f"{_TREE}/ui" if os.path.exists(f"{_TREE}/ui/index.html") else f"{DATADIR}/ganeti/ui"
"""The folder of the web console's files: that of this source tree, or where it is installed."""

NODED_PORT = 1811
METRICS_PORT = 1812
RAPI_PORT = 5080


class Paths:
    """The files and folders of one node; ``root`` is empty unless several nodes share a host."""

    # Not a dataclass: the ``dataclasses`` module takes longer to load than a tool should run.

    def __init__(self, root: str = "") -> None:
        self.root: Final = root

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Paths) and self.root == other.root

    def __hash__(self) -> int:
        return hash(self.root)

    def __repr__(self) -> str:
        return f"Paths({self.root!r})"

    @cached_property
    def conf(self) -> str:
        """Files that administrators write: hooks, storage paths, restricted commands."""
        return f"{self.root}{SYSCONFDIR}/ganeti"

    @cached_property
    def data(self) -> str:
        """Files that must survive a reboot: configuration, queue, keys."""
        return f"{self.root}{LOCALSTATEDIR}/lib/ganeti"

    @cached_property
    def run(self) -> str:
        """Files that need not survive a reboot: sockets, pid files, guests' control sockets."""
        return f"{self.root}{LOCALSTATEDIR}/run/ganeti"

    @cached_property
    def cache(self) -> str:
        """Files that can be had again, such as downloaded images."""
        return f"{self.root}{LOCALSTATEDIR}/cache/ganeti"

    @property
    def uploads(self) -> str:
        """Images that the remote API has received, until a job makes them part of the library."""
        return f"{self.cache}/uploads"

    @cached_property
    def log(self) -> str:
        return f"{self.root}{LOCALSTATEDIR}/log/ganeti"

    @property
    def config_file(self) -> str:
        return f"{self.data}/config.data"

    @property
    def access_file(self) -> str:
        """The part of the configuration that the format of ``config.data`` has no field for."""
        return f"{self.data}/access.json"

    @property
    def journal(self) -> str:
        """The folder of the journal's segments."""
        return f"{self.data}/journal"

    @property
    def queue(self) -> str:
        return f"{self.data}/queue"

    @property
    def term_file(self) -> str:
        """The file with the newest master term that this node has observed."""
        return f"{self.data}/term"

    @property
    def member_list(self) -> str:
        """The list of cluster members with the fingerprints of their certificates."""
        return f"{self.data}/members"

    @property
    def sockets(self) -> str:
        return f"{self.run}/socket"

    @property
    def master_socket(self) -> str:
        return f"{self.sockets}/ganeti-master"

    @property
    def query_socket(self) -> str:
        return f"{self.sockets}/ganeti-query"

    @property
    def node_certificate(self) -> str:
        """The key and certificate of this node, in one PEM file."""
        return f"{self.data}/server.pem"

    @property
    def authority(self) -> str:
        """The certificate of the cluster's certificate authority."""
        return f"{self.data}/ca.pem"

    @property
    def authority_key(self) -> str:
        return f"{self.data}/ca.key"

    @property
    def rapi_certificate(self) -> str:
        return f"{self.data}/rapi.pem"

    @property
    def rapi_users(self) -> str:
        return f"{self.data}/rapi/users"

    @property
    def domain_secret(self) -> str:
        """The secret shared by clusters that move instances between each other."""
        return f"{self.data}/cluster-domain-secret"

    @property
    def shared_files(self) -> Mapping[str, int]:
        """The files that every master candidate has a copy of, with their permission bits."""
        return {
            self.rapi_certificate: 0o440,
            self.rapi_users: 0o640,
            self.domain_secret: 0o640,
            self.authority_key: 0o400,
        }

    @property
    def state_store(self) -> str:
        """The settings of a state store; without this file, the state is in files."""
        return f"{self.data}/state-store.json"

    @property
    def store_authority(self) -> str:
        """The certificate of the authority that the members of the state store belong to."""
        return f"{self.data}/etcd-ca.pem"

    @property
    def store_certificate(self) -> str:
        """The key and certificate with which a master accesses the state store."""
        return f"{self.data}/etcd-client.pem"

    @property
    def store_authority_key(self) -> str:
        """The key of that authority, if the members run on the master candidates."""
        return f"{self.data}/etcd-ca.key"

    @property
    def store_member(self) -> str:
        """The folder of the member of the state store on this node."""
        return f"{self.data}/etcd"

    @property
    def store_files(self) -> Mapping[str, int]:
        """The files that candidates have as well if the state is in a store on other hosts."""
        return {
            self.state_store: 0o640,
            self.store_authority: 0o640,
            self.store_certificate: 0o400,
            self.store_authority_key: 0o400,
        }

    @property
    def crypto(self) -> str:
        """The short-lived keys of instance moves between clusters, one folder per key."""
        return f"{self.run}/crypto"

    @property
    def stop_marker(self) -> str:
        """The marker file that asks the master to migrate all guests away, as the host stops."""
        return f"{self.run}/host-stops"

    @property
    def exports(self) -> str:
        return f"{self.data}/export"

    @property
    def hooks(self) -> str:
        return f"{self.conf}/hooks"

    @property
    def master_address_script(self) -> str:
        """The program that configures the cluster's address, if an administrator wants one to."""
        return f"{self.conf}/scripts/master-ip-setup"

    @property
    def master_address_records(self) -> str:
        """The folder that says who has configured the cluster's address; empty after a boot."""
        return f"{self.run}/master-address"

    @property
    def restricted_commands(self) -> str:
        """The folder of programs that cluster users may run on the node."""
        return f"{self.conf}/restricted-commands"

    @property
    def no_cluster_commands(self) -> str:
        """The marker file that forbids the master to run commands and copy files on this node."""
        return f"{self.conf}/no-cluster-commands"

    @property
    def file_storage_paths(self) -> str:
        """The file that lists the folders allowed for file-based disks."""
        return f"{self.conf}/file-storage-paths"

    @property
    def backup_paths(self) -> str:
        """The file that lists the folders allowed for repositories of backups."""
        return f"{self.conf}/backup-paths"

    @property
    def backup_storage(self) -> str:
        """The default folder of repositories of backups."""
        return f"{self.root}/srv/ganeti/backup"

    @property
    def backup_scratch(self) -> str:
        """The folder of what guests overwrite while they are backed up."""
        return f"{self.data}/backup-scratch"

    @property
    def pretend_storage(self) -> str:
        """The file that names the folder of the simulated volume groups and mirrored disks."""
        return f"{self.conf}/pretend-storage"

    @property
    def os_search_path(self) -> tuple[str, ...]:
        """The folders that are searched for OS definitions, in order; the first match wins."""
        return self._search_path("os")

    @property
    def provider_search_path(self) -> tuple[str, ...]:
        """The folders that are searched for external storage providers; the first match wins."""
        return self._search_path("extstorage")

    @property
    def attachments(self) -> str:
        """The folder of the records of attached volumes of external storage."""
        return f"{self.run}/extstorage"

    @property
    def raw_images(self) -> str:
        """The folder of the raw files that show the data of disk images in other formats."""
        return f"{self.run}/raw-images"

    @property
    def allocator_search_path(self) -> tuple[str, ...]:
        return self._search_path("iallocators")

    def _search_path(self, kind: str) -> tuple[str, ...]:
        places = (f"/srv/ganeti/{kind}", f"/usr/local/lib/ganeti/{kind}")
        shipped = (f"{each}/ganeti/{kind}" for each in ("/usr/lib", "/usr/share", DATADIR))
        return tuple(dict.fromkeys((*(self.root + place for place in places), *shipped)))

    @property
    def file_storage(self) -> str:
        """The default folder of file-based disks."""
        return f"{self.root}/srv/ganeti/file-storage"

    @property
    def shared_file_storage(self) -> str:
        return f"{self.root}/srv/ganeti/shared-file-storage"


def local_paths() -> Paths:
    """Return the paths of the local node; its root folder is ``$GANETI_ROOTDIR``."""
    return Paths(os.environ.get("GANETI_ROOTDIR", "").rstrip("/"))


def local_node_name() -> str:
    """Return the local node's name: ``$GANETI_HOSTNAME``, or the host's fully qualified name."""
    return os.environ.get("GANETI_HOSTNAME") or socket.getfqdn()
