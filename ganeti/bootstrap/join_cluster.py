# SPDX-License-Identifier: BSD-2-Clause
"""A node joins: the master invites it by a token, with which it gets its certificate."""

from __future__ import annotations

import os
import secrets
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from ganeti.bootstrap.blocking_files import (
    at_once,
    local_files,
    refuse_a_member,
    ssconf_of,
    write_ssconf,
)
from ganeti.bootstrap.node_client import NodeEndpoint, answer_of
from ganeti.errors import Code, Invalid, ProtocolError, Refused
from ganeti.paths import NODED_PORT, Paths
from ganeti.pki.enrolment import (
    AUTHORITY_CALL,
    ENROL_CALL,
    TOKEN_LIFE,
    Application,
    Invitation,
    Membership,
    certificates,
    fingerprint,
    pinned,
    read_token,
    secret_of,
    token_of,
)
from ganeti.rpc.members import MemberFile, MemberRecords


def invite(
    paths: Paths,
    *,
    node: str,
    addresses: Iterable[str],
    port: int = NODED_PORT,
    now: float | None = None,
) -> str:
    """A token with which the host ``node`` becomes part of this cluster, within the hour.

    ``addresses`` are the new node's, the one that the master is going to use first; ``port`` is
    where the node daemon of the master listens.

    :raises Refused: this is not the master, or not as root.
    """
    files = local_files()
    if files.stat(paths.authority_key) is None:
        raise Refused(f"{paths.authority_key} is not here; make the token on the master, as root")
    master = ssconf_of(paths, "master_node")
    known = dict(line.split(" ", 1) for line in ssconf_of(paths, "node_primary_ips").splitlines())
    trusted = certificates(files.read(paths.authority))
    authority, *others = (fingerprint(each.encode()) for each in trusted)
    invitation = Invitation(
        cluster=ssconf_of(paths, "cluster_name"),
        node=node,
        names=tuple(dict.fromkeys((node, *addresses))),
        master=master,
        address=known[master],
        port=port,
        authority=authority,
        other_authorities=tuple(others),
        until=int(time.time() if now is None else now) + TOKEN_LIFE,
        nonce=secrets.token_hex(16),
    )
    secret = secret_of(files.read(paths.authority_key), files.read(paths.domain_secret))
    return token_of(invitation, secret)


def join(token: str, paths: Paths, name: str, *, again: bool = False) -> Invitation:
    """Give this host, the node ``name``, its certificate; answers what the token said.

    ``again`` is for a node whose certificate has expired, or is of an authority that its cluster
    has no more: it gets another one, of a cluster of the same name.

    :raises Refused: the token is not for this node, the node is in a cluster already, or the
        cluster does not accept the token.
    :raises Failed: the master could not be asked.
    """
    from ganeti.pki.authority import new_request

    invitation = read_token(token)
    if invitation.node != name:
        raise Refused(
            f"the token is for node {invitation.node}, and this is {name}; if it is the same host,"
            " say so by GANETI_HOSTNAME",
            Code.INPUT,
        )
    if again:
        _refuse_another_cluster(paths, invitation.cluster)
    else:
        refuse_a_member(paths, "join another one")
    key, wanted = new_request(name)
    master = _Master(invitation)
    pins = master.authority()
    granted = master.enrol(Application(token=token, request=wanted.decode("ascii")), pins)
    files = local_files()
    at_once(files.make_folder(paths.data))
    if _authority_of(paths) not in (invitation.authority, *invitation.other_authorities):
        # Of a cluster that was made again under this name: terms of masters that this one has never
        # had. Or its authority was replaced while this node was offline, and so had no vote.
        at_once(files.remove(paths.term_file))
        at_once(files.remove(paths.authority_key))
    at_once(files.replace(paths.authority, granted.authority.encode("ascii"), mode=0o644))
    write_ssconf(paths, _first_ssconf(invitation))
    kept = MemberFile(term=0, members=granted.members)
    at_once(files.replace(paths.member_list, msgspec.json.encode(kept), mode=0o600))
    credentials = key + granted.certificate.encode("ascii")
    # Last, because this file is what says that the node is part of a cluster.
    at_once(files.replace(paths.node_certificate, credentials, mode=0o600))
    return invitation


def _refuse_another_cluster(paths: Paths, cluster: str) -> None:
    if os.path.exists(f"{paths.data}/ssconf_cluster_name"):
        known = ssconf_of(paths, "cluster_name")
        if known != cluster:
            raise Refused(
                f"this node is of the cluster {known}, and the token is of {cluster}; to join that"
                " one, remove the node from its own first (gnt-node remove)"
            )


def _authority_of(paths: Paths) -> str | None:
    """The fingerprint of the authority that this node trusts; None if there is none."""
    try:
        return fingerprint(local_files().read(paths.authority))
    except (FileNotFoundError, Invalid):
        return None


@dataclass(frozen=True)
class GrantedCertificate:
    """What a new node has got: certificates in PEM, its own and what to trust, and the members."""

    certificate: str
    authority: str
    members: MemberRecords


class _Master:
    """The node daemon of the master, as a host sees it that has no certificate."""

    def __init__(self, invitation: Invitation) -> None:
        self._said = invitation
        self._node = NodeEndpoint(invitation.master, invitation.address, invitation.port)

    def authority(self) -> str:
        """The certificates that the fingerprints in the token belong to.

        Nothing protects this exchange but the fingerprints, which is enough.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        answer = answer_of(self._node.ask(context, AUTHORITY_CALL, b"{}"), self._node)
        trusted = pinned(answer.encode(), self._said) if isinstance(answer, str) else ()
        if not trusted:
            raise Refused(
                f"the authority of {self._node} is not the one that the token names; if the"
                f" authority of cluster {self._said.cluster} has been replaced since, make a new"
                " token with gnt-node add on the master; if not, check the address, and that no"
                " other host answers there"
            )
        return "".join(trusted)

    def enrol(self, application: Application, authority: str) -> GrantedCertificate:
        """The certificate for this node, and the members of its cluster."""
        context = ssl.create_default_context(cadata=authority)
        body = self._node.ask(context, ENROL_CALL, msgspec.json.encode(application))
        answer = answer_of(body, self._node)
        try:
            granted = msgspec.convert(answer, Membership)
            members = msgspec.convert(granted.members, MemberRecords)
            return GrantedCertificate(granted.certificate, granted.authority, members)
        except msgspec.ValidationError as e:
            raise ProtocolError(f"{self._node} granted nonsense: {e}") from None


def _first_ssconf(said: Invitation) -> dict[str, str]:
    """What a new node knows of its cluster until the master tells it all: where to listen, say."""
    _, *addresses = said.names
    known = {said.master: said.address}
    if addresses:
        known[said.node] = addresses[0]
    return {
        "cluster_name": said.cluster,
        "master_node": said.master,
        "node_primary_ips": "\n".join(f"{node} {address}" for node, address in known.items()),
    }
