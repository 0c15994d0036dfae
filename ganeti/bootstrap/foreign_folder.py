# SPDX-License-Identifier: BSD-2-Clause
"""Recognize the folder of a cluster whose daemons are those of Ganeti itself."""

from __future__ import annotations

import os

from ganeti.paths import Paths


def is_foreign(paths: Paths) -> bool:
    """Return whether this host has files of a cluster that none of our daemons has written.

    A cluster of ours has a journal and the certificate of its authority before it has a
    configuration, and a node of ours has that certificate and the list of members before its own.
    If one of them is lost, the cluster is still recognized as one of this project.
    """
    exists = os.path.exists
    ours = map(exists, (paths.journal, paths.authority, paths.member_list))
    return (exists(paths.config_file) or exists(paths.node_certificate)) and not any(ours)


def explain_foreign(paths: Paths) -> str:
    """Return what to do about such a folder."""
    return (
        f"{paths.data} has files of a cluster that is run by Ganeti's own daemons. Nothing was"
        f" changed. To take the cluster over, run gnt-cluster adopt --check {paths.data} on its"
        " master; other nodes then join by a command that it shows. To create a new cluster on"
        f" this host, which must not run instances any more, move {paths.data} out of the way"
    )
