# SPDX-License-Identifier: BSD-2-Clause
"""The take-over itself: our files are prepared beside those of Ganeti, and then exchanged."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import msgspec

from ganeti import __version__
from ganeti.bootstrap.blocking_files import at_once, local_files, write, write_ssconf
from ganeti.bootstrap.init_cluster import encode_members
from ganeti.bootstrap.join_cluster import create_token
from ganeti.bootstrap.take_over.examination import usable_rapi_certificate
from ganeti.bootstrap.take_over.folder_exchange import exchange_for_ours, prepared
from ganeti.bootstrap.take_over.ganeti_folder import FolderPaths, GanetiFolder, end_job, read_folder
from ganeti.config import access_file
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.own_address import has_own_address
from ganeti.config.ssconf import ssconf
from ganeti.config.state import ClusterState
from ganeti.config.take_over import take_over
from ganeti.jobs.job import encode
from ganeti.model.node import Node
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.paths import Paths
from ganeti.pki.authority import SERVER_USAGE, Authority, Credentials
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.master_address import BY_GANETI, ReleaseMasterAddress
from ganeti.system.state_files import LocalStateFiles


@dataclass(frozen=True)
class Joining:
    """A node that has to join, and the token with which it can, for an hour."""

    node: Node
    token: str


def adopt(
    paths: Paths, folder: GanetiFolder, *, new_rapi_certificate: bool = False
) -> ClusterState:
    """Make this host the master of the cluster in ``folder``; return its configuration.

    All daemons of this host can be started when this returns. If it fails, nothing is left of it,
    and Ganeti can continue; if its process is killed, it can be repeated.

    :raises OSError: a file cannot be read or written.
    """
    with prepared(paths) as place:
        staged = FolderPaths(place, paths.root)
        state = _write_cluster(staged, folder, new_rapi_certificate=new_rapi_certificate)
        _write_queue(staged, folder, time.time())
        for each in (paths.hooks, paths.log, paths.run):
            at_once(local_files().make_folder(each))
        with _address_recorded(paths, state):
            exchange_for_ours(paths).carry_out()
    return state


@contextmanager
def _address_recorded(paths: Paths, state: ClusterState) -> Iterator[None]:
    """Record that Ganeti has configured the cluster's address on this host, if it has one.

    Without this, a permanent address would be taken for one of the administrator's, and stay here
    when the role of the master moves. It is recorded first, as an interrupted take-over is only
    continued until its last step, and removed again if this context fails.
    """
    cluster = state.cluster
    if not has_own_address(state):
        yield
        return
    where = ReleaseMasterAddress(
        address=cluster.master_ip,
        netmask=cluster.master_netmask,
        device=cluster.master_netdev,
        by_script=cluster.use_external_mip_script,
    )
    records = LocalStateFiles(paths.master_address_records)
    records.put(BY_GANETI, msgspec.json.encode(where))
    try:
        yield
    except OSError:
        records.remove(BY_GANETI)
        with suppress(OSError):
            os.rmdir(paths.master_address_records)
        raise


def is_interrupted(paths: Paths) -> bool:
    """Return whether the process of a take-over was killed during its last step."""
    return exchange_for_ours(paths).under_way


def resume(paths: Paths) -> GanetiFolder:
    """Continue a take-over that was interrupted; return the folder that Ganeti had."""
    exchange = exchange_for_ours(paths)
    exchange.carry_out()
    return read_folder(f"{exchange.data}/{exchange.old}")


def invite(paths: Paths, folder: GanetiFolder) -> list[Joining]:
    """Return the nodes that have to join the cluster that was taken over, with their tokens."""
    nodes = sorted(folder.state.nodes.values(), key=lambda node: node.name)
    return [
        Joining(node, create_token(paths, node=node.name, addresses=[node.primary_ip]))
        for node in nodes
        if node.uuid != folder.state.cluster.master_node and not node.offline
    ]


def _write_cluster(
    staged: Paths, folder: GanetiFolder, *, new_rapi_certificate: bool
) -> ClusterState:
    now, before = time.time(), folder.state
    cluster, master = before.cluster, before.master
    authority = Authority.founded(cluster.cluster_name, now)
    own = authority.credentials(dict.fromkeys((master.name, master.primary_ip)), now)
    state = take_over(
        before,
        certificate=fingerprint(own.certificate),
        authority=authority.certificate.decode("ascii"),
        hypervisors=HYPERVISORS,
    )
    kept = None if new_rapi_certificate else usable_rapi_certificate(folder, now)
    issued = kept or _issue_rapi_certificate(authority, before, now).pem
    domain_secret = folder.read(folder.paths.domain_secret)
    at_once(local_files().make_folder(staged.journal))
    write_ssconf(staged, ssconf(state, release=__version__))
    write(
        {
            staged.authority: (authority.certificate, 0o644),
            staged.authority_key: (authority.key, 0o600),
            staged.rapi_certificate: (issued, 0o600),
            staged.rapi_users: (folder.read(folder.paths.rapi_users) or b"", 0o640),
            staged.domain_secret: (domain_secret or secrets.token_hex(32).encode() + b"\n", 0o600),
            staged.member_list: (encode_members(master.name, own, authority), 0o600),
            staged.access_file: (access_file.text(state), 0o640),
            staged.config_file: (ConfigDataEncoder().text(state), 0o640),
            staged.node_certificate: (own.pem, 0o600),
        }
    )
    return state


def _issue_rapi_certificate(authority: Authority, state: ClusterState, now: float) -> Credentials:
    cluster, master = state.cluster, state.master
    names = (cluster.cluster_name, master.name, cluster.master_ip, master.primary_ip)
    known = dict.fromkeys((*names, "localhost", "127.0.0.1", "::1"))
    return authority.credentials(known, now, usage=SERVER_USAGE)


def _write_queue(staged: Paths, folder: GanetiFolder, now: float) -> None:
    """Write the queue: jobs that have not ended end here, as no daemon continues them."""
    queue = staged.queue
    contents = {
        f"{queue}/version": b"1\n",
        f"{queue}/serial": b"%d\n" % folder.serial,
        **{f"{queue}/job-{job.id}": encode(end_job(job, now)) for job in folder.jobs},
    }
    if folder.drained:
        contents[f"{queue}/drain"] = b""
    at_once(local_files().make_folder(f"{queue}/archive"))
    at_once(local_files().replace_all(contents))
    for name in folder.archived:
        old, new = f"{folder.paths.queue}/{name}", f"{queue}/{name}"
        at_once(local_files().make_folder(os.path.dirname(new)))
        with suppress(OSError):
            # Archived files are never written again, so that both folders can have the same.
            os.link(old, new)
            continue
        shutil.copyfile(old, new)
