# SPDX-License-Identifier: BSD-2-Clause
"""Renew the keys, certificates and secrets of the cluster."""

from __future__ import annotations

from collections.abc import Set

from ganeti.bootstrap import secret_renewal
from ganeti.bootstrap.blocking_files import read_ssconf
from ganeti.bootstrap.own_members import introduce_authority
from ganeti.cli.command import Arguments
from ganeti.cli.job_polling import carry_out
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.opcodes.cluster import RedistributeConfig, RenewCrypto

RENEWABLE = (
    *(
        "new_cluster_certificate",
        "new_node_certificates",
        "new_rapi_certificate",
        "rapi_certificate",
    ),
    *("new_domain_secret", "domain_secret", "new_store_authority"),
)


def renew(session: Session, arguments: Arguments) -> int:
    """Create new keys, certificates and secrets, and distribute them."""
    wanted = {name for name in RENEWABLE if name in arguments}
    if not wanted:
        raise ExitTool(
            FAILURE,
            "nothing to renew; give at least one option (see gnt-cluster renew-crypto --help)",
        )
    if arguments.get("dry_run") or arguments.get("plan"):
        return _show_renewal(session, wanted)
    paths = session.paths
    if "new_rapi_certificate" in wanted:
        secret_renewal.renew_rapi_certificate(paths)
        session.print_line("Created a new certificate for the remote API.")
    if "rapi_certificate" in wanted:
        secret_renewal.use_rapi_certificate(paths, arguments["rapi_certificate"])
        session.print_line("Installed the given certificate for the remote API.")
    if wanted & {"new_domain_secret", "domain_secret"}:
        secret_renewal.renew_domain_secret(paths, arguments.get("domain_secret"))
        session.print_line("Replaced the secret for moves between clusters.")
    if "new_store_authority" in wanted:
        _introduce_store_authority(session)
    jobs = {"new_cluster_certificate", "new_node_certificates"}
    # The candidates need the replaced files as well.
    if wanted - jobs and (code := carry_out(session, arguments, RedistributeConfig())):
        return code
    if "new_cluster_certificate" in wanted:
        # This also renews the certificates of all nodes.
        return carry_out(session, arguments, RenewCrypto(cluster_certificate=True))
    if "new_node_certificates" in wanted:
        return carry_out(session, arguments, RenewCrypto(node_certificates=True))
    return 0


def _introduce_store_authority(session: Session) -> None:
    cluster = read_ssconf(session.paths, "cluster_name")
    if introduce_authority(session.paths, cluster):
        session.print_line("Created a new authority for the members of etcd.")
    else:
        session.print_line("A new authority for the members of etcd exists; its use goes on.")
    session.print_line(
        "The master restarts the members twice, one at a time, which takes some seconds for each;"
        " its log says when the new authority is the only one."
    )


def _show_renewal(session: Session, wanted: Set[str]) -> int:
    session.print_line("These files would be renewed on the nodes that have them:")
    for name in RENEWABLE:
        if name in wanted:
            session.print_line(f"- {name.removeprefix('new_').replace('_', ' ')}")
    return 0
