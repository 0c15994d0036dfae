# SPDX-License-Identifier: BSD-2-Clause
"""Running a module of this program in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def finding_modules() -> Mapping[str, str]:
    """The environment in which ``python -m`` finds modules where this process finds them.

    What is installed may be where the interpreter does not look by itself.
    """
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
