# SPDX-License-Identifier: BSD-2-Clause
"""The files of a member of etcd, in a folder of its own."""

from __future__ import annotations


def settings_file(folder: str) -> str:
    """Return the file with the settings of the member in a folder."""
    return f"{folder}/member.json"


def authority_file(folder: str) -> str:
    """Return the file with the certificates of the authorities that it accepts."""
    return f"{folder}/ca.pem"


def certificate_file(folder: str) -> str:
    """Return the file with its key and certificate."""
    return f"{folder}/member.pem"


def data_folder(folder: str) -> str:
    """Return the folder with its database."""
    return f"{folder}/data"
