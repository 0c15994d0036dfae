# SPDX-License-Identifier: BSD-2-Clause
"""New secrets of the cluster as a whole, made on the master; candidates get them from there."""

from __future__ import annotations

import os
import secrets
import signal
import ssl
import sys
import time
from collections.abc import Sequence

from ganeti.bootstrap.blocking_files import local_files, ssconf_of, write
from ganeti.bootstrap.daemons import RAPI
from ganeti.errors import Code, Failed, GanetiError, Invalid, Refused
from ganeti.paths import Paths, of_this_node
from ganeti.system.pidfile import holder


def renew_rapi_certificate(paths: Paths, *, only_own: bool = False) -> bool:
    """Give the remote API a new key and certificate for the addresses of the cluster and master.

    With ``only_own`` one that another authority has issued is left alone, and the answer is False.

    :raises Refused: the authority's key is not on this node.
    """
    from ganeti.pki.authority import SERVER_USAGE, Authority

    files = local_files()
    if files.stat(paths.authority_key) is None:
        raise Refused(f"{paths.authority_key} is not here; do this on the master, as root")
    authority = Authority.loaded(files.read(paths.authority), files.read(paths.authority_key))
    there = files.stat(paths.rapi_certificate) is not None
    if only_own and there and not authority.has_issued(files.read(paths.rapi_certificate)):
        return False
    master = ssconf_of(paths, "master_node")
    known = dict(line.split(" ", 1) for line in ssconf_of(paths, "node_primary_ips").splitlines())
    address = ssconf_of(paths, "master_ip")
    names = (ssconf_of(paths, "cluster_name"), master, address, known[master])
    doors = dict.fromkeys((*names, "localhost", "127.0.0.1"))
    issued = authority.credentials(doors, time.time(), usage=SERVER_USAGE)
    _use(paths, issued.pem)
    return True


def use_rapi_certificate(paths: Paths, file: str) -> None:
    """Let the remote API use the key and certificate, both PEM, in a file.

    :raises Invalid: they are not both there, or do not go together.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file, password=lambda: "")
    except ssl.SSLError as e:
        why = f" ({e.reason})" if e.reason else ""
        raise Invalid(
            f"{file} cannot be used{why}: it must have a key and its certificate, both PEM"
        ) from None
    except OSError as e:
        raise Invalid(f"{file} cannot be used: {e.strerror}") from None
    with open(file, "rb") as content:
        _use(paths, content.read())


def renew_domain_secret(paths: Paths, file: str | None = None) -> None:
    """Make a new secret for clusters that move instances between them, or take the one in a file.

    :raises Invalid: the file is empty.
    :raises Refused: this is not the master.
    """
    if local_files().stat(paths.domain_secret) is None:
        raise Refused(f"{paths.domain_secret} is not here; do this on the master", Code.STATE)
    content = secrets.token_hex(32).encode() + b"\n"
    if file is not None:
        with open(file, "rb") as given:
            content = given.read()
        if not content.strip():
            raise Invalid(f"{file} is empty")
    write({paths.domain_secret: (content, 0o600)})


def _use(paths: Paths, pem: bytes) -> None:
    write({paths.rapi_certificate: (pem, 0o600)})
    if pid := holder(f"{paths.run}/{RAPI}.pid"):
        os.kill(pid, signal.SIGHUP)


def issuing_authority(paths: Paths) -> str:
    """Return the fingerprint of the authority whose key is here; empty if it is not trusted."""
    from ganeti.pki.authority import Authority

    files = local_files()
    try:
        key = files.read(paths.authority_key)
        return Authority.loaded(files.read(paths.authority), key).fingerprint
    except (FileNotFoundError, Failed):
        return ""


def new_authority(cluster: str) -> bytes:
    """Return the key and the certificate of a new authority for a cluster, both PEM."""
    from ganeti.pki.authority import Authority

    made = Authority.founded(cluster, time.time())
    return made.key + made.certificate


def main(arguments: Sequence[str], paths: Paths) -> bytes:
    """Make keys and secrets that master candidates share, on the master.

    ``secrets`` replaces the cluster domain secret and the remote API's key, ``rapi`` only that. A
    certificate of the remote API that another authority has issued stays. ``authority CLUSTER``
    returns a new authority, and ``issuer`` the fingerprint of the one that issues.
    """
    match arguments:
        case ["secrets"]:
            renew_domain_secret(paths)
            renew_rapi_certificate(paths, only_own=True)
        case ["rapi"]:
            renew_rapi_certificate(paths, only_own=True)
        case ["authority", cluster]:
            return new_authority(cluster)
        case ["issuer"]:
            return issuing_authority(paths).encode("ascii")
        case _:
            raise Invalid(f"there is no such order: {' '.join(arguments)}")
    return b""


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(main(sys.argv[1:], of_this_node()))
    except (GanetiError, OSError) as e:
        print(e, file=sys.stderr)
        sys.exit(1)
