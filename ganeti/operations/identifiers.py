# SPDX-License-Identifier: BSD-2-Clause
"""Identifiers that follow from a plan, so that what is told of it before is what is made."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from random import Random
from uuid import NAMESPACE_OID, uuid5


def no_secret() -> str:
    """Return what stands for a secret where none is needed yet."""
    return ""


class PlannedIdentifiers:
    """Identifiers of everything that an operation makes, the same whenever it is planned.

    They follow from ``identity``, which nobody else has, in the order in which they are asked for.
    Secrets are told to nobody before, and come from ``secret``.
    """

    def __init__(self, identity: str, secret: Callable[[], str] = no_secret) -> None:
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
