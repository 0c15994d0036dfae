# SPDX-License-Identifier: BSD-2-Clause
"""Creation of a cluster: writes everything that the daemons of its first node need."""

from __future__ import annotations

import os
import random
import secrets
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
from ganeti.bootstrap.own_members import OwnStore, write_own_store
from ganeti.bootstrap.store_access import StoreAccess, write_store_access
from ganeti.config import access_file
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.initial_state import first_policy as first_policy
from ganeti.config.initial_state import given_settings as given_settings
from ganeti.config.initial_state import initial_state
from ganeti.config.ssconf import ssconf
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.model.cluster_settings import BUILT_IN_ALLOCATOR
from ganeti.model.disk import Template
from ganeti.paths import Paths
from ganeti.pki.authority import SERVER_USAGE, Authority
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
    store: StoreAccess | OwnStore | None = None,
    **settings: Any,
) -> ClusterState:
    """Make this host, the node ``master``, the first node of a new cluster; return its state.

    ``address`` is the cluster's own IP address; ``settings`` are fields of ``Cluster``. The state
    is in files, or in the ``store`` after the first start of the master daemon. All daemons
    can be started when this returns. If it fails, it removes what it wrote; if its process is
    killed, it can be repeated.

    :raises Refused: this host is already part of a cluster, or a folder for disks is not allowed.
    :raises Failed: a file cannot be written.
    """
    check_membership(paths)
    for problem in setting_problems(paths, settings):
        raise Refused(problem)
    with _removed_on_failure(paths):
        under_way = _marker(paths)
        # First, so that what an interrupted creation has left can be replaced by the next one.
        write({under_way: (b"", 0o600)})
        now = time.time()
        authority = Authority.founded(cluster, now)
        own = authority.credentials(dict.fromkeys((master, master_address)), now)
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
        _remove_old_state(paths)
        _write_shared_files(paths, state, authority, now)
        if isinstance(store, OwnStore):
            write_own_store(paths, store, state.cluster.uuid)
        elif store is not None:
            write_store_access(paths, store, state.cluster.uuid)
        write_ssconf(paths, ssconf(state, release=__version__))
        # An administrator may have prepared it.
        if not os.path.exists(paths.rapi_users):
            write({paths.rapi_users: (_USERS_TEMPLATE, 0o640)})
        # In this order: the last file tells that this node is part of a cluster.
        write(
            {
                paths.member_list: (encode_members(master, own, authority), 0o600),
                paths.access_file: (access_file.text(state), 0o640),
                paths.config_file: (ConfigDataEncoder().text(state), 0o640),
                paths.node_certificate: (own.pem, 0o600),
            }
        )
        at_once(local_files().remove(under_way))
        return state


def _remove_old_state(paths: Paths) -> None:
    """Remove what another cluster has left on this host.

    Terms of its masters do not apply to this one, and nor does its state store.
    """
    for path in (paths.term_file, *paths.store_files):
        at_once(local_files().remove(path))
    at_once(local_files().remove_folder(paths.store_member))


def _write_shared_files(
    paths: Paths, state: ClusterState, authority: Authority, now: float
) -> None:
    """Write an empty job queue, and the keys and secrets that all master candidates have."""
    for folder in (paths.journal, f"{paths.queue}/archive", paths.hooks, paths.log, paths.run):
        at_once(local_files().make_folder(folder))
    cluster, master = state.cluster, state.master
    names = (cluster.cluster_name, master.name, cluster.master_ip, master.primary_ip)
    served = authority.credentials(
        dict.fromkeys((*names, "localhost", "127.0.0.1", "::1")), now, usage=SERVER_USAGE
    )
    write(
        {
            paths.authority: (authority.certificate, 0o644),
            paths.authority_key: (authority.key, 0o600),
            paths.rapi_certificate: (served.pem, 0o600),
            paths.domain_secret: (secrets.token_hex(32).encode() + b"\n", 0o600),
            f"{paths.queue}/version": (b"1\n", 0o640),
            f"{paths.queue}/serial": (b"0\n", 0o640),
        }
    )


def check_membership(paths: Paths) -> None:
    """Check that this host is part of no cluster, unless an earlier creation was interrupted.

    :raises Refused: it is part of one.
    """
    if not os.path.exists(_marker(paths)):
        check_no_cluster(paths)
        check_no_membership(paths, "create a cluster")


def setting_problems(paths: Paths, settings: Mapping[str, object]) -> Iterator[str]:
    """Yield what this host does not allow of the settings of a new cluster."""
    for check in (_check_folders, _check_allocator):
        try:
            check(paths, settings)
        except Refused as e:
            yield str(e)


def _marker(paths: Paths) -> str:
    """Return the file that exists while a cluster is created."""
    return f"{paths.data}/founding"


def _files(paths: Paths) -> set[str]:
    """Return all files and folders that a cluster can have on this host."""
    return {
        os.path.join(folder, name)
        for top in (paths.data, paths.conf, paths.log, paths.run)
        for folder, folders, files in os.walk(top)
        for name in ("", *folders, *files)
    }


@contextmanager
def _removed_on_failure(paths: Paths) -> Iterator[None]:
    """Remove the files and folders that are made within this context, if it fails.

    The marker of an earlier run that was interrupted stays, as the next run needs it.
    """
    before = _files(paths)
    try:
        yield
    except BaseException as error:
        # The content of a folder before the folder.
        for path in sorted(_files(paths) - before, reverse=True):
            # The first error is the one to report; a folder that was not empty before also ends
            # here.
            with suppress(OSError):
                os.rmdir(path) if os.path.isdir(path) else os.unlink(path)
        if isinstance(error, OSError):
            path = error.filename2 or error.filename
            where = f"{path}: " if path else f"below {paths.data}: "
            raise Failed(
                f"the files of the cluster cannot be written ({where}{error.strerror}); those that"
                " had been written are removed again: correct this and repeat the command",
                Code.ENVIRONMENT,
            ) from error
        raise


def _check_folders(paths: Paths, settings: Mapping[str, object]) -> None:
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
            folders.folder(str(settings[name]))


def _check_allocator(paths: Paths, settings: Mapping[str, object]) -> None:
    """Check that the default allocator is installed on this host.

    :raises Refused: no folder of the search path has an executable file of that name.
    """
    name = str(settings.get("default_iallocator") or "")
    if name in ("", BUILT_IN_ALLOCATOR):
        return
    places = [f"{folder}/{name}" for folder in paths.allocator_search_path]
    if not any(os.path.isfile(place) and os.access(place, os.X_OK) for place in places):
        raise Refused(
            f"allocator {name} is not installed on this host; install it in one of "
            f"{', '.join(paths.allocator_search_path)}, or use another one",
            Code.UNKNOWN,
        )


def encode_members(master: str, own: Credentials, authority: Authority) -> bytes:
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
