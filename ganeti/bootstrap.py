# SPDX-License-Identifier: BSD-2-Clause
"""What must happen before there are daemons: a node gets what makes it part of a cluster.

Plain blocking code without Twisted, for tools and for a daemon that has not started yet.
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import msgspec

from ganeti import __version__
from ganeti.config.formats import Checkpoint
from ganeti.config.founding import founded
from ganeti.config.ssconf import ssconf
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, ProtocolError, Refused, from_wire
from ganeti.model.disk import Template
from ganeti.paths import NODED_PORT, Paths
from ganeti.pki.enrolment import (
    AUTHORITY_CALL,
    ENROL_CALL,
    TOKEN_LIFE,
    Application,
    Invitation,
    Membership,
    fingerprint,
    read_token,
    secret_of,
    token_of,
)
from ganeti.rpc.http import Broken, MessageReader, answered, request
from ganeti.system.files import LocalFiles

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 10.0
_ANSWER_LIMIT = 1 << 20


def found(
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
    """Make this host, the node ``master``, the first of a new cluster; answers its state.

    ``address`` is the cluster's own. ``settings`` are fields of ``Cluster``. When this returns,
    all daemons can be started; if it is interrupted, it can be done again.

    :raises Refused: this host is part of a cluster already.
    """
    from ganeti.pki.authority import SERVER_USAGE, Authority

    under_way = f"{paths.data}/founding"
    if not os.path.exists(under_way):
        _refuse_a_master(paths)
        _refuse_a_member(paths, "found a cluster")
    _write({under_way: (b"", 0o600)})
    now = time.time()
    authority = Authority.founded(cluster, now)
    own = authority.credentials(dict.fromkeys((master, master_address)), now)
    doors = dict.fromkeys((cluster, master, address, master_address, "localhost", "127.0.0.1"))
    state = founded(
        name=cluster,
        address=address,
        master=master,
        master_address=master_address,
        secondary_address=secondary_address,
        certificate=fingerprint(own.certificate),
        hypervisors=hypervisors,
        templates=templates,
        ids=lambda: str(uuid.uuid4()),
        random=random.SystemRandom(),
        now=now,
        **settings,
    )
    for folder in (paths.journal, f"{paths.queue}/archive", paths.hooks, paths.log, paths.run):
        _now(_files().make_folder(folder))
    _write(
        {
            paths.authority: (authority.certificate, 0o644),
            paths.authority_key: (authority.key, 0o600),
            paths.rapi_certificate: (
                authority.credentials(doors, now, usage=SERVER_USAGE).pem,
                0o600,
            ),
            paths.domain_secret: (secrets.token_hex(32).encode() + b"\n", 0o600),
            f"{paths.queue}/version": (b"1\n", 0o640),
            f"{paths.queue}/serial": (b"0\n", 0o640),
        }
    )
    _write_ssconf(paths, ssconf(state, release=__version__))
    if not os.path.exists(paths.rapi_users):
        _write({paths.rapi_users: (_USERS, 0o640)})
    _write(
        {
            paths.config_file: (Checkpoint().text(state), 0o640),
            paths.node_certificate: (own.pem, 0o600),
        }
    )
    _now(_files().remove(under_way))
    return state


_USERS = b"""\
# Who may use the remote API: one user a line, with a password and what they may do, for example
#   NAME {scrypt}... write
# Lines are read again when this file changes.
"""


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
    files = _files()
    if files.stat(paths.authority_key) is None:
        raise Refused(f"{paths.authority_key} is not here; make the token on the master, as root")
    master = _ssconf(paths, "master_node")
    known = dict(line.split(" ", 1) for line in _ssconf(paths, "node_primary_ips").splitlines())
    invitation = Invitation(
        cluster=_ssconf(paths, "cluster_name"),
        node=node,
        names=tuple(dict.fromkeys((node, *addresses))),
        master=master,
        address=known[master],
        port=port,
        authority=fingerprint(files.read(paths.authority)),
        until=int(time.time() if now is None else now) + TOKEN_LIFE,
        nonce=secrets.token_hex(16),
    )
    return token_of(invitation, secret_of(files.read(paths.authority_key)))


def join(token: str, paths: Paths, name: str) -> Invitation:
    """Give this host, the node ``name``, its certificate; answers what the token said.

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
    _refuse_a_member(paths, "join another one")
    key, wanted = new_request(name)
    master = _Master(invitation)
    authority = master.authority()
    granted = master.enrol(Application(token=token, request=wanted.decode("ascii")), authority)
    files = _files()
    _now(files.make_folder(paths.data))
    _now(files.replace(paths.authority, authority.encode("ascii"), mode=0o644))
    _write_ssconf(paths, _first_ssconf(invitation))
    credentials = key + granted.certificate.encode("ascii")
    # Last, because this file is what says that the node is part of a cluster.
    _now(files.replace(paths.node_certificate, credentials, mode=0o600))
    return invitation


def _refuse_a_master(paths: Paths) -> None:
    if os.path.exists(paths.config_file):
        raise Refused(
            f"there is a cluster here already: {paths.config_file} is there; to make a new one,"
            " destroy it first (gnt-cluster destroy)",
            Code.EXISTS,
        )


def _refuse_a_member(paths: Paths, what: str) -> None:
    if os.path.exists(paths.node_certificate):
        raise Refused(
            f"this node is part of a cluster already: {paths.node_certificate} is there; to {what},"
            " remove it from its cluster first (gnt-node remove)",
            Code.EXISTS,
        )


class _Master:
    """The node daemon of the master, as a host sees it that has no certificate."""

    def __init__(self, invitation: Invitation) -> None:
        self._said = invitation

    def authority(self) -> str:
        """The certificate that the token's fingerprint belongs to.

        Nothing protects this exchange but the fingerprint, which is enough.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        answer = self._ask(context, AUTHORITY_CALL, b"{}")
        if not isinstance(answer, str) or fingerprint(answer.encode()) != self._said.authority:
            raise Refused(
                f"{self._where} is not of the cluster {self._said.cluster} that the token was made"
                " for: its authority is another one; is the address right, and nobody in between?"
            )
        return answer

    def enrol(self, application: Application, authority: str) -> Membership:
        """The certificate for this node."""
        context = ssl.create_default_context(cadata=authority)
        answer = self._ask(context, ENROL_CALL, msgspec.json.encode(application))
        try:
            return msgspec.convert(answer, Membership)
        except msgspec.ValidationError as e:
            raise ProtocolError(f"{self._where} granted nonsense: {e}") from None

    @property
    def _where(self) -> str:
        return f"{self._said.master} ({self._said.address} port {self._said.port})"

    def _ask(self, context: ssl.SSLContext, call: str, body: bytes) -> Any:
        said = self._said
        try:
            with (
                socket.create_connection((said.address, said.port), timeout=PATIENCE) as plain,
                context.wrap_socket(plain, server_hostname=said.master) as connection,
            ):
                connection.sendall(request(call, said.master, "Connection: close\r\n", body))
                answer = self._receive(connection)
        except OSError as e:
            raise Failed(
                f"{self._where} cannot be asked: {e}; does its node daemon run, and can this host"
                " reach it?",
                Code.ENVIRONMENT,
            ) from None
        match answer:
            case [True, result]:
                return result
            case [False, error]:
                raise from_wire(error)
        raise ProtocolError(f"{self._where} gave no answer that makes sense")

    def _receive(self, connection: ssl.SSLSocket) -> Any:
        reader = MessageReader(body_limit=_ANSWER_LIMIT)
        try:
            while data := connection.recv(65536):
                for message in reader.receive(data):
                    if answered(message) != 200:
                        raise ProtocolError(f"{self._where} answers {message.body!r}")
                    return msgspec.json.decode(message.body)
        except (Broken, msgspec.DecodeError) as e:
            raise ProtocolError(f"{self._where} answers nonsense: {e}") from None
        raise ProtocolError(f"{self._where} closed the connection without an answer")


async def _here(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    return function(*args, **kwargs)


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


def _ssconf(paths: Paths, key: str) -> str:
    return _files().read(f"{paths.data}/ssconf_{key}").decode().rstrip("\n")


def _write_ssconf(paths: Paths, values: Mapping[str, str]) -> None:
    _write(
        {
            f"{paths.data}/ssconf_{key}": (f"{text}\n".encode() if text else b"", 0o444)
            for key, text in values.items()
        }
    )


def _files() -> LocalFiles:
    return LocalFiles(_here)


def _now(work: Coroutine[Any, Any, T]) -> T:
    """The result of work that never has to wait, because what blocks is done on the spot."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("files that are written on the spot waited for something")


def _write(contents: Mapping[str, tuple[bytes, int]]) -> None:
    files = _files()
    for path, (content, mode) in contents.items():
        _now(files.make_folder(os.path.dirname(path)))
        _now(files.replace(path, content, mode=mode))
