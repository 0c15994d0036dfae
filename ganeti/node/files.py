# SPDX-License-Identifier: BSD-2-Clause
"""Files that the master may replace on a node: a fixed list, and the ``ssconf_*`` files."""

from __future__ import annotations

import base64
import binascii
from bisect import insort
from collections.abc import Callable
from hashlib import sha256

from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.model.natural_order import natural_sort_key
from ganeti.node.candidacy import secrets
from ganeti.paths import Paths
from ganeti.rpc.node import UpdateSsconfList, UploadFile, WriteSsconf
from ganeti.system.interfaces import IFiles

SSCONF_KEYS = frozenset(
    """
    cluster_name cluster_tags enabled_user_shutdown file_storage_dir gluster_storage_dir
    hypervisor_list instance_list maintain_node_health master_candidates master_candidates_certs
    master_candidates_ips master_ip master_netdev master_netmask master_node networks node_list
    node_primary_ips node_secondary_ips node_vm_capable nodegroups offline_nodes online_nodes
    primary_ip_family release_version shared_file_storage_dir ssh_ports uid_pool hvparams_chroot
    hvparams_fake hvparams_kvm hvparams_lxc hvparams_xen-hvm hvparams_xen-pvm
    """.split()  # noqa: SIM905  # thirty names read better as a paragraph
)
"""The ssconf keys, which scripts on nodes read as files; their formats must not change."""

_DATA = (
    "known_hosts",
    "rapi.pem",
    "spice.pem",
    "spice-ca.pem",
    "rapi/users",
    "hmac.key",
    "cluster-domain-secret",
    "ca.key",
    "state-store.json",
    "etcd-ca.key",
    "etcd-ca.pem",
    "etcd-client.pem",
)


def replaceable(paths: Paths) -> dict[str, str]:
    """Return the local paths of the files that a master may replace, by the master's names.

    A master names a file by its path on a host with a single node, so that the name is also valid
    for nodes that share a host. The list of folders for disks, and the state, must never be added.
    """
    plain = Paths()
    return {
        "/etc/hosts": f"{paths.root}/etc/hosts",
        f"{plain.conf}/vnc-cluster-password": f"{paths.conf}/vnc-cluster-password",
        **{f"{plain.data}/{name}": f"{paths.data}/{name}" for name in _DATA},
    }


class Files:
    """Handles the calls that replace files on this node.

    ``is_candidate`` returns whether the node may have the files of master candidates.
    """

    def __init__(self, files: IFiles, paths: Paths, is_candidate: Callable[[], bool]) -> None:
        self._files = files
        self._is_candidate = is_candidate
        self._secrets = secrets(paths)
        self._data = paths.data
        self._replaceable = replaceable(paths)

    async def upload(self, call: UploadFile) -> None:
        """Replace a file of the list durably.

        :raises Refused: the file is not on the list, or this node must not have it.
        """
        if call.path not in self._replaceable:
            raise Refused(
                f"the master may not replace {call.path}; it may replace"
                f" {', '.join(sorted(self._replaceable))}",
                Code.INPUT,
            )
        try:
            content = base64.b64decode(call.content, validate=True)
        except binascii.Error as e:
            raise Invalid([Problem("content", f"must be base64: {e}")]) from None
        path = self._replaceable[call.path]
        self._check_candidate(path, call)
        await self._files.make_folder(path.rpartition("/")[0])
        await self._files.replace(path, content, mode=call.mode & 0o777)
        try:
            self._check_candidate(path, call)
        except Refused:
            # The role was lost meanwhile, and its files were removed before this write.
            await self._files.remove(path)
            raise

    def _check_candidate(self, path: str, call: UploadFile) -> None:
        if path in self._secrets and not self._is_candidate():
            raise Refused(
                f"this node is not a master candidate and must not have {call.path}; make it one"
                " first: gnt-node modify --master-candidate=yes"
            )

    async def write_ssconf(self, call: WriteSsconf) -> None:
        """Replace the ``ssconf_*`` files that differ, each atomically.

        :raises Invalid: lists every unknown key.
        """
        if unknown := sorted(set(call.values) - SSCONF_KEYS):
            raise Invalid([Problem(f"values.{key}", "is not an ssconf key") for key in unknown])
        contents = {
            f"{self._data}/ssconf_{key}": content(value) for key, value in call.values.items()
        }
        # A change of the cluster affects one or two of thirty files: do not sync the others.
        changed = {path: new for path, new in contents.items() if self._read_current(path) != new}
        if changed:
            await self._files.replace_all(changed, mode=0o444)

    async def update_ssconf_list(self, call: UpdateSsconfList) -> None:
        """Change some lines of an ``ssconf_*`` file.

        :raises Invalid: the key is unknown.
        :raises Failed: the result is not what the master expects; it has to send the whole file.
        """
        if call.key not in SSCONF_KEYS:
            raise Invalid([Problem("key", f"{call.key} is not an ssconf key")])
        path = f"{self._data}/ssconf_{call.key}"
        removed = frozenset(call.removed)
        current = (self._read_current(path) or b"").decode().splitlines()
        lines = [line for line in current if line not in removed]
        for line in call.added:
            insort(lines, line, key=natural_sort_key)
        new = content("\n".join(lines))
        if sha256(new).hexdigest() != call.digest:
            raise Failed(f"{path} is not the file that the changes are for")
        await self._files.replace(path, new, mode=0o444)

    def _read_current(self, path: str) -> bytes | None:
        return None if self._files.stat(path) is None else self._files.read(path)


def content(value: str) -> bytes:
    """Return the file content for a value, with one newline at its end unless it is empty."""
    text = value.rstrip("\n")
    return f"{text}\n".encode() if text else b""
