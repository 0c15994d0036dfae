# SPDX-License-Identifier: BSD-2-Clause
"""What must happen before there are daemons: a node gets what makes it part of a cluster.

Plain blocking code without Twisted, for tools and for a daemon that has not started yet.
"""

from __future__ import annotations

import os
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

import msgspec

from ganeti.errors import Code, Failed, ProtocolError, Refused, from_wire
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


def invite(
    paths: Paths,
    *,
    cluster: str,
    node: str,
    addresses: Iterable[str],
    master: str,
    master_address: str,
    port: int = NODED_PORT,
    now: float | None = None,
) -> str:
    """A token with which the host ``node`` becomes part of the cluster, within the hour.

    ``master`` is the name of the node that is going to answer, where the authority's key is.

    :raises Refused: the authority's key is not on this node.
    """
    files = _files()
    if files.stat(paths.authority_key) is None:
        raise Refused(f"{paths.authority_key} is not here; make the token on the master, as root")
    invitation = Invitation(
        cluster=cluster,
        node=node,
        names=tuple(dict.fromkeys((node, *addresses))),
        master=master,
        address=master_address,
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
    if os.path.exists(paths.node_certificate):
        raise Refused(
            f"this node is part of a cluster already: {paths.node_certificate} is there; to let it"
            " join another one, remove it from its cluster first (gnt-node remove)",
            Code.EXISTS,
        )
    key, wanted = new_request(name)
    master = _Master(invitation)
    authority = master.authority()
    granted = master.enrol(Application(token=token, request=wanted.decode("ascii")), authority)
    files = _files()
    _now(files.make_folder(paths.data))
    _now(files.replace(paths.authority, authority.encode("ascii"), mode=0o644))
    credentials = key + granted.certificate.encode("ascii")
    # Last, because this file is what says that the node is part of a cluster.
    _now(files.replace(paths.node_certificate, credentials, mode=0o600))
    return invitation


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
