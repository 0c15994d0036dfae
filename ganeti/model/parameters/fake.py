# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of guests that exist only as files."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from ganeti.model.parameters.declaration import ParameterSet, shared


class Fake(ParameterSet):
    """A guest that only pretends to run, for tests and for trying things out."""

    immediate: ClassVar[frozenset[str]] = frozenset({"migration_mode"})

    migration_mode: Annotated[
        Literal["live", "non-live"], shared("Whether guests run on while they move.")
    ] = "live"
