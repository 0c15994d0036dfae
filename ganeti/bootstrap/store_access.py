# SPDX-License-Identifier: BSD-2-Clause
"""The settings and certificates of a state store on the first node of a new cluster."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.bootstrap.blocking_files import local_files, write
from ganeti.errors import Invalid, Problem
from ganeti.journal.etcd.store_settings import (
    StateStore,
    encode_settings,
    is_endpoint,
    prefix_of,
    read_last_settings,
    read_settings,
)
from ganeti.paths import Paths


@dataclass(frozen=True)
class StoreAccess:
    """The members of etcd, the certificate of their authority, and a client's key with its own.

    With ``automatic_failover``, a candidate becomes the master when the present one is gone. With
    ``own_members``, the cluster runs the members.
    """

    endpoints: Sequence[str]
    authority: bytes
    certificate: bytes
    automatic_failover: bool = True
    own_members: bool = False


def read_store_access(
    endpoints: Sequence[str], authority: str, certificate: str, *, automatic_failover: bool = True
) -> StoreAccess:
    """Return the access to a store, with the certificates in files.

    :raises Invalid: a file or an endpoint is unusable; the message names each.
    """
    problems = [
        Problem("etcd-endpoints", f"{each} must be a URL like https://192.0.2.1:2379")
        for each in endpoints
        if not is_endpoint(each)
    ]
    if not endpoints:
        problems.append(Problem("etcd-endpoints", "must have at least one URL"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for option, path, load in (
        ("etcd-ca", authority, context.load_verify_locations),
        ("etcd-certificate", certificate, context.load_cert_chain),
    ):
        try:
            load(path)
        except (OSError, ssl.SSLError) as e:
            problems.append(Problem(option, f"{path} cannot be used: {e}"))
    if problems:
        raise Invalid(problems)
    with open(authority, "rb") as trusted, open(certificate, "rb") as own:
        return StoreAccess(tuple(endpoints), trusted.read(), own.read(), automatic_failover)


def describe_store(paths: Paths) -> str:
    """Return where the state of the cluster is, according to the settings of this node.

    :raises Failed: the settings are damaged.
    """
    settings = read_settings(local_files(), paths.state_store)
    if settings is None:
        return "files"
    where = ", ".join(settings.endpoints)
    return f"etcd on master candidates, at {where}" if settings.own_members else f"etcd at {where}"


def has_external_store(paths: Paths) -> bool:
    """Return whether the settings of this node are those of an etcd that runs elsewhere."""
    settings = read_last_settings(local_files(), paths.state_store)
    return settings is not None and not settings.own_members


def write_store_access(
    paths: Paths, access: StoreAccess, cluster: str, *, in_use: bool = True
) -> None:
    """Write the files with which the master of the cluster with this UUID founds its state.

    Unless they are ``in_use``, the state is still in files, and can be moved.
    """
    settings = StateStore(
        kind="etcd" if in_use else "file",
        endpoints=tuple(access.endpoints),
        prefix=prefix_of(cluster),
        automatic_failover=access.automatic_failover,
        own_members=access.own_members,
    )
    modes = paths.store_files
    contents = {
        paths.store_authority: access.authority,
        paths.store_certificate: access.certificate,
        paths.state_store: encode_settings(settings),
    }
    write({path: (content, modes[path]) for path, content in contents.items()})
