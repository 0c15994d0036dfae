# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of the hypervisor *fake*."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from ganeti.model.parameters.declaration import ParameterSet, shared


class Fake(ParameterSet):
    """A guest that is only recorded in files, for tests and demonstrations."""

    immediate: ClassVar[frozenset[str]] = frozenset({"migration_mode"})

    migration_mode: Annotated[
        Literal["live", "non-live"], shared("Whether guests keep running during a migration.")
    ] = "live"
