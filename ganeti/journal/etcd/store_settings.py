# SPDX-License-Identifier: BSD-2-Clause
"""The settings of a state store in etcd, in a file of every master candidate."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ganeti.errors import Code, Failed
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record
from ganeti.system.interfaces import IFiles

Endpoint = Annotated[str, Meta(pattern=r"\Ahttps://[^/\s]+/?\Z", max_length=256)]
"""The URL of a member, such as ``https://192.0.2.1:2379``."""


def is_endpoint(text: str) -> bool:
    """Return whether a text is the URL of a member, as the settings can have it."""
    try:
        msgspec.convert(text, Endpoint)
    except msgspec.ValidationError:
        return False
    return True


class StateStore(Record):
    """Where the state is: the members of etcd, and the prefix of all keys.

    With ``own_members``, they run on the master candidates, and follow them. With
    ``automatic_failover``, a master candidate becomes the master when the present one is gone.
    ``founded`` states that the first state was stored. Without it, a master would found the cluster
    a second time in an etcd that has lost its data. While the state is ``moving``, a key in etcd
    says where it is. After a move to files, ``kind`` is "file", and nothing else matters.
    """

    kind: Literal["etcd", "file"] = "etcd"
    endpoints: Annotated[tuple[Endpoint, ...], Meta(min_length=1)]
    prefix: Annotated[str, Meta(pattern=r"^/[!-~]*/$", max_length=256)]
    own_members: bool = False
    automatic_failover: bool = True
    founded: bool = False
    moving: bool = False


def prefix_of(cluster: str) -> str:
    """Return the prefix of the keys of the cluster with this UUID."""
    return f"/ganeti/{cluster}/"


def read_settings(files: IFiles, path: str) -> StateStore | None:
    """Return the settings in a file; None without the file, if the state is in files.

    :raises Failed: the file is damaged.
    """
    found = read_last_settings(files, path)
    return found if found is not None and found.kind == "etcd" else None


def read_last_settings(files: IFiles, path: str) -> StateStore | None:
    """Return the settings in a file, even if the state was moved to files since.

    :raises Failed: the file is damaged.
    """
    if files.stat(path) is None:
        return None
    try:
        return msgspec.json.decode(files.read(path), type=StateStore)
    except UNREADABLE as e:
        raise Failed(
            f"{path} is damaged: {e}; copy it from another master candidate", Code.ENVIRONMENT
        ) from None


def encode_settings(settings: StateStore) -> bytes:
    """Return the content of the file with these settings."""
    return msgspec.json.format(msgspec.json.encode(settings)) + b"\n"
