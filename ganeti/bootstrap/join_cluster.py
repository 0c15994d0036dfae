# SPDX-License-Identifier: BSD-2-Clause
"""Joining a cluster: the master creates a token, with which the node gets its certificate."""

from __future__ import annotations

import os
import secrets
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from ganeti.bootstrap.blocking_files import (
    at_once,
    check_no_membership,
    local_files,
    read_ssconf,
    write_ssconf,
)
from ganeti.bootstrap.foreign_folder import is_foreign
from ganeti.bootstrap.free_space import Space, read_space, require_space
from ganeti.bootstrap.node_client import NodeEndpoint, decode_answer, malformed
from ganeti.bootstrap.take_over.folder_exchange import exchange_for_ours, prepared
from ganeti.bootstrap.take_over.ganeti_daemons import require_stopped
from ganeti.bootstrap.take_over.ganeti_folder import FolderPaths
from ganeti.errors import Code, Invalid, Refused
from ganeti.paths import NODED_PORT, Paths
from ganeti.pki.authority import create_request
from ganeti.pki.enrolment import (
    AUTHORITY_CALL,
    ENROL_CALL,
    TOKEN_VALIDITY,
    Application,
    Invitation,
    Membership,
    certificates,
    derive_secret,
    encode_token,
    fingerprint,
    read_token,
    select_pinned,
)
from ganeti.rpc.members import MemberFile, MemberRecords


def create_token(
    paths: Paths,
    *,
    node: str,
    addresses: Iterable[str],
    port: int = NODED_PORT,
    now: float | None = None,
) -> str:
    """Return a token with which the host ``node`` can join this cluster for an hour.

    ``addresses`` are those of the new node, the one that the master will use first; ``port`` is
    that of the master's node daemon.

    :raises Refused: this node is not the master, or the user is not root.
    """
    files = local_files()
    if files.stat(paths.authority_key) is None:
        raise Refused(
            f"{paths.authority_key} does not exist; create the token on the master, as root"
        )
    master = read_ssconf(paths, "master_node")
    known = dict(line.split(" ", 1) for line in read_ssconf(paths, "node_primary_ips").splitlines())
    trusted = certificates(files.read(paths.authority))
    authority, *others = (fingerprint(each.encode()) for each in trusted)
    invitation = Invitation(
        cluster=read_ssconf(paths, "cluster_name"),
        node=node,
        names=tuple(dict.fromkeys((node, *addresses))),
        master=master,
        address=known[master],
        port=port,
        authority=authority,
        other_authorities=tuple(others),
        until=int(time.time() if now is None else now) + TOKEN_VALIDITY,
        nonce=secrets.token_hex(16),
    )
    secret = derive_secret(files.read(paths.authority_key), files.read(paths.domain_secret))
    return encode_token(invitation, secret)


def join(
    token: str,
    paths: Paths,
    name: str,
    *,
    again: bool = False,
    space: Callable[[str], Space] = read_space,
) -> Invitation:
    """Get a certificate for this host, the node ``name``; return the content of the token.

    ``again`` is for a node whose certificate has expired, or was issued by a former authority: it
    gets a new certificate in a cluster with the same name. If that cluster was taken over from
    Ganeti, the files of Ganeti on this node are put aside. ``space`` returns that of a folder.

    :raises Refused: the token is for another node, the node is already in a cluster, its disk is
        full, or the cluster does not accept the token.
    :raises Failed: the master could not be reached.
    """
    invitation = read_token(token)
    if invitation.node != name:
        raise Refused(
            f"the token is for node {invitation.node}, and this is {name}; if it is the same host,"
            " set GANETI_HOSTNAME",
            Code.INPUT,
        )
    adopted = again and is_foreign(paths)
    if again:
        _check_same_cluster(paths, invitation.cluster)
    else:
        check_no_membership(paths, "join another cluster")
    if adopted:
        require_stopped(paths.run)
    # Before the master sees the token, which is valid once.
    require_space(paths.data, space(paths.data))
    key, wanted = create_request(name)
    master = _EnrolmentClient(invitation)
    pins = master.authority()
    granted = master.enrol(Application(token=token, request=wanted.decode("ascii")), pins)
    if adopted:
        with prepared(paths) as place:
            _write_membership(FolderPaths(place, paths.root), invitation, granted, key)
            exchange_for_ours(paths).carry_out()
    else:
        _write_membership(paths, invitation, granted, key)
    return invitation


def _write_membership(
    paths: Paths, invitation: Invitation, granted: GrantedCertificate, key: bytes
) -> None:
    files = local_files()
    at_once(files.make_folder(paths.data))
    if _read_authority_fingerprint(paths) not in (
        invitation.authority,
        *invitation.other_authorities,
    ):
        # The cluster was created again under this name, and the stored term is one of another
        # cluster's masters. Or its authority was replaced while this node was offline and had no
        # vote.
        at_once(files.remove(paths.term_file))
        at_once(files.remove(paths.authority_key))
    at_once(files.replace(paths.authority, granted.authority.encode("ascii"), mode=0o644))
    write_ssconf(paths, _make_initial_ssconf(invitation))
    member_file = MemberFile(term=0, members=granted.members)
    at_once(files.replace(paths.member_list, msgspec.json.encode(member_file), mode=0o600))
    credentials = key + granted.certificate.encode("ascii")
    # Last, because the existence of this file marks the node as part of a cluster.
    at_once(files.replace(paths.node_certificate, credentials, mode=0o600))


def _check_same_cluster(paths: Paths, cluster: str) -> None:
    if os.path.exists(f"{paths.data}/ssconf_cluster_name"):
        known = read_ssconf(paths, "cluster_name")
        if known != cluster:
            raise Refused(
                f"this node is part of cluster {known}, and the token is for cluster {cluster}; to"
                " join the latter, remove the node from its cluster first (gnt-node remove)"
            )


def _read_authority_fingerprint(paths: Paths) -> str | None:
    """Return the fingerprint of the trusted authority; None if there is none."""
    try:
        return fingerprint(local_files().read(paths.authority))
    except (FileNotFoundError, Invalid):
        return None


@dataclass(frozen=True)
class GrantedCertificate:
    """The result of enrolment: the certificate, trusted authorities (PEM) and member list."""

    certificate: str
    authority: str
    members: MemberRecords


class _EnrolmentClient:
    """The master's node daemon, as called by a host without a certificate."""

    def __init__(self, invitation: Invitation) -> None:
        self._said = invitation
        self._node = NodeEndpoint(invitation.master, invitation.address, invitation.port)

    def authority(self) -> str:
        """Return the certificates with the fingerprints in the token.

        Only the fingerprints protect this exchange, which is sufficient.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        answer = decode_answer(self._node.ask(context, AUTHORITY_CALL, b"{}"), self._node)
        trusted = select_pinned(answer.encode(), self._said) if isinstance(answer, str) else ()
        if not trusted:
            raise Refused(
                f"the authority of {self._node} is not the one in the token; if the authority of"
                f" cluster {self._said.cluster} was replaced since, create a new token with"
                " gnt-node add on the master; otherwise check the address, and that no other"
                " host answers there"
            )
        return "".join(trusted)

    def enrol(self, application: Application, authority: str) -> GrantedCertificate:
        """Return the certificate for this node, and the members of its cluster."""
        context = ssl.create_default_context(cadata=authority)
        body = self._node.ask(context, ENROL_CALL, msgspec.json.encode(application))
        answer = decode_answer(body, self._node)
        try:
            granted = msgspec.convert(answer, Membership)
            members = msgspec.convert(granted.members, MemberRecords)
            return GrantedCertificate(granted.certificate, granted.authority, members)
        except msgspec.ValidationError as e:
            raise malformed(self._node, str(e)) from None


def _make_initial_ssconf(said: Invitation) -> dict[str, str]:
    """Return the ssconf values until the master sends all: the node's own address, for example."""
    _, *addresses = said.names
    known = {said.master: said.address}
    if addresses:
        known[said.node] = addresses[0]
    return {
        "cluster_name": said.cluster,
        "master_node": said.master,
        "node_primary_ips": "\n".join(f"{node} {address}" for node, address in known.items()),
    }
