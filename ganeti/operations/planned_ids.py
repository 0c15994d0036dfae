# SPDX-License-Identifier: BSD-2-Clause
"""Deterministic identifiers for planned objects, the same in a preview and when created."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from random import Random
from uuid import NAMESPACE_OID, uuid5


def empty_secret() -> str:
    """Return a placeholder where no secret is needed yet."""
    return ""


class DeterministicIdentifiers:
    """Identifiers of the objects that an operation creates, equal for each run of its plan.

    They are derived from the unique ``identity`` in the order of the calls. Secrets are not
    derived; they come from ``secret``.
    """

    def __init__(self, identity: str, secret: Callable[[], str] = empty_secret) -> None:
        self._identity = identity
        self._secret = secret
        self._numbers = count(1)
        self._random = Random(identity)

    def uuid(self) -> str:
        return str(uuid5(NAMESPACE_OID, f"{self._identity}/{next(self._numbers)}"))

    @property
    def random(self) -> Random:
        return self._random

    def secret(self) -> str:
        return self._secret()
