# SPDX-License-Identifier: BSD-2-Clause
"""Renewal of the cluster's shared secrets on the master, which copies them to candidates."""

from __future__ import annotations

import os
import secrets
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from ganeti.bootstrap.blocking_files import local_files, read_ssconf, write
from ganeti.bootstrap.daemons import RAPI
from ganeti.errors import Code, Failed, GanetiError, Invalid, Refused
from ganeti.paths import Paths, local_paths
from ganeti.pki.authority import SERVER_USAGE, Authority, find_missing_names
from ganeti.system.pidfile import signal_holder


def renew_rapi_certificate(
    paths: Paths, *, only_own: bool = False, needed: Sequence[str] | None = None
) -> bool:
    """Issue a new key and certificate for the remote API; return whether that was done.

    It has the names of the cluster and of all master candidates, as it is served there. With
    ``only_own``, a certificate of another authority is kept; with ``needed``, one that is for
    these names already, and a new one is for them, too.

    :raises Refused: the key of the authority is not on this node.
    """
    files = local_files()
    if files.stat(paths.authority_key) is None:
        raise Refused(f"{paths.authority_key} does not exist; run this on the master, as root")
    authority = Authority.loaded(files.read(paths.authority), files.read(paths.authority_key))
    if files.stat(paths.rapi_certificate) is not None:
        present = files.read(paths.rapi_certificate)
        if only_own and not authority.has_issued(present):
            return False
        if needed is not None and not find_missing_names(present, needed):
            return False
    names = (*(needed or ()), *_list_api_names(paths))
    server_names = dict.fromkeys((*names, "localhost", "127.0.0.1", "::1"))
    issued = authority.credentials(server_names, time.time(), usage=SERVER_USAGE)
    _install_rapi_certificate(paths, issued.pem)
    return True


def _list_api_names(paths: Paths) -> Iterator[str]:
    """Yield the names and addresses of the cluster, the master, and the other candidates."""
    yield read_ssconf(paths, "cluster_name")
    master = read_ssconf(paths, "master_node")
    known = dict(line.split(" ", 1) for line in read_ssconf(paths, "node_primary_ips").splitlines())
    candidates = read_ssconf(paths, "master_candidates").splitlines()
    yield from (master, read_ssconf(paths, "master_ip"))
    for node in dict.fromkeys((master, *candidates)):
        yield from (node, *([known[node]] if node in known else []))


def use_rapi_certificate(paths: Paths, file: str) -> None:
    """Install a key and certificate for the remote API from a PEM file.

    :raises Invalid: one of them is missing, or they do not match.
    """
    try:
        # OpenSSL would prompt for the password of an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file, password=lambda: "")
    except ssl.SSLError as e:
        why = f" ({e.reason})" if e.reason else ""
        raise Invalid(
            f"{file} is unusable{why}: it must contain a key and its certificate in PEM format"
        ) from None
    except OSError as e:
        raise Invalid(f"{file} is unusable: {e.strerror}") from None
    with open(file, "rb") as content:
        _install_rapi_certificate(paths, content.read())


def renew_domain_secret(paths: Paths, file: str | None = None) -> None:
    """Create a new cluster domain secret for instance moves, or use the one in ``file``.

    :raises Invalid: the file is empty.
    :raises Refused: this node is not the master.
    """
    if local_files().stat(paths.domain_secret) is None:
        raise Refused(f"{paths.domain_secret} does not exist; run this on the master", Code.STATE)
    content = secrets.token_hex(32).encode() + b"\n"
    if file is not None:
        with open(file, "rb") as given:
            content = given.read()
        if not content.strip():
            raise Invalid(f"{file} is empty")
    write({paths.domain_secret: (content, 0o600)})


def _install_rapi_certificate(paths: Paths, pem: bytes) -> None:
    write({paths.rapi_certificate: (pem, 0o640)})
    reload_certificate(paths)


def reload_certificate(paths: Paths, kill: Callable[[int, int], None] = os.kill) -> None:
    """Have the remote API of this node read its certificate again."""
    # The user of the master daemon may not signal that of the remote API, which looks at the file
    # twice a second itself.
    with suppress(PermissionError):
        signal_holder(f"{paths.run}/{RAPI}.pid", signal.SIGHUP, kill)


def issuing_authority(paths: Paths) -> str:
    """Return the fingerprint of the local authority; empty if it is unusable."""
    files = local_files()
    try:
        key = files.read(paths.authority_key)
        return Authority.loaded(files.read(paths.authority), key).fingerprint
    except (FileNotFoundError, Failed):
        return ""


def new_authority(cluster: str) -> bytes:
    """Return the PEM key and certificate of a new authority for a cluster."""
    made = Authority.founded(cluster, time.time())
    return made.key + made.certificate


def main(arguments: Sequence[str], paths: Paths) -> bytes:
    """Create keys and secrets that master candidates share, on the master.

    ``secrets`` replaces the cluster domain secret and the remote API's key, ``rapi`` only the
    latter, and ``rapi-names NAME...`` only if its certificate is not for all of these names. A
    remote API certificate of another authority is kept. ``authority CLUSTER`` returns a
    new authority, ``issuer`` the fingerprint of the issuing authority.
    """
    match arguments:
        case ["secrets"]:
            renew_domain_secret(paths)
            renew_rapi_certificate(paths, only_own=True)
        case ["rapi"]:
            renew_rapi_certificate(paths, only_own=True)
        case ["rapi-names", *names]:
            renew_rapi_certificate(paths, only_own=True, needed=names)
        case ["authority", cluster]:
            return new_authority(cluster)
        case ["issuer"]:
            return issuing_authority(paths).encode("ascii")
        case _:
            raise Invalid(f"unknown command: {' '.join(arguments)}")
    return b""


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(main(sys.argv[1:], local_paths()))
    except (GanetiError, OSError) as e:
        print(e, file=sys.stderr)
        sys.exit(1)
