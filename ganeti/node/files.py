# SPDX-License-Identifier: BSD-2-Clause
"""Files that a master may replace on this node: a fixed list, and the ``ssconf_*`` files."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.node.candidacy import secrets
from ganeti.paths import Paths
from ganeti.rpc.node import UploadFile, WriteSsconf
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
"""The keys that scripts on nodes read as files; their formats are as old as those scripts."""

_DATA = (
    "known_hosts",
    "rapi.pem",
    "spice.pem",
    "spice-ca.pem",
    "rapi/users",
    "hmac.key",
    "cluster-domain-secret",
    "ca.key",
)


def replaceable(paths: Paths) -> dict[str, str]:
    """Where the files are that a master may replace, by what masters call them.

    A master calls a file by its path on a host that is one node, so that the same name serves
    nodes that share a host. Never on this list: which folders may hold disks, and the state.
    """
    plain = Paths()
    return {
        "/etc/hosts": f"{paths.root}/etc/hosts",
        f"{plain.conf}/vnc-cluster-password": f"{paths.conf}/vnc-cluster-password",
        **{f"{plain.data}/{name}": f"{paths.data}/{name}" for name in _DATA},
    }


class Files:
    """Answers the calls that replace files of this node.

    ``is_candidate`` says whether it may have what only master candidates have.
    """

    def __init__(self, files: IFiles, paths: Paths, is_candidate: Callable[[], bool]) -> None:
        self._files = files
        self._is_candidate = is_candidate
        self._secrets = secrets(paths)
        self._data = paths.data
        self._replaceable = replaceable(paths)

    async def upload(self, call: UploadFile) -> None:
        """Replace a file of the list, durably.

        :raises Refused: the file is not on the list, or this node must not have it.
        """
        if call.path not in self._replaceable:
            raise Refused(
                f"a master cannot replace {call.path}; what it may replace is"
                f" {', '.join(sorted(self._replaceable))}",
                Code.INPUT,
            )
        try:
            content = base64.b64decode(call.content, validate=True)
        except binascii.Error as e:
            raise Invalid([Problem("content", f"must be base64: {e}")]) from None
        path = self._replaceable[call.path]
        self._require_candidate(path, call)
        await self._files.make_folder(path.rpartition("/")[0])
        await self._files.replace(path, content, mode=call.mode & 0o777)
        try:
            self._require_candidate(path, call)
        except Refused:
            # The role has ended meanwhile, and what went with it was gone before this came.
            await self._files.remove(path)
            raise

    def _require_candidate(self, path: str, call: UploadFile) -> None:
        if path in self._secrets and not self._is_candidate():
            raise Refused(
                f"this node is no master candidate, so it must not have {call.path}; make it one"
                " first: gnt-node modify --master-candidate=yes"
            )

    async def write_ssconf(self, call: WriteSsconf) -> None:
        """Replace the ``ssconf_*`` files that differ, each atomically.

        :raises Invalid: with every key that there is not.
        """
        if unknown := sorted(set(call.values) - SSCONF_KEYS):
            raise Invalid([Problem(f"values.{key}", "is no ssconf key") for key in unknown])
        contents = {
            f"{self._data}/ssconf_{key}": content(value) for key, value in call.values.items()
        }
        # A change of the cluster touches one or two of thirty: the others need no sync.
        changed = {path: new for path, new in contents.items() if self._now(path) != new}
        if changed:
            await self._files.replace_all(changed, mode=0o444)

    def _now(self, path: str) -> bytes | None:
        return None if self._files.stat(path) is None else self._files.read(path)


def content(value: str) -> bytes:
    """The file for a value: one newline at its end, unless it is empty."""
    text = value.rstrip("\n")
    return f"{text}\n".encode() if text else b""
