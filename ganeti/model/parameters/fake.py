# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of guests that exist only as files."""

from __future__ import annotations

from typing import Annotated, Literal

from ganeti.model.parameters.declaration import ParameterSet, shared


class Fake(ParameterSet):
    """A guest that only pretends to run, for tests and for trying things out."""

    migration_mode: Annotated[
        Literal["live", "non-live"], shared("Whether guests run on while they move.")
    ] = "live"
