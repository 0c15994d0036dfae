# SPDX-License-Identifier: BSD-2-Clause
"""The kinds of stores in which repositories can be, by the scheme of their path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from ganeti.model.backups import RepositoryAccess
from ganeti.repository import s3_store
from ganeti.repository.folder_store import FolderStore
from ganeti.repository.interfaces import IObjectStore
from ganeti.system.cancellation import CancelSwitch

OpenStore: TypeAlias = Callable[[RepositoryAccess, CancelSwitch], IObjectStore]

STORES: Mapping[str, OpenStore] = {"s3": s3_store.connect_store}
"""Those that are not folders."""


def open_store(access: RepositoryAccess, switch: CancelSwitch) -> IObjectStore:
    """Return the store of a repository, whose operations the switch cancels."""
    scheme, found, _ = access.path.partition("://")
    if found and scheme in STORES:
        return STORES[scheme](access, switch)
    return FolderStore(access.path)
