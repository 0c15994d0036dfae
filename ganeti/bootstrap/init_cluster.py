# SPDX-License-Identifier: BSD-2-Clause
"""Creation of a cluster: writes everything that the daemons of its first node need."""

from __future__ import annotations

import os
import random
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ganeti import __version__
from ganeti.bootstrap.blocking_files import (
    at_once,
    check_no_cluster,
    check_no_membership,
    local_files,
    write,
    write_ssconf,
)
from ganeti.config import access
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.initial_state import first_policy as first_policy
from ganeti.config.initial_state import given_settings as given_settings
from ganeti.config.initial_state import initial_state
from ganeti.config.ssconf import ssconf
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.cluster_settings import BUILT_IN_ALLOCATOR
from ganeti.model.disk import Template
from ganeti.paths import Paths
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.members import MemberFile, MemberRecords
from ganeti.storage.folders import AllowedFolders

if TYPE_CHECKING:
    from ganeti.pki.authority import Authority, Credentials


def init_cluster(
    paths: Paths,
    *,
    cluster: str,
    address: str,
    master: str,
    master_address: str,
    secondary_address: str | None = None,
    hypervisors: Sequence[str] = ("kvm",),
    templates: Sequence[Template] = (Template.FILE, Template.SHAREDFILE, Template.DISKLESS),
    **settings: Any,
) -> ClusterState:
    """Make this host, the node ``master``, the first node of a new cluster; return its state.

    ``address`` is the cluster's own IP address; ``settings`` are fields of ``Cluster``. All daemons
    can be started when this returns; if it is interrupted, it can be repeated.

    :raises Refused: this host is already part of a cluster, or a folder for disks is not allowed.
    """
    from ganeti.pki.authority import SERVER_USAGE, Authority

    _check_folders(paths, settings)
    _check_allocator(paths, settings.get("default_iallocator") or "")
    under_way = f"{paths.data}/founding"
    if not os.path.exists(under_way):
        check_no_cluster(paths)
        check_no_membership(paths, "create a cluster")
    write({under_way: (b"", 0o600)})
    now = time.time()
    authority = Authority.founded(cluster, now)
    own = authority.credentials(dict.fromkeys((master, master_address)), now)
    server_names = dict.fromkeys(
        (cluster, master, address, master_address, "localhost", "127.0.0.1")
    )
    state = initial_state(
        name=cluster,
        address=address,
        master=master,
        master_address=master_address,
        secondary_address=secondary_address,
        certificate=fingerprint(own.certificate),
        authority=authority.certificate.decode("ascii"),
        hypervisors=hypervisors,
        templates=templates,
        ids=lambda: str(uuid.uuid4()),
        random=random.SystemRandom(),
        now=now,
        **settings,
    )
    for folder in (paths.journal, f"{paths.queue}/archive", paths.hooks, paths.log, paths.run):
        at_once(local_files().make_folder(folder))
    write(
        {
            paths.authority: (authority.certificate, 0o644),
            paths.authority_key: (authority.key, 0o600),
            paths.rapi_certificate: (
                authority.credentials(server_names, now, usage=SERVER_USAGE).pem,
                0o600,
            ),
            paths.domain_secret: (secrets.token_hex(32).encode() + b"\n", 0o600),
            f"{paths.queue}/version": (b"1\n", 0o640),
            f"{paths.queue}/serial": (b"0\n", 0o640),
        }
    )
    # Terms of another cluster's masters do not apply to this one.
    at_once(local_files().remove(paths.term_file))
    write_ssconf(paths, ssconf(state, release=__version__))
    if not os.path.exists(paths.rapi_users):
        write({paths.rapi_users: (_USERS_TEMPLATE, 0o640)})
    write(
        {
            paths.member_list: (_encode_members(master, own, authority), 0o600),
            paths.access_file: (access.text(state), 0o640),
            paths.config_file: (ConfigDataEncoder().text(state), 0o640),
            paths.node_certificate: (own.pem, 0o600),
        }
    )
    at_once(local_files().remove(under_way))
    return state


def _check_folders(paths: Paths, settings: Mapping[str, Any]) -> None:
    """Check that this host allows the folders for disks.

    :raises Refused: a folder is not allowed; the message says what to do.
    """
    plain = Paths()
    folders = AllowedFolders(
        files=local_files(),
        resolve=os.path.realpath,
        listing=plain.file_storage_paths,
        defaults=(plain.file_storage, plain.shared_file_storage),
        root=paths.root,
    )
    for name in ("file_storage_dir", "shared_file_storage_dir"):
        if settings.get(name):
            folders.folder(settings[name])


def _check_allocator(paths: Paths, name: str) -> None:
    """Check that the default allocator is installed on this host.

    :raises Refused: no folder of the search path has an executable file of that name.
    """
    if name in ("", BUILT_IN_ALLOCATOR):
        return
    places = [f"{folder}/{name}" for folder in paths.allocator_search_path]
    if not any(os.path.isfile(place) and os.access(place, os.X_OK) for place in places):
        raise Refused(
            f"allocator {name} is not installed on this host; install it in one of "
            f"{', '.join(paths.allocator_search_path)}, or use another one",
            Code.UNKNOWN,
        )


def _encode_members(master: str, own: Credentials, authority: Authority) -> bytes:
    """Return the content of the first member list file."""
    first = MemberRecords(
        revision=1,
        certificates={master: (fingerprint(own.certificate),)},
        candidates=(master,),
        authorities=(authority.certificate.decode("ascii"),),
    )
    return msgspec.json.encode(MemberFile(term=0, members=first))


_USERS_TEMPLATE = b"""\
# Who may use the remote API: one user a line, with a password and what they may do, for example
#   NAME {scrypt}... write
# Lines are read again when this file changes.
"""
