# SPDX-License-Identifier: BSD-2-Clause
"""The type of the reactor in the code that builds a daemon's parts from it."""

from __future__ import annotations

from typing import Any, TypeAlias

# The reactor provides about ten interfaces of twisted.internet.interfaces, of which each part takes
# one or two; there is no type for an object with all of them.
Reactor: TypeAlias = Any
