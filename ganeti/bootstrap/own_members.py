# SPDX-License-Identifier: BSD-2-Clause
"""The members of etcd that a cluster runs on its own master candidates: authority and first member.

Master candidates have the key of the authority, so that each of them can add members when it is
the master. They have the client's key anyway.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ganeti.bootstrap.blocking_files import at_once, local_files, write
from ganeti.bootstrap.etcd_members import CLIENT, EtcdMember, list_member_names
from ganeti.bootstrap.store_access import StoreAccess, write_store_access
from ganeti.errors import Code, GanetiError, Invalid, Refused
from ganeti.journal.etcd.member_files import authority_file, certificate_file, settings_file
from ganeti.paths import Paths, local_paths
from ganeti.pki.authority import Authority, find_issuer
from ganeti.pki.enrolment import certificates, fingerprint
from ganeti.rpc.store_members import MemberAddress, MemberSettings


@dataclass(frozen=True)
class OwnStore:
    """A new state store with one member: the access to it, and what the member needs."""

    access: StoreAccess
    authority_key: bytes
    member: EtcdMember
    certificate: bytes


def create_own_store(
    paths: Paths, cluster: str, name: str, address: str, *, automatic_failover: bool = True
) -> OwnStore:
    """Create the certificates of a state store whose first member is on this node, ``name``."""
    now = time.time()
    authority = Authority.founded(f"{cluster} (state store)", now)
    member = EtcdMember(name, address, paths.store_member)
    access = StoreAccess(
        (member.endpoint,),
        authority.certificate,
        authority.credentials([CLIENT], now).pem,
        automatic_failover,
        own_members=True,
    )
    certificate = authority.credentials(list_member_names(member), now).pem
    return OwnStore(access, authority.key, member, certificate)


def write_own_store(paths: Paths, own: OwnStore, cluster: str, *, in_use: bool = True) -> None:
    """Write what master and member of the cluster with this UUID need; the member starts then.

    What is left of an earlier state store of this node is removed. ``in_use`` is that of
    ``write_store_access``.
    """
    files, folder, member = local_files(), paths.store_member, own.member
    at_once(files.remove_folder(folder))
    write_store_access(paths, own.access, cluster, in_use=in_use)
    write({paths.store_authority_key: (own.authority_key, 0o400)})
    at_once(files.make_folder(folder, mode=0o700))
    me = MemberAddress(name=member.name, address=member.address)
    settings = MemberSettings(name=member.name, address=member.address, peers=(me,), founds=True)
    write(
        {
            authority_file(folder): (own.access.authority, 0o600),
            certificate_file(folder): (own.certificate, 0o600),
        }
    )
    # Last: the node daemon starts the member when this file is there.
    write({settings_file(folder): (msgspec.json.encode(settings), 0o600)})


def introduce_authority(paths: Paths, cluster: str) -> bool:
    """Create a new authority for the members, trusted besides the present one.

    It issues all certificates from now on; the master replaces those of the present one, and then
    ends the trust in it. Return False if such a replacement is under way, which goes on.

    :raises Refused: the cluster does not run the members, or this is not a master candidate.
    """
    files = local_files()
    if files.stat(paths.store_authority_key) is None:
        raise Refused(
            f"{paths.store_authority_key} does not exist: run this on the master, as root, of a"
            " cluster that runs the members of etcd itself; the authority of another etcd is"
            " replaced there",
            Code.STATE,
        )
    present = _load_authority(paths)
    trusted = certificates(files.read(paths.store_authority))
    if len(trusted) > 1 and fingerprint(trusted[0].encode("ascii")) == present.fingerprint:
        return False
    made = Authority.founded(f"{cluster} (state store)", time.time())
    modes = paths.store_files
    # First: an authority without its key issues nothing, while a key must belong to a certificate.
    trust = made.certificate + present.certificate
    write({paths.store_authority: (trust, modes[paths.store_authority])})
    write({paths.store_authority_key: (made.key, modes[paths.store_authority_key])})
    return True


def list_issuers(paths: Paths) -> tuple[str, str]:
    """Return the fingerprint of the issuing authority, and that of the issuer of the client."""
    files = local_files()
    trusted, client = files.read(paths.store_authority), files.read(paths.store_certificate)
    return _load_authority(paths).fingerprint, find_issuer(client, trusted)


def retire_authorities(paths: Paths) -> None:
    """End the trust in all authorities but the issuing one."""
    present = _load_authority(paths)
    mode = paths.store_files[paths.store_authority]
    write({paths.store_authority: (present.certificate, mode)})


def issue_member_certificate(paths: Paths, name: str, address: str) -> bytes:
    """Return a key with a certificate for a member on the node ``name``."""
    member = EtcdMember(name, address, paths.store_member)
    return _load_authority(paths).credentials(list_member_names(member), time.time()).pem


def renew_client_certificate(paths: Paths) -> None:
    """Replace the key and certificate with which masters access the members."""
    issued = _load_authority(paths).credentials([CLIENT], time.time())
    write({paths.store_certificate: (issued.pem, 0o400)})


def _load_authority(paths: Paths) -> Authority:
    files = local_files()
    return Authority.loaded(
        files.read(paths.store_authority), files.read(paths.store_authority_key)
    )


def main(arguments: Sequence[str], paths: Paths) -> bytes:
    """Issue certificates on the master.

    ``member NAME ADDRESS`` returns a key with a certificate, ``client`` replaces that of masters.
    ``issuers`` returns the fingerprints of ``list_issuers``, ``retire`` ends a replacement.
    """
    match arguments:
        case ["member", name, address]:
            return issue_member_certificate(paths, name, address)
        case ["client"]:
            renew_client_certificate(paths)
        case ["issuers"]:
            return " ".join(list_issuers(paths)).encode("ascii")
        case ["retire"]:
            retire_authorities(paths)
        case _:
            raise Invalid(f"unknown command: {' '.join(arguments)}")
    return b""


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(main(sys.argv[1:], local_paths()))
    except (GanetiError, OSError) as e:
        print(e, file=sys.stderr)
        sys.exit(1)
