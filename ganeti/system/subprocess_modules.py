# SPDX-License-Identifier: BSD-2-Clause
"""Running a module of this program in another process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def module_environment() -> Mapping[str, str]:
    """Return the environment in which ``python -m`` finds the modules of this process.

    An installed program may be outside of the interpreter's default search path.
    """
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
